// SPDX-License-Identifier: MIT
// model_server: answers on their way.
#include "model_server/delivery.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace model_server::detail {

namespace {

using namespace std::chrono_literals;

int longest_of(const completion& given) noexcept {
  int steps = 0;
  for (const choice& each : given.choices) steps = std::max(steps, each.completion_tokens);
  return steps;
}

// In the last step at the latest: a fault that breaks an answer off must not come too late.
int break_of(const fault* struck, int steps) noexcept {
  if (struck == nullptr) return work::never;
  constexpr int some_deltas = 3;
  switch (struck->kind) {
    case fault_kind::reset:  // without `after`, it does not get so far
    case fault_kind::stall: return std::min(struck->after.value_or(0), steps - 1);
    case fault_kind::truncate: return std::min(struck->after.value_or(steps / 2), steps - 1);
    case fault_kind::error_in_stream: return std::min(struck->after.value_or(some_deltas), steps - 1);
    default: return work::never;
  }
}

std::chrono::duration<double> time_of(const fault& struck, std::chrono::milliseconds otherwise, double speed) {
  return std::chrono::duration<double>{struck.ms.value_or(otherwise)} / speed;
}

steady::duration pause_of(const fault* struck, double speed) {
  if (struck == nullptr) return {};
  if (struck->kind == fault_kind::drip) return std::chrono::ceil<steady::duration>(time_of(*struck, 5ms, speed));
  if (struck->kind == fault_kind::split_utf8) return std::chrono::ceil<steady::duration>(time_of(*struck, 1ms, speed));
  return {};
}

}  // namespace

void reset_connection(MHD_Connection* connection) noexcept {
  // Linux sends RST for a socket that is told to forget its peer; SO_LINGER would come after the FIN of MHD's shutdown().
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  const MHD_ConnectionInfo* const info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  ::connect(info->connect_fd, &nobody, sizeof nobody);
}

delivery::delivery(slots& all_slots, answer_head head, completion given, bool stream, const fault* struck, double speed)
    : slots_{all_slots},
      head_{std::move(head)},
      given_{std::move(given)},
      stream_{stream},
      struck_{struck},
      speed_{speed},
      steps_{longest_of(given_)},
      breaks_at_{break_of(struck, steps_)},
      between_pieces_{pause_of(struck, speed)} {}

delivery::~delivery() {
  if (ticket_) slots_.leave(*ticket_);
}

MHD_Result delivery::begin(MHD_Connection* connection) {
  connection_ = connection;
  work todo{.prompt_tokens = given_.prompt_tokens, .breaks_at = breaks_at_};
  for (const choice& each : given_.choices) todo.choices.push_back(each.completion_tokens);
  if (is(fault_kind::slow_start)) todo.more_latency = time_of(*struck_, 60s, speed_);
  ticket_ = slots_.enter(connection, std::move(todo));
  return ticket_ ? go_on() : MHD_NO;
}

MHD_Result delivery::go_on() {
  const int steps = slots_.await(*ticket_, stream_ ? 0 : std::min(steps_, breaks_at_));
  if (steps == slots::suspended) return MHD_YES;
  if (steps == slots::over) return MHD_NO;
  if (!stream_) return respond_whole();
  for (std::size_t i = 0; i < given_.choices.size(); ++i) unsent_ += role_event(head_, given_, i);
  return respond_in_parts(MHD_SIZE_UNKNOWN, "text/event-stream");
}

MHD_Result delivery::respond_whole() {
  const std::string body = completion_json(head_, given_);
  told_ = std::min(steps_, breaks_at_);
  const std::size_t part = body.size() * static_cast<std::size_t>(told_) / static_cast<std::size_t>(steps_);
  unsent_ = body.substr(0, part);
  return respond_in_parts(body.size(), "application/json");
}

MHD_Result delivery::respond_in_parts(std::uint64_t size, const char* content_type) {
  constexpr std::size_t block = 4096;
  const bool at_once = !stream_ && !breaks() && !is(fault_kind::drip) && !is(fault_kind::split_utf8);
  MHD_Response* const response =
      at_once ? MHD_create_response_from_buffer(unsent_.size(), unsent_.data(), MHD_RESPMEM_MUST_COPY)
              : MHD_create_response_from_callback(size, block, &on_read, this, nullptr);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
  if (stream_) MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
  const MHD_Result queued = MHD_queue_response(connection_, MHD_HTTP_OK, response);
  MHD_destroy_response(response);
  return queued;
}

ssize_t delivery::on_read(void* self, std::uint64_t /*position*/, char* buffer, std::size_t size) noexcept try {
  return static_cast<delivery*>(self)->read(buffer, size);
} catch (...) {
  return MHD_CONTENT_READER_END_WITH_ERROR;  // no memory: an exception must not pass through C
}

ssize_t delivery::read(char* buffer, std::size_t size) {
  if (unsent_at_ == unsent_.size()) {
    unsent_.clear();
    unsent_at_ = 0;
    const ssize_t nothing = refill();
    if (unsent_.empty()) return nothing;
  }
  if (between_pieces_ > 0ns && !std::exchange(has_paused_, true))
    return slots_.pause(*ticket_, between_pieces_) == slots::suspended ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
  const std::size_t count = std::min(size, next_piece());
  std::memcpy(buffer, unsent_.data() + unsent_at_, count);
  split_an_event_ = split_an_event_ || unsent_at_ + count < unsent_.size();
  unsent_at_ += count;
  has_paused_ = false;
  return static_cast<ssize_t>(count);
}

// What comes next is unsent then. If there is nothing, what MHD is to do: 0 when the connection sleeps.
ssize_t delivery::refill() {
  if (only_the_end_ || told_ == steps_) return MHD_CONTENT_READER_END_OF_STREAM;
  if (told_ == breaks_at_) return break_off();
  const int steps = slots_.await(*ticket_, told_ + 1);
  if (steps == slots::suspended) return 0;
  if (steps == slots::over) return MHD_CONTENT_READER_END_WITH_ERROR;
  tell(steps);
  return 0;
}

ssize_t delivery::break_off() {
  if (is(fault_kind::stall))
    return slots_.await(*ticket_, told_ + 1) == slots::suspended ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
  slots_.abandon(*ticket_);
  if (is(fault_kind::error_in_stream)) {
    unsent_ = error_event(struck_->done) + (struck_->done ? done_event() : "");
    only_the_end_ = true;
    return 0;
  }
  if (is(fault_kind::truncate) && struck_->orderly) return MHD_CONTENT_READER_END_OF_STREAM;
  if (is(fault_kind::reset)) reset_connection(connection_);
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

// One event for each token: the bytes of a stream do not depend on time.
void delivery::tell(int steps) {
  for (; told_ < steps; ++told_) {
    for (std::size_t i = 0; i < given_.choices.size(); ++i) {
      const int all = given_.choices[i].completion_tokens;
      if (told_ < all) unsent_ += delta_event(head_, given_, i, told_);
      if (told_ + 1 == all) unsent_ += finish_event(head_, given_, i);
    }
  }
  if (told_ == steps_) unsent_ += usage_event(head_, given_) + (is(fault_kind::no_done) ? "" : done_event());
}

// How much of what is unsent goes in one write.
std::size_t delivery::next_piece() const noexcept {
  const std::size_t left = unsent_.size() - unsent_at_;
  if (is(fault_kind::drip)) return 1;
  if (!is(fault_kind::split_utf8)) return left;
  const auto inside_a_character = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; };
  const auto begin = unsent_.begin() + static_cast<std::ptrdiff_t>(unsent_at_);
  const auto end = std::find_if(begin + 1, unsent_.end(), inside_a_character);
  if (end == unsent_.end() && !split_an_event_) return std::max<std::size_t>(1, left / 2);
  return static_cast<std::size_t>(end - begin);
}

}  // namespace model_server::detail
