// SPDX-License-Identifier: MIT
// net: a string that is sent but never shown.
#pragma once

#include <felix/error.hpp>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// Overwrites a string, in a way that the compiler does not leave out although nobody reads it again.
inline void wipe(std::string& text) noexcept {
  text.resize(text.capacity());  // behind its end there may be more of it
  volatile char* const bytes = text.data();
  for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = 0;
  text.clear();
}

}  // namespace detail

/// An API key. It has no formatter, no stream operator and no conversion; reveal() is for whoever puts it on the wire.
/// Its memory is overwritten when it is destroyed, assigned to or moved from.
///     .api_key = felix::secret::from_env("OPENAI_API_KEY")
class secret {
 public:
  /// No key.
  secret() = default;

  /// Throws error (invalid_option) for an empty value and for bytes that would end a header line. The message names
  /// `where` the value came from, never the value.
  explicit secret(std::string value, std::string_view where = "api_key") : value_{value} {
    detail::wipe(value);
    if (value_.empty()) throw refused(where, "is empty; set it, or leave the key out");
    for (const char c : value_) {
      if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
        detail::wipe(value_);
        throw refused(where, "has a space, a line break or another byte that no key has; check how it was copied");
      }
    }
  }
  secret(const secret&) = default;
  secret(secret&& other) : value_{other.value_} { detail::wipe(other.value_); }  // a short string stays where it was
  secret& operator=(secret other) noexcept {
    value_.swap(other.value_);
    return *this;
  }
  ~secret() { detail::wipe(value_); }

  /// The value of an environment variable. Throws error (invalid_option) when it is not set.
  [[nodiscard]] static secret from_env(const std::string& variable) {
    const char* const value = std::getenv(variable.c_str());
    if (value == nullptr) throw refused("environment variable " + variable, "is not set; export it first");
    return secret{value, "environment variable " + variable};
  }

  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  [[nodiscard]] const std::string& reveal() const noexcept { return value_; }

 private:
  static error refused(std::string_view where, std::string_view why) {
    return {errc::invalid_option, "API key: " + std::string{where} + " " + std::string{why}};
  }
  std::string value_;
};

}  // namespace felix::inline v1
