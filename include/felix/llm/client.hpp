// SPDX-License-Identifier: MIT
// llm: the stack that most users want: a server, a limit on concurrent requests, and statistics.
#pragma once

#include <felix/async/task.hpp>
#include <felix/llm/chat.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/model.hpp>
#include <felix/llm/openai_model.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/secret.hpp>
#include <felix/usage.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// One line about a request, for people. Never holds a key.
struct log_line {
  std::string text = {};
};

struct client_options {
  std::string base_url = "http://localhost:1234/v1";
  std::string model = "local-model";
  secret api_key = {};
  std::size_t max_concurrent_requests = 4;
  /// Instead of max_concurrent_requests, which then counts for nothing: a limit that this client shares with others, or one that can do more.
  ///     felix::priority_semaphore slots{4};     // outlives the clients
  ///     felix::client llm{loop, {.limit_by = felix::limit{slots}}};
  std::optional<limit> limit_by = {};
  http_timeouts timeouts = {};
  std::function<void(const log_line&)> log = {};  ///< called on the coroutine's thread; must not throw
};

/// What a client has done, in one consistent snapshot.
struct client_usage {
  std::uint64_t requests = 0;  ///< ended, well or not
  std::uint64_t failed = 0;    ///< of these, ended with an exception
  token_usage tokens = {};
  std::chrono::nanoseconds waited{0};  ///< in our queue, summed over the answers
  std::chrono::nanoseconds served{0};  ///< by the server, summed over the answers
  limit_status slots = {};             ///< when shared, of all who share the limit, or its group
  bool shares_slots = false;           ///< limit_by was given a limit, or a group, that others may use too
};

/// A server behind a limit on concurrent requests.
///     felix::client llm{loop};                    // http://localhost:1234/v1, at most 4 requests at once
///     auto answer = loop.run(llm.complete(felix::chat_request{}.user("Why is the sky blue?").max_tokens(120)));
/// Threads:  complete, models and usage_stats from any thread.
/// Stop, Throws: as openai_model.
/// Lifetime: the loop outlives it, and it outlives its requests.
class client {
 public:
  /// Throws error (invalid_option) for a base_url that is not one, a limit of 0, and a limit_by that is refused.
  explicit client(event_loop& loop, client_options options = {})
      : log_{std::move(options.log)},
        shares_slots_{options.limit_by && options.limit_by->is_shared()},
        stack_{openai_model{loop,
                            {.base_url = std::move(options.base_url),
                             .model = std::move(options.model),
                             .api_key = std::move(options.api_key),
                             .timeouts = options.timeouts}} |
               (options.limit_by ? *options.limit_by : limit{options.max_concurrent_requests})} {}
  client(client&&) = delete;

  task<chat_response> complete(chat_request request) {
    try {
      chat_response answer = co_await stack_.complete(std::move(request));
      count(answer);
      co_return answer;
    } catch (const error& failure) {
      count(failure);
      throw;
    }
  }

  /// What the server offers. Not counted, and not held back by the limit.
  task<std::vector<model_info>> models() { return stack_.inner().models(); }

  [[nodiscard]] client_usage usage_stats() const {
    std::scoped_lock lock{mutex_};
    client_usage now = usage_;
    now.slots = stack_.status();
    now.shares_slots = shares_slots_;
    return now;
  }
  [[nodiscard]] const base_url& url() noexcept { return stack_.inner().url(); }

 private:
  void count(const chat_response& answer) {
    {
      std::scoped_lock lock{mutex_};
      ++usage_.requests;
      usage_.tokens += answer.usage();
      usage_.waited += answer.timing().waited;
      usage_.served += answer.timing().total;
    }
    if (!log_) return;
    const auto in_ms = [](std::chrono::nanoseconds d) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    };
    log_({fmt::format("answered: {} tokens ({} + {}), {} ms after a wait of {} ms, {}", answer.usage().total_tokens,
                      answer.usage().prompt_tokens, answer.usage().completion_tokens, in_ms(answer.timing().total),
                      in_ms(answer.timing().waited), to_string(answer.finish_reason()))});
  }
  void count(const error& failure) {
    {
      std::scoped_lock lock{mutex_};
      ++usage_.requests;
      ++usage_.failed;
    }
    if (log_) log_({fmt::format("failed: {}", failure.what())});
  }

  std::function<void(const log_line&)> log_;
  const bool shares_slots_;
  mutable std::mutex mutex_;  // guards usage_
  client_usage usage_;
  limited<openai_model> stack_;
};

static_assert(model<client>);

}  // namespace felix::inline v1

/// `fmt::print("{}\n", llm.usage_stats())`
template <>
struct fmt::formatter<felix::client_usage> {
  // Without a base class: g++ 12 warns of fmt's own string formatter at -O3.
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::client_usage& usage, Context& context) const {
    const auto seconds = [](std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); };
    const auto answered = usage.requests - usage.failed;
    return fmt::format_to(
        context.out(),
        "{} requests, {} failed, {} tokens ({} prompt, {} answer); {} of {} {}slots in use, {} waiting; "
        "mean wait {:.2f} s, mean answer {:.2f} s",
        usage.requests, usage.failed, usage.tokens.total_tokens, usage.tokens.prompt_tokens,
        usage.tokens.completion_tokens, usage.slots.in_use, usage.slots.limit, usage.shares_slots ? "shared " : "",
        usage.slots.waiting_in_all(), answered != 0 ? seconds(usage.waited) / static_cast<double>(answered) : 0.0,
        answered != 0 ? seconds(usage.served) / static_cast<double>(answered) : 0.0);
  }
};
