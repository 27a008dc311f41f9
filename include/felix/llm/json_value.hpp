// SPDX-License-Identifier: MIT
// llm: a JSON text, read once, whose parts say where they stand when they are not what was expected.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/json_element.hpp>
#include <felix/llm/json_text.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace felix::inline v1 {

/// What a model has written as JSON: the arguments of a tool call, say. A value.
///     const auto args = felix::json_value::parse(call.arguments);
///     station.report(args["city"].string());
/// Throws: error (invalid_argument) that names the part, for one that is missing or of another kind.
class json_value {
 public:
  using array_type = std::vector<json_value>;
  using object_type = std::map<std::string, json_value, std::less<>>;

  json_value() = default;  ///< null
  /// Throws error (invalid_argument): it is no JSON, or has a name twice. Nested up to 1,024 levels.
  [[nodiscard]] static json_value parse(std::string_view text) {
    simdjson::dom::parser parser;
    const auto root = codec::detail::parse_as_sent(parser, text);
    if (!root) throw error{errc::invalid_argument, "it is no valid JSON"};
    return {*root, {}};
  }

  [[nodiscard]] bool is_null() const noexcept { return std::holds_alternative<std::monostate>(value_); }
  [[nodiscard]] bool is_object() const noexcept { return std::holds_alternative<object_type>(value_); }
  [[nodiscard]] bool is_array() const noexcept { return std::holds_alternative<array_type>(value_); }
  [[nodiscard]] bool is_string() const noexcept { return std::holds_alternative<std::string>(value_); }
  [[nodiscard]] bool is_boolean() const noexcept { return std::holds_alternative<bool>(value_); }
  /// Whole or not.
  [[nodiscard]] bool is_number() const noexcept {
    return std::holds_alternative<std::int64_t>(value_) || std::holds_alternative<double>(value_);
  }

  [[nodiscard]] const std::string& string() const { return as<std::string>("a string"); }
  [[nodiscard]] bool boolean() const { return as<bool>("true or false"); }
  /// A whole number; 3.0 is one.
  [[nodiscard]] std::int64_t integer() const {
    constexpr double exact = 9'007'199'254'740'992.0;  // beyond, a double is not every whole number
    if (const auto* number = std::get_if<double>(&value_)) {
      if (*number >= -exact && *number <= exact && *number == static_cast<double>(static_cast<std::int64_t>(*number)))
        return static_cast<std::int64_t>(*number);
    }
    return as<std::int64_t>("a whole number");
  }
  [[nodiscard]] double number() const {
    if (const auto* whole = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*whole);
    return as<double>("a number");
  }
  [[nodiscard]] const array_type& array() const { return as<array_type>("an array"); }
  [[nodiscard]] const object_type& object() const { return as<object_type>("an object"); }

  /// A member that has to be there.
  [[nodiscard]] const json_value& operator[](std::string_view name) const {
    if (const json_value* const member = find(name)) return *member;
    throw error{errc::invalid_argument, fmt::format("{} is missing", path_of(name))};
  }
  /// Null: it is not there.
  [[nodiscard]] const json_value* find(std::string_view name) const {
    const auto member = object().find(name);
    return member != object().end() ? &member->second : nullptr;
  }

  /// As JSON without blanks, members by name, numbers in one form: two texts that mean the same give the same.
  [[nodiscard]] std::string text() const {
    std::string out;
    append_to(out);
    return out;
  }

 private:
  json_value(const codec::detail::element& read, std::string path) : path_{std::move(path)} {
    using simdjson::dom::element_type;
    switch (read.type()) {
      case element_type::NULL_VALUE: break;
      case element_type::BOOL: value_ = bool{read}; break;
      case element_type::INT64: value_ = std::int64_t{read}; break;
      case element_type::UINT64: value_ = static_cast<double>(std::uint64_t{read}); break;
      case element_type::DOUBLE: value_ = double{read}; break;
      case element_type::STRING: value_ = std::string{std::string_view{read}}; break;
      case element_type::ARRAY: {
        array_type all;
        for (const auto each : simdjson::dom::array{read})
          all.push_back(json_value{each, fmt::format("{}[{}]", path_, all.size())});
        value_ = std::move(all);
        break;
      }
      case element_type::OBJECT: {
        object_type all;
        for (const auto& [name, member] : simdjson::dom::object{read}) {
          if (!all.emplace(std::string{name}, json_value{member, path_of(name)}).second)
            throw error{errc::invalid_argument, fmt::format("{} is there twice", path_of(name))};
        }
        value_ = std::move(all);
        break;
      }
    }
  }

  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string{name} : fmt::format("{}.{}", path_, name);
  }
  [[nodiscard]] std::string_view kind() const noexcept {
    return is_null()      ? "null"
           : is_object()  ? "an object"
           : is_array()   ? "an array"
           : is_string()  ? "a string"
           : is_boolean() ? "true or false"
                          : "a number";
  }
  template <class Kind>
  [[nodiscard]] const Kind& as(std::string_view wanted) const {
    if (const auto* value = std::get_if<Kind>(&value_)) return *value;
    throw error{errc::invalid_argument,
                fmt::format("{}: expected {}, it is {}", path_.empty() ? "the whole" : path_, wanted, kind())};
  }

  void append_to(std::string& out) const {
    if (const auto* all = std::get_if<object_type>(&value_)) {
      out += '{';
      for (const auto& [name, member] : *all) {
        if (out.back() != '{') out += ',';
        append_json_string(out, name);
        out += ':';
        member.append_to(out);
      }
      out += '}';
    } else if (const auto* list = std::get_if<array_type>(&value_)) {
      out += '[';
      for (std::size_t i = 0; i < list->size(); ++i) {
        if (i > 0) out += ',';
        (*list)[i].append_to(out);
      }
      out += ']';
    } else if (is_string()) {
      append_json_string(out, string());
    } else if (is_number()) {
      out += fmt::format("{}", number());
    } else {
      out += is_null() ? "null" : boolean() ? "true" : "false";
    }
  }

  std::string path_;  // from the whole to here
  std::variant<std::monostate, bool, std::int64_t, double, std::string, array_type, object_type> value_;
};

}  // namespace felix::inline v1
