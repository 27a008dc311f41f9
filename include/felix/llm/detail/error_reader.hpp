// SPDX-License-Identifier: MIT
// llm: what a server says of a failure, read from whatever it sent.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/error_kinds.hpp>
#include <felix/llm/detail/json_element.hpp>
#include <felix/llm/detail/without_keys.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {
namespace codec {
namespace detail {

/// Reads what a server says about a failure, in any of the shapes that servers use.
class error_reader {
 public:
  /// `key` is hidden wherever it stands.
  explicit error_reader(std::string_view key) noexcept : key_{key} {}

  /// The message is empty where there is none.
  [[nodiscard]] felix::detail::sent_error read(std::string_view body) {
    felix::detail::sent_error sent;
    simdjson::dom::parser parser;
    const auto parsed = parse(parser, body);
    if (!parsed) return sent;
    element root = *parsed;
    simdjson::dom::array several;  // Gemini wraps its error into a list
    if (root.get(several) == simdjson::SUCCESS && several.size() > 0) root = several.at(0).value_unsafe();
    const auto inner = member(root, "error");
    std::string_view text;
    const bool is_text = inner && inner->get(text) == simdjson::SUCCESS;
    const element holder = inner && !is_text ? *inner : root;
    sent.message = shown(is_text ? std::string{text} : string_of(holder, "message"));
    if (sent.message.empty()) sent.message = shown(string_of(root, "message"));
    if (const auto detail = member(holder, "detail"); detail && sent.message.empty()) {
      simdjson::dom::array list;
      if (detail->get(list) == simdjson::SUCCESS) {
        read_validation(list, sent);
      } else if (detail->get(text) == simdjson::SUCCESS) {
        sent.message = shown(text);
      } else {
        sent.message = shown(string_of(*detail, "message"));
      }
    }
    sent.type = word(holder, "type");
    sent.code = word(holder, "code");
    if (sent.param.empty()) sent.param = word(holder, "param");
    sent.prompt_tokens = count_of(holder, "n_prompt_tokens");
    sent.context_tokens = count_of(holder, "n_ctx");
    return sent;
  }
  /// Whether a key was hidden in what was read.
  [[nodiscard]] bool has_hidden() const noexcept { return has_hidden_; }

 private:
  [[nodiscard]] std::string shown(std::string_view text) {
    const std::string safe = without_keys(text, key_);  // before it is cut: a part of a key is a secret too
    has_hidden_ = has_hidden_ || safe != text;
    return excerpt(safe);
  }
  /// Of a number its digits.
  [[nodiscard]] std::string word(const element& object, std::string_view name) {
    const auto number = count_of(object, name);
    return number ? std::to_string(*number) : shown(string_of(object, name));
  }
  /// FastAPI's list of what is wrong: [{"loc":["body","messages"],"msg":"Field required","type":"missing"}].
  void read_validation(const simdjson::dom::array& list, felix::detail::sent_error& sent) {
    constexpr std::size_t enough = 3;
    for (std::size_t seen = 0; const element each : list) {
      if (++seen > enough) break;
      std::string where;
      simdjson::dom::array path;
      if (const auto loc = member(each, "loc"); loc && loc->get(path) == simdjson::SUCCESS) {
        for (const element step : path) {
          std::string_view name;
          std::int64_t index = 0;
          if (step.get(index) == simdjson::SUCCESS) {
            where += '.' + std::to_string(index);
          } else if (step.get(name) == simdjson::SUCCESS && name != "body") {
            where.append(1, '.').append(name);
          }
        }
      }
      if (!where.empty()) where = shown(where.substr(1));
      if (sent.param.empty()) sent.param = where;
      if (!sent.message.empty()) sent.message += ", ";
      if (!where.empty()) sent.message += where + ": ";
      sent.message += shown(string_of(each, "msg"));
    }
    sent.message = excerpt(sent.message);
  }

  std::string_view key_;
  bool has_hidden_ = false;
};

template <class Headers>
[[nodiscard]] std::string request_id_of(const Headers& headers, std::string_view key) {
  for (const char* name : {"x-request-id", "x-generation-id", "request-id"})
    if (const std::string_view id = headers.header(name); !id.empty()) return excerpt(without_keys(id, key));
  return {};
}

/// What a server says in `body`, and in `details` how the body begins.
[[nodiscard]] inline felix::detail::sent_error sent_by(std::string_view body, std::string_view key,
                                                       api_error::details& details) {
  constexpr std::size_t most = 64 * 1024;  // an error is short; what is longer is shown as text
  error_reader reader{key};
  auto sent = reader.read(body.substr(0, most));  // as it came: a key may be a part of any word
  // What looks like a key, and JSON had escaped, would still be in the body.
  const bool shows_message_only = reader.has_hidden() || may_hold_what_was_said(body);
  details.body_excerpt = shows_message_only ? sent.message : excerpt(without_keys(body, key, most_looked_at));
  if (sent.message.empty()) sent.message = excerpt(std::string_view{details.body_excerpt}.substr(0, 200));
  return sent;
}

[[nodiscard]] inline api_error made_error(felix::detail::error_place place, std::string begin,
                                          felix::detail::sent_error sent, api_error::details details) {
  details.kind = felix::detail::kind_of(place, details.status, sent.type, sent.code,
                                        details.body_excerpt.starts_with('<') ? details.body_excerpt : sent.message);
  if (details.kind == error_kind::context_overflow) felix::detail::read_context_numbers(sent);
  begin += fmt::format(": {}; {}", sent.message.empty() ? "(no message)" : sent.message,
                       felix::detail::advice(details.kind, details.status, sent, details.retry_after));
  if (!details.request_id.empty()) begin += fmt::format(" (request {})", details.request_id);
  details.type = std::move(sent.type);
  details.code = std::move(sent.code);
  details.param = std::move(sent.param);
  if (details.kind == error_kind::context_overflow) {
    details.prompt_tokens = sent.prompt_tokens;
    details.context_tokens = sent.context_tokens;
  }
  if (place == felix::detail::error_place::later_event) return {begin, std::move(details), request_cost::unknown};
  return {begin, std::move(details)};
}

}  // namespace detail
}  // namespace codec
}  // namespace felix::inline v1
