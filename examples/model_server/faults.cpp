// SPDX-License-Identifier: MIT
// model_server: faults on the command line, and the choice among them.
#include "model_server/faults.hpp"

#include "model_server/prose.hpp"  // random_numbers

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace model_server {

namespace {

struct description {
  std::string_view name;
  std::string_view arguments;  // other than first, every and rate, which all have
  std::string_view text;
};

constexpr std::array<description, fault_kinds> descriptions{{
    {"refuse", "", "the connection is closed before any byte"},
    {"reset", "after", "RST before any byte, or after so many tokens"},
    {"stall", "after", "headers and so many tokens (0), then silence until the client leaves"},
    {"drip", "ms", "byte after byte, so many ms (5) apart"},
    {"truncate", "after orderly",
     "the body ends after so many tokens (half); orderly: a stream's proper end, too early"},
    {"garbage", "", "200 with bytes that are neither JSON nor server-sent events"},
    {"rate-limit", "ms", "429 with x-ratelimit-* and Retry-After (1000 ms, rounded up to seconds)"},
    {"loading", "", "503 \"Loading model\" like llama.cpp, without Retry-After"},
    {"slow-start", "ms", "so many ms (60000) more until the first token, a stream's headers at once"},
    {"error-in-stream", "after done", "so many tokens (3), then an error event; done: and [DONE], like vLLM"},
    {"no-usage", "", "no usage anywhere"},
    {"no-done", "", "finish_reason, but no [DONE]"},
    {"split-utf8", "ms", "characters of several bytes in pieces that end inside of them, so many ms (1) apart"},
    {"overflow", "", "400 exceed_context_size_error with n_prompt_tokens and n_ctx"},
    {"bad-key", "", "401 invalid_api_key"},
}};
static_assert(static_cast<std::size_t>(fault_kind::bad_key) + 1 == fault_kinds);

const description& described(fault_kind kind) noexcept { return descriptions[static_cast<std::size_t>(kind)]; }

bool takes(fault_kind kind, std::string_view argument) noexcept {
  return described(kind).arguments.find(argument) != std::string_view::npos;
}

std::string arguments_of(fault_kind kind) {
  std::string list = "first, every, rate";
  for (const char* own : {"after", "ms", "orderly", "done"})
    if (takes(kind, own)) list += std::string{", "} + own;
  return list;
}

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw std::invalid_argument{"model_server: fault \"" + std::string{text} + "\": " + why};
}

template <class Number>
Number number(std::string_view text, std::string_view name, std::string_view value) {
  Number result{};
  const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (value.empty() || failure != std::errc{} || end != value.data() + value.size())
    refuse(text, std::string{name} + " needs a number, has \"" + std::string{value} + "\"");
  return result;
}

fault_kind parse_kind(std::string_view text, std::string_view name) {
  for (std::size_t i = 0; i < descriptions.size(); ++i)
    if (descriptions[i].name == name) return static_cast<fault_kind>(i);
  std::string all;
  for (const auto& each : descriptions) all += (all.empty() ? "" : ", ") + std::string{each.name};
  refuse(text, "no such kind; there are " + all);
}

void set(fault& chosen, std::string_view text, std::string_view argument) {
  const std::size_t equals = argument.find('=');
  const std::string_view name = argument.substr(0, equals);
  const bool has_value = equals != std::string_view::npos;
  const std::string_view value = has_value ? argument.substr(equals + 1) : std::string_view{};
  const bool is_word = name == "orderly" || name == "done";
  const bool known = name == "first" || name == "every" || name == "rate" || name == "after" || name == "ms" || is_word;
  const bool common = name == "first" || name == "every" || name == "rate";
  if (!known || (!common && !takes(chosen.kind, name)))
    refuse(text, "no argument \"" + std::string{name} + "\"; " + std::string{name_of(chosen.kind)} + " takes " +
                     arguments_of(chosen.kind));
  if (is_word && has_value) refuse(text, std::string{name} + " takes no value");
  if (name == "first") {
    chosen.first = number<int>(text, name, value);
    if (chosen.first < 1) refuse(text, "first must be at least 1; leave it out for all requests");
  } else if (name == "every") {
    chosen.every = number<int>(text, name, value);
  } else if (name == "rate") {
    chosen.rate = number<double>(text, name, value);
  } else if (name == "after") {
    chosen.after = number<int>(text, name, value);
  } else if (name == "ms") {
    chosen.ms = std::chrono::milliseconds{number<std::int64_t>(text, name, value)};
  } else {
    (name == "orderly" ? chosen.orderly : chosen.done) = true;
  }
}

void check_as(std::string_view text, const fault& chosen) {
  const auto require = [&](bool fine, const char* what) {
    if (!fine) refuse(text, what);
  };
  constexpr std::chrono::milliseconds longest = std::chrono::hours{24};
  require(chosen.first >= 0, "first must not be negative");
  require(chosen.every >= 1, "every must be at least 1");
  require(chosen.rate >= 0 && chosen.rate <= 1, "rate must be from 0 to 1");
  require(chosen.after.value_or(0) >= 0, "after must not be negative");
  require(chosen.ms.value_or(longest).count() >= 0 && chosen.ms.value_or(longest) <= longest,
          "ms must be from 0 to 86400000, a day");
  require(!chosen.after || takes(chosen.kind, "after"), "after has no meaning for it");
  require(!chosen.ms || takes(chosen.kind, "ms"), "ms has no meaning for it");
  require(!chosen.orderly || takes(chosen.kind, "orderly"), "orderly has no meaning for it");
  require(!chosen.done || takes(chosen.kind, "done"), "done has no meaning for it");
}

}  // namespace

std::string_view name_of(fault_kind kind) noexcept { return described(kind).name; }

fault parse_fault(std::string_view text) {
  constexpr std::string_view separators = ":,";
  std::size_t end = text.find_first_of(separators);
  fault chosen{.kind = parse_kind(text, text.substr(0, end))};
  while (end != std::string_view::npos) {
    const std::size_t begin = end + 1;
    end = text.find_first_of(separators, begin);
    set(chosen, text, text.substr(begin, end == std::string_view::npos ? end : end - begin));
  }
  check_as(text, chosen);
  return chosen;
}

void check(const fault& chosen) { check_as(name_of(chosen.kind), chosen); }

std::string fault_help() {
  constexpr std::size_t column = 18;
  std::string text = "Faults, for POST /v1/chat/completions only:\n";
  for (const auto& each : descriptions) {
    text += "  " + std::string{each.name} + std::string(column - each.name.size(), ' ') + std::string{each.text};
    if (!each.arguments.empty()) text += " [" + std::string{each.arguments} + "]";
    text += "\n";
  }
  return text +
         "Arguments follow after colons or commas, in brackets those of one kind. All take\n"
         "  first=N           only the first N chat requests\n"
         "  every=N           each N-th\n"
         "  rate=P            at random, by the seed\n"
         "and without them they hit every chat request. For example\n"
         "  --fault rate-limit:first=2 --fault stall:after=10:every=3 --fault truncate:orderly,rate=0.1";
}

namespace detail {

const fault* fault_for(std::span<const fault> faults, std::int64_t number, std::uint64_t seed, bool stream) noexcept {
  for (std::size_t i = 0; i < faults.size(); ++i) {
    const fault& each = faults[i];
    const bool streams_only =
        each.kind == fault_kind::no_done || each.kind == fault_kind::error_in_stream || each.orderly;
    if (streams_only && !stream) continue;
    if (each.first > 0 && number > each.first) continue;
    if (number % each.every != 0) continue;
    random_numbers mixed{seed};
    random_numbers drawn{mixed.next() + 1000 * static_cast<std::uint64_t>(number) + i};
    constexpr int mantissa = std::numeric_limits<double>::digits;
    if (std::ldexp(static_cast<double>(drawn.next() >> (64 - mantissa)), -mantissa) >= each.rate) continue;
    return &each;
  }
  return nullptr;
}

}  // namespace detail
}  // namespace model_server
