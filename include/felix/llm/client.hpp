// SPDX-License-Identifier: MIT
// llm: the stack that most users want: a server, a limit on concurrent requests, retries, and statistics.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/async/stop_link.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/stop_when.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/client_usage.hpp>
#include <felix/llm/dialect.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/model.hpp>
#include <felix/llm/openai_model.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/llm/request_usage.hpp>
#include <felix/llm/retry_policy.hpp>
#include <felix/llm/retrying.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/secret.hpp>
#include <felix/usage.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// One line about a request, for people: `#7 asked: ...`, and what became of it. Never holds a key, or what was said.
struct log_line {
  std::string text = {};
};

struct client_options {
  std::string base_url = "http://localhost:1234/v1";
  std::string model = "local-model";
  secret api_key = {};
  /// What the server understands beyond what all do: see `dialects`.
  felix::dialect dialect = {};
  std::size_t max_concurrent_requests = 4;
  /// Instead of max_concurrent_requests, which then counts for nothing: a limit that this client shares with others, or
  /// one that can do more.
  ///     felix::priority_semaphore slots{4};     // outlives the clients
  ///     felix::client llm{loop, {.limit_by = slots}};
  ///     felix::client adapting{loop, {.limit_by = felix::gradient_limit{}}};
  ///     felix::client impatient{loop, {.limit_by = felix::limit{slots}.waiting({.max_waiting = 100})}};
  std::optional<limit> limit_by = {};
  /// Limits of requests and tokens per minute: as set here, and as the server's headers say. `.rate = {{}}`: those alone.
  std::optional<rate_limit_options> rate = {};
  retry_options retry = {};  ///< when a request that failed is sent again; `.retry = {.attempts = 1}`: never
  http_timeouts timeouts = {};
  std::string ca_file = {};                       ///< PEM; trusted instead of the system's certificates
  std::function<void(const log_line&)> log = {};  ///< called on the coroutine's thread; must not throw
  /// A longer answer is an error; of a stream, all its events.
  std::size_t max_response_bytes = std::size_t{16} << 20U;
};

/// A server behind a limit on concurrent requests, asked again when that may help.
///     felix::client llm{loop};                    // http://localhost:1234/v1, at most 4 requests at once
///     auto answer = loop.run(llm.complete(felix::chat_request{}.user("Why is the sky blue?").max_tokens(120)));
/// Threads:  every member, from any thread; a caller goes on where it was.
/// Stop, Throws: as openai_model; also error (queue_full) where limit_by bounds the waiting.
/// Lifetime: the loop outlives it. Destroyed while requests are in flight, it stops them, streams that nobody reads at the
///           moment too, and waits until they have ended (unless its own loop is inside a task on this thread: they
///           then end when the loop goes on).
template <class Loop>
class basic_client {
 public:
  /// Throws error (invalid_option) for a base_url that is not one, a limit of 0, and a limit_by that is refused.
  explicit basic_client(Loop& loop, client_options options = {})
      : loop_{loop}, state_{std::make_shared<state>(loop, std::move(options))} {}
  basic_client(basic_client&&) = delete;
  ~basic_client() {
    state_->closing.request_stop();
    if (loop_.is_current()) return;
    while (const std::size_t left = state_->in_flight.load(std::memory_order_acquire)) {
      if (loop_.is_here()) {
        loop_.poll();
        std::this_thread::yield();  // for what lives on other threads
      } else {
        state_->in_flight.wait(left, std::memory_order_acquire);
      }
    }
  }

  task<chat_response> complete(chat_request request) { return complete(state_, std::move(request)); }

  chat_stream stream(chat_request request) {
    auto whole = std::make_shared<chat_stream::answer>();
    return {relay(state_, std::move(request), whole), whole};
  }

  // Not counted, and not held back by the limit. See openai_model.
  task<std::vector<model_info>> models() { return guarded(state_, server().models()); }
  task<embedding_list> embeddings(embedding_request request) {
    return guarded(state_, server().embeddings(std::move(request)));
  }
  task<token_count> count_tokens(std::string text) { return guarded(state_, server().count_tokens(std::move(text))); }
  task<server_info> identify() { return guarded(state_, server().identify()); }
  task<server_health> health() { return guarded(state_, server().health()); }

  /// Everything at one moment: no request begins, ends or goes on meanwhile.
  [[nodiscard]] client_usage usage_stats() const {
    const state& now = *state_;
    client_usage usage;
    usage.shares_slots = now.shares_slots;
    const auto& retries = now.stack;
    const auto& slots = retries.inner();
    const auto& server = slots.inner();
    // Outside in, as a request takes these locks; each is held while the next is read.
    now.requests.with_usage([&](const request_usage& whole) {
      static_cast<request_usage&>(usage) = whole;
      retries.with_usage([&](const retry_usage& r) {
        usage.retries = r;
        slots.with_usage([&](const limit_usage& l) {
          usage.slots = l.slots;
          usage.refused = l.refused;
          usage.rate = l.rate;
          usage.waits = l.waits;
          server.with_usage([&](const server_usage& s) { usage.server = s; });
        });
      });
    });
    return usage;
  }
  [[nodiscard]] const base_url& url() noexcept { return server().url(); }
  /// Where its requests go on.
  [[nodiscard]] Loop& loop() const noexcept { return loop_; }

 private:
  /// Requests in flight keep it, so that none of them finds it gone.
  struct state {
    state(Loop& loop, client_options options)
        : log{std::move(options.log)},
          shares_slots{options.limit_by && options.limit_by->is_shared()},
          stack{basic_openai_model<Loop>{loop,
                                         {.base_url = std::move(options.base_url),
                                          .model = std::move(options.model),
                                          .api_key = std::move(options.api_key),
                                          .dialect = options.dialect,
                                          .timeouts = options.timeouts,
                                          .ca_file = std::move(options.ca_file),
                                          .max_response_bytes = options.max_response_bytes}} |
                limit_of(options) | felix::retry{retry_of(options)}.on_retry(tell(log))} {}

    static limit limit_of(const client_options& options) {
      limit chosen = options.limit_by ? *options.limit_by : limit{options.max_concurrent_requests};
      if (options.rate) chosen.rate(*options.rate);
      return chosen;
    }
    /// The time limit of a request holds for all its attempts.
    static retry_options retry_of(const client_options& options) {
      retry_options chosen = options.retry;
      if (options.timeouts.total.count() > 0) chosen.total = std::min(chosen.total, options.timeouts.total);
      return chosen;
    }
    /// What is logged before another attempt.
    static retry::callback tell(const std::function<void(const log_line&)>& log) {
      if (!log) return {};
      return [&log](const chat_request& request, const error& why, const retry_decision& next) {
        log({fmt::format("#{} again in {} ms: {}", request.number(), in_ms(next.after), why.what())});
      };
    }

    std::function<void(const log_line&)> log;
    const bool shares_slots;
    stop_source closing;
    std::atomic<std::size_t> in_flight{0};
    std::atomic<std::uint32_t> asked{0};
    detail::request_counter requests;
    retrying<limited<basic_openai_model<Loop>>> stack;
  };
  [[nodiscard]] static std::int64_t in_ms(std::chrono::nanoseconds d) noexcept {
    return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  }

  /// While a coroutine is at it, the destructor waits.
  class in_flight {
   public:
    explicit in_flight(state& of) noexcept : of_{of} { of_.in_flight.fetch_add(1, std::memory_order_relaxed); }
    in_flight(in_flight&&) = delete;
    ~in_flight() {
      // release pairs with the acquire in ~client: what the request did is done.
      if (of_.in_flight.fetch_sub(1, std::memory_order_release) == 1) of_.in_flight.notify_all();
    }

   private:
    state& of_;
  };

  /// One request among those that are counted and logged.
  class counted : public detail::request_counter::counted {
   public:
    counted(state& in, chat_request& request, std::shared_ptr<chat_stream::answer> whole = nullptr)
        : detail::request_counter::counted{in.requests, std::move(whole)}, log_{in.log} {
      request.number(number_ = in.asked.fetch_add(1, std::memory_order_relaxed) + 1);
      if (!log_) return;
      std::size_t bytes = 0;
      for (const chat_message& message : request.messages()) bytes += message.content.size();
      log_({fmt::format("#{} asked: {} messages, {} bytes, at most {} tokens, {}", number_, request.messages().size(),
                        bytes, request.max_tokens() ? fmt::to_string(*request.max_tokens()) : "all",
                        to_string(request.priority()))});
    }
    ~counted() {
      if (log_ && !is_over()) log_({fmt::format("#{} left", number_)});
    }

    void answered(const chat_response& answer) {
      detail::request_counter::counted::answered(answer);
      if (!log_) return;
      const token_usage& usage = answer.usage();
      log_({fmt::format("#{} answered: {} tokens ({} + {}{}), {} ms after a wait of {} ms, {}", number_,
                        usage.total_tokens, usage.prompt_tokens, usage.completion_tokens,
                        usage.estimated ? ", estimated" : "", in_ms(answer.timing().total),
                        in_ms(answer.timing().waited), to_string(answer.finish_reason()))});
    }
    void failed(const error& failure) {
      detail::request_counter::counted::failed(failure);
      const bool stopped = failure.kind() == error_kind::cancelled;
      if (log_) log_({fmt::format("#{} {}: {}", number_, stopped ? "stopped" : "failed", failure.what())});
    }

   private:
    const std::function<void(const log_line&)>& log_;
    std::uint32_t number_ = 0;
  };

  static task<chat_response> complete(std::shared_ptr<state> self, chat_request request) {
    const in_flight joined{*self};
    counted count{*self, request};
    try {
      chat_response answer = co_await stop_when(self->closing.get_token(), self->stack.complete(std::move(request)));
      count.answered(answer);
      co_return answer;
    } catch (const error& failure) {
      count.failed(failure);
      throw;
    }
  }

  /// The stream below, which is closed with the client while nobody reads it, too.
  class held_stream {
   public:
    held_stream(chat_stream stream, stop_token closing)
        : whole_{stream.whole()}, stream_{std::move(stream)}, closing_{closing}, on_closing_{closing, closer{*this}} {}
    held_stream(held_stream&&) = delete;

    /// Before a delta is asked for.
    [[nodiscard]] chat_stream& resume() {
      phase before = phase::idle;
      if (phase_.compare_exchange_strong(before, phase::read, std::memory_order_acquire)) return *stream_;
      phase_.wait(phase::closing, std::memory_order_acquire);  // what has come is looked at next
      throw cancelled{"reading a stream of a client that is gone", request_cost::unknown};
    }
    /// When it has come.
    void pause() {
      phase_.store(phase::idle, std::memory_order_release);
      if (closing_.stop_requested()) close();
    }
    [[nodiscard]] const std::shared_ptr<chat_stream::answer>& whole() const noexcept { return whole_; }

   private:
    enum class phase : unsigned char { idle, read, closing, closed };
    struct closer {
      held_stream& self;
      void operator()() const { self.close(); }
    };
    void close() {
      phase before = phase::idle;
      if (!phase_.compare_exchange_strong(before, phase::closing, std::memory_order_acquire)) return;
      stream_.reset();
      // release pairs with the acquire in resume(): the stream has ended, and what it came to is written.
      phase_.store(phase::closed, std::memory_order_release);
      phase_.notify_all();
    }

    std::shared_ptr<chat_stream::answer> whole_;
    std::optional<chat_stream> stream_;
    stop_token closing_;
    std::atomic<phase> phase_{phase::idle};
    stop_callback<closer> on_closing_;  // last: it may be called at once
  };

  static async_generator<chat_delta> relay(std::shared_ptr<state> self, chat_request request,
                                           std::shared_ptr<chat_stream::answer> whole) {
    counted count{*self, request, whole};
    stop_link closing{self->closing.get_token()};
    held_stream held{self->stack.stream(std::move(request)), self->closing.get_token()};  // ends before it is counted
    whole->refer_to(held.whole());
    try {
      for (;;) {
        std::optional<in_flight> joined{std::in_place, *self};
        auto delta = co_await closing.stoppable(held.resume().next());
        held.pause();
        joined.reset();
        if (!delta) break;
        co_yield std::move(*delta);
      }
    } catch (const error& failure) {
      count.failed(failure);
      throw;
    }
    count.answered(held.whole()->response());
  }

  template <class T>
  static task<T> guarded(std::shared_ptr<state> self, task<T> work) {
    const in_flight joined{*self};
    co_return co_await stop_when(self->closing.get_token(), std::move(work));
  }

  [[nodiscard]] basic_openai_model<Loop>& server() noexcept { return state_->stack.inner().inner(); }

  Loop& loop_;
  std::shared_ptr<state> state_;
};

using client = basic_client<event_loop>;
static_assert(streaming_model<client>);

}  // namespace felix::inline v1
