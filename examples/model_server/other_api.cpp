// SPDX-License-Identifier: MIT
// model_server: what is not a chat.
#include "model_server/other_api.hpp"

#include "model_server/hash.hpp"
#include "model_server/json_fields.hpp"
#include "model_server/prose.hpp"  // random_numbers
#include "model_server/simulated_model.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace model_server::detail {

namespace {

constexpr std::size_t all_dimensions = 64;
constexpr std::size_t most_inputs = 2'048;  // OpenAI's

// A random direction of the word's own.
void add_direction(std::array<double, all_dimensions>& sum, std::string_view word) {
  hash seed;
  seed.add(word);
  random_numbers random{seed.value()};
  constexpr std::size_t steps = 20'001;
  for (double& each : sum) each += static_cast<double>(random.below(steps)) / 10'000 - 1;
}

// That of the whole text too, so that no vector is zero and no two texts are the same.
std::vector<float> embedding(std::string_view text, std::size_t dimensions) {
  std::array<double, all_dimensions> sum{};
  add_direction(sum, text);
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) add_direction(sum, word);
    word.clear();
  };
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool inside =
        upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) > 127;
    if (inside)
      word += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else
      end_word();
  }
  end_word();
  double square = 0;
  for (std::size_t i = 0; i < dimensions; ++i) square += sum[i] * sum[i];
  std::vector<float> unit;
  for (std::size_t i = 0; i < dimensions; ++i) unit.push_back(static_cast<float>(sum[i] / std::sqrt(square)));
  return unit;
}

// RFC 4648, §4, of the floats in little-endian order.
std::string base64(const std::vector<float>& numbers) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<unsigned char> bytes;
  for (const float each : numbers)
    for (unsigned shift = 0; shift < 32; shift += 8)
      bytes.push_back(static_cast<unsigned char>(std::bit_cast<std::uint32_t>(each) >> shift & 0xFFU));
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) { return at < bytes.size() ? bytes[at] : 0U; };
    const std::uint32_t three = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
    const std::size_t given = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 4; ++j) text += j <= given ? alphabet[three >> (18 - 6 * j) & 0x3FU] : '=';
  }
  return text;
}

std::vector<std::string> read_inputs(const json& root) {
  const json* const input = field(root, "input");
  if (input == nullptr) refuse("input", "missing; a string or a list of strings is required");
  const json list = input->is_array() ? *input : json::array({*input});
  if (list.empty() || list.size() > most_inputs)
    refuse("input", "must be 1 to 2048 texts, is " + std::to_string(list.size()));
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = input->is_array() ? "input[" + std::to_string(i) + "]" : "input";
    if (!list[i].is_string() || list[i].get_ref<const std::string&>().empty())
      refuse(where, "must be a string that is not empty; lists of token numbers are not understood");
    texts.push_back(list[i].get<std::string>());
  }
  return texts;
}

}  // namespace

std::string models_json() {
  const ordered_json model{{"id", model_name}, {"object", "model"}, {"created", 0}, {"owned_by", "felix"}};
  return ordered_json{{"object", "list"}, {"data", ordered_json::array({model})}}.dump();
}

std::string props_json(const options& chosen) {
  return ordered_json{{"default_generation_settings", {{"n_ctx", chosen.context_tokens}}},
                      {"total_slots", chosen.slots},
                      {"n_ctx", chosen.context_tokens},
                      {"model_alias", model_name}}
      .dump();
}

std::string stats_json(const stats& counted) {
  ordered_json by_kind = ordered_json::object();
  for (std::size_t i = 0; i < fault_kinds; ++i)
    if (counted.faults_by_kind[i] > 0)
      by_kind[std::string{name_of(static_cast<fault_kind>(i))}] = counted.faults_by_kind[i];
  return ordered_json{{"requests", counted.requests},
                      {"prompt_tokens", counted.prompt_tokens},
                      {"completion_tokens", counted.completion_tokens},
                      {"total_tokens", counted.total_tokens},
                      {"max_in_flight", counted.max_in_flight},
                      {"in_flight", counted.in_flight},
                      {"slots_busy", counted.slots_busy},
                      {"waiting", counted.waiting},
                      {"cancelled", counted.cancelled},
                      {"faults", counted.faults},
                      {"faults_by_kind", std::move(by_kind)},
                      {"embedding_tokens", counted.embedding_tokens}}
      .dump();
}

std::string tokenize_json(std::string_view body) {
  const std::string content = required_string(parse_object(body), "content", "content");
  ordered_json tokens = ordered_json::array();
  for (std::size_t at = 0; at < content.size(); at += 4) {
    hash number;
    number.add(std::string_view{content}.substr(at, 4));
    constexpr std::uint64_t vocabulary = 32'000;
    tokens.push_back(number.value() % vocabulary);
  }
  ordered_json answer;
  answer["tokens"] = std::move(tokens);
  return answer.dump();
}

embedding_answer embeddings_json(std::string_view body) {
  const json root = parse_object(body);
  const std::vector<std::string> texts = read_inputs(root);
  const auto dimensions = integer(root, "dimensions").value_or(all_dimensions);
  if (dimensions < 1 || dimensions > static_cast<std::int64_t>(all_dimensions))
    refuse("dimensions", "must be from 1 to 64, is " + std::to_string(dimensions));
  const json* const format = field(root, "encoding_format");
  if (format != nullptr && *format != "float" && *format != "base64")
    refuse("encoding_format", "must be \"float\" or \"base64\"");
  embedding_answer result;
  ordered_json data = ordered_json::array();
  for (const std::string& text : texts) {
    const auto vector = embedding(text, static_cast<std::size_t>(dimensions));
    ordered_json item{{"object", "embedding"}, {"index", data.size()}};
    if (format != nullptr && *format == "base64")
      item["embedding"] = base64(vector);
    else
      item["embedding"] = vector;
    data.push_back(std::move(item));
    result.tokens += count_tokens(text);
  }
  result.body = ordered_json{{"object", "list"},
                             {"data", std::move(data)},
                             {"model", model_name},
                             {"usage", {{"prompt_tokens", result.tokens}, {"total_tokens", result.tokens}}}}
                    .dump();
  return result;
}

}  // namespace model_server::detail
