// SPDX-License-Identifier: MIT
// llm: reading JSON that servers sent. The one header that includes simdjson: it costs 1.8 s to compile.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/split_characters.hpp>
#include <felix/llm/detail/without_keys.hpp>
#include <felix/usage.hpp>
#include <felix/utf8.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace felix::inline v1 {
namespace codec {

namespace detail {

using element = simdjson::dom::element;

[[nodiscard]] inline std::optional<element> member(const element& object, std::string_view name) noexcept {
  element found;
  if (object[name].get(found) != simdjson::SUCCESS || found.is_null()) return std::nullopt;
  return found;
}
/// The name of a member, as a template argument.
template <std::size_t size>
struct member_name {
  consteval member_name(const char (&name)[size]) noexcept { std::copy_n(name, size, text); }  // NOLINT: implicit
  /// Of a known size, so that it is a comparison of words and not a call.
  [[nodiscard]] bool is(std::string_view key) const noexcept {
    return key.size() == size - 1 && std::memcmp(key.data(), text, size - 1) == 0;
  }
  char text[size];
};

/// Several members, each as member() finds it, in one pass over the fields.
///     const auto [name, arguments] = members<"name", "arguments">(function);
template <member_name... names>
[[nodiscard]] std::array<std::optional<element>, sizeof...(names)> members(const element& object) noexcept {
  std::array<std::optional<element>, sizeof...(names)> found;
  simdjson::dom::object fields;
  if (object.get(fields) != simdjson::SUCCESS) return found;
  for (const simdjson::dom::key_value_pair field : fields) {
    const std::string_view key = field.key;
    std::optional<element>* place = found.data();
    const bool is_wanted = ((names.is(key) || (++place, false)) || ...);
    if (is_wanted && !*place) *place = field.value;
  }
  for (std::optional<element>& each : found) {
    if (each && each->is_null()) each.reset();
  }
  return found;
}

// What a member holds: empty, or nothing, where it is missing or something else.

[[nodiscard]] inline std::string_view view_of(const std::optional<element>& found) noexcept {
  std::string_view text;
  if (found && found->get(text) != simdjson::SUCCESS) text = {};
  return text;
}
[[nodiscard]] inline std::optional<simdjson::dom::array> array_of(const std::optional<element>& found) noexcept {
  simdjson::dom::array elements;
  if (!found || found->get(elements) != simdjson::SUCCESS) return std::nullopt;
  return elements;
}
/// A count that a server sent; anything that is not a number of at least 0 counts as not sent.
[[nodiscard]] inline std::optional<token_count> count_of(const std::optional<element>& found) noexcept {
  if (!found) return std::nullopt;
  constexpr std::int64_t most = 1'000'000'000'000'000;  // sums of what a server invents must not overflow
  std::int64_t whole = 0;
  if (found->get(whole) == simdjson::SUCCESS)
    return whole >= 0 && whole < most ? std::optional<token_count>{whole} : std::nullopt;
  double number = 0;
  if (found->get(number) != simdjson::SUCCESS || !(number >= 0 && number < static_cast<double>(most)))
    return std::nullopt;
  return static_cast<token_count>(number);
}

[[nodiscard]] inline std::string_view view_of(const element& object, std::string_view name) noexcept {
  return view_of(member(object, name));
}
[[nodiscard]] inline std::string string_of(const element& object, std::string_view name) {
  return std::string{view_of(object, name)};
}
[[nodiscard]] inline std::optional<simdjson::dom::array> array_of(const element& object,
                                                                  std::string_view name) noexcept {
  return array_of(member(object, name));
}
[[nodiscard]] inline std::optional<token_count> count_of(const element& object, std::string_view name) noexcept {
  return count_of(member(object, name));
}
[[nodiscard]] inline double number_of(const element& object, std::string_view name, double otherwise = 0) noexcept {
  double number = otherwise;
  const auto found = member(object, name);
  if (found && found->get(number) != simdjson::SUCCESS) number = otherwise;
  return number;
}

/// How many bytes an excerpt is made of.
inline constexpr std::size_t most_looked_at = 1024;

/// What people may read of a body: at most 512 bytes on one line, without control characters. A key is taken out before.
[[nodiscard]] inline std::string excerpt(std::string_view body) {
  std::string shown;
  for (const char c : without_controls(body.substr(0, most_looked_at))) {
    const bool space = c == ' ' || c == '\n' || c == '\t';
    if (!space) {
      shown += c;
    } else if (!shown.empty() && shown.back() != ' ') {
      shown += ' ';
    }
  }
  if (shown.size() <= 512) return shown;
  std::size_t end = 512;
  while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xC0U) == 0x80U) --end;  // not inside a code point
  return shown.substr(0, end);
}

/// Whether a body, or what begins like one, has a member that holds what was said: logs must not show it.
[[nodiscard]] inline bool may_hold_what_was_said(std::string_view body) noexcept {
  for (const std::string_view name : {"\"choices\"", "\"content\""}) {
    for (std::size_t at = body.find(name); at != std::string_view::npos; at = body.find(name, at)) {
      at += name.size();
      const std::size_t next = body.find_first_not_of(" \t\r\n", at);
      if (next == std::string_view::npos || body[next] == ':') return true;  // not a word in a page
    }
  }
  return false;
}

/// `key` is not shown, nor what was said.
[[nodiscard]] inline error not_an_answer(std::string_view from, std::string_view why, std::string_view body,
                                         std::string_view key = {}) {
  constexpr std::size_t most_shown = 200;
  // Without the key before it is cut: a part of a key is a secret too.
  const std::string begin =
      may_hold_what_was_said(body) ? "(not shown, for it may hold what was said)" : without_keys(body, key, most_shown);
  return {errc::protocol,
          fmt::format("{} sent {}; is it an OpenAI-compatible server, and base_url right? It begins: {}", from, why,
                      begin.empty() ? "(nothing)" : excerpt(std::string_view{begin}.substr(0, most_shown))),
          request_cost::unknown};
}

/// The document with its integers of 19 digits and more as floating-point numbers: simdjson reads 64 bits, and refuses
/// all of a document for one integer beyond that, in whatever field.
[[nodiscard]] inline std::string with_long_integers_as_floats(std::string_view json) {
  std::string changed;
  bool in_string = false;
  for (std::size_t at = 0; at < json.size();) {
    const char c = json[at];
    const bool digit = '0' <= c && c <= '9';
    if (in_string || !digit) {
      if (c == '"') in_string = !in_string;
      const std::size_t step = in_string && c == '\\' ? std::min<std::size_t>(2, json.size() - at) : 1;
      changed += json.substr(at, step);
      at += step;
      continue;
    }
    const std::size_t end = std::min(json.find_first_not_of("0123456789+-.eE", at), json.size());
    const std::string_view number = json.substr(at, end - at);
    changed += number;
    if (number.size() >= 19 && number.find_first_not_of("0123456789") == std::string_view::npos) changed += "e0";
    at = end;
  }
  return changed;
}

/// The document with what servers do wrong put right: a byte order mark, parts of characters, and integers beyond 64 bits.
[[nodiscard]] inline std::string mended(std::string_view json, character_parts become) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (json.starts_with(byte_order_mark)) json.remove_prefix(byte_order_mark.size());
  return with_long_integers_as_floats(without_parts(json, become));
}

/// With `parser`: the element is valid until its next parse. Nothing for what simdjson refuses.
/// `padded`: simdjson::SIMDJSON_PADDING bytes behind the text can be read.
[[nodiscard]] inline std::optional<element> parse_as_sent(simdjson::dom::parser& parser, std::string_view json,
                                                          bool padded = false) {
  element root;
  if (json.empty() || parser.parse(json.data(), json.size(), !padded).get(root) != simdjson::SUCCESS)
    return std::nullopt;
  return root;
}
/// What simdjson refused, once more.
[[nodiscard]] inline std::optional<element> parse_mended(simdjson::dom::parser& parser, std::string_view json,
                                                         character_parts become) {
  element root;
  const std::string changed = mended(json, become);
  if (changed == json || parser.parse(changed).get(root) != simdjson::SUCCESS) return std::nullopt;
  return root;
}
/// As it was sent or mended: nothing for what is no JSON.
[[nodiscard]] inline std::optional<element> parse(simdjson::dom::parser& parser, std::string_view json) {
  const std::optional<element> as_sent = parse_as_sent(parser, json);
  return as_sent ? as_sent : parse_mended(parser, json, character_parts::replaced);
}

/// With the parser of this thread, whose memory is used for answer after answer: the element is valid until the next
/// parse. Nothing for what is no JSON.
[[nodiscard]] inline std::optional<element> parse(std::string_view json) {
  static thread_local simdjson::dom::parser parser;
  constexpr std::size_t most_kept_bytes = std::size_t{1} << 20U;
  if (parser.capacity() > most_kept_bytes && json.size() <= most_kept_bytes) parser = simdjson::dom::parser{};
  return parse(parser, json);
}

}  // namespace detail
}  // namespace codec
}  // namespace felix::inline v1
