// SPDX-License-Identifier: MIT
// llm: the whole answer of a stream that may cost so much and no more.
#pragma once

#include <felix/async/task.hpp>
#include <felix/async/timeout.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/detail/answer_meter.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace felix::inline v1 {

/// What a server that ignores max_tokens may have made before it notices that its connection is closed. Reserved
/// beforehand where a cap is hard. Measured with llama.cpp on one machine: 2 at 110 and at 2,600 tokens a second; the rest
/// is for what lies in the buffers of a longer way.
inline constexpr token_count tokens_on_the_way = 32;

/// What a request was paid for.
struct answer_allowance {
  token_count answer_tokens = 0;                                    ///< of all its answers together
  token_count prompt_bytes = 0;                                     ///< of what was asked
  std::chrono::nanoseconds time = std::chrono::nanoseconds::max();  ///< then it is cut, too
};

namespace detail {

/// Reads to the end, or until more has come than may.
template <std::same_as<chat_stream> Stream>
task<void> read_within(Stream stream, answer_meter& meter, const std::function<void(const chat_delta&)>& on_delta) {
  const std::shared_ptr<chat_stream::answer> whole = stream.whole();
  while (!meter.is_over()) {
    const std::optional<chat_delta> delta = co_await stream.next();  // named: g++ 12 miscompiles the shorter form
    if (!delta) break;
    meter.add(*delta);
    meter.server_says(whole->response().usage());
    if (on_delta && !meter.is_over()) on_delta(*delta);
  }
}

}  // namespace detail

/// The whole answer of a stream, which is closed as soon as more has come than was paid for (the server then does not
/// honour max_tokens), or when the time is over. Such an answer ends with finish_reason::length.
/// Its usage is what the server reports, but never less than was seen to come; without a report, with one that hides
/// something, or cut, it is marked as estimated. `on_delta` sees what comes, as it comes; it must not throw.
/// Throws: what the stream throws; timed_out when the time was over before anything came.
template <std::same_as<chat_stream> Stream>  // for what http_client.hpp says of coroutines
[[nodiscard]] task<chat_response> collect_within(Stream stream, answer_allowance paid,
                                                 std::function<void(const chat_delta&)> on_delta = {}) {
  detail::answer_meter meter{paid.answer_tokens};
  const std::shared_ptr<chat_stream::answer> whole = stream.whole();
  bool in_time = true;
  auto reading = detail::read_within(std::move(stream), meter, on_delta);  // closes it before its usage is looked at
  if (paid.time == std::chrono::nanoseconds::max()) {
    co_await std::move(reading);
  } else {
    try {
      co_await timeout(paid.time, std::move(reading));
    } catch (const timed_out&) {
      if (meter.seen() == 0) throw;
      in_time = false;
    }
  }
  chat_response answer = std::move(whole->response());
  token_usage usage = answer.usage();
  if (meter.is_over() || !in_time) {
    usage.estimated = true;
    usage.completion_tokens = std::max(usage.completion_tokens, meter.seen());
    for (std::size_t i = 0; i < answer.choices().size(); ++i) answer.choice(i).finish_reason = finish_reason::length;
  }
  co_return std::move(answer.usage(meter.believed(usage, paid.prompt_bytes)));
}

}  // namespace felix::inline v1
