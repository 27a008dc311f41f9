// SPDX-License-Identifier: MIT
// model_server: the JSON of the other paths: models, props, stats, tokens, embeddings.
#pragma once

#include "model_server/model_server.hpp"

#include <string>
#include <string_view>

namespace model_server::detail {

inline constexpr std::string_view model_name = "felix-simulated";

[[nodiscard]] std::string models_json();
/// llama.cpp's, as far as a client needs it.
[[nodiscard]] std::string props_json(const options& chosen);
[[nodiscard]] std::string stats_json(const stats& counted);

/// llama.cpp's: {"content": text} gives {"tokens": [number, …]}, one for each four bytes.
/// Throws: api_failure (400).
[[nodiscard]] std::string tokenize_json(std::string_view body);

struct embedding_answer {
  std::string body{};
  int tokens = 0;
};
/// Unit vectors of 64 dimensions, or of the first `dimensions` of them: texts that share words are near to each other.
/// Throws: api_failure (400).
[[nodiscard]] embedding_answer embeddings_json(std::string_view body);

}  // namespace model_server::detail
