// SPDX-License-Identifier: MIT
// tests: a model server in simulated time that tokenizes, reports and fails as it likes, and counts honestly.
#pragma once

#include <felix/agent/random.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/async_generator.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/model.hpp>
#include <felix/random.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace felix::test {

/// What a server is like. Probabilities are of each request.
struct server_manners {
  enum class report : unsigned char { honest, none, too_little, too_much };

  double tokens_per_byte = 0.25;            // of a prompt; above 1: a tokenizer worse than any bound
  felix::token_count template_tokens = 20;  // once
  bool honours_max_tokens = true;
  felix::token_count longest_answer = 1'500;  // of one that does not
  report reports = report::honest;
  int tokens_a_delta = 1;
  int ahead = 2;          // tokens that it has made when one arrives
  double refuses = 0;     // 503, at once
  double loses = 0;       // works on all of the answer, and breaks the connection then
  double breaks_off = 0;  // in the middle
  bool streams = true;    // else a stream is one delta at the end
  std::chrono::nanoseconds latency = std::chrono::milliseconds{300};
  std::chrono::nanoseconds a_token = std::chrono::nanoseconds{16'666'667};
};

/// A streaming_model. What it answers depends on the request alone, and what goes wrong on that and the seed.
/// Whoever closes the connection stops it: it has then made what its pace allowed.
class simulated_server {
 public:
  simulated_server(felix::simulated_loop& loop, server_manners manners, std::uint64_t seed = 1)
      : loop_{loop}, manners_{manners}, seed_{seed} {}

  felix::task<felix::chat_response> complete(felix::chat_request request) {
    work made{*this, request};
    co_await pass(made.latency());
    if (made.fate == fate::refused) made.refuse();
    co_await pass(made.time_of(made.tokens));
    if (made.fate != fate::answered) made.lose();
    felix::chat_response answer{made.text(made.tokens)};
    made.finish(answer);
    co_return answer;
  }

  felix::chat_stream stream(felix::chat_request request) {
    auto whole = std::make_shared<felix::chat_stream::answer>();
    return {deltas(std::move(request), whole), whole};
  }

  /// As its /tokenize would: of the whole prompt, or of its texts alone.
  felix::task<felix::prompt_count> count(felix::chat_request request, felix::prompt_count::scope of) {
    co_await pass(std::chrono::milliseconds{5});
    std::string all;
    for (const auto& message : request.messages()) all += message.content;
    felix::token_count tokens =
        static_cast<felix::token_count>(std::ceil(static_cast<double>(all.size()) * manners_.tokens_per_byte));
    if (of == felix::prompt_count::scope::whole) tokens += manners_.template_tokens;
    co_return felix::prompt_count{.tokens = tokens, .of = of, .by = key};
  }
  static constexpr felix::server_key key = 7;

  /// Its own count, whatever it reports: the judge.
  [[nodiscard]] const felix::token_usage& spent() const noexcept { return spent_; }
  /// Of that, what its reports have left out.
  [[nodiscard]] felix::token_count hidden() const noexcept { return hidden_; }
  [[nodiscard]] int requests() const noexcept { return requests_; }
  [[nodiscard]] int answered() const noexcept { return answered_; }
  [[nodiscard]] int in_flight() const noexcept { return in_flight_; }

 private:
  enum class fate : unsigned char { answered, refused, lost, broken_off };

  /// What is done for one request. However it ends, it is counted.
  class work {
   public:
    work(simulated_server& of, const felix::chat_request& request) : server_{of} {
      std::string all;
      for (const auto& message : request.messages()) all += message.content;
      const server_manners& manners = of.manners_;
      state_ = felix::derive_seed(request.seed().value_or(0), all, 0);
      felix::seeded_random luck{felix::derive_seed(of.seed_, all, request.seed().value_or(0) + attempts_of(all))};
      prompt = manners.template_tokens +
               static_cast<felix::token_count>(std::ceil(static_cast<double>(all.size()) * manners.tokens_per_byte));
      const felix::token_count most = request.max_tokens().value_or(manners.longest_answer);
      tokens = manners.honours_max_tokens
                   ? std::max<felix::token_count>(1, most * static_cast<felix::token_count>(60 + state_ % 61) / 100)
                   : manners.longest_answer;
      cut_by_server = manners.honours_max_tokens && tokens >= most;
      if (manners.honours_max_tokens) tokens = std::min(tokens, most);
      const double drawn = luck.uniform(0, 1);
      fate = drawn < manners.refuses                                        ? fate::refused
             : drawn < manners.refuses + manners.loses                      ? fate::lost
             : drawn < manners.refuses + manners.loses + manners.breaks_off ? fate::broken_off
                                                                            : fate::answered;
      ++of.requests_;
      ++of.in_flight_;
      begun_ = of.loop_.now();
    }
    work(work&&) = delete;
    ~work() {
      --server_.in_flight_;
      if (fate == fate::refused) return;
      const auto passed = server_.loop_.now() - begun_ - latency();
      // The prompt is read first, and paid even by who leaves in the middle of that.
      const felix::token_count by_time =
          passed.count() < 0 ? 0 : passed / server_.manners_.a_token + server_.manners_.ahead;
      const felix::token_count made = std::min(tokens, by_time);
      server_.spent_ += {.prompt_tokens = prompt, .completion_tokens = made, .total_tokens = prompt + made};
    }

    felix::token_count prompt = 0;
    felix::token_count tokens = 0;  // of the whole answer
    bool cut_by_server = false;
    simulated_server::fate fate = fate::answered;

    [[nodiscard]] std::chrono::nanoseconds latency() const { return server_.manners_.latency; }
    [[nodiscard]] std::chrono::nanoseconds time_of(felix::token_count made) const {
      return made * server_.manners_.a_token;
    }
    [[noreturn]] void refuse() const { throw felix::api_error{"the server is busy", {.status = 503}}; }
    [[noreturn]] void lose() const { throw felix::transport_error{"the connection was reset", 56}; }

    /// A token is a short word, and every ninth ends a sentence.
    [[nodiscard]] std::string text(felix::token_count words, felix::token_count from = 0) const {
      std::string text;
      for (felix::token_count i = from; i < words; ++i) {
        const std::uint64_t word = felix::derive_seed(state_, "word", static_cast<std::uint64_t>(i));
        if (i > 0) text += ' ';
        text += static_cast<char>('a' + word % 26);
        text += static_cast<char>('a' + word / 26 % 26);
        text += i % 9 == 8 ? "x." : "y";
      }
      return text;
    }
    void finish(felix::chat_response& answer) {
      ++server_.answered_;
      answer.finish_reason(cut_by_server ? felix::finish_reason::length : felix::finish_reason::stop);
      answer.usage(reported(tokens));
      if (server_.manners_.reports == server_manners::report::too_little)
        server_.hidden_ += prompt + tokens - answer.usage().total_tokens;
    }
    [[nodiscard]] felix::token_usage reported(felix::token_count made) const {
      const auto as = [&](double factor) {
        const auto p = static_cast<felix::token_count>(static_cast<double>(prompt) * factor);
        const auto c = static_cast<felix::token_count>(static_cast<double>(made) * factor);
        return felix::token_usage{.prompt_tokens = p, .completion_tokens = c, .total_tokens = p + c};
      };
      switch (server_.manners_.reports) {
        case server_manners::report::honest: return as(1);
        case server_manners::report::too_little: return as(0.3);
        case server_manners::report::too_much: return as(1.7);
        case server_manners::report::none: break;
      }
      return {.estimated = true};
    }

   private:
    std::uint64_t attempts_of(const std::string& prompt_text) {
      return ++server_.attempts_[felix::derive_seed(0, prompt_text, 0) % attempt_slots];
    }
    simulated_server& server_;
    std::uint64_t state_ = 0;
    std::chrono::steady_clock::time_point begun_;
  };

  felix::async_generator<felix::chat_delta> deltas(felix::chat_request request,
                                                   std::shared_ptr<felix::chat_stream::answer> whole) {
    work made{*this, request};
    felix::chat_response& answer = whole->response();
    answer.usage({.estimated = true});
    co_await pass(made.latency());
    if (made.fate == fate::refused) made.refuse();
    const felix::token_count last =
        made.fate == fate::broken_off ? std::max<felix::token_count>(1, made.tokens / 2) : made.tokens;
    const felix::token_count step = manners_.streams ? manners_.tokens_a_delta : last;
    // Who hides the tokens of an endless answer is bounded by nothing.
    const bool gives = made.fate != fate::lost || !manners_.honours_max_tokens;
    for (felix::token_count i = 0; i < last; i += step) {
      const felix::token_count end = std::min(last, i + step);
      co_await pass(made.time_of(end - i));
      if (!gives) continue;
      const std::string piece = made.text(end, i);
      answer.text(answer.text() + piece);
      felix::chat_delta delta;
      delta.text(piece);
      co_yield std::move(delta);
    }
    if (made.fate == fate::broken_off)
      throw felix::stream_interrupted{felix::transport_error{"the connection was reset", 56}, answer};
    if (made.fate == fate::lost) made.lose();
    made.finish(answer);
  }

  /// A stop does not undo what was made.
  static felix::task<void> pass(std::chrono::nanoseconds time) {
    const auto slept = co_await felix::as_result(felix::sleep_for(time));
    if (!slept) throw felix::cancelled{"waiting for a simulated server", felix::request_cost::unknown};
  }

  static constexpr std::size_t attempt_slots = 64;
  felix::simulated_loop& loop_;
  const server_manners manners_;
  const std::uint64_t seed_;
  felix::token_usage spent_;
  felix::token_count hidden_ = 0;
  std::array<std::uint64_t, attempt_slots> attempts_{};
  int requests_ = 0, answered_ = 0, in_flight_ = 0;
};

static_assert(felix::streaming_model<simulated_server>);

}  // namespace felix::test
