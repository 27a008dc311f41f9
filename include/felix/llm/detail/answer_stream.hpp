// SPDX-License-Identifier: MIT
// llm: the deltas of one streamed answer of a server.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/codec.hpp>
#include <felix/llm/detail/chunk_reader.hpp>
#include <felix/llm/detail/openai_server.hpp>
#include <felix/net/http_client.hpp>
#include <felix/net/sse.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// About how many tokens a text has, when nobody has counted them.
[[nodiscard]] constexpr token_count estimated_tokens(std::size_t bytes) noexcept {
  return static_cast<token_count>((bytes + 3) / 4);
}

/// The state of one answer while it is read. However it ends, the answer says what it took and what it cost.
template <class Loop>
class basic_answer_stream {
 public:
  basic_answer_stream(basic_openai_server<Loop>& server, http_request request, std::size_t prompt_bytes,
                      std::size_t choices, std::shared_ptr<chat_stream::answer> whole)
      : server_{server},
        exchange_{server.http().open(std::move(request))},
        whole_{std::move(whole)},
        chunks_{whole_->response(), server.url().origin(), server.key()},
        prompt_bytes_{prompt_bytes},
        choices_{choices} {
    whole_->response().finish_reason(finish_reason::other);
  }
  basic_answer_stream(basic_answer_stream&&) = delete;
  ~basic_answer_stream() {
    try {  // inside: the handler around a destructor's body would throw again
      settle();
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory
    }
  }

  static async_generator<chat_delta> deltas(basic_openai_server<Loop>& server, chat_request request,
                                            std::shared_ptr<chat_stream::answer> whole) {
    request_counter::counted count{server.requests(), whole};
    http_request post = server.post(request, basic_openai_server<Loop>::answer_form::stream);
    const std::size_t prompt_bytes = post.body()->size();
    const auto choices = static_cast<std::size_t>(request.n());
    basic_answer_stream self{server, std::move(post), prompt_bytes, choices, std::move(whole)};
    try {
      co_await self.begin();
      while (!self.is_done()) {
        const bool came = co_await self.read();  // named: g++ 12 awaits what stands behind && in a loop's condition
        if (!came) break;
        while (auto* const found = self.next_deltas()) {
          for (chat_delta& delta : *found) co_yield std::move(delta);
        }
        self.asks_for_more();
      }
      for (chat_delta& delta : self.finish()) co_yield std::move(delta);
      self.settle();
      count.answered(self.whole_->response());
    } catch (const error& failure) {
      self.did_not_run_ = failure.cost() == request_cost::none;
      self.settle();
      count.failed(failure);
      if (self.chunks_.contents() == 0 || failure.kind() == error_kind::cancelled) throw;
      throw stream_interrupted{failure, self.whole_->response()};
    }
  }

 private:
  task<void> begin() {
    const http_head* const head = co_await exchange_.head();
    if (head->is_ok()) {
      note_timing();
      basic_openai_server<Loop>::note_rate_limits(*head, whole_->response());
      co_return;
    }
    constexpr std::size_t most_bytes = std::size_t{64} << 10U;
    std::string body;
    try {
      for (;;) {
        const std::string_view bytes = co_await exchange_.read();
        if (bytes.empty() || body.size() > most_bytes) break;
        body += bytes;
      }
    } catch (const cancelled&) {
      throw;
    } catch (const error&) {  // NOLINT(bugprone-empty-catch): the status says more than the end of its explanation
    }
    server_.check(*head, body);
  }

  /// The next bytes. False: there are no more. An answer that is complete but for [DONE], which some servers leave out,
  /// ends well however the connection ends.
  task<bool> read() {
    std::string_view bytes;
    try {
      bytes = co_await exchange_.read();
    } catch (const cancelled&) {
      throw;
    } catch (const error&) {
      if (!is_finished()) throw;
      co_return false;
    }
    if (form_ == form::unknown) form_ = form_of(bytes);
    switch (form_) {
      case form::unknown: break;  // nothing but space
      case form::json:
      case form::page: whole_body_ += bytes; break;
      case form::events:
        if (const std::size_t most = most_shown_bytes + 6 * server_.key().size();  // \u0061: six bytes may be one
            !has_event_ && whole_body_.size() < most)
          whole_body_ += bytes.substr(0, most - whole_body_.size());
        events_.feed(bytes);
        break;
    }
    co_return !bytes.empty();
  }
  /// What the next event of these bytes brought; null: none is left.
  std::vector<chat_delta>* next_deltas() {
    if (form_ != form::events) return nullptr;
    while (const auto event = events_.next_as_sent()) {
      has_event_ = true;
      if (is_done_) continue;
      if (event->data.starts_with("[DONE]")) {
        is_done_ = true;
        continue;
      }
      if (event->type == "error") throw chunks_.failure(event->data);
      if (event->data.empty()) continue;
      auto& deltas = chunks_.read(event->data, true);
      if (deltas.empty()) continue;
      note_content();
      return &deltas;
    }
    return nullptr;
  }
  void asks_for_more() {
    if (std::exchange(has_new_content_, false)) exchange_.content_arrived();
  }
  [[nodiscard]] bool is_done() const noexcept { return is_done_; }
  [[nodiscard]] bool is_finished() const noexcept { return chunks_.is_finished(choices_); }

  /// After the last bytes. The deltas of an answer that came as a whole, or what was left of others.
  std::vector<chat_delta>& finish() {
    const bool no_events = form_ == form::events && !has_event_ && !begins_like_events(whole_body_);
    if (form_ == form::page || no_events)
      throw codec::detail::not_an_answer(from(), "no stream", whole_body_, server_.key());
    if (form_ == form::json) {
      note_content();
      chat_response whole = codec::decode(whole_body_, from(), server_.key());
      server_.hide_key(whole);
      return chunks_.read_whole(std::move(whole));
    }
    if (events_.finish()) is_done_ = true;
    if (is_done_) exchange_.let_end();
    if (is_done_ && !chunks_.has_begun())
      throw error{errc::protocol, std::string{from()} + " ended the stream without an answer: no choice came",
                  request_cost::unknown};
    if (is_done_ || is_finished()) return chunks_.finish();
    throw error{errc::protocol,
                std::string{from()} +
                    " ended the stream in the middle of the answer: neither a finish_reason nor [DONE] came; ask again",
                request_cost::unknown, error_kind::truncated_stream};
  }

  void note_content() {
    has_new_content_ = true;
    if (first_token_.count() == 0) first_token_ = exchange_.since_sent();
  }

  void note_timing() {
    const auto first_byte = exchange_.timing().first_byte;
    chat_timing timing{
        .time_to_first_byte = first_byte, .time_to_first_token = first_token_, .total = exchange_.since_sent()};
    if (server_.options().dialect.header_at_start && first_byte.count() > 0) timing.queued = first_byte;
    whole_->response().timing(timing);
  }

  void settle() {
    chat_response& answer = whole_->response();
    note_timing();
    server_.hide_key(answer);
    if (did_not_run_) {
      answer.usage({});  // whatever was said in between
      return;
    }
    token_usage usage = chunks_.usage().value_or(token_usage{.estimated = true});
    if (usage.estimated) estimate(usage);
    answer.usage(usage);
  }
  /// What the server has not said.
  void estimate(token_usage& usage) const noexcept {
    std::size_t bytes = 0;
    for (const chat_choice& choice : whole_->response().choices()) {
      bytes += choice.text.size() + choice.reasoning.size();
      for (const tool_call& call : choice.tool_calls) bytes += call.arguments.size();
    }
    if (usage.prompt_tokens == 0) usage.prompt_tokens = estimated_tokens(prompt_bytes_);
    if (usage.completion_tokens == 0) usage.completion_tokens = std::max(chunks_.contents(), estimated_tokens(bytes));
    usage.total_tokens = std::max(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  }

  static constexpr std::size_t most_shown_bytes = 200;
  enum class form : unsigned char { unknown, events, json, page };
  /// Some servers, and what stands before them, answer a stream request with one JSON document, or with a page.
  [[nodiscard]] static form form_of(std::string_view bytes) noexcept {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    const std::size_t skipped = bytes.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
    const std::size_t begin = bytes.find_first_not_of(" \t\r\n", skipped);
    if (begin == std::string_view::npos) return form::unknown;
    if (bytes[begin] == '{') return form::json;
    return bytes[begin] == '<' ? form::page : form::events;
  }
  [[nodiscard]] static bool begins_like_events(std::string_view bytes) noexcept {
    for (const std::string_view field : {"data", ":", "event", "id", "retry", "error", "\xEF\xBB\xBF"}) {
      if (bytes.starts_with(field) || field.starts_with(bytes)) return true;
    }
    return false;
  }
  [[nodiscard]] std::string_view from() const noexcept { return server_.url().origin(); }

  basic_openai_server<Loop>& server_;
  basic_http_exchange<Loop> exchange_;
  std::shared_ptr<chat_stream::answer> whole_;
  codec::chunk_reader chunks_;
  sse_parser events_;
  std::string whole_body_;  // of events, how they begin
  std::size_t prompt_bytes_;
  std::size_t choices_;  // that were asked for
  std::chrono::nanoseconds first_token_{0};
  form form_ = form::unknown;
  bool did_not_run_ = false;
  bool has_event_ = false;
  bool is_done_ = false;
  bool has_new_content_ = false;
};

using answer_stream = basic_answer_stream<event_loop>;

}  // namespace detail
}  // namespace felix::inline v1
