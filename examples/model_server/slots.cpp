// SPDX-License-Identifier: MIT
// model_server: the thread behind the slots. It waits in one epoll for the next deadline and for clients that leave:
// MHD does not see a suspended connection close.
#include "model_server/slots.hpp"

#include <microhttpd.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <ctime>
#include <string>
#include <system_error>

namespace model_server::detail {

namespace {

constexpr std::uint64_t timer_event = 0;  // tickets are counted from 1

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), std::string{"model_server: "} + what};
  return result;
}

}  // namespace

class slots::ticket {
 public:
  std::uint64_t number = 0;
  MHD_Connection* connection = nullptr;
  work todo{};
  int steps = 0;  // of all of it
  pace speed{};
  state now = state::queued;
  bool asleep = false;   // suspended, and not yet in awake_
  bool pausing = false;  // then asleep too, for the sake of time
  bool gone = false;     // the client, after the generation: told once, perhaps before a pause
  int wanted = 0;        // what to wake it for, if it does not pause
  steady::time_point granted{};
  steady::time_point due{};      // its place in deadlines_
  steady::time_point resumes{};  // its place in pauses_

  [[nodiscard]] int slots_needed() const noexcept { return static_cast<int>(todo.choices.size()); }
};

descriptor::~descriptor() {
  if (number_ >= 0) ::close(number_);
}

steady::duration pace::until(int tokens) const noexcept {
  constexpr std::chrono::duration<double> longest = std::chrono::hours{24 * 365};  // far from overflow
  return std::chrono::ceil<steady::duration>(std::min(latency + tokens * per_token, longest));
}

int pace::after(steady::duration elapsed, int all) const noexcept {
  if (elapsed < until(0)) return -1;
  const double estimate = std::min<double>(all, std::floor((elapsed - latency) / per_token));
  int tokens = std::max(0, static_cast<int>(estimate) - 1);  // division and multiplication may round apart
  while (tokens < all && until(tokens + 1) <= elapsed) ++tokens;
  return tokens;
}

slots::slots(int count, pace speed, bool keeps_spans)
    : count_{count},
      pace_{speed},
      keeps_spans_{keeps_spans},
      epoll_{checked(::epoll_create1(EPOLL_CLOEXEC), "no epoll descriptor")},
      timer_{checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "no timer descriptor")} {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = timer_event;
  checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event), "cannot wait for a timer");
  thread_ = std::thread{[this] { run(); }};
}

slots::~slots() { stop(); }

std::shared_ptr<slots::ticket> slots::enter(MHD_Connection* connection, work todo) {
  auto entered = std::make_shared<ticket>();
  entered->connection = connection;
  entered->todo = std::move(todo);
  entered->steps = entered->todo.steps();
  entered->speed = {pace_.latency + entered->todo.more_latency, pace_.per_token};
  std::scoped_lock lock{mutex_};
  if (stopping_) return nullptr;
  entered->number = ++last_number_;
  tickets_.emplace(entered->number, entered);
  queue_.emplace(entered->number, entered.get());
  grant();
  const int in_flight = static_cast<int>(queue_.size() + deadlines_.size());
  counted_.max_in_flight = std::max(counted_.max_in_flight, in_flight);
  watch(*entered);
  return entered;
}

int slots::await(ticket& waiting, int wanted) {
  std::scoped_lock lock{mutex_};
  if (waiting.now == state::over) return over;
  const int steps = generated(waiting, steady::now());
  if (steps >= wanted) return steps;
  MHD_suspend_connection(waiting.connection);
  waiting.asleep = true;
  waiting.wanted = wanted;
  if (waiting.now == state::generating) schedule(waiting);
  return suspended;
}

int slots::pause(ticket& pausing, steady::duration time) {
  std::scoped_lock lock{mutex_};
  if (stopping_ || pausing.gone || pausing.now == state::over) return over;  // after stop() nothing may be suspended
  MHD_suspend_connection(pausing.connection);
  pausing.asleep = pausing.pausing = true;
  pausing.resumes = steady::now() + time;
  pauses_.emplace(pausing.resumes, pausing.number);
  arm();
  return suspended;
}

void slots::abandon(ticket& broken) {
  std::scoped_lock lock{mutex_};
  if (broken.now != state::generating) return;
  charge(broken, generated(broken, steady::now()));
  free_slot(broken, state::over);
}

void slots::leave(ticket& leaving) {
  const MHD_ConnectionInfo* const info = MHD_get_connection_info(leaving.connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  std::scoped_lock lock{mutex_};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, info->connect_fd, nullptr);  // its next request is watched anew
  lose_client(leaving);
  tickets_.erase(leaving.number);
}

void slots::count_fault(fault_kind kind) {
  std::scoped_lock lock{mutex_};
  counted_.faults += 1;
  counted_.faults_by_kind[static_cast<std::size_t>(kind)] += 1;
}

void slots::count_embedding(int tokens) {
  std::scoped_lock lock{mutex_};
  counted_.embedding_tokens += tokens;
}

stats slots::snapshot() const {
  std::scoped_lock lock{mutex_};
  stats result = counted_;
  result.total_tokens = result.prompt_tokens + result.completion_tokens;
  result.slots_busy = busy_;
  result.waiting = static_cast<int>(queue_.size());
  result.in_flight = static_cast<int>(deadlines_.size()) + result.waiting;
  return result;
}

std::vector<span> slots::spans() const {
  std::scoped_lock lock{mutex_};
  return spans_;
}

void slots::stop() {
  std::vector<MHD_Connection*> sleeping;
  {
    std::scoped_lock lock{mutex_};
    stopping_ = true;
    queue_.clear();
    deadlines_.clear();
    pauses_.clear();
    busy_ = 0;
    for (const auto& [number, each] : tickets_) {
      if (each->now != state::finished) each->now = state::over;
      each->pausing = false;
      if (std::exchange(each->asleep, false)) sleeping.push_back(each->connection);
    }
    arm();
  }
  if (thread_.joinable()) thread_.join();
  for (MHD_Connection* const connection : sleeping) MHD_resume_connection(connection);
}

void slots::run() {
  std::array<epoll_event, 64> events{};
  std::vector<MHD_Connection*> to_resume;
  for (bool stopped = false; !stopped;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    {
      std::scoped_lock lock{mutex_};
      for (int i = 0; i < count; ++i) {
        const std::uint64_t number = events[static_cast<std::size_t>(i)].data.u64;
        if (number == timer_event) {
          std::uint64_t expirations = 0;
          [[maybe_unused]] const auto read = ::read(timer_.get(), &expirations, sizeof expirations);
          armed_ = steady::time_point::max();
        } else if (const auto found = tickets_.find(number); found != tickets_.end()) {
          lose_client(*found->second);
        }
      }
      const auto now = steady::now();
      while (!deadlines_.empty() && deadlines_.begin()->first <= now)
        reach_deadline(*tickets_.at(deadlines_.begin()->second));
      while (!pauses_.empty() && pauses_.begin()->first <= now) wake(*tickets_.at(pauses_.begin()->second));
      to_resume.swap(awake_);
      arm();
      stopped = stopping_;
    }
    // Suspended connections stay where they are until somebody resumes them, and nobody else does.
    for (MHD_Connection* const connection : to_resume) MHD_resume_connection(connection);
    to_resume.clear();
  }
}

// ---- under the lock -------------------------------------------------------------------------------------------------

void slots::grant() {
  while (!queue_.empty()) {
    ticket& next = *queue_.begin()->second;
    if (busy_ + next.slots_needed() > count_) break;  // those behind it wait too: first come, first served
    busy_ += next.slots_needed();
    queue_.erase(queue_.begin());
    next.now = state::generating;
    next.granted = steady::now();
    if (next.wanted == 0) wake(next);  // its headers leave now
    schedule(next);
  }
  arm();
}

// The next thing to do for one in a slot: wake its connection, or free the slot. Never, if it comes no further.
void slots::schedule(ticket& generating) {
  deadlines_.erase({generating.due, generating.number});
  const int wanted = generating.asleep && !generating.pausing ? generating.wanted : generating.steps;
  const int steps = std::min(wanted, generating.steps);
  generating.due = steps > generating.todo.breaks_at ? steady::time_point::max()
                                                     : generating.granted + generating.speed.until(steps);
  deadlines_.emplace(generating.due, generating.number);
  arm();
}

void slots::reach_deadline(ticket& generating) {
  const auto now = steady::now();
  const bool ends = generating.steps <= generating.todo.breaks_at;
  if (ends && generating.granted + generating.speed.until(generating.steps) <= now) {
    counted_.requests += 1;
    charge(generating, generating.steps);
    if (!generating.pausing) wake(generating);
    free_slot(generating, state::finished);
    return;
  }
  if (!generating.pausing && generating.wanted <= generated(generating, now)) wake(generating);
  schedule(generating);
}

void slots::lose_client(ticket& gone) {
  if (gone.now == state::over) return;
  if (gone.now == state::finished) {
    gone.gone = true;
    if (!gone.pausing) return;  // MHD notices
    wake(gone);
    arm();
    return;
  }
  counted_.cancelled += 1;
  wake(gone);  // so that MHD closes it
  if (gone.now == state::queued) {
    queue_.erase(gone.number);
    gone.now = state::over;
    grant();  // the next may need fewer slots
    return;
  }
  charge(gone, generated(gone, steady::now()));
  free_slot(gone, state::over);
}

void slots::charge(const ticket& ended, int steps) {
  counted_.prompt_tokens += ended.todo.prompt_tokens;
  counted_.completion_tokens += ended.todo.tokens(steps);
}

void slots::free_slot(ticket& owner, state next) {
  owner.now = next;
  deadlines_.erase({owner.due, owner.number});
  busy_ -= owner.slots_needed();
  if (keeps_spans_) spans_.push_back({owner.granted, steady::now()});
  grant();
}

void slots::wake(ticket& sleeping) {
  if (std::exchange(sleeping.pausing, false)) pauses_.erase({sleeping.resumes, sleeping.number});
  if (std::exchange(sleeping.asleep, false)) awake_.push_back(sleeping.connection);
}

void slots::arm() {
  const auto now_already = steady::time_point{std::chrono::nanoseconds{1}};
  auto next = steady::time_point::max();
  if (!deadlines_.empty()) next = deadlines_.begin()->first;
  if (!pauses_.empty()) next = std::min(next, pauses_.begin()->first);
  if (stopping_ || !awake_.empty()) next = now_already;
  if (next == armed_) return;
  armed_ = next;
  itimerspec when{};  // all zero: never
  if (next != steady::time_point::max()) {
    const auto since_boot = next.time_since_epoch();  // steady_clock is CLOCK_MONOTONIC here
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    when.it_value.tv_sec = static_cast<std::time_t>(seconds.count());
    when.it_value.tv_nsec = static_cast<long>(std::chrono::nanoseconds{since_boot - seconds}.count());
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

// Edge-triggered: it is told once that the client has closed, even if that was before. If the kernel refuses, MHD
// notices when it next writes.
void slots::watch(ticket& entered) {
  const MHD_ConnectionInfo* const info = MHD_get_connection_info(entered.connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  epoll_event event{};
  event.events = EPOLLRDHUP | EPOLLET;
  event.data.u64 = entered.number;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, info->connect_fd, &event);
}

int slots::generated(const ticket& asked, steady::time_point now) const {
  switch (asked.now) {
    case state::finished: return asked.steps;
    case state::generating:
      // The last step counts when the deadline was reached, so that what is told and what is counted agree.
      return std::max(0, asked.speed.after(now - asked.granted, std::min(asked.steps - 1, asked.todo.breaks_at)));
    case state::queued:
    case state::over: break;
  }
  return -1;
}

}  // namespace model_server::detail
