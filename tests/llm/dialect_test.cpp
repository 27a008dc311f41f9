// SPDX-License-Identifier: MIT
#include <felix/llm/dialect.hpp>

#include "support/catch.hpp"

#include <string>
#include <utility>

TEST_CASE("dialect: settings of one kind of server become its fields", "[llm][dialect]") {
  const auto request = felix::chat_request{}
                           .with(felix::llama_cpp::id_slot{2})
                           .with(felix::llama_cpp::cache_prompt{false})
                           .with(felix::vllm::priority{-3})
                           .with(felix::lm_studio::ttl{60});
  using field = std::pair<std::string, std::string>;
  CHECK(request.extra() ==
        std::vector<field>{{"id_slot", "2"}, {"cache_prompt", "false"}, {"priority", "-3"}, {"ttl", "60"}});
}

TEST_CASE("dialect: what no server but one has is not in the plain one", "[llm][dialect]") {
  CHECK(felix::dialects::plain == felix::dialect{});
  CHECK(felix::dialects::ollama.max_tokens_field == "max_tokens");  // ignores max_completion_tokens: no limit at all
  CHECK_FALSE(felix::dialects::llama_cpp.many_answers);             // counts the first only
  CHECK_FALSE(felix::dialects::vllm.priority);                      // an error without its scheduling policy
}
