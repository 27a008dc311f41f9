// SPDX-License-Identifier: MIT
// llm: what has become of requests, counted.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/telemetry/histogram.hpp>
#include <felix/usage.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace felix::inline v1 {

/// Chat requests at one moment.
struct request_usage {
  std::uint64_t requests = 0;   ///< ended, well or not
  std::uint64_t failed = 0;     ///< of these, ended with an exception that is no stop
  std::uint64_t left = 0;       ///< of these, were stopped, or left before the end of their stream
  std::uint64_t in_flight = 0;  ///< begun and not ended
  token_usage tokens = {};      ///< of all that ended, as far as the server has said it, or an estimate
  histogram first_tokens = {};  ///< from sending to the first content, of the streams
  histogram answers = {};       ///< from sending to the end
};

namespace detail {

/// Threads: every member, from any thread.
class request_counter {
 public:
  class counted;

  /// Calls `read` with the usage, which does not change meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    std::scoped_lock lock{mutex_};
    read(usage_);
  }

 private:
  mutable std::mutex mutex_;  // guards what follows
  request_usage usage_;
};

/// One request. Destroyed before it was over, it counts as left, with what has come of `whole`.
class request_counter::counted {
 public:
  explicit counted(request_counter& in, std::shared_ptr<chat_stream::answer> whole = nullptr)
      : in_{in}, whole_{std::move(whole)} {
    std::scoped_lock lock{in_.mutex_};
    ++in_.usage_.in_flight;
  }
  counted(counted&&) = delete;
  ~counted() {
    if (!is_over_) over(&request_usage::left, so_far());
  }

  void answered(const chat_response& answer) { over(nullptr, &answer); }
  void failed(const error& failure) {
    const auto how = failure.kind() == error_kind::cancelled ? &request_usage::left : &request_usage::failed;
    if (const auto* const broken = dynamic_cast<const stream_interrupted*>(&failure))
      return over(how, &broken->so_far());
    over(how, failure.cost() == request_cost::none ? nullptr : so_far());
  }
  [[nodiscard]] bool is_over() const noexcept { return is_over_; }

 private:
  [[nodiscard]] const chat_response* so_far() const noexcept { return whole_ ? &whole_->response() : nullptr; }
  void over(std::uint64_t request_usage::* how, const chat_response* answer) {
    is_over_ = true;
    std::scoped_lock lock{in_.mutex_};
    request_usage& usage = in_.usage_;
    --usage.in_flight;
    ++usage.requests;
    if (how != nullptr) ++(usage.*how);
    if (answer == nullptr) return;
    usage.tokens += answer->usage();
    const chat_timing& timing = answer->timing();
    if (timing.time_to_first_token.count() > 0) usage.first_tokens.record(timing.time_to_first_token);
    if (how == nullptr) usage.answers.record(timing.total);
  }

  request_counter& in_;
  std::shared_ptr<chat_stream::answer> whole_;
  bool is_over_ = false;
};

}  // namespace detail
}  // namespace felix::inline v1
