// SPDX-License-Identifier: MIT
// llm: which server it is, by what it shows of itself.
#pragma once

#include <felix/llm/codec.hpp>
#include <felix/llm/dialect.hpp>
#include <felix/llm/retry_hint.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace felix::inline v1 {

/// What a server is, as far as it shows. Of what it says, 1,024 slots and 10⁹ tokens of context are the most that count.
struct server_info {
  felix::dialect dialect = dialects::plain;
  std::size_t slots = 0;           ///< how many requests it works on at once; 0: it does not say
  token_count context_tokens = 0;  ///< what one request may use of the context; 0: it does not say
};

/// By the headers and the models of an answer to GET /models; plain for a server that is like none of them.
template <header_source Headers>
[[nodiscard]] dialect dialect_of(const Headers& headers, const std::vector<model_info>& models) {
  const auto owned_by = [&](std::string_view owner) {
    return std::any_of(models.begin(), models.end(), [&](const model_info& each) { return each.owned_by == owner; });
  };
  if (headers.header("server").starts_with("llama.cpp") || owned_by("llamacpp")) return dialects::llama_cpp;
  if (owned_by("vllm")) return dialects::vllm;
  if (owned_by("library")) return dialects::ollama;
  if (owned_by("organization_owner")) return dialects::lm_studio;
  for (const std::string_view name : {"openai-processing-ms", "openai-version", "x-ratelimit-limit-requests"}) {
    if (!headers.header(name).empty()) return dialects::openai;
  }
  return dialects::plain;
}

namespace codec {
namespace detail {

[[nodiscard]] constexpr std::size_t believed_slots(token_count said) noexcept {
  return static_cast<std::size_t>(std::clamp<token_count>(said, 0, 1'024));  // as many as a gradient_limit can allow
}
[[nodiscard]] constexpr token_count believed_context(token_count said) noexcept {
  return std::clamp<token_count>(said, 0, 1'000'000'000);
}

}  // namespace detail

/// What llama.cpp says in the body of GET /props; without slots for a body that is none of its.
[[nodiscard]] inline server_info decode_props(std::string_view body) {
  server_info info;
  const auto root = detail::parse(body);
  const auto slots = root ? detail::count_of(*root, "total_slots") : std::nullopt;
  if (!slots || *slots == 0) return info;
  info.dialect = dialects::llama_cpp;
  info.slots = detail::believed_slots(*slots);
  if (const auto settings = detail::member(*root, "default_generation_settings"))
    info.context_tokens = detail::believed_context(detail::count_of(*settings, "n_ctx").value_or(0));
  return info;
}

/// What LM Studio says in the body of GET /api/v1/models, of the model of that id, else of the first that is loaded;
/// the plain dialect for a body that is none of its.
[[nodiscard]] inline server_info decode_lm_studio_models(std::string_view body, std::string_view model) {
  server_info info;
  const auto root = detail::parse(body);
  const auto models = root ? detail::array_of(*root, "models") : std::nullopt;
  if (!models) return info;
  for (const detail::element each : *models) {
    const auto instances = detail::array_of(each, "loaded_instances");
    if (!instances) continue;  // Ollama, too, has a list of models
    info.dialect = dialects::lm_studio;
    const bool is_it = detail::view_of(each, "key") == model;
    if (info.slots != 0 && !is_it) continue;
    for (const detail::element instance : *instances) {
      const auto config = detail::member(instance, "config");
      if (!config) continue;
      constexpr token_count by_default = 4;
      info.slots = detail::believed_slots(detail::count_of(*config, "parallel").value_or(by_default));
      info.context_tokens = detail::believed_context(detail::count_of(*config, "context_length").value_or(0));
      break;
    }
  }
  return info;
}

}  // namespace codec
}  // namespace felix::inline v1
