// SPDX-License-Identifier: MIT
// model_server: JSON read from clients: checked, with errors that say what is wrong and where.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace model_server::detail {

using json = nlohmann::json;
using ordered_json = nlohmann::ordered_json;

/// What is wrong with a request. The message says what and where.
class api_failure : public std::runtime_error {
 public:
  api_failure(int status, const std::string& message, std::string param = {})
      : std::runtime_error{message}, status_{status}, param_{std::move(param)} {}
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& param() const noexcept { return param_; }  ///< the field; may be empty

 private:
  int status_;
  std::string param_;
};

/// Throws: api_failure (400), always.
[[noreturn]] void refuse(const std::string& where, const std::string& what);

/// Throws: api_failure (400) for what is not a JSON object in UTF-8, or is nested deeper than 64 levels.
[[nodiscard]] json parse_object(std::string_view body);

/// A number as it is, "a value of type string".
[[nodiscard]] std::string described(const json& value);

/// A field that is there and not null; else null.
[[nodiscard]] const json* field(const json& object, const char* name);

/// Throws: api_failure (400) if the field is there and of another type. `where` is how the message calls it.
[[nodiscard]] std::optional<std::int64_t> integer(const json& object, const char* name);
[[nodiscard]] bool boolean(const json& object, const char* name, const std::string& where);
/// The same, and if it is missing.
[[nodiscard]] std::string required_string(const json& object, const char* name, const std::string& where);

}  // namespace model_server::detail
