// SPDX-License-Identifier: MIT
#include <felix/llm/detail/request_body.hpp>

#include <felix/llm/codec.hpp>
#include "support/catch.hpp"

#include <string>
#include <string_view>
#include <utility>

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

std::string encode(const felix::chat_request& request, std::string_view model = "m",
                   const felix::dialect& spoken = felix::dialects::plain) {
  return felix::detail::request_body::of(request, spoken, model, false);
}

}  // namespace

TEST_CASE("request_body: what is written can be read back by the parser", "[llm][request_body]") {
  std::string text;
  for (unsigned char c = 0; c < 128; ++c) text += static_cast<char>(c);
  text += "ß€🙂";
  const auto body =
      encode(felix::chat_request{}.system(text).user("u\"").temperature(0.1).max_tokens(7).seed(3), "model\"x");
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  REQUIRE(parser.parse(body).get(root) == simdjson::SUCCESS);
  std::string_view got;
  REQUIRE(root["messages"].at(0)["content"].get(got) == simdjson::SUCCESS);
  CHECK(got == text);
  REQUIRE(root["model"].get(got) == simdjson::SUCCESS);
  CHECK(got == "model\"x");
  CHECK(root["temperature"].get_double().value() == 0.1);
  CHECK(root["max_tokens"].get_int64().value() == 7);
  CHECK(root["seed"].get_int64().value() == 3);
  CHECK(root["stream"].get_bool().value() == false);
}

TEST_CASE("request_body: what was not asked for is not sent, and no messages are refused", "[llm][request_body]") {
  const auto body = encode(felix::chat_request{}.user("x"), "m");
  CHECK(body == R"({"model":"m","messages":[{"role":"user","content":"x"}],"stream":false})");
  CHECK_THAT(encode(felix::chat_request{}.user("x").model("other"), "m"), ContainsSubstring(R"("model":"other")"));
  CHECK_THROWS_AS(encode(felix::chat_request{}, "m"), felix::error);
}

TEST_CASE("request_body: roles, pictures, calls and their results", "[llm][request_body]") {
  const auto picture = felix::image::from_url("https://example.org/cat.png");
  CHECK_THAT(
      encode(felix::chat_request{}.user("What is this?", picture, "And this?")),
      ContainsSubstring(
          R"("content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"https://example.org/cat.png"}},{"type":"text","text":"And this?"}])"));
  CHECK_THAT(encode(felix::chat_request{}.user("", picture)), ContainsSubstring(R"("content":[{"type":"image_url")"));
  const auto body = encode(felix::chat_request{}
                               .user("weather?")
                               .assistant("", {{"c1", "weather", ""}})
                               .tool_result("c1", "sunny")
                               .tool({"weather", "Current weather", R"({"type":"object"})"}));
  CHECK_THAT(
      body,
      ContainsSubstring(
          R"({"role":"assistant","content":null,"tool_calls":[{"type":"function","id":"c1","function":{"name":"weather","arguments":"{}"}}]})") &&
          ContainsSubstring(R"({"role":"tool","content":"sunny","tool_call_id":"c1"})") &&
          ContainsSubstring(
              R"("tools":[{"type":"function","function":{"name":"weather","description":"Current weather","parameters":{"type":"object"}}}])"));
  CHECK(felix::codec::is_json(body));
}

TEST_CASE("request_body: each field that was set, and none else", "[llm][request_body]") {
  const auto all = encode(felix::chat_request{}
                              .user("x")
                              .top_p(0.5)
                              .presence_penalty(-1)
                              .frequency_penalty(1)
                              .stop("END")
                              .stop("\n")
                              .logprobs(3)
                              .json_schema("answer", R"({"type":"object"})")
                              .extra("min_p", "0.05")
                              .with(felix::llama_cpp::id_slot{2})
                              .with(felix::llama_cpp::cache_prompt{false}));
  for (
      const char* part :
      {R"("top_p":0.5)", R"("presence_penalty":-1)", R"("frequency_penalty":1)", R"("stop":["END","\n"])",
       R"("logprobs":true,"top_logprobs":3)",
       R"("response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object"}}})",
       R"("min_p":0.05)", R"("id_slot":2)", R"("cache_prompt":false)"})
    CHECK_THAT(all, ContainsSubstring(part));
  CHECK(felix::codec::is_json(all));
  CHECK_THAT(encode(felix::chat_request{}.user("x").json_object()),
             ContainsSubstring(R"("response_format":{"type":"json_object"})"));
}

TEST_CASE("request_body: dialects differ where their servers do", "[llm][request_body]") {
  const auto request = felix::chat_request{}.user("x").max_tokens(5).reasoning_effort("low").end_user("u").priority(
      felix::request_priority::urgent);
  const auto open = encode(request, "m", felix::dialects::openai);
  CHECK_THAT(open, ContainsSubstring(R"("max_completion_tokens":5)") &&
                       ContainsSubstring(R"("reasoning_effort":"low")") && ContainsSubstring(R"("user":"u")") &&
                       !ContainsSubstring("priority"));
  const auto plain = encode(request);
  CHECK_THAT(plain, ContainsSubstring(R"("max_tokens":5)") && !ContainsSubstring("reasoning_effort") &&
                        !ContainsSubstring(R"("user":"u")"));
  felix::dialect scheduling = felix::dialects::vllm;
  scheduling.priority = true;
  CHECK_THAT(encode(request, "m", scheduling), ContainsSubstring(R"("priority":0)"));
  CHECK_THAT(encode(felix::chat_request{}.user("x").priority(felix::request_priority::low), "m", scheduling),
             ContainsSubstring(R"("priority":30)"));
}

TEST_CASE("request_body: a tool chosen by name, where servers know that and where they do not", "[llm][request_body]") {
  const auto request = felix::chat_request{}.user("x").tool({"f"}).tool({"g"}).tool_choice("g");
  CHECK_THAT(encode(request, "m", felix::dialects::openai),
             ContainsSubstring(R"("name":"f")") &&
                 ContainsSubstring(R"("tool_choice":{"type":"function","function":{"name":"g"}})"));
  CHECK_THAT(encode(request, "m", felix::dialects::llama_cpp),
             !ContainsSubstring(R"("name":"f")") && ContainsSubstring(R"("tool_choice":"required")"));
  for (const auto& spoken : {felix::dialects::openai, felix::dialects::llama_cpp})
    CHECK_THROWS_WITH(
        encode(felix::chat_request{}.user("x").tool({"f"}).tool({"g"}).tool_choice("h"), "m", spoken),
        ContainsSubstring(R"(tool_choice names "h", which is not offered)") && ContainsSubstring("name one of: f, g"));
  CHECK_THAT(encode(felix::chat_request{}.user("x").tool({"f"}).tool_choice(felix::tool_mode::none)),
             ContainsSubstring(R"("tool_choice":"none")"));
}

TEST_CASE("request_body: a stream asks for its usage", "[llm][request_body]") {
  const auto streamed = [](const felix::dialect& spoken) {
    return felix::detail::request_body::of(felix::chat_request{}.user("x"), spoken, "m", true);
  };
  CHECK_THAT(streamed(felix::dialects::plain),
             ContainsSubstring(R"("stream":true,"stream_options":{"include_usage":true}})"));
  CHECK_THAT(streamed(felix::dialects::vllm), ContainsSubstring(R"("continuous_usage_stats":true)"));
  CHECK_THAT(streamed(felix::dialects::llama_cpp), ContainsSubstring(R"("timings_per_token":true)"));
}

TEST_CASE("request_body: what is empty, and what is not quite", "[llm][request_body]") {
  const auto said = encode(felix::chat_request{}.user("").assistant("I look", {{"c1", "f", "{}"}}).assistant(""));
  CHECK_THAT(said, ContainsSubstring(R"({"role":"user","content":""},)") &&
                       ContainsSubstring(R"({"role":"assistant","content":"I look","tool_calls":[)") &&
                       ContainsSubstring(R"({"role":"assistant","content":""}])") &&
                       !ContainsSubstring("tool_call_id") && !ContainsSubstring("null"));
  CHECK_THAT(encode(felix::chat_request{}.user("x").logprobs()),
             ContainsSubstring(R"("logprobs":true,"stream")"));  // none but the token's own
  CHECK_THAT(encode(felix::chat_request{}.user("x").tool({"f"})),
             ContainsSubstring(R"("tools":[{"type":"function","function":{"name":"f"}}],"stream")"));
  CHECK_THAT(encode(felix::chat_request{}.user("x").reasoning_effort("").end_user(""), "m", felix::dialects::openai),
             !ContainsSubstring("reasoning_effort") && !ContainsSubstring("user\":\"\""));
}

TEST_CASE("request_body: several of a kind, with commas between them", "[llm][request_body]") {
  const auto body = encode(felix::chat_request{}
                               .user("x")
                               .assistant("", {{"c1", "f", R"({"a":1})"}, {"c2", "g", ""}})
                               .tool({"f"})
                               .tool({"g", "\"quoted\""})
                               .extra("a\"b", "[1,2]")
                               .extra("c", "null"));
  CHECK(felix::codec::is_json(body));
  CHECK_THAT(body, ContainsSubstring(R"("arguments":"{\"a\":1}"}},{"type":"function","id":"c2")") &&
                       ContainsSubstring(R"({"name":"f"}},{"type":"function","function":{"name":"g","description":)") &&
                       ContainsSubstring(R"(,"a\"b":[1,2],"c":null)"));
}

TEST_CASE("request_body: which tool has to be called", "[llm][request_body]") {
  const auto two = felix::chat_request{}.user("x").tool({"f"}).tool({"g"});
  CHECK_THAT(encode(two), !ContainsSubstring("tool_choice"));
  for (const auto& spoken : {felix::dialects::openai, felix::dialects::llama_cpp}) {
    auto any = two;
    CHECK_THAT(encode(any.tool_choice(felix::tool_mode::required), "m", spoken),
               ContainsSubstring(R"("tool_choice":"required")") && ContainsSubstring(R"("name":"f")") &&
                   ContainsSubstring(R"("name":"g")"));
    CHECK_THAT(encode(any.tool_choice(felix::tool_mode::automatic), "m", spoken),
               ContainsSubstring(R"("tool_choice":"auto")"));
  }
}

TEST_CASE("request_body: how many answers, and how strict a schema", "[llm][request_body]") {
  const auto with = [](int n) {
    return felix::detail::request_body::of(felix::chat_request{}.user("x"), felix::dialects::openai, "m", false, n);
  };
  CHECK_THAT(with(1), !ContainsSubstring(R"("n":)"));
  CHECK_THAT(with(3), ContainsSubstring(R"(,"n":3,)"));
  CHECK_THAT(encode(felix::chat_request{}.user("x").json_schema("s", "{}", false)),
             ContainsSubstring(R"("strict":false,"schema":{})"));
}

TEST_CASE("request_body: only a stream asks for what comes with its chunks", "[llm][request_body]") {
  for (const auto& spoken : {felix::dialects::vllm, felix::dialects::llama_cpp, felix::dialects::plain})
    CHECK_THAT(encode(felix::chat_request{}.user("x"), "m", spoken),
               !ContainsSubstring("stream_options") && !ContainsSubstring("timings_per_token"));
  CHECK_THAT(felix::detail::request_body::of(felix::chat_request{}.user("x"), felix::dialects::plain, "m", true),
             !ContainsSubstring("continuous_usage_stats") && !ContainsSubstring("timings_per_token") &&
                 !ContainsSubstring(R"("stream":false)"));
}

TEST_CASE("request_body: a call that has to be made needs a tool", "[llm][request_body]") {
  const auto with = [](auto choice) { return felix::chat_request{}.user("x").tool_choice(choice); };
  for (const auto& spoken : {felix::dialects::openai, felix::dialects::llama_cpp}) {
    CHECK_THROWS_WITH(encode(with("h"), "m", spoken),
                      ContainsSubstring(R"(tool_choice names "h", but no tool is offered; add one with tool())"));
    CHECK_THROWS_WITH(encode(with(felix::tool_mode::required), "m", spoken),
                      ContainsSubstring("tool_choice requires a call, but no tool is offered"));
    for (const auto mode : {felix::tool_mode::automatic, felix::tool_mode::none})
      CHECK_THAT(encode(with(mode), "m", spoken), !ContainsSubstring("tool_choice"));
  }
  try {
    encode(with("h"));
    FAIL("was not refused");
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::make_error_code(felix::errc::invalid_argument));
    CHECK(to_string(refused.kind()) == to_string(felix::error_kind::bad_request));
  }
}

TEST_CASE("request_body: an extra field takes the place of what felix would write", "[llm][request_body]") {
  felix::dialect spoken = felix::dialects::openai;
  spoken.priority = spoken.timings = true;
  const auto all = felix::chat_request{}
                       .user("x")
                       .temperature(1)
                       .top_p(1)
                       .presence_penalty(1)
                       .frequency_penalty(1)
                       .seed(1)
                       .stop("1")
                       .logprobs(1)
                       .tool({"f"})
                       .tool_choice("f")
                       .json_object()
                       .reasoning_effort("1")
                       .end_user("1");
  const auto stream = [&](const felix::chat_request& request) {
    return felix::detail::request_body::of(request, spoken, "m", true);
  };
  for (const std::string name : {"model", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed",
                                 "stop", "logprobs", "tools", "tool_choice", "response_format", "reasoning_effort",
                                 "user", "priority", "timings_per_token", "top_logprobs"}) {
    CAPTURE(name);
    const auto as_key = "\"" + name + "\":";
    const auto ours = stream(all);
    CHECK_THAT(ours, ContainsSubstring(as_key));
    auto replaced = all;
    const auto body = stream(replaced.extra(name, "\"first\"").extra(name, R"({"theirs":[1]})"));
    CHECK(felix::codec::is_json(body));
    CHECK_THAT(body, ContainsSubstring(as_key + R"({"theirs":[1]})") && !ContainsSubstring("first"));
    CHECK(body.find(as_key) == body.rfind(as_key));
    CHECK_THAT(body, StartsWith("{\"m") && !ContainsSubstring(",,"));
  }
}

TEST_CASE("request_body: tools that felix does not know can be chosen", "[llm][request_body]") {
  const auto theirs = R"([{"type":"web_search"}])";
  for (const auto& spoken : {felix::dialects::openai, felix::dialects::llama_cpp}) {
    auto request = felix::chat_request{}.user("x").extra("tools", theirs);
    CHECK_THAT(encode(request.tool_choice(felix::tool_mode::required), "m", spoken),
               ContainsSubstring(R"(,"tool_choice":"required")"));
    CHECK_THAT(encode(request.tool_choice("web_search"), "m", spoken),
               ContainsSubstring(R"("tool_choice":{"type":"function","function":{"name":"web_search"}})"));
    const auto chosen = encode(felix::chat_request{}.user("x").tool({"f"}).tool({"g"}).tool_choice("h").extra(
                                   "tool_choice", R"({"type":"allowed_tools"})"),
                               "m", spoken);
    CHECK_THAT(chosen, ContainsSubstring(R"("name":"f")") && ContainsSubstring(R"("name":"g")"));
  }
}

TEST_CASE("request_body: an extra field does not change what felix goes by", "[llm][request_body]") {
  for (const auto& [name, instead] : {std::pair<std::string, std::string>{"messages", "user()"},
                                      {"max_tokens", "use max_tokens()"},
                                      {"max_completion_tokens", "use max_tokens()"},
                                      {"n_predict", "use max_tokens()"},
                                      {"n", "use n()"},
                                      {"n_cmpl", "use n()"},
                                      {"Max_Tokens", "use max_tokens()"},
                                      {"N", "use n()"},
                                      {"stream", "complete() or stream()"},
                                      {"stream_options", "the usage itself"}}) {
    CAPTURE(name);
    for (const auto& spoken : {felix::dialects::openai, felix::dialects::plain}) {
      CHECK_THROWS_WITH(encode(felix::chat_request{}.user("x").extra(name, "7"), "m", spoken),
                        ContainsSubstring("the extra field \"" + name + "\" is one that felix goes by") &&
                            ContainsSubstring(instead));
    }
  }
  CHECK_THAT(encode(felix::chat_request{}.user("x").extra("n_probs", "7").extra("m", "1")),
             ContainsSubstring(R"("n_probs":7,"m":1)"));  // others
  felix::dialect other;
  other.max_tokens_field = "max_output_tokens";
  const auto request = felix::chat_request{}.user("x").extra("max_output_tokens", "7");
  CHECK_THROWS_WITH(encode(request, "m", other), ContainsSubstring("use max_tokens()"));
  CHECK_THAT(encode(request), ContainsSubstring(R"("max_output_tokens":7)"));
}
