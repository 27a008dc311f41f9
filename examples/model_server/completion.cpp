// SPDX-License-Identifier: MIT
// model_server: the choices of an answer.
#include "model_server/completion.hpp"

#include "model_server/made_up.hpp"

#include <algorithm>
#include <cstddef>

namespace model_server::detail {

namespace {

constexpr std::size_t bytes_per_token = 4;

std::size_t most_bytes(const chat_call& call) {
  constexpr std::int64_t more_than_any_text = 1'000'000;
  return bytes_per_token *
         static_cast<std::size_t>(std::min(call.asked.max_tokens.value_or(more_than_any_text), more_than_any_text));
}

void cut_to(choice& given, std::size_t bytes) {
  const std::size_t kept = cut_to_bytes(given.text, bytes).size();
  given.cut = given.cut || kept < given.text.size();
  given.text.resize(kept);
}

// A server generates at least one token to find that nothing follows.
void count(choice& given) { given.completion_tokens = std::max(1, count_tokens(given.text)); }

void stop_at(choice& given, const std::vector<std::string>& words) {
  std::size_t end = std::string::npos;
  for (const auto& word : words) end = std::min(end, given.text.find(word));
  if (end == std::string::npos) return;
  given.text.resize(end);
  given.cut = false;
}

choice call_of(const tool& called, const chat_call& call, random_numbers& random) {
  choice given{.text = made_up(called.parameters, random).dump(), .tool = called.name};
  if (given.text == "null" || !given.text.starts_with('{')) given.text = "{}";  // arguments are an object
  cut_to(given, most_bytes(call) - bytes_per_token);
  given.completion_tokens = 1 + count_tokens(given.text);
  return given;
}

choice choice_of(const chat_call& call, const request& asked, std::uint64_t server_seed) {
  random_numbers random{seed_of(asked, server_seed)};
  if (call.called) return call_of(*call.called, call, random);
  choice given;
  if (call.schema || call.json_object) {
    const ordered_json value = call.schema
                                   ? made_up(*call.schema, random)
                                   : ordered_json{{"answer", phrases::gains[random.below(phrases::gains.size())]}};
    given.text = value.dump();
    cut_to(given, most_bytes(call));
  } else {
    answer simulated = simulate(asked, server_seed);
    given.text = std::move(simulated.text);
    given.cut = simulated.cut;
  }
  stop_at(given, call.stop);
  count(given);
  return given;
}

}  // namespace

std::string_view choice::piece(int token) const noexcept {
  const int first = is_call() ? 1 : 0;
  if (token < first) return {};
  const auto until = [&](int tokens) {
    return cut_to_bytes(text, bytes_per_token * static_cast<std::size_t>(tokens)).size();
  };
  const std::size_t begin = until(token - first);
  return std::string_view{text}.substr(begin, until(token - first + 1) - begin);
}

completion complete(const chat_call& call, std::uint64_t server_seed) {
  completion result{.prompt_tokens = count_prompt_tokens(call.asked.messages) + call.other_prompt_tokens};
  request asked = call.asked;
  for (int i = 0; i < call.choices; ++i) {
    asked.choice = static_cast<std::uint32_t>(i);
    result.choices.push_back(choice_of(call, asked, server_seed));
  }
  return result;
}

void add_wide_characters(choice& to, const chat_call& call) {
  if (call.called || call.schema || call.json_object) return;  // it would not be JSON any more
  to.text.insert(0, "Naïve “量子” 🐝🐝 — ");
  cut_to(to, most_bytes(call));
  count(to);
}

}  // namespace model_server::detail
