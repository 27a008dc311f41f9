// SPDX-License-Identifier: MIT
// budget: the exception of whoever asks for more than is left.
#pragma once

#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// The tokens that were asked for are not left.
class budget_exceeded : public error {
 public:
  budget_exceeded(std::string_view who, token_count asked, token_count left, token_count cap)
      : budget_exceeded{text(who, asked, "tokens", left, cap, "") +
                            "; ask for less, use a smaller team, or raise session_cap_tokens",
                        asked, left} {}
  /// It was the agent's own allotment, of answer tokens.
  static budget_exceeded of_allotment(std::string_view who, token_count asked, token_count left, token_count base) {
    return {"budget: " + std::string{who.empty() ? "a request" : who} + " asked for " + std::to_string(asked) +
                " answer tokens, " + std::to_string(left) + " of the " + std::to_string(base) +
                " of its allotment are left; ask another agent, or give its role a larger one",
            asked, left};
  }
  /// The same refusal of one who would have waited.
  static budget_exceeded for_ever(const budget_exceeded& now) {
    return {std::string{now.what()} + " (waiting cannot help: all that is reserved would not be enough)", now.asked_,
            now.left_};
  }
  /// It was a scope around the session that had no room.
  static budget_exceeded in_scope(std::string_view scope, std::string_view who, token_count asked, token_count left,
                                  token_count cap) {
    return {text(who, asked, "tokens", left, cap, scope) + "; ask for less, or raise the scope's cap", asked, left};
  }
  /// The same for money; the numbers are nano-units of the currency.
  static budget_exceeded cost_in_scope(std::string_view scope, std::string_view who, std::int64_t asked,
                                       std::int64_t left, std::int64_t cap) {
    return {text(who, asked, "nano-units of money", left, cap, scope) + "; ask for less, or raise the scope's cap",
            asked, left};
  }

  /// The same, because nobody has said what it costs.
  static budget_exceeded without_price(std::string_view scope, std::string_view who, std::int64_t left) {
    return {"budget: " + std::string{who.empty() ? "a request" : who} + " says no price, and \"" + std::string{scope} +
                "\" has a cap in money; give the model's price",
            0, left};
  }

  [[nodiscard]] token_count asked() const noexcept { return asked_; }
  [[nodiscard]] token_count left() const noexcept { return left_; }

 private:
  budget_exceeded(const std::string& message, token_count asked, token_count left)
      : error{errc::budget_exceeded, message}, asked_{asked}, left_{left} {}
  static std::string text(std::string_view who, token_count asked, std::string_view unit, token_count left,
                          token_count cap, std::string_view scope) {
    std::string message = "budget: " + std::string{who.empty() ? "a request" : who} + " asked for " +
                          std::to_string(asked) + " " + std::string{unit} + ", " + std::to_string(left) + " of " +
                          std::to_string(cap) + " are left";
    if (!scope.empty()) message += " in \"" + std::string{scope} + "\"";
    return message;
  }

  token_count asked_, left_;
};

}  // namespace felix::inline v1
