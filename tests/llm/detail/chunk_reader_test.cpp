// SPDX-License-Identifier: MIT
#include <felix/llm/detail/chunk_reader.hpp>

#include "support/catch.hpp"

#include <string>
#include <string_view>
#include <utility>
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
  // OpenRouter's end, though what failed is not said.
  CHECK_THROWS_AS(chunks.read(chunk("{}", R"(,"finish_reason":"error")"), false), felix::api_error);
  CHECK_THROWS_AS(chunks.read("no json", false), felix::error);
  CHECK(chunks.read(R"({"unknown":1})", false).empty());
}

TEST_CASE("chunk_reader: a byte that is no part of a code point is read as U+FFFD", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  CHECK(chunks.read(chunk("{\"content\":\"a\xFFz\"}"), false).at(0).text() == "a\xEF\xBF\xBDz");
  CHECK(chunks.read(chunk("{\"content\":\"\xE6\x9D!\"}"), false).at(0).text() == "\xEF\xBF\xBD\xEF\xBF\xBD!");
  CHECK(chunks.read(chunk("{\"content\":\"\xE6\x9D\xB1\"}"), false).at(0).text() == "\xE6\x9D\xB1");
  CHECK(whole.text() == "a\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD!\xE6\x9D\xB1");
  CHECK_THROWS_WITH(chunks.read("{\"error\":{\"message\":\"boom\xFF\"}}", false),
                    ContainsSubstring("boom\xEF\xBF\xBD"));
  CHECK(std::string_view{chunks.failure("{\"message\":\"boom\xFF\"}").what()}.find("boom\xEF\xBF\xBD") !=
        std::string_view::npos);
  CHECK_THROWS_WITH(chunks.read("{\xFF}", false), ContainsSubstring("no JSON"));
}

TEST_CASE("chunk_reader: a character that two chunks have halves of is one", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const std::string face = "\xF0\x9F\x98\x80";
  CHECK(chunks.read(chunk(R"({"content":"hi \ud83d"})"), false).at(0).text() == "hi ");
  CHECK(chunks.read(chunk(R"({"reasoning":"\ud83d"})"), false).empty());  // its own, and nothing to tell yet
  CHECK(chunks.read(chunk(R"({"refusal":"\ud83d"})"), false).empty());
  CHECK(chunks.read(chunk(R"({"role":"assistant","content":""})"), false).empty());
  CHECK(chunks.contents() == 1);
  CHECK(chunks.read(chunk(R"({"content":"\ude00 there"})"), false).at(0).text() == face + " there");
  CHECK(chunks.read(chunk(R"({"reasoning":"\ude00"})"), false).at(0).reasoning() == face);
  CHECK(chunks.read(chunk(R"({"refusal":"\ude00"})"), false).at(0).refusal() == face);
  CHECK(chunks.read(chunk("{\"content\":\"\xE6\x9D\"}"), false).empty());
  CHECK(chunks.read(chunk("{\"content\":\"\xB1\"}"), false).at(0).text() == "\xE6\x9D\xB1");
  CHECK(whole.text() == "hi " + face + " there\xE6\x9D\xB1");
  CHECK(whole.reasoning() == face);
  CHECK(whole.refusal() == face);
}

TEST_CASE("chunk_reader: halves belong together by choice and by call", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const auto of = [&](int choice, std::string_view delta) {
    return chunks.read(
        R"({"choices":[{"index":)" + std::to_string(choice) + R"(,"delta":)" + std::string{delta} + "}]}", false);
  };
  CHECK(of(0, R"({"content":"\ud83d"})").empty());
  CHECK(of(1, R"({"content":"\ud83e"})").empty());
  CHECK(of(0, R"({"content":"\ude00"})").at(0).text() == "\xF0\x9F\x98\x80");
  CHECK(of(1, R"({"content":"\udd10"})").at(0).text() == "\xF0\x9F\xA4\x90");
  of(1, R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"\"\ud83d"}}]})");
  of(1, R"({"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"\"\ud83d"}}]})");
  CHECK(
      of(1, R"({"tool_calls":[{"index":0,"function":{"arguments":"\ude00\""}}]})").at(0).tool_calls().at(0).arguments ==
      "\xF0\x9F\x98\x80\"");
  CHECK(whole.choices().at(1).tool_calls.at(0).arguments == "\"\xF0\x9F\x98\x80\"");
  CHECK(whole.choices().at(1).tool_calls.at(1).arguments == "\"");
}

TEST_CASE("chunk_reader: private use is itself where nothing is cut, whatever else is", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const std::string last = "\xF4\x8F\xBF\xBF";  // is the mark of \udfff, too
  CHECK(
      chunks
          .read(R"({"seed":123456789012345678901234567890,"choices":[{"delta":{"content":")" + last + R"("}}]})", false)
          .at(0)
          .text() == last);
  CHECK(chunks.read(chunk(R"({"content":"\ud83d"})"), false).empty());
  const auto& other =
      chunks.read(R"({"choices":[{"index":1,"delta":{"content":")" + last +
                      R"(","tool_calls":[{"id":"c","function":{"name":"f","arguments":")" + last + R"("}}]}}]})",
                  false);
  CHECK(other.at(0).text() == last);
  CHECK(other.at(0).tool_calls().at(0).arguments == last);
  CHECK(chunks.read(chunk(R"({"content":")" + last + R"("})"), false).at(0).text() == "\xEF\xBF\xBD" + last);
}

TEST_CASE("chunk_reader: an answer of half a character has begun when it has ended", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  CHECK(chunks.read(chunk(R"({"content":"\ud83d"})"), false).empty());
  CHECK(chunks.contents() == 0);
  CHECK(chunks.read(chunk("{}", R"(,"finish_reason":"length")"), false).size() == 1);
  CHECK(chunks.contents() == 1);
}

TEST_CASE("chunk_reader: half a character at the end is U+FFFD", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const std::string unknown = "\xEF\xBF\xBD";
  CHECK(chunks.read(chunk(R"({"content":"a\ud83d"})"), false).at(0).text() == "a");
  SECTION("of a choice") {
    const auto& last = chunks.read(chunk("{}", R"(,"finish_reason":"length")"), false);
    REQUIRE(last.size() == 1);
    CHECK(last[0].text() == unknown);
    CHECK(chunks.contents() == 1);
    CHECK(chunks.finish().empty());
  }
  SECTION("of the stream, in each string of each choice") {
    chunks.read(R"({"choices":[{"index":1,"delta":{"reasoning":"\ud83d","refusal":"\ud83d"}}]})", false);
    chunks.read(chunk(R"({"tool_calls":[{"index":1,"id":"c","function":{"name":"f","arguments":"{\ud83d"}}]})"), false);
    const auto& last = chunks.finish();
    REQUIRE(last.size() == 2);
    CHECK(last[0].text() == unknown);
    CHECK(last[0].tool_calls().at(0).index == 1);
    CHECK(last[0].tool_calls().at(0).arguments == unknown);
    CHECK(last[1].choice() == 1);
    CHECK(last[1].reasoning() == unknown);
    CHECK(last[1].refusal() == unknown);
    CHECK(whole.tool_calls().at(1).arguments == "{" + unknown);
    CHECK(whole.choices()[1].reasoning == unknown);
    CHECK(whole.choices()[1].refusal == unknown);
    CHECK(chunks.finish().empty());
  }
  CHECK(whole.text() == "a" + unknown);
}

TEST_CASE("chunk_reader: half a character in what comes at once is U+FFFD, and a long number is read",
          "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const std::string unknown = "\xEF\xBF\xBD";
  chunks.read(
      R"({"id":"\ud83d","model":"\ud83d","choices":[{"delta":{"tool_calls":[{"id":"\ud83d","function":{"name":"\ud83d"}}]},"logprobs":{"content":[{"token":"\ud83d","logprob":-1,"top_logprobs":[{"token":"\ude00","logprob":-1}]}]}}]})",
      false);
  CHECK(whole.id() == unknown);
  CHECK(whole.model() == unknown);
  CHECK(whole.tool_calls().at(0).id == unknown);
  CHECK(whole.tool_calls().at(0).name == unknown);
  CHECK(whole.logprobs().at(0).token == unknown);
  CHECK(whole.logprobs().at(0).alternatives.at(0).first == unknown);
  CHECK(chunks.read(R"({"seed":123456789012345678901234567890,"choices":[{"delta":{"content":"!"}}]})", false)
            .at(0)
            .text() == "!");
  CHECK_THROWS_WITH(chunks.read(R"({"error":{"message":"boom \ud83d"},"seed":123456789012345678901234567890})", false),
                    ContainsSubstring("boom " + unknown));
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

TEST_CASE("chunk_reader: the first name of model and answer stays", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chunks.read(R"({"choices":[]})", false);
  chunks.read(R"({"id":"i","model":"m","choices":[]})", false);
  chunks.read(R"({"id":"other","model":"","choices":[]})", false);
  chunks.read(R"({"id":"","model":"other","choices":[]})", false);
  CHECK(whole.id() == "i");
  CHECK(whole.model() == "m");
}

TEST_CASE("chunk_reader: nothing is finished that has not begun or not said so", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  CHECK_FALSE(chunks.is_finished());
  CHECK(chunks.read(R"({"choices":[]})", false).empty());
  CHECK_FALSE(chunks.is_finished());
  chunks.read(R"({"choices":[{"index":2,"delta":{"content":"c"},"finish_reason":"stop"}]})", false);
  CHECK_FALSE(chunks.is_finished());  // 0 and 1 are expected
  REQUIRE(whole.choices().size() == 3);
  CHECK(whole.choices()[0].finish_reason == felix::finish_reason::other);
  CHECK(whole.choices()[1].finish_reason == felix::finish_reason::other);
  CHECK(whole.choices()[2].finish_reason == felix::finish_reason::stop);
  chunks.read(R"({"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":"new"}]})", false);
  CHECK(chunks.is_finished());
  CHECK(whole.choices()[1].finish_reason == felix::finish_reason::other);
}

TEST_CASE("chunk_reader: choices and calls have their bounds", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "a-server", "a-key"};
  CHECK_NOTHROW(chunks.read(R"({"choices":[{"index":127,"delta":{"content":"x"}}]})", false));
  CHECK_THROWS_WITH(chunks.read(R"({"choices":[{"index":128,"x":"a-key","delta":{}}]})", false),
                    ContainsSubstring("a-server sent a choice that was not asked for") && !ContainsSubstring("a-key"));
  CHECK_NOTHROW(chunks.read(chunk(R"({"tool_calls":[{"index":255,"id":"z"}]})"), false));
  CHECK_THROWS_WITH(chunks.read(chunk(R"({"tool_calls":[{"index":256,"id":"a-key"}]})"), false),
                    ContainsSubstring("more tool calls") && !ContainsSubstring("a-key"));
  CHECK(whole.tool_calls().size() == 256);
  CHECK_THROWS_WITH(chunks.read("no a-key", false), ContainsSubstring("It begins: no [API key]"));
}

TEST_CASE("chunk_reader: pieces of a call without index and id go on with the last one", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chunks.read(chunk(R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]})"), false);
  chunks.read(chunk(R"({"tool_calls":[{"id":"a","function":{"arguments":"}"}}]})"), false);  // it is the same
  chunks.read(chunk(R"({"tool_calls":[{"id":"b","function":{"name":"g"}}]})"), false);
  CHECK(chunks.read(chunk(R"({"tool_calls":[{"function":{"arguments":"{\"x\""}}]})"), false)
            .at(0)
            .tool_calls()
            .at(0)
            .index == 1);
  chunks.read(chunk(R"({"tool_calls":[{"id":"","function":{"name":"","arguments":":1}"}}]})"), false);
  CHECK(whole.tool_calls() == std::vector<felix::tool_call>{{"a", "f", "{}"}, {"b", "g", "{\"x\":1}"}});

  chat_response other;
  chunk_reader without_ids{other, "s"};
  without_ids.read(chunk(R"({"tool_calls":[{"function":{"name":"f"}},{"function":{"name":"g"}}]})"), false);
  without_ids.read(chunk(R"({"tool_calls":[{"function":{"arguments":"1"}},{"function":{"arguments":"2"}}]})"), false);
  CHECK(other.tool_calls() == std::vector<felix::tool_call>{{"", "f", "1"}, {"", "g", "2"}});  // by their positions
}

TEST_CASE("chunk_reader: without an index a call is found by its id, then by its position", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const auto calls = [&](std::string_view several) {
    return chunks.read(chunk(R"({"tool_calls":[)" + std::string{several} + "]}"), false).at(0).tool_calls();
  };
  calls(R"({"id":"A","function":{"name":"a","arguments":""}},{"id":"B","function":{"name":"b","arguments":""}})");
  const auto by_id = calls(R"({"id":"B","function":{"arguments":"{2"}},{"id":"A","function":{"arguments":"{1"}})");
  REQUIRE(by_id.size() == 2);
  CHECK(by_id[0].index == 1);
  CHECK(by_id[1].index == 0);
  calls(R"({"function":{"arguments":","}},{"function":{"arguments":";"}})");
  calls(R"({"id":"A","function":{"arguments":"1"}})");
  calls(R"({"function":{"arguments":"}"}})");
  REQUIRE(whole.tool_calls().size() == 2);
  CHECK(whole.tool_calls()[0].arguments == "{1,1");
  CHECK(whole.tool_calls()[1].arguments == "{2;}");
}

TEST_CASE("chunk_reader: usage that says less does not replace what was said", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const auto sent = [&](std::string_view usage) {
    chunks.read(R"({"choices":[],"usage":)" + std::string{usage} + "}", false);
    return chunks.usage().value();
  };
  CHECK(sent(R"({"prompt_tokens":5})").prompt_tokens == 5);
  CHECK(sent("{}").prompt_tokens == 5);
  CHECK(sent(R"({"prompt_tokens":6})").prompt_tokens == 6);
  CHECK(sent(R"({"prompt_tokens":7,"completion_tokens":2})").total_tokens == 9);
  CHECK(sent("{}").total_tokens == 9);
  CHECK(sent(R"({"prompt_tokens":8})").prompt_tokens == 7);
  CHECK(sent(R"({"prompt_tokens":9,"completion_tokens":3})").total_tokens == 12);
}

TEST_CASE("chunk_reader: a delta has what is new, and nothing else is one", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chunks.read(chunk(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]})"), false);
  const auto& again =
      chunks.read(chunk(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]})"), false);
  REQUIRE(again.size() == 1);
  CHECK(again[0].tool_calls().at(0).id.empty());  // it is known
  CHECK(again[0].tool_calls().at(0).name.empty());
  CHECK(again[0].tool_calls().at(0).arguments == "{}");
  CHECK(chunks.contents() == 2);
  for (const char* nothing :
       {R"({"content":""})", R"({"content":null})", "{}", R"({"role":"assistant"})", R"({"tool_calls":[]})",
        R"({"tool_calls":[{"index":0}]})", R"({"tool_calls":[{"index":0,"id":"a","function":{"arguments":""}}]})",
        R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}}]})",
        R"({"content":7,"reasoning":[],"refusal":{}})"}) {
    CAPTURE(nothing);
    CHECK(chunks.read(chunk(nothing), false).empty());
  }
  CHECK(chunks.contents() == 2);
  CHECK(whole.tool_calls() == std::vector<felix::tool_call>{{"a", "f", "{}"}});
  CHECK(chunks.read(chunk(R"({"refusal":"no"})"), false).at(0).refusal() == "no");
  CHECK(whole.refusal() == "no");
}

TEST_CASE("chunk_reader: a failure after content has another kind", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  const char* const busy = R"({"error":{"message":"busy","code":503}})";
  CHECK(to_string(chunks.failure(busy).kind()) == to_string(felix::error_kind::overloaded));
  chunks.read(chunk(R"({"role":"assistant","content":""})"), false);
  CHECK(to_string(chunks.failure(busy).kind()) == to_string(felix::error_kind::overloaded));
  chunks.read(chunk(R"({"content":"x"})"), false);
  CHECK(to_string(chunks.failure(busy).kind()) == to_string(felix::error_kind::truncated_stream));
}

TEST_CASE("chunk_reader: an object that calls itself an error and has choices is an answer", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  CHECK(chunks.read(R"({"object":"error","choices":[{"delta":{"content":"x"}}]})", false).at(0).text() == "x");
  CHECK(chunks.read(R"({"error":null,"choices":[{"delta":{"content":"y"}}]})", false).at(0).text() == "y");
  CHECK_THROWS_AS(chunks.read(R"({"error":{},"choices":[{"delta":{"content":"z"}}]})", false), felix::api_error);
}

TEST_CASE("chunk_reader: how likely the tokens were is put together", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  for (const char* token : {"a", "b"})
    chunks.read(chunk(R"({"content":"x"})",
                      R"(,"logprobs":{"content":[{"token":")" + std::string{token} + R"(","logprob":-1}]})"),
                false);
  REQUIRE(whole.logprobs().size() == 2);
  CHECK(whole.logprobs()[1].token == "b");
}

TEST_CASE("chunk_reader: of a whole answer, what is empty is no delta", "[llm][chunk_reader]") {
  chat_response whole;
  chunk_reader chunks{whole, "s"};
  chat_response answer{""};
  answer.choice(2).text = "c";
  answer.usage({.prompt_tokens = 1, .completion_tokens = 2, .total_tokens = 3});
  const auto& deltas = chunks.read_whole(std::move(answer));
  REQUIRE(deltas.size() == 1);
  CHECK(deltas[0].choice() == 2);
  CHECK(chunks.is_finished());
  REQUIRE(chunks.usage());
  CHECK(chunks.usage()->total_tokens == 3);
}

TEST_CASE("chunk_reader: what a server says in between of its tokens is there at once", "[llm][chunk_reader]") {
  chat_response llama;
  chunk_reader counting{llama, "s"};
  counting.read(R"({"choices":[{"delta":{"content":"a"}}],"timings":{"predicted_n":3}})", false);
  CHECK(llama.usage().completion_tokens == 3);
  counting.read(R"({"choices":[{"delta":{"content":"b"}}],"timings":{"predicted_n":2}})", false);
  CHECK(llama.usage().completion_tokens == 3);
  counting.read(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}})", false);
  CHECK(llama.usage().total_tokens == 14);
  counting.read(R"({"choices":[],"timings":{"predicted_n":90}})", false);
  CHECK(llama.usage().total_tokens == 14);
  CHECK(counting.usage()->total_tokens == 14);

  chat_response vllm;
  chunk_reader stats{vllm, "s"};
  stats.read(R"({"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}})", false);
  CHECK(vllm.usage().completion_tokens == 1);
  CHECK(vllm.usage().prompt_tokens == 9);
}
