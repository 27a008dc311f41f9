// SPDX-License-Identifier: MIT
// llm: the chunks of a streamed answer, put together.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/codec.hpp>
#include <felix/llm/detail/answer_reader.hpp>
#include <felix/llm/detail/json_element.hpp>
#include <felix/llm/detail/split_characters.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace codec {

/// Reads the data of one event after the other into the answer, and says what was new in each.
/// See: OpenAI's chat.completion.chunk; what other servers do differently is noted where it is handled.
class chunk_reader {
 public:
  /// `from` names the server, and `key` is shown nowhere; both outlive the reader.
  chunk_reader(chat_response& into, std::string_view from, std::string_view key = {})
      : into_{into}, from_{from}, key_{key} {}

  /// What was new in `data`, one delta a choice, and one more where a choice ends with a part of a character; empty ones
  /// are left out. Valid until the next read().
  /// `padded`: 64 bytes behind `data` can be read. A character that was cut in two is read when its end has come; what
  /// is no part of any is read as U+FFFD.
  /// Throws api_error for an event that tells of a failure, error (protocol) for what is no JSON.
  std::vector<chat_delta>& read(std::string_view data, bool padded) {
    deltas_.clear();
    auto parsed = detail::parse_as_sent(parser_, data, padded);
    const bool is_wrong = !parsed;
    if (is_wrong) parsed = detail::parse_mended(parser_, data, detail::character_parts::marked);
    has_marks_ = is_wrong && detail::has_parts(data);
    if (!parsed) throw no_answer("an event that is no JSON", data);
    const detail::element root = *parsed;
    const auto [choices, usage, timings, error] = detail::members<"choices", "usage", "timings", "error">(root);
    const bool calls_itself_error = !choices && detail::view_of(root, "object") == "error";  // vLLM, formerly
    if (error || calls_itself_error) throw failure(data);
    if (into_.model().empty()) into_.model(settled(detail::string_of(root, "model")));
    if (into_.id().empty()) into_.id(settled(detail::string_of(root, "id")));
    if (const auto all = detail::array_of(choices)) {
      for (const detail::element choice : *all) read_choice(choice, data);
    }
    if (usage) {
      note_usage(detail::usage_of(*usage));
      into_.usage(*usage_);  // some say it in between (vLLM)
    } else if (timings) {
      note_tokens_made(detail::count_of(*timings, "predicted_n").value_or(0));
    }
    if (timings) detail::read_timings(root, into_);
    return deltas_;
  }

  /// A whole answer that came where a stream was asked for.
  std::vector<chat_delta>& read_whole(chat_response&& answer) {
    deltas_.clear();
    into_ = std::move(answer);
    for (std::size_t i = 0; i < into_.choices().size(); ++i) {
      chat_delta delta = as_delta(into_.choices()[i], i);
      if (!delta.empty()) deltas_.push_back(std::move(delta));
    }
    finished_.assign(into_.choices().size(), true);
    usage_ = into_.usage();
    return deltas_;
  }

  /// After the last event: what is left of characters that were cut, where no finish_reason came.
  std::vector<chat_delta>& finish() {
    deltas_.clear();
    for (std::size_t at = 0; at < finished_.size(); ++at) end_strings(at);
    return deltas_;
  }

  /// The failure that the data of an event tells of.
  [[nodiscard]] api_error failure(std::string_view data) const {
    const auto position = contents_ == 0 ? stream_position::before_the_first_token : stream_position::after_it;
    return decode_stream_error(data, from_, position, no_headers{}, key_);
  }

  /// Whether there is any choice.
  [[nodiscard]] bool has_begun() const noexcept { return !finished_.empty(); }
  /// Whether each choice that has begun has said why it ended, and at least `asked` have.
  [[nodiscard]] bool is_finished(std::size_t asked = 1) const noexcept {
    return finished_.size() >= asked && std::all_of(finished_.begin(), finished_.end(), [](bool each) { return each; });
  }
  /// What the server has said last.
  [[nodiscard]] const std::optional<token_usage>& usage() const noexcept { return usage_; }
  /// How many deltas with content have come: about the tokens of the answer.
  [[nodiscard]] token_count contents() const noexcept { return contents_; }

 private:
  using string_name = detail::split_characters::name;

  [[nodiscard]] error no_answer(std::string_view why, std::string_view data) const {
    return detail::not_an_answer(from_, why, data, key_);
  }

  /// The last usage counts, but not one that says less than what is known: some servers end with `"usage":{}`.
  void note_usage(const token_usage& sent) noexcept {
    const bool says_less = sent.estimated && usage_ && (!usage_->estimated || sent.total_tokens == 0);
    if (!says_less) usage_ = sent;
  }

  /// llama.cpp counts with each token. For who cuts answers; the whole usage comes at the end.
  void note_tokens_made(token_count made) {
    if (usage_ || made <= into_.usage().completion_tokens) return;
    into_.usage({.completion_tokens = made, .total_tokens = made});
  }

  void read_choice(const detail::element& sent, std::string_view data) {
    constexpr token_count most_choices = 128;
    const auto [sent_index, delta, logprobs, finish] =
        detail::members<"index", "delta", "logprobs", "finish_reason">(sent);
    const token_count index = detail::count_of(sent_index).value_or(0);
    if (index >= most_choices) throw no_answer("a choice that was not asked for", data);
    const auto at = static_cast<std::size_t>(index);
    for (std::size_t begun = finished_.size(); begun <= at; ++begun) {
      into_.choice(begun).finish_reason = finish_reason::other;  // until it says so
      finished_.push_back(false);
    }
    chat_choice& choice = into_.choice(at);
    if (logprobs) read_logprobs(sent, choice.logprobs);
    if (delta) read_delta(*delta, choice, at, data);
    const std::string_view reason = detail::view_of(finish);
    if (reason.empty()) return;
    if (reason == "error") throw failure(data);  // OpenRouter
    choice.finish_reason = detail::finish_reason_of(reason);
    finished_[at] = true;
    end_strings(at);
  }

  /// A string that comes at once.
  [[nodiscard]] std::string settled(std::string sent) const {
    return has_marks_ ? detail::split_characters::settled(sent) : std::move(sent);
  }
  /// A string of the answer, of which `piece` has come.
  [[nodiscard]] std::string whole(const string_name& of, std::string_view piece) {
    if (has_marks_) return cut_.join(of, piece);
    return cut_.empty() ? std::string{piece} : cut_.join_unmarked(of, piece);
  }
  /// No piece of a choice comes any more.
  void end_strings(std::size_t at) {
    if (cut_.empty()) return;
    chat_delta delta;
    delta.choice(at);
    chat_choice& choice = into_.choice(at);
    for (auto& [of, rest] : cut_.rest_of(at)) {
      switch (of.part) {
        case string_name::kind::text: delta.text(rest), choice.text += rest; break;
        case string_name::kind::reasoning: delta.reasoning(rest), choice.reasoning += rest; break;
        case string_name::kind::refusal: delta.refusal(rest), choice.refusal += rest; break;
        case string_name::kind::arguments:
          choice.tool_calls[of.call].arguments += rest;
          delta.add({.index = of.call, .arguments = rest});
          break;
      }
    }
    if (delta.empty()) return;
    deltas_.push_back(std::move(delta));
    contents_ = std::max<token_count>(contents_, 1);  // an answer that is nothing else has begun, too
  }

  void read_logprobs(const detail::element& sent, std::vector<token_logprob>& into) const {
    const std::size_t known = into.size();
    detail::read_logprobs(sent, into);
    if (!has_marks_) return;
    for (std::size_t i = known; i < into.size(); ++i) {
      into[i].token = settled(into[i].token);
      for (auto& [token, logprob] : into[i].alternatives) token = settled(token);
    }
  }

  void read_delta(const detail::element& message, chat_choice& choice, std::size_t at, std::string_view data) {
    const auto [content, reasoning_content, other_reasoning, refused, tool_calls] =
        detail::members<"content", "reasoning_content", "reasoning", "refusal", "tool_calls">(message);
    using kind = string_name::kind;
    std::string text = whole({at, kind::text}, detail::view_of(content));
    std::string reasoning = whole({at, kind::reasoning}, detail::reasoning_of(reasoning_content, other_reasoning));
    std::string refusal = whole({at, kind::refusal}, detail::view_of(refused));
    const auto calls = detail::array_of(tool_calls);
    if (text.empty() && reasoning.empty() && refusal.empty() && !calls) return;
    chat_delta& delta = deltas_.emplace_back();
    delta.choice(at);
    choice.text += text;
    choice.reasoning += reasoning;
    choice.refusal += refusal;
    delta.text(std::move(text)).reasoning(std::move(reasoning));
    if (!refusal.empty()) delta.refusal(std::move(refusal));
    if (calls) {
      std::optional<std::size_t> position;  // where a chunk has several
      if (calls->size() > 1) position = 0;
      for (const detail::element call : *calls) {
        read_call(call, position, choice, delta, data);
        if (position) ++*position;
      }
    }
    if (delta.empty()) return deltas_.pop_back();
    ++contents_;
  }

  /// Where a piece without an index belongs: to the call of its id, else to a new one; without an id, to that at its
  /// position, and a piece alone to the last one.
  [[nodiscard]] static std::size_t index_of(std::string_view id, std::optional<std::size_t> position,
                                            const std::vector<tool_call>& known) noexcept {
    if (id.empty()) return position.value_or(known.empty() ? 0 : known.size() - 1);
    const auto same = std::find_if(known.begin(), known.end(), [&](const tool_call& call) { return call.id == id; });
    return static_cast<std::size_t>(same - known.begin());
  }

  void read_call(const detail::element& sent, std::optional<std::size_t> position, chat_choice& choice,
                 chat_delta& delta, std::string_view data) {
    constexpr std::size_t most_calls = 256;
    tool_call_delta piece;
    piece.id = settled(detail::string_of(sent, "id"));
    if (const auto function = detail::member(sent, "function")) {
      piece.name = settled(detail::string_of(*function, "name"));
      piece.arguments = detail::arguments_of(*function);
    }
    if (const auto index = detail::count_of(sent, "index")) {
      piece.index = static_cast<std::size_t>(*index);
    } else {
      piece.index = index_of(piece.id, position, choice.tool_calls);
    }
    if (piece.index >= most_calls) throw no_answer("more tool calls than any model makes", data);
    if (piece.index >= choice.tool_calls.size()) choice.tool_calls.resize(piece.index + 1);
    tool_call& call = choice.tool_calls[piece.index];
    // Some servers repeat id and name, or send empty ones later: what is known is nothing new.
    const auto learn = [](std::string& known, std::string& told) {
      if (known.empty())
        known = told;
      else
        told.clear();
    };
    learn(call.id, piece.id);
    learn(call.name, piece.name);
    if (has_marks_ || !cut_.empty())
      piece.arguments = whole({delta.choice(), string_name::kind::arguments, piece.index}, piece.arguments);
    call.arguments += piece.arguments;
    if (!piece.id.empty() || !piece.name.empty() || !piece.arguments.empty()) delta.add(std::move(piece));
  }

  chat_response& into_;
  std::string_view from_;
  std::string_view key_;
  simdjson::dom::parser parser_;
  std::vector<chat_delta> deltas_;
  detail::split_characters cut_;
  std::vector<bool> finished_;  // by choice
  std::optional<token_usage> usage_;
  token_count contents_ = 0;
  bool has_marks_ = false;  // what is read had parts of characters
};

}  // namespace codec
}  // namespace felix::inline v1
