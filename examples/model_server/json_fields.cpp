// SPDX-License-Identifier: MIT
// model_server: JSON read from clients.
#include "model_server/json_fields.hpp"

#include <cstddef>
#include <limits>

namespace model_server::detail {

namespace {

constexpr int deepest_nesting = 64;

// Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. The text's size if all is well.
std::size_t first_not_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U; };
  const auto trails = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  while (at < text.size()) {
    const unsigned lead = byte(0);
    const unsigned pair = lead << 8U | byte(1);
    if (lead < 0x80)
      at += 1;
    else if (lead >= 0xC2 && lead <= 0xDF && trails(1))
      at += 2;
    else if (pair >= 0xE0A0 && pair <= 0xEFBF && trails(1) && !(pair >= 0xEDA0 && pair <= 0xEDBF) && trails(2))
      at += 3;
    else if (pair >= 0xF090 && pair <= 0xF48F && trails(1) && trails(2) && trails(3))
      at += 4;
    else
      return at;
  }
  return at;
}

json parse(std::string_view body) {
  if (const std::size_t at = first_not_utf8(body); at < body.size())
    throw api_failure{400, "body: not UTF-8 at byte " + std::to_string(at) + "; send JSON in UTF-8"};
  const auto not_too_deep = [](int depth, json::parse_event_t, json&) {
    if (depth > deepest_nesting)
      throw api_failure{400, "body: nested deeper than " + std::to_string(deepest_nesting) + " levels"};
    return true;
  };
  try {
    return json::parse(body.begin(), body.end(), not_too_deep);
  } catch (const json::exception& failure) {
    const std::string_view what = failure.what();  // "[json.exception.parse_error.101] parse error at line 1, …"
    const std::size_t end = what.find("] ");
    const std::string_view reason = end == std::string_view::npos ? what : what.substr(end + 2);
    throw api_failure{400, "body: not JSON: " + std::string{reason}};
  }
}

}  // namespace

void refuse(const std::string& where, const std::string& what) { throw api_failure{400, where + ": " + what, where}; }

json parse_object(std::string_view body) {
  json root = parse(body);
  if (!root.is_object()) throw api_failure{400, "body: must be a JSON object, is " + described(root)};
  return root;
}

std::string described(const json& value) {
  if (!value.is_number()) return std::string{"a value of type "} + value.type_name();
  return value.dump();
}

const json* field(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> integer(const json& object, const char* name) {
  const json* const value = field(object, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) refuse(name, "must be an integer, is " + described(*value));
  if (value->is_number_unsigned() &&
      value->get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    refuse(name, "must fit into 64 bits with a sign, is " + described(*value));
  return value->get<std::int64_t>();
}

bool boolean(const json& object, const char* name, const std::string& where) {
  const json* const value = field(object, name);
  if (value == nullptr) return false;
  if (!value->is_boolean()) refuse(where, "must be true or false, is " + described(*value));
  return value->get<bool>();
}

std::string required_string(const json& object, const char* name, const std::string& where) {
  const json* const value = field(object, name);
  if (value == nullptr || !value->is_string()) refuse(where, "must be a string");
  return value->get<std::string>();
}

}  // namespace model_server::detail
