// SPDX-License-Identifier: MIT
#include <felix/llm/detail/chunk_reader.hpp>

#include "support/catch.hpp"

#include <string>
#include <string_view>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using felix::chat_delta;
using felix::chat_response;
using felix::codec::chunk_reader;

namespace {

// One chunk of choice 0.
std::string chunk(std::string_view delta, std::string_view more = "") {
  return R"({"choices":[{"index":0,"delta":)" + std::string{delta} + std::string{more} + "}]}";
}

}  // namespace

TEST_CASE("chunk_reader: text and reasoning are joined, under either name", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  CHECK(
      chunks
          .read(R"({"id":"i","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null}}]})", false)
          .empty());
  CHECK(chunks.read(chunk(R"({"reasoning_content":"hm"})"), false).at(0).reasoning() == "hm");
  CHECK(chunks.read(chunk(R"({"reasoning":"m"})"), false).at(0).reasoning() == "m");
  CHECK(chunks.read(chunk(R"({"content":"a"})"), false).at(0).text() == "a");
  CHECK_FALSE(chunks.is_finished());
  CHECK(chunks.read(chunk(R"({"content":"b"})", R"(,"finish_reason":"length")"), false).at(0).text() == "b");
  CHECK(chunks.is_finished());
  CHECK(whole.text() == "ab");
  CHECK(whole.reasoning() == "hmm");
  CHECK(whole.id() == "i");
  CHECK(whole.model() == "m");
  CHECK(whole.finish_reason() == felix::finish_reason::length);
  CHECK(chunks.contents() == 4);
}

TEST_CASE("chunk_reader: choices come interleaved, and each ends by itself", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  CHECK(chunks.read(R"({"choices":[{"index":1,"delta":{"content":"b"}}]})", false).at(0).choice() == 1);
  chunks.read(R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]})", false);
  CHECK_FALSE(chunks.is_finished());
  chunks.read(R"({"choices":[{"index":1,"delta":{},"finish_reason":"length"}]})", false);
  CHECK(chunks.is_finished());
  REQUIRE(whole.choices().size() == 2);
  CHECK(whole.choices()[0].text == "a");
  CHECK(whole.choices()[1].text == "b");
  CHECK(whole.choices()[1].finish_reason == felix::finish_reason::length);
  CHECK_THROWS_AS(chunks.read(R"({"choices":[{"index":128,"delta":{"content":"x"}}]})", false), felix::error);
}

TEST_CASE("chunk_reader: tool calls are put together from their pieces", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chunks.read(chunk(R"({"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":""}}]})"), false);
  chunks.read(chunk(R"({"tool_calls":[{"index":0,"function":{"name":"","arguments":"{\"a\":"}}]})"), false);
  chunks.read(chunk(R"({"tool_calls":[{"index":1,"id":"c2","function":{"name":"g","arguments":"{}"}}]})"), false);
  chunks.read(chunk(R"({"tool_calls":[{"index":0,"function":{"name":"f","arguments":"1}"}}]})"), false);
  CHECK(whole.tool_calls() == std::vector<felix::tool_call>{{"c1", "f", "{\"a\":1}"}, {"c2", "g", "{}"}});
}

TEST_CASE("chunk_reader: whole tool calls without an index are told apart by their ids", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chunks.read(
      chunk(
          R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}},{"id":"b","function":{"name":"g"}}]})"),
      false);
  CHECK(whole.tool_calls() == std::vector<felix::tool_call>{{"a", "f", "{\"x\":1}"}, {"b", "g", ""}});
  CHECK_THROWS_AS(chunks.read(chunk(R"({"tool_calls":[{"index":256,"id":"z"}]})"), false), felix::error);
}

TEST_CASE("chunk_reader: usage is what was said last, and timings are read", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chunks.read(chunk(R"({"content":"a"})"), false);
  CHECK_FALSE(chunks.usage());
  chunks.read(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}})", false);
  chunks.read(R"({"choices":[],"usage":null})", false);
  chunks.read(
      R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":9}},"timings":{"prompt_ms":1.5,"predicted_ms":2}})",
      false);
  REQUIRE(chunks.usage());
  CHECK(chunks.usage()->total_tokens == 5);
  CHECK(chunks.usage()->cached_prompt_tokens == 2);
  CHECK(chunks.usage()->reasoning_tokens == 2);  // never more than there are
  REQUIRE(whole.timing_of_server());
  CHECK(whole.timing_of_server()->prompt == std::chrono::microseconds{1500});
}

TEST_CASE("chunk_reader: errors in the stream are told from answers", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s", "sk-hidden"};
  for (const char* data :
       {R"({"error":{"message":"boom sk-hidden","code":500}})", R"({"error":"boom"})",
        R"({"object":"error","message":"boom"})",
        R"({"choices":[{"index":0,"delta":{},"finish_reason":"error"}],"error":{"message":"boom"}})"}) {
    CAPTURE(data);
    CHECK_THROWS_WITH(chunks.read(data, false), ContainsSubstring("boom") && !ContainsSubstring("sk-hidden"));
  }
  CHECK_THROWS_AS(chunks.read("no json", false), felix::error);
  CHECK(chunks.read(R"({"unknown":1})", false).empty());
}

TEST_CASE("chunk_reader: a whole answer is its own delta", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chat_response answer{"text"};
  answer.choice(0).tool_calls.push_back({"c", "f", "{}"});
  const auto& deltas = chunks.read_whole(std::move(answer));
  REQUIRE(deltas.size() == 1);
  CHECK(deltas[0].text() == "text");
  CHECK(deltas[0].tool_calls().at(0).name == "f");
  CHECK(chunks.is_finished());
  CHECK(whole.text() == "text");
}
