// SPDX-License-Identifier: MIT
// model_server: who is generated when. Connections that wait are suspended; one thread wakes them, and notices when
// their clients leave.
#pragma once

#include "model_server/model_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>
#include <utility>
#include <vector>

struct MHD_Connection;

namespace model_server::detail {

using steady = std::chrono::steady_clock;

/// An open file descriptor.
class descriptor {
 public:
  explicit descriptor(int number) noexcept : number_{number} {}
  descriptor(descriptor&& other) noexcept : number_{std::exchange(other.number_, -1)} {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor();
  [[nodiscard]] int get() const noexcept { return number_; }
  int release() noexcept { return std::exchange(number_, -1); }

 private:
  int number_;
};

/// How long an answer takes in its slot.
struct pace {
  std::chrono::duration<double> latency{};
  std::chrono::duration<double> per_token{};

  /// From the grant of the slot until that many tokens are there.
  [[nodiscard]] steady::duration until(int tokens) const noexcept;
  /// The most tokens for which until() is no more than `elapsed`; -1 before the latency is over.
  [[nodiscard]] int after(steady::duration elapsed, int all) const noexcept;
};

/// What a request has to be generated for it.
struct work {
  static constexpr int never = std::numeric_limits<int>::max();

  int prompt_tokens = 0;
  std::vector<int> choices{};  ///< the tokens of each; they are generated side by side, each in a slot of its own
  int breaks_at = never;       ///< a step (a token of each choice) after which nothing comes any more
  std::chrono::duration<double> more_latency{};

  /// Until the longest choice is complete.
  [[nodiscard]] int steps() const noexcept { return *std::max_element(choices.begin(), choices.end()); }
  /// Generated after so many steps.
  [[nodiscard]] int tokens(int steps) const noexcept {
    return std::accumulate(choices.begin(), choices.end(), 0,
                           [steps](int sum, int all) { return sum + std::min(steps, all); });
  }
};

/// The slots, and the queue before them.
/// Threads:  enter(), await(), pause(), abandon() and leave() on MHD's thread, the others on any.
/// Lifetime: stop() before MHD's daemon stops: it must not meet a suspended connection.
/// Locks:    MHD's own lock is taken under ours (suspend), never the other way round: MHD calls us without it.
class slots {
 public:
  class ticket;  ///< a request's

  slots(int count, pace speed, bool keeps_spans = false);
  slots(slots&&) = delete;  // its thread points here
  ~slots();

  /// Queues a request that has been read; it has 1 to `count` choices. Null after stop().
  [[nodiscard]] std::shared_ptr<ticket> enter(MHD_Connection* connection, work todo);

  static constexpr int suspended = -1;
  static constexpr int over = -2;
  /// The steps generated so far, if they are `wanted` or more: 0 as soon as it is in a slot, all of them only when the
  /// slot is free again. Else the connection is suspended until they are. Over: the client is gone, or the server stops.
  [[nodiscard]] int await(ticket& waiting, int wanted);

  /// Suspends the connection for a while, whatever is generated meanwhile. Over: as above; then it is not suspended.
  [[nodiscard]] int pause(ticket& pausing, steady::duration time);

  /// A fault ends the request: what was generated is counted, but it is neither answered nor cancelled.
  void abandon(ticket& broken);

  /// MHD is done with the request, for whatever reason. Before its generation has ended: the client went away.
  void leave(ticket& leaving);

  void count_fault(fault_kind kind);
  void count_embedding(int tokens);
  [[nodiscard]] stats snapshot() const;
  [[nodiscard]] std::vector<span> spans() const;
  void stop();

 private:
  enum class state : unsigned char { queued, generating, finished, over };
  using deadline = std::pair<steady::time_point, std::uint64_t>;

  void run();
  void grant();
  void schedule(ticket& generating);
  void reach_deadline(ticket& generating);
  void lose_client(ticket& gone);
  void charge(const ticket& ended, int steps);
  void free_slot(ticket& owner, state next);
  void wake(ticket& sleeping);
  void arm();
  void watch(ticket& entered);
  [[nodiscard]] int generated(const ticket& asked, steady::time_point now) const;

  const int count_;
  const pace pace_;
  const bool keeps_spans_;
  descriptor epoll_;
  descriptor timer_;  // arming it is also how other threads wake ours

  mutable std::mutex mutex_;  // guards what follows, and all tickets
  bool stopping_ = false;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, std::shared_ptr<ticket>> tickets_;  // by number: events may outlive their ticket
  std::map<std::uint64_t, ticket*> queue_;                    // invariant: exactly those whose state is queued
  std::set<deadline> deadlines_;                              // invariant: one for each that is generating
  int busy_ = 0;                                              // slots of those
  std::set<deadline> pauses_;                                 // invariant: one for each that pauses
  steady::time_point armed_ = steady::time_point::max();
  std::vector<MHD_Connection*> awake_;  // to be resumed by our thread, without the lock
  stats counted_;                       // but for what snapshot() adds
  std::vector<span> spans_;

  std::thread thread_;  // last: it uses all the others
};

}  // namespace model_server::detail
