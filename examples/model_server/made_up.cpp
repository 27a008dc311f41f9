// SPDX-License-Identifier: MIT
// model_server: values for schemas.
#include "model_server/made_up.hpp"

#include "model_server/phrases.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace model_server::detail {

namespace {

class maker {
 public:
  maker(const json& root, random_numbers& random) : root_{root}, random_{random} {}

  ordered_json value(const json& schema, int depth) {
    constexpr int deepest = 16;
    if (--values_left_ < 0 || depth > deepest) return nullptr;
    if (!schema.is_object()) return text(json::object());
    if (const auto found = schema.find("const"); found != schema.end()) return ordered_json::parse(found->dump());
    if (const json* const choices = list(schema, "enum"))
      return ordered_json::parse((*choices)[random_.below(choices->size())].dump());
    if (const json* const target = referenced(schema)) return value(*target, depth + 1);
    for (const char* combined : {"anyOf", "oneOf", "allOf"})
      if (const json* const parts = list(schema, combined)) return value(parts->front(), depth + 1);
    return of_type(type(schema), schema, depth);
  }

 private:
  static const json* list(const json& schema, const char* name) {
    const json* const found = field(schema, name);
    return found != nullptr && found->is_array() && !found->empty() ? found : nullptr;
  }

  // "#/$defs/city"
  const json* referenced(const json& schema) const {
    const json* const ref = field(schema, "$ref");
    if (ref == nullptr || !ref->is_string() || !ref->get_ref<const std::string&>().starts_with('#')) return nullptr;
    try {
      const json::json_pointer where{ref->get_ref<const std::string&>().substr(1)};
      return root_.contains(where) ? &root_.at(where) : nullptr;
    } catch (const json::exception&) {
      return nullptr;  // not a pointer
    }
  }

  static std::string type(const json& schema) {
    const json* found = field(schema, "type");
    if (found != nullptr && found->is_array() && !found->empty()) found = &found->front();
    if (found != nullptr && found->is_string()) return found->get<std::string>();
    if (schema.contains("properties") || schema.contains("required")) return "object";
    return schema.contains("items") ? "array" : "string";
  }

  ordered_json of_type(const std::string& type, const json& schema, int depth) {
    if (type == "object") return object(schema, depth);
    if (type == "array") return array(schema, depth);
    if (type == "integer") return number(schema, 1);
    if (type == "number") return number(schema, 0.5);
    if (type == "boolean") return random_.below(2) == 1;
    if (type == "null") return nullptr;
    return text(schema);
  }

  ordered_json object(const json& schema, int depth) {
    ordered_json result = ordered_json::object();
    const json* const required = list(schema, "required");
    const json* const properties = field(schema, "properties");
    if (required == nullptr) return result;
    for (const json& name : *required) {
      if (!name.is_string()) continue;
      const json* const property = properties != nullptr && properties->is_object()
                                       ? field(*properties, name.get_ref<const std::string&>().c_str())
                                       : nullptr;
      result[name.get<std::string>()] = value(property != nullptr ? *property : json::object(), depth + 1);
    }
    return result;
  }

  ordered_json array(const json& schema, int depth) {
    constexpr double most = 64;
    const double count = std::clamp(bound(schema, "minItems", 1), 1.0, most);
    const json* const items = field(schema, "items");
    ordered_json result = ordered_json::array();
    for (int i = 0; i < static_cast<int>(count) && (i == 0 || values_left_ > 0); ++i)
      result.push_back(value(items != nullptr ? *items : json::object(), depth + 1));
    return result;
  }

  static double bound(const json& schema, const char* name, double otherwise) {
    constexpr double exact = 9'007'199'254'740'992.0;  // 2^53: larger ones are not all integers
    const json* const found = field(schema, name);
    return found != nullptr && found->is_number() ? std::clamp(found->get<double>(), -exact, exact) : otherwise;
  }

  ordered_json number(const json& schema, double step) {
    const double up = bound(schema, "maximum", bound(schema, "exclusiveMaximum", 0) - step);
    const bool only_upper = !schema.contains("minimum") && !schema.contains("exclusiveMinimum");
    const bool has_upper = schema.contains("maximum") || schema.contains("exclusiveMaximum");
    double low = std::ceil(bound(schema, "minimum", bound(schema, "exclusiveMinimum", 1 - step) + step) / step) * step;
    if (only_upper && has_upper) low = std::min(low, std::floor(up / step) * step);
    const double room = has_upper ? std::max(0.0, std::floor((up - low) / step)) : 99;
    const double result =
        low + step * static_cast<double>(random_.below(static_cast<std::size_t>(std::min(room, 99.0)) + 1));
    if (step == 1) return static_cast<std::int64_t>(result);
    return result;
  }

  ordered_json text(const json& schema) {
    if (const json* const format = field(schema, "format")) {
      if (*format == "date") return "2026-03-14";
      if (*format == "date-time") return "2026-03-14T09:26:53Z";
      if (*format == "email") return "someone@example.org";
      if (*format == "uri") return "https://example.org/";
      if (*format == "uuid") return "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    }
    constexpr double longest = 4'096;
    std::string result{phrases::gains[random_.below(phrases::gains.size())]};
    const auto least = static_cast<std::size_t>(std::clamp(bound(schema, "minLength", 0), 0.0, longest));
    const auto most = static_cast<std::size_t>(std::clamp(bound(schema, "maxLength", longest), 0.0, longest));
    if (result.size() < least) result.resize(least, 'x');
    if (result.size() > most) result.resize(most);
    return result;
  }

  const json& root_;
  random_numbers& random_;
  int values_left_ = 1'000;
};

}  // namespace

ordered_json made_up(const json& schema, random_numbers& random) { return maker{schema, random}.value(schema, 0); }

}  // namespace model_server::detail
