// SPDX-License-Identifier: MIT
#include <felix/llm/detail/answer_reader.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::finish_reason;
using felix::token_usage;
using felix::codec::detail::element;
namespace reader = felix::codec::detail;

namespace {

element json(std::string_view text) {
  const auto root = reader::parse(text);
  REQUIRE(root);
  return *root;
}

token_usage usage(std::string_view text) { return reader::usage_of(json(text)); }

}  // namespace

TEST_CASE("answer_reader: why an answer ended, in the words of each server", "[llm][answer_reader]") {
  for (const auto& [word, reason] : {std::pair{"stop", finish_reason::stop},
                                     {"length", finish_reason::length},
                                     {"content_filter", finish_reason::content_filter},
                                     {"tool_calls", finish_reason::tool_calls},
                                     {"function_call", finish_reason::tool_calls},  // OpenAI, formerly
                                     {"load", finish_reason::other},                // Ollama
                                     {"unload", finish_reason::other},
                                     {"error", finish_reason::other},  // OpenRouter
                                     {"STOP", finish_reason::other},
                                     {"stopped", finish_reason::other},
                                     {"", finish_reason::other}}) {
    CAPTURE(word);
    CHECK(to_string(reader::finish_reason_of(word)) == to_string(reason));
  }
}

TEST_CASE("answer_reader: reasoning under either name", "[llm][answer_reader]") {
  CHECK(reader::reasoning_of(json(R"({"reasoning_content":"a"})")) == "a");
  CHECK(reader::reasoning_of(json(R"({"reasoning":"b"})")) == "b");
  CHECK(reader::reasoning_of(json(R"({"reasoning":"b","reasoning_content":"a"})")) == "a");
  CHECK(reader::reasoning_of(json(R"({"reasoning":"b","reasoning_content":null})")) == "b");
  CHECK(reader::reasoning_of(json(R"({"reasoning":"b","reasoning_content":""})")) == "b");
  CHECK(reader::reasoning_of(json(R"({"reasoning":{"text":"b"}})")).empty());
  CHECK(reader::reasoning_of(json("{}")).empty());
}

TEST_CASE("answer_reader: arguments are a text that holds JSON, or the JSON itself", "[llm][answer_reader]") {
  CHECK(reader::arguments_of(json(R"({"arguments":"{\"a\": 1}"})")) == R"({"a": 1})");
  CHECK(reader::arguments_of(json(R"({"arguments":"{\"a"})")) == R"({"a)");  // a model may end in the middle
  CHECK(reader::arguments_of(json(R"({"arguments":{"a": 1, "b": [true, null]}})")) == R"({"a":1,"b":[true,null]})");
  CHECK(reader::arguments_of(json(R"({"arguments":{}})")) == "{}");
  CHECK(reader::arguments_of(json(R"({"arguments":[1, 2]})")) == "[1,2]");
  CHECK(reader::arguments_of(json(R"({"arguments":7})")) == "7");
  CHECK(reader::arguments_of(json(R"({"arguments":""})")).empty());
  CHECK(reader::arguments_of(json(R"({"arguments":null})")).empty());
  CHECK(reader::arguments_of(json("{}")).empty());
}

TEST_CASE("answer_reader: usage is what both counts say", "[llm][answer_reader]") {
  CHECK(usage(R"({"prompt_tokens":3,"completion_tokens":4,"total_tokens":7})") ==
        token_usage{.prompt_tokens = 3, .completion_tokens = 4, .total_tokens = 7});
  CHECK(usage(R"({"prompt_tokens":0,"completion_tokens":0})") == token_usage{});
  CHECK(usage(R"({"prompt_tokens":3,"completion_tokens":4})").total_tokens == 7);
  CHECK(usage(R"({"prompt_tokens":3,"completion_tokens":4,"total_tokens":9})").total_tokens == 9);
  CHECK(usage(R"({"prompt_tokens":3,"completion_tokens":4,"total_tokens":1})").total_tokens == 7);
  CHECK(usage(R"({"prompt_tokens":3,"completion_tokens":4,"total_tokens":-1})").total_tokens == 7);
}

TEST_CASE("answer_reader: usage of which a part is missing is an estimate", "[llm][answer_reader]") {
  CHECK(usage("{}") == token_usage{.estimated = true});
  CHECK(usage(R"({"prompt_tokens":3})") == token_usage{.prompt_tokens = 3, .total_tokens = 3, .estimated = true});
  CHECK(usage(R"({"completion_tokens":4,"prompt_tokens":null})") ==
        token_usage{.completion_tokens = 4, .total_tokens = 4, .estimated = true});
  CHECK(usage(R"({"total_tokens":7})") == token_usage{.total_tokens = 7, .estimated = true});
  CHECK(usage(R"({"prompt_tokens":"3","completion_tokens":"4"})") == token_usage{.estimated = true});
  CHECK(usage(R"({"prompt_tokens":-3,"completion_tokens":4})").prompt_tokens == 0);
  CHECK(usage(R"({"prompt_tokens":1e18,"completion_tokens":4})").total_tokens == 4);
  CHECK(usage("[]").estimated);
  CHECK(usage("7").estimated);
}

TEST_CASE("answer_reader: cached and reasoning tokens are parts, never more than the whole", "[llm][answer_reader]") {
  const auto with = [](std::string_view prompt_details, std::string_view completion_details) {
    return usage(R"({"prompt_tokens":30,"completion_tokens":40,"prompt_tokens_details":)" +
                 std::string{prompt_details} + R"(,"completion_tokens_details":)" + std::string{completion_details} +
                 "}");
  };
  const auto both = with(R"({"cached_tokens":20})", R"({"reasoning_tokens":39})");
  CHECK(both.cached_prompt_tokens == 20);
  CHECK(both.reasoning_tokens == 39);
  CHECK(both.total_tokens == 70);
  const auto more = with(R"({"cached_tokens":31})", R"({"reasoning_tokens":41})");
  CHECK(more.cached_prompt_tokens == 30);
  CHECK(more.reasoning_tokens == 40);
  const auto none = with("null", R"({"reasoning_tokens":null})");
  CHECK(none.cached_prompt_tokens == 0);
  CHECK(none.reasoning_tokens == 0);
  CHECK_FALSE(none.estimated);
}

TEST_CASE("answer_reader: llama.cpp's own times", "[llm][answer_reader]") {
  const auto times = [](std::string_view text) {
    felix::chat_response answer;
    reader::read_timings(json(text), answer);
    return answer.timing_of_server();
  };
  const auto both = times(R"({"timings":{"prompt_n":6,"prompt_ms":1.5,"predicted_ms":2000}})");
  REQUIRE(both);
  CHECK(both->prompt == 1'500us);
  CHECK(both->generated == 2s);
  const auto odd = times(R"({"timings":{"prompt_ms":-4,"predicted_ms":1e300}})");
  REQUIRE(odd);
  CHECK(odd->prompt == 0ns);
  CHECK(odd->generated == 1'000'000s);
  CHECK(times(R"({"timings":{"prompt_ms":"1"}})")->prompt == 0ns);
  CHECK_FALSE(times(R"({"timings":null})"));
  CHECK_FALSE(times("{}"));
}

TEST_CASE("answer_reader: how likely each token was", "[llm][answer_reader]") {
  std::vector<felix::token_logprob> read;
  reader::read_logprobs(json(R"({"logprobs":{"content":[)"
                             R"({"token":"a","logprob":-0.5,"top_logprobs":[{"token":"a","logprob":-0.5},{"token":"b",)"
                             R"("logprob":-9999}]},{"token":"c","logprob":-1}]}})"),
                        read);
  reader::read_logprobs(json(R"({"logprobs":{"content":[{"token":null,"logprob":null,"top_logprobs":null}]}})"), read);
  REQUIRE(read.size() == 3);
  CHECK(read[0].token == "a");
  CHECK(read[0].logprob == -0.5);
  CHECK(read[0].alternatives == std::vector<std::pair<std::string, double>>{{"a", -0.5}, {"b", -9999}});
  CHECK(read[1].token == "c");
  CHECK(read[1].alternatives.empty());
  CHECK(read[2].token.empty());
  CHECK(read[2].logprob == 0);
  for (const char* none : {"{}", R"({"logprobs":null})", R"({"logprobs":{}})", R"({"logprobs":{"content":null}})",
                           R"({"logprobs":[]})", R"({"logprobs":{"content":[]}})"}) {
    CAPTURE(none);
    reader::read_logprobs(json(none), read);
    CHECK(read.size() == 3);
  }
}
