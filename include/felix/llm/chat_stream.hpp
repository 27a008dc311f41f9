// SPDX-License-Identifier: MIT
// llm: an answer that is read while it is written.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_response.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {

/// An answer as it comes.
///     auto stream = llm.stream(felix::chat_request{}.user("A long story"));
///     while (auto delta = co_await stream.next()) fmt::print("{}", delta->text());
///     auto whole = stream.response();
/// Nothing is sent before the first next(). Leave whenever you like: when the stream is destroyed the connection is
/// closed, so that the server stops generating, and slot and budget are given back.
/// Threads:  one coroutine at a time.
/// Stop:     reaches whatever next() waits for; it throws `cancelled`, and response() has what came before.
/// Throws:   what complete() throws; stream_interrupted when a part of the answer had come already.
/// Lifetime: the model outlives it.
/// Cost:     a delta goes through one coroutine of each layer.
class chat_stream {
 public:
  /// The answer so far, where all layers of a stack find it. A layer that makes the deltas of one inner stream hands that
  /// one's on; one that may make several (a retry) has its own, and refers to the one that is read from.
  class answer {
   public:
    [[nodiscard]] chat_response& response() noexcept { return under_ ? under_->response() : response_; }
    void refer_to(std::shared_ptr<answer> under) noexcept { under_ = std::move(under); }

   private:
    chat_response response_;
    std::shared_ptr<answer> under_;
  };

  /// For models: `deltas` fills `whole` as it goes.
  chat_stream(async_generator<chat_delta> deltas, std::shared_ptr<answer> whole) noexcept
      : deltas_{std::move(deltas)}, whole_{std::move(whole)} {}

  /// Awaited, it gives the next delta, or nothing once the answer has ended.
  [[nodiscard("nothing happens until it is awaited")]] auto next() noexcept { return deltas_.next(); }

  /// What has come so far; the whole answer, with its usage and its timing, once next() has given nothing. After a
  /// failure or a stop its usage is what the server has said, or an estimate that is marked as such.
  [[nodiscard]] const chat_response& response() const noexcept { return whole_->response(); }

  // For layers.
  [[nodiscard]] const std::shared_ptr<answer>& whole() const noexcept { return whole_; }

 private:
  async_generator<chat_delta> deltas_;
  std::shared_ptr<answer> whole_;
};

/// A stream that broke off after a part of the answer had come. It is not tried again by itself: what has been shown
/// cannot be taken back.
class stream_interrupted : public error {
 public:
  /// `cause` is what happened; `so_far` is kept as it is now.
  stream_interrupted(const error& cause, const chat_response& so_far)
      : error{cause.code(),
              std::string{cause.what()} + "; " + std::to_string(so_far.text().size()) +
                  " bytes of the answer had come, see so_far()",
              request_cost::unknown, cause.kind()},
        so_far_{std::make_shared<const chat_response>(so_far)} {}

  [[nodiscard]] const chat_response& so_far() const noexcept { return *so_far_; }

 private:
  std::shared_ptr<const chat_response> so_far_;  // exceptions are copied without throwing
};

}  // namespace felix::inline v1
