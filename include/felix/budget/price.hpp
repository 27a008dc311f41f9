// SPDX-License-Identifier: MIT
// budget: what the tokens of a model cost. There are no prices in here: they change.
#pragma once

#include <felix/budget/money.hpp>
#include <felix/error.hpp>
#include <felix/usage.hpp>
#include <felix/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

namespace detail {

/// The exact sum of tokens at prices per million, rounded up once, at its end.
class price_sum {
 public:
  constexpr void add(token_count tokens, money per_million) noexcept {
    const std::int64_t price = per_million.nano_units();
    if (tokens <= 0 || price <= 0) return;
    // tokens · price / million, without a product that overflows before it is divided.
    whole_ = saturating_sum(whole_, product(tokens, price / million));
    whole_ = saturating_sum(whole_, product(tokens / million, price % million));
    millionths_ += (tokens % million) * (price % million);  // below 10^12; a few are added
  }
  [[nodiscard]] constexpr money rounded_up() const noexcept {
    return money::of_nano_units(saturating_sum(whole_, (millionths_ + million - 1) / million));
  }

 private:
  static constexpr std::int64_t million = 1'000'000;
  static constexpr std::int64_t product(std::int64_t a, std::int64_t b) noexcept {  // of numbers not below 0
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    return b != 0 && a > most / b ? most : a * b;
  }

  std::int64_t whole_ = 0;  // nano-units
  std::int64_t millionths_ = 0;
};

}  // namespace detail

/// What a million tokens of a model cost.
///     felix::model_price mini{.prompt = "0.15", .answer = "0.60", .cached_prompt = "0.075"};
struct model_price {
  money prompt;
  money answer;
  std::optional<money> cached_prompt = {};  ///< of prompt tokens that were not read anew; not given: as the others

  /// What a request cost. Tokens that a server counts in the total alone cost as much as the dearest.
  [[nodiscard]] constexpr money cost(const token_usage& used) const noexcept {
    const token_count in_prompt = std::max<token_count>(0, used.prompt_tokens);
    const token_count in_answer = std::max<token_count>(0, used.completion_tokens);
    const token_count cached = std::clamp<token_count>(used.cached_prompt_tokens, 0, in_prompt);
    const token_count named = felix::detail::saturating_sum(in_prompt, in_answer);
    detail::price_sum sum;
    sum.add(in_prompt - cached, prompt);
    sum.add(cached, cached_prompt.value_or(prompt));
    sum.add(in_answer, answer);
    if (used.total_tokens > named) sum.add(used.total_tokens - named, std::max(dearest_prompt(), answer));
    return sum.rounded_up();
  }
  /// What a request can cost at most that has so many prompt tokens and answer tokens at most: what to reserve.
  [[nodiscard]] constexpr money at_most(token_count prompt_tokens, token_count answer_tokens) const noexcept {
    detail::price_sum sum;
    sum.add(prompt_tokens, dearest_prompt());
    sum.add(answer_tokens, answer);
    return sum.rounded_up();
  }

  friend constexpr bool operator==(const model_price&, const model_price&) noexcept = default;

 private:
  [[nodiscard]] constexpr money dearest_prompt() const noexcept {
    return std::max(prompt, cached_prompt.value_or(prompt));
  }
};

/// Prices by model, all in one currency.
///     auto prices = felix::price_table::parse("gpt-4o-mini 0.15 0.60 0.075  # dollars per million tokens\n");
///     prices.cost("gpt-4o-mini-2024-07-18", answer.usage());           // optional: nothing for a model that is not in it
/// A model is found by the longest name that it begins with, if that name ends there, or where the model has one of
/// - : @ / _ : "gpt-4" is found for "gpt-4-0613", and neither for "gpt-4o" nor for "gpt-4.1".
class price_table {
 public:
  price_table() = default;
  price_table(std::initializer_list<std::pair<std::string_view, model_price>> prices) {
    for (const auto& [model, price] : prices) add(std::string{model}, price);
  }

  /// A model's price, in place of the one that it has. Throws error (invalid_argument) for a name of no letters.
  price_table& add(std::string model, const model_price& price) {
    if (model.empty()) throw error{errc::invalid_argument, "price_table: a model without a name; give it the server's"};
    prices_.insert_or_assign(std::move(model), price);
    return *this;
  }

  /// One model a line: its name and what a million tokens cost, `model prompt answer [cached]`. Empty lines are skipped,
  /// and what follows a `#` that begins a word. Throws error (invalid_argument) that names the line.
  [[nodiscard]] static price_table parse(std::string_view text) {
    price_table table;
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      table.add_line(text.substr(0, end), number);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return table;
  }

  [[nodiscard]] std::optional<model_price> find(std::string_view model) const {
    for (std::size_t length = model.size(); length > 0; --length) {
      if (length < model.size() && !is_separator(model[length]) && !is_separator(model[length - 1])) continue;
      if (const auto found = prices_.find(model.substr(0, length)); found != prices_.end()) return found->second;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<money> cost(std::string_view model, const token_usage& used) const {
    const auto price = find(model);
    return price ? std::optional{price->cost(used)} : std::nullopt;
  }
  [[nodiscard]] std::optional<money> at_most(std::string_view model, token_count prompt_tokens,
                                             token_count answer_tokens) const {
    const auto price = find(model);
    return price ? std::optional{price->at_most(prompt_tokens, answer_tokens)} : std::nullopt;
  }
  [[nodiscard]] std::size_t size() const noexcept { return prices_.size(); }

 private:
  static constexpr bool is_separator(char c) noexcept {
    return std::string_view{"-:@/_"}.find(c) != std::string_view::npos;
  }

  [[noreturn]] static void refuse(std::size_t line, const std::string& what) {
    throw error{errc::invalid_argument, "price_table, line " + std::to_string(line) + ": " + what};
  }
  static std::string quoted(std::string_view word) { return '"' + without_controls(word.substr(0, 60)) + '"'; }

  static std::vector<std::string_view> words_of(std::string_view line) {
    constexpr std::string_view space = " \t\r";
    std::vector<std::string_view> words;
    for (;;) {
      line.remove_prefix(std::min(line.find_first_not_of(space), line.size()));
      if (line.empty() || line.front() == '#') return words;
      words.push_back(line.substr(0, line.find_first_of(space)));
      line.remove_prefix(words.back().size());
    }
  }

  void add_line(std::string_view line, std::size_t number) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (number == 1 && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());
    const auto words = words_of(line);
    if (words.empty()) return;
    if (words.size() < 3 || words.size() > 4)
      refuse(number, "has " + std::to_string(words.size()) + " words; write: model prompt answer [cached]");
    const auto amount = [&](std::size_t word) {
      const auto parsed = money::parse(words[word]);
      if (!parsed) refuse(number, quoted(words[word]) + " is not a price; write a decimal number like 0.15");
      return *parsed;
    };
    model_price price{.prompt = amount(1), .answer = amount(2)};
    if (words.size() == 4) price.cached_prompt = amount(3);
    if (!prices_.emplace(words[0], price).second) refuse(number, quoted(words[0]) + " has a price already; remove one");
  }

  std::map<std::string, model_price, std::less<>> prices_;
};

}  // namespace felix::inline v1
