// SPDX-License-Identifier: MIT
// llm: an OpenAI-compatible server as a model.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/codec.hpp>
#include <felix/llm/detail/answer_stream.hpp>
#include <felix/llm/detail/openai_server.hpp>
#include <felix/llm/dialect.hpp>
#include <felix/llm/embedding_request.hpp>
#include <felix/llm/format.hpp>
#include <felix/llm/model.hpp>
#include <felix/llm/request_usage.hpp>
#include <felix/llm/server_info.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/http_client.hpp>
#include <felix/net/url.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Whether a server can answer now.
enum class server_health : unsigned char {
  ready,
  loading,     ///< it says that its model is not there yet
  failing,     ///< it answers with another error
  unreachable  ///< it does not answer
};

[[nodiscard]] constexpr std::string_view to_string(server_health health) noexcept {
  switch (health) {
    case server_health::ready: return "ready";
    case server_health::loading: return "loading";
    case server_health::failing: return "failing";
    case server_health::unreachable: return "unreachable";
  }
  return "unreachable";
}

/// What a server was asked: each attempt at a chat request, and the connections.
struct server_usage : request_usage {
  http_usage connections = {};
};

/// Talks to a server that speaks OpenAI's chat completions. One request, one attempt.
///     felix::openai_model llm{loop, {.base_url = "http://localhost:8080/v1", .dialect = felix::dialects::llama_cpp}};
/// Threads:  every member, from any thread; the network runs on the loop.
/// Stop:     the connection is closed at once, which makes servers stop generating; throws `cancelled`.
/// Throws:   api_error for any status but 2xx (a redirect too) and for a failure that a stream tells of, transport_error,
///           timed_out, error (protocol) for an answer that is not one or ends too early, error (invalid_argument) for a
///           request that no server could accept; stream_interrupted instead, once a stream has given content.
/// Lifetime: the loop outlives it, and it outlives its requests.
template <class Loop>
class basic_openai_model {
 public:
  /// Throws error (invalid_option) for a base_url that is not one.
  explicit basic_openai_model(Loop& loop, openai_options options = {})
      : loop_{&loop}, server_{std::make_unique<detail::basic_openai_server<Loop>>(loop, std::move(options))} {}

  task<chat_response> complete(chat_request request) {
    const int answers = answers_one_by_one(request);
    return answers > 1 ? one_by_one(std::move(request), answers) : complete_once(std::move(request));
  }

  chat_stream stream(chat_request request) {
    auto whole = std::make_shared<chat_stream::answer>();
    if (const int answers = answers_one_by_one(request); answers > 1)
      return {streams_one_by_one(std::move(request), answers, whole), whole};
    return {detail::basic_answer_stream<Loop>::deltas(*server_, std::move(request), whole), whole};
  }

  /// What the server offers: GET /models. This and the other GETs take no longer than timeouts.first_byte in all.
  task<std::vector<model_info>> models() {
    const std::string body = co_await server_->send(server_->url().with_path("/models"));
    co_return codec::decode_models(body, server_->url().origin(), server_->key());
  }

  /// Which server it is, and what it can take at once: by its models, and what they make one ask. The context is that of
  /// the model in the options, else of the first. For the options of the next client; no request needs it.
  ///     const auto found = loop.run(llm.identify());
  ///     felix::client better{loop, {.dialect = found.dialect, .max_concurrent_requests = found.slots}};  // unless 0
  /// Throws what models() throws.
  task<server_info> identify() {
    const http_response got = co_await server_->ask(url().with_path("/models"));
    server_->check(got.head, got.body);
    const std::vector<model_info> models = codec::decode_models(got.body, url().origin(), server_->key());
    server_info found;
    found.dialect = dialect_of(got.head, models);
    const bool unknown = found.dialect == dialects::plain;
    if (unknown || found.dialect == dialects::llama_cpp) {
      const std::string props = co_await body_if_any("/props");
      if (const server_info said = codec::decode_props(props); said.slots != 0) co_return said;
    }
    if (unknown || found.dialect == dialects::lm_studio) {
      const std::string list = co_await body_if_any("/api/v1/models");
      server_info said = codec::decode_lm_studio_models(list, server_->options().model);
      if (said.dialect == dialects::lm_studio) co_return said;
    }
    const auto named = std::find_if(models.begin(), models.end(),
                                    [this](const model_info& each) { return each.id == server_->options().model; });
    if (!models.empty())
      found.context_tokens =
          codec::detail::believed_context((named != models.end() ? *named : models.front()).context_tokens);
    co_return found;
  }

  /// Texts as vectors: POST /embeddings.
  /// Throws also error (invalid_argument) for no texts, or an empty one.
  task<embedding_list> embeddings(embedding_request request) {
    std::string json = request.body(server_->options().model);
    const std::string body = co_await server_->send(server_->url().with_path("/embeddings"), std::move(json));
    co_return codec::decode_embeddings(body, server_->url().origin(), request.texts().size(), server_->key());
  }

  /// How many tokens a text has, as the server counts them, without what a chat template adds. Takes no slot.
  /// Throws error (invalid_argument) for a dialect that has no such endpoint.
  task<token_count> count_tokens(std::string text) {
    const felix::dialect& spoken = server_->options().dialect;
    if (spoken.tokenize_path.empty())
      throw error{errc::invalid_argument, "count_tokens: servers of the dialect " + std::string{spoken.name} +
                                              " do not count tokens; use the usage of an answer"};
    std::string json = R"({"model":)";
    append_json_string(json, server_->options().model);
    for (const char* const name : {"content", "prompt"}) {  // llama.cpp's name, and vLLM's
      json += std::string{",\""} + name + "\":";
      append_json_string(json, text);
    }
    json += '}';
    const std::string body = co_await server_->send(server_->url().outside_v1(spoken.tokenize_path), std::move(json));
    co_return codec::decode_token_count(body, server_->url().origin(), server_->key());
  }

  /// Whether the server can answer now. Asks where its dialect says, else for its models. Does not throw but `cancelled`.
  task<server_health> health() {
    const std::string_view path = server_->options().dialect.health_path;
    // Named: g++ 12 destroys the string of a conditional expression in a co_await twice.
    std::string where = path.empty() ? url().with_path("/models") : url().outside_v1(path);
    try {
      const http_response got = co_await server_->ask(std::move(where));
      if (got.head.is_ok()) co_return server_health::ready;
      co_return server_->refusal(got.head, got.body).kind() == error_kind::model_loading ? server_health::loading
                                                                                         : server_health::failing;
    } catch (const cancelled&) {
      throw;
    } catch (const error&) {
      co_return server_health::unreachable;
    }
  }

  /// Everything at one moment.
  [[nodiscard]] server_usage usage_stats() const {
    server_usage copy;
    with_usage([&](const server_usage& now) { copy = now; });
    return copy;
  }
  /// Calls `read` with the usage, which does not change meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    server_usage now;
    server_->requests().with_usage([&](const request_usage& requests) {
      static_cast<request_usage&>(now) = requests;
      server_->http().with_usage([&](const http_usage& connections) {
        now.connections = connections;
        read(std::as_const(now));
      });
    });
  }
  [[nodiscard]] const base_url& url() const noexcept { return server_->url(); }
  /// Where its requests go on.
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] const felix::dialect& dialect() const noexcept { return server_->options().dialect; }

 private:
  /// Of a path that most servers do not have.
  task<std::string> body_if_any(std::string_view path) {
    try {
      http_response got = co_await server_->ask(url().outside_v1(path));
      if (got.head.is_ok()) co_return std::move(got.body);
    } catch (const cancelled&) {
      throw;
    } catch (const error&) {  // NOLINT(bugprone-empty-catch): then it has none
    }
    co_return std::string{};
  }

  task<chat_response> complete_once(chat_request request) {
    detail::request_counter::counted count{server_->requests()};
    try {
      basic_http_exchange<Loop> exchange = begin(request);
      co_await exchange.all();
      chat_response answer = finish(exchange);
      count.answered(answer);
      co_return answer;
    } catch (const error& failure) {
      count.failed(failure);
      throw;
    }
  }
  // Plain functions, so that what they need does not lie in the coroutine's frame while it waits.

  [[nodiscard]] basic_http_exchange<Loop> begin(const chat_request& request) const {
    return server_->http().open(server_->post(request, detail::basic_openai_server<Loop>::answer_form::whole),
                                basic_http_client<Loop>::reading::as_a_whole);
  }
  [[nodiscard]] chat_response finish(basic_http_exchange<Loop>& exchange) const {
    http_response got = exchange.whole();
    server_->check(got.head, got.body);
    chat_response answer = codec::decode(got.body, url().origin(), server_->key());
    server_->hide_key(answer);
    chat_timing timing{.time_to_first_byte = got.timing.first_byte, .total = got.timing.total};
    if (const auto& at_work = answer.timing_of_server())
      timing.queued = std::max(std::chrono::nanoseconds{0}, timing.total - at_work->prompt - at_work->generated);
    answer.timing(timing);
    detail::basic_openai_server<Loop>::note_rate_limits(got.head, answer);
    if (answer.usage().estimated) estimate(answer, exchange.sent_bytes());
    return answer;
  }
  static void estimate(chat_response& answer, std::size_t prompt_bytes) {
    token_usage usage = answer.usage();
    if (usage.prompt_tokens == 0) usage.prompt_tokens = detail::estimated_tokens(prompt_bytes);
    if (usage.completion_tokens == 0) {
      for (const chat_choice& choice : answer.choices())
        usage.completion_tokens += detail::estimated_tokens(choice.text.size() + choice.reasoning.size());
    }
    usage.total_tokens = std::max(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    answer.usage(usage);
  }

  /// How many requests it takes where a server gives one answer to each.
  [[nodiscard]] int answers_one_by_one(const chat_request& request) const noexcept {
    return dialect().many_answers ? 1 : request.n();
  }
  task<chat_response> one_by_one(chat_request request, int answers) {
    request.n(1);
    chat_response all;
    token_usage usage;
    for (int i = 0; i < answers; ++i) {
      chat_response one;
      try {
        one = co_await complete_once(different(request, i));
      } catch (const error& failure) {
        if (i == 0) throw;
        throw_after_others(failure, all.usage(usage));
      }
      usage += one.usage();
      chat_choice kept = std::move(one.choice(0));
      if (i == 0) all = std::move(one);
      all.choice(static_cast<std::size_t>(i)) = std::move(kept);
    }
    co_return std::move(all.usage(usage));
  }
  /// The others have cost what they cost.
  [[noreturn]] static void throw_after_others(const error& failure, const chat_response& so_far) {
    if (failure.kind() == error_kind::cancelled) throw cancelled{"asking for the other answers", request_cost::unknown};
    throw stream_interrupted{failure, so_far};
  }
  async_generator<chat_delta> streams_one_by_one(chat_request request, int answers,
                                                 std::shared_ptr<chat_stream::answer> whole) {
    request.n(1);
    usage_of_several usage{*whole};
    for (int i = 0; i < answers; ++i) {
      const auto index = static_cast<std::size_t>(i);
      chat_stream one = stream(different(request, i));
      usage.add(one.whole());
      try {
        for (;;) {
          auto delta = co_await one.next();
          if (!delta) break;
          delta->choice(index);
          whole->response().choice(index) = one.response().choices().front();
          co_yield std::move(*delta);
        }
      } catch (const error& failure) {
        if (i == 0) throw;
        usage.settle();
        throw_after_others(failure, whole->response());
      }
      chat_choice kept = one.whole()->response().choice(0);
      if (i == 0) whole->response() = one.response();
      whole->response().choice(index) = std::move(kept);
    }
  }
  /// However it ends, the whole has cost what each answer has.
  class usage_of_several {
   public:
    explicit usage_of_several(chat_stream::answer& whole) : whole_{whole} {}
    usage_of_several(usage_of_several&&) = delete;
    ~usage_of_several() {
      try {
        settle();
      } catch (...) {  // NOLINT(bugprone-empty-catch): no memory
      }
    }
    void add(std::shared_ptr<chat_stream::answer> one) { all_.push_back(std::move(one)); }
    void settle() {
      token_usage sum;
      for (const auto& one : all_) sum += one->response().usage();
      whole_.response().usage(sum);
    }

   private:
    chat_stream::answer& whole_;
    std::vector<std::shared_ptr<chat_stream::answer>> all_;
  };
  /// With one seed all answers would be the same.
  static chat_request different(const chat_request& request, int answer) {
    chat_request one = request;
    if (one.seed()) one.seed(*one.seed() + static_cast<std::uint64_t>(answer));
    return one;
  }

  Loop* loop_;
  std::unique_ptr<detail::basic_openai_server<Loop>>
      server_;  // on the heap: transfers point to it while the stack is moved in
};

using openai_model = basic_openai_model<event_loop>;
static_assert(streaming_model<openai_model>);

}  // namespace felix::inline v1

/// `fmt::print("{}\n", co_await llm.health())`
template <>
struct fmt::formatter<felix::server_health> : felix::detail::name_formatter {};
