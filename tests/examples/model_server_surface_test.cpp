// SPDX-License-Identifier: MIT
// examples: the model server's whole surface: choices, stops, tools, images, schemas, logprobs.
#include "model_server/model_server.hpp"

#include "examples/model_server_socket.hpp"
#include "model_server/made_up.hpp"
#include "model_server/simulated_model.hpp"

#include <cmath>
#include <set>
#include <string>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using felix::test::bees;
using felix::test::chat;
using felix::test::eventually;
using felix::test::http_socket;
using model_server::count_tokens;
using model_server::server;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

const model_server::options fast{.speed = 1000};
constexpr int prompt = 3 + 4 + 4;

json user(const json& content) { return {{"messages", {{{"role", "user"}, {"content", content}}}}}; }

json tool(const std::string& name, const json& parameters) {
  return {{"type", "function"}, {"function", {{"name", name}, {"parameters", parameters}}}};
}

const json weather_schema = json::parse(R"({"type":"object","required":["city","days","unit"],"properties":{
    "city":{"type":"string"},"days":{"type":"integer","minimum":2,"maximum":5},
    "unit":{"enum":["celsius","kelvin"]},"detail":{"type":"string"}}})");
const json both_tools = json::array({tool("clock", {{"type", "object"}}), tool("get_weather", weather_schema)});

void check_weather(const std::string& arguments) {
  const auto value = nlohmann::ordered_json::parse(arguments);
  CHECK(value.size() == 3);
  CHECK(value.begin().key() == "city");
  CHECK(value["city"].is_string());
  CHECK((value["days"].is_number_integer() && value["days"] >= 2 && value["days"] <= 5));
  CHECK((value["unit"] == "celsius" || value["unit"] == "kelvin"));
}

void merge(json& into, const json& more) { into.update(more); }

std::string message_of(const felix::test::http_bytes& got) { return got.content()["error"]["message"]; }

}  // namespace

// ---- order ----------------------------------------------------------------------------------------------------------

TEST_CASE("model_server surface: a stream's headers and role come with the slot, its tokens after the latency",
          "[examples][model_server][surface]") {
  const server server{{.slots = 1, .latency = 24h}};
  const std::string body = bees({{"stream", true}}).dump();
  http_socket first{server, "POST", "/v1/chat/completions", body};
  CHECK(first.read_until("\"role\":\"assistant\"").status() == 200);
  http_socket second{server, "POST", "/v1/chat/completions", body};
  REQUIRE(eventually(server, [](const auto& now) { return now.waiting == 1; }));
  {
    http_socket third{server, "POST", "/v1/chat/completions", body};
    REQUIRE(eventually(server, [](const auto& now) { return now.waiting == 2; }));
  }
  first.shut_sending_side();  // gives its slot back
  CHECK(second.read_until("\"role\":\"assistant\"").status() == 200);
  CHECK(server.snapshot().completion_tokens == 0);
  CHECK(server.snapshot().slots_busy == 1);
}

// ---- choices and stops ----------------------------------------------------------------------------------------------

TEST_CASE("model_server surface: n choices, each another text", "[examples][model_server][surface]") {
  const server server{fast};
  const json one = chat(server).content();
  const json three = chat(server, {{"n", 3}}).content();
  REQUIRE(three["choices"].size() == 3);
  CHECK(three["choices"][0] == one["choices"][0]);
  std::set<std::string> texts;
  int tokens = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(three["choices"][i]["index"] == i);
    const std::string text = three["choices"][i]["message"]["content"];
    texts.insert(text);
    tokens += count_tokens(text);
  }
  CHECK(texts.size() == 3);
  CHECK(three["usage"] ==
        json{{"prompt_tokens", prompt}, {"completion_tokens", tokens}, {"total_tokens", prompt + tokens}});
  const auto now = server.snapshot();
  CHECK(now.requests == 2);
  CHECK(now.completion_tokens == tokens + one["usage"]["completion_tokens"].get<int>());
  CHECK(now.slots_busy == 0);

  const auto streamed = chat(server, {{"n", 3}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  CHECK(streamed.is_done());
  std::vector<std::string> streamed_texts(3);
  std::vector<int> ends(3);
  for (const auto& each : streamed.events()) {
    for (const auto& choice : each["choices"]) {
      const auto index = choice["index"].get<std::size_t>();
      CHECK(ends.at(index) == 0);  // nothing follows its finish_reason
      streamed_texts[index] += choice["delta"].value("content", "");
      ends[index] += choice["finish_reason"].is_null() ? 0 : 1;
    }
  }
  for (std::size_t i = 0; i < 3; ++i) CHECK(three["choices"][i]["message"]["content"] == streamed_texts[i]);
  CHECK(ends == std::vector{1, 1, 1});
  CHECK(streamed.events().back()["usage"] == three["usage"]);
}

TEST_CASE("model_server surface: each choice takes a slot", "[examples][model_server][surface]") {
  const server server{{.slots = 3, .latency = 24h}};
  CHECK_THAT(message_of(chat(server, {{"n", 4}})), ContainsSubstring("from 1 to 3"));
  CHECK_THAT(message_of(chat(server, {{"n", 0}})), ContainsSubstring("from 1 to 3"));
  http_socket two{server, "POST", "/v1/chat/completions", bees({{"n", 2}}).dump()};
  REQUIRE(eventually(server, [](const auto& now) { return now.slots_busy == 2; }));
  http_socket another_two{server, "POST", "/v1/chat/completions", bees({{"n", 2}}).dump()};
  REQUIRE(eventually(server, [](const auto& now) { return now.waiting == 1; }));
  http_socket one{server, "POST", "/v1/chat/completions", bees().dump()};
  REQUIRE(eventually(server, [](const auto& now) { return now.waiting == 2; }));  // though a slot is free
  CHECK(server.snapshot().slots_busy == 2);
  CHECK(server.snapshot().in_flight == 3);
  another_two.shut_sending_side();
  REQUIRE(eventually(server, [](const auto& now) { return now.waiting == 0; }));
  CHECK(server.snapshot().slots_busy == 3);
  two.shut_sending_side();
  REQUIRE(eventually(server, [](const auto& now) { return now.in_flight == 1; }));
  CHECK(server.snapshot().slots_busy == 1);
}

TEST_CASE("model_server surface: stop ends the text before the first of its words",
          "[examples][model_server][surface]") {
  const server server{fast};
  const std::string text = chat(server).content()["choices"][0]["message"]["content"];
  REQUIRE(text.size() > 80);
  const std::string early = text.substr(20, 6), late = text.substr(60, 9);
  const auto end = std::min(text.find(early), text.find(late));
  for (const json& stop : {json(early), json{late, early, "never said"}}) {
    const json answer = chat(server, {{"stop", stop}}).content();
    CHECK(answer["choices"][0]["message"]["content"] == text.substr(0, end));
    CHECK(answer["choices"][0]["finish_reason"] == "stop");
    CHECK(answer["usage"]["completion_tokens"] == count_tokens(text.substr(0, end)));
  }
  const auto streamed = chat(server, {{"stop", text.substr(0, 4)}, {"stream", true}});  // nothing is left
  CHECK(streamed.is_done());
  CHECK(streamed.events().back()["choices"][0]["finish_reason"] == "stop");
  CHECK(chat(server, {{"stop", nullptr}}).content()["choices"][0]["message"]["content"] == text);
}

// ---- tools ----------------------------------------------------------------------------------------------------------

TEST_CASE("model_server surface: which tool is called, if any", "[examples][model_server][surface]") {
  struct row {
    std::string user, choice, called;
  };
  const auto [said, choice, called] = GENERATE(values<row>({
      {"Write about bees", "null", ""},
      {"Write about bees", "\"auto\"", ""},
      {"Write about bees", "\"required\"", "clock"},
      {"Use get_weather for bees", "null", "get_weather"},
      {"Use get_weather, then the clock", "\"auto\"", "get_weather"},
      {"Use get_weather", "\"required\"", "get_weather"},
      {"Use get_weather", "\"none\"", ""},
      {"A clockwork or get_weather_now, o'clock1", "\"auto\"", ""},
      {"Write about bees", R"({"type":"function","function":{"name":"get_weather"}})", "get_weather"},
  }));
  CAPTURE(said, choice);
  const server server{fast};
  json more = user(said);
  merge(more, {{"tools", both_tools}, {"tool_choice", json::parse(choice)}});
  const json answer = chat(server, more).content();
  const json message = answer["choices"][0]["message"];
  if (called.empty()) {
    CHECK_FALSE(message.contains("tool_calls"));
    CHECK_FALSE(message["content"].get<std::string>().empty());
    CHECK(answer["choices"][0]["finish_reason"] != "tool_calls");
  } else {
    CHECK(message["content"].is_null());
    REQUIRE(message["tool_calls"].size() == 1);
    const json call = message["tool_calls"][0];
    CHECK(call["type"] == "function");
    CHECK_FALSE(call["id"].get<std::string>().empty());
    CHECK(call["function"]["name"] == called);
    const std::string arguments = call["function"]["arguments"];
    if (called == "clock")
      CHECK(arguments == "{}");
    else
      check_weather(arguments);
    CHECK(answer["choices"][0]["finish_reason"] == "tool_calls");
    CHECK(answer["usage"]["completion_tokens"] == 1 + count_tokens(arguments));
  }
  CHECK(answer["usage"]["prompt_tokens"] == 3 + 4 + count_tokens(said) + count_tokens(both_tools.dump()));
}

TEST_CASE("model_server surface: a call comes in pieces when it is streamed", "[examples][model_server][surface]") {
  const server server{fast};
  json more = user("Use get_weather");
  merge(more, {{"tools", both_tools}});
  const json whole = chat(server, more).content();
  more["stream"] = true;
  const auto events = chat(server, more).events();
  CHECK(events.front()["choices"][0]["delta"] == json{{"role", "assistant"}, {"content", nullptr}});
  CHECK(events.back()["choices"][0]["finish_reason"] == "tool_calls");
  std::string arguments;
  REQUIRE(events.size() > 5);
  for (std::size_t i = 1; i + 1 < events.size(); ++i) {
    const json call = events[i]["choices"][0]["delta"]["tool_calls"][0];
    CHECK(call["index"] == 0);
    CHECK(call.contains("id") == (i == 1));
    CHECK(call["function"].contains("name") == (i == 1));
    arguments += call["function"]["arguments"].get<std::string>();
  }
  CHECK(whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == arguments);
  CHECK(events[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "get_weather");
  check_weather(arguments);
}

TEST_CASE("model_server surface: after a tool's answer there is a text, and max_tokens cuts a call",
          "[examples][model_server][surface]") {
  const server server{fast};
  const json call = {{"id", "call-1-0"}, {"type", "function"}, {"function", {{"name", "clock"}, {"arguments", "{}"}}}};
  const json messages = {{{"role", "user"}, {"content", "What says the clock?"}},
                         {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", json::array({call})}},
                         {{"role", "tool"}, {"tool_call_id", "call-1-0"}, {"content", "noon"}}};
  const json answer =
      chat(server, {{"messages", messages}, {"tools", both_tools}, {"tool_choice", "required"}}).content();
  CHECK(answer["choices"][0]["message"]["content"].is_string());
  CHECK(answer["usage"]["prompt_tokens"] ==
        3 + (4 + 5) + (4 + count_tokens(json::array({call}).dump())) + (4 + 1) + count_tokens(both_tools.dump()));
  json cut = user("Use get_weather");
  merge(cut, {{"tools", both_tools}, {"max_tokens", 3}});
  const json stub = chat(server, cut).content();
  CHECK(stub["choices"][0]["finish_reason"] == "length");
  CHECK(stub["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{\"city\":");
  CHECK(stub["usage"]["completion_tokens"] == 3);
}

// ---- content, formats, logprobs -------------------------------------------------------------------------------------

TEST_CASE("model_server surface: an image counts 85 tokens", "[examples][model_server][surface]") {
  const server server{fast};
  const json parts = {{{"type", "text"}, {"text", "Write about "}},
                      {{"type", "image_url"}, {"image_url", {{"url", "data:image/png;base64,AAAA"}}}},
                      {{"type", "text"}, {"text", "bees"}}};
  const json answer = chat(server, user(parts)).content();
  CHECK(answer["usage"]["prompt_tokens"] == prompt + 85);
  CHECK(answer["choices"] == chat(server).content()["choices"]);
}

TEST_CASE("model_server surface: response_format gives JSON", "[examples][model_server][surface]") {
  const server server{fast};
  const json format = {{"type", "json_schema"}, {"json_schema", {{"name", "w"}, {"schema", weather_schema}}}};
  const json answer = chat(server, {{"response_format", format}}).content();
  check_weather(answer["choices"][0]["message"]["content"]);
  CHECK(answer["choices"][0]["finish_reason"] == "stop");
  CHECK(answer["usage"]["prompt_tokens"] == prompt + count_tokens(format.dump()));
  const json object = chat(server, {{"response_format", {{"type", "json_object"}}}}).content();
  CHECK(json::parse(object["choices"][0]["message"]["content"].get<std::string>()).is_object());
  CHECK(chat(server, {{"response_format", {{"type", "text"}}}}).content()["choices"] ==
        chat(server).content()["choices"]);
}

TEST_CASE("model_server surface: values made up for a schema", "[examples][model_server][surface]") {
  struct row {
    std::string schema, value;
  };
  const auto [schema, value] = GENERATE(values<row>({
      {R"({"const":{"a":1}})", R"({"a":1})"},
      {R"({"enum":["x"]})", R"("x")"},
      {R"({"type":"integer","minimum":7,"maximum":7})", "7"},
      {R"({"type":"integer","exclusiveMinimum":7,"exclusiveMaximum":9})", "8"},
      {R"({"type":"integer","maximum":-5,"minimum":-5})", "-5"},
      {R"({"type":"number","minimum":1.5,"maximum":1.5})", "1.5"},
      {R"({"type":["null","string"]})", "null"},
      {R"({"anyOf":[{"type":"null"},{"type":"string"}]})", "null"},
      {R"({"type":"object"})", "{}"},
      {R"({"type":"array","minItems":3,"items":{"const":1}})", "[1,1,1]"},
      {R"({"items":{"const":1}})", "[1]"},
      {R"({"$defs":{"n":{"const":4}},"type":"object","required":["b","a"],"properties":{"a":{"$ref":"#/$defs/n"},
          "b":{"const":0}}})",
       R"({"b":0,"a":4})"},
      {R"({"type":"string","format":"date"})", R"("2026-03-14")"},
      {R"({"type":"string","maxLength":0})", R"("")"},
  }));
  CAPTURE(schema);
  model_server::detail::random_numbers random{1};
  CHECK(model_server::detail::made_up(json::parse(schema), random).dump() == value);
}

TEST_CASE("model_server surface: bounds hold, and endless schemas end", "[examples][model_server][surface]") {
  model_server::detail::random_numbers random{1};
  const auto made = [&](const char* schema) { return model_server::detail::made_up(json::parse(schema), random); };
  for (int i = 0; i < 50; ++i) {
    const auto upper = made(R"({"type":"integer","maximum":-3})");
    CHECK(upper <= -3);
    const auto number = made(R"({"type":"number","minimum":0,"maximum":1})");
    CHECK((number >= 0 && number <= 1));
    CHECK(made(R"({"type":"string","minLength":50})").get<std::string>().size() >= 50);
  }
  CHECK(made(R"({"$ref":"#"})").is_null());
  CHECK(made(R"({"$ref":"#/nowhere"})").is_string());
  const auto wide = made(R"({"type":"array","minItems":1000000000,"items":{"$ref":"#"}})");
  CHECK(wide.dump().size() < 100'000);
}

TEST_CASE("model_server surface: logprobs are consistent with the text", "[examples][model_server][surface]") {
  const server server{fast};
  const json asked = {{"logprobs", true}, {"top_logprobs", 3}};
  const json choice = chat(server, asked).content()["choices"][0];
  std::string text;
  const auto check_entry = [](const json& entry) {
    CHECK(entry["logprob"] < 0);
    std::string bytes;
    for (const int each : entry["bytes"]) bytes += static_cast<char>(each);
    CHECK(entry["token"] == bytes);
  };
  for (const json& entry : choice["logprobs"]["content"]) {
    text += entry["token"].get<std::string>();
    check_entry(entry);
    REQUIRE(entry["top_logprobs"].size() == 3);
    CHECK(entry["top_logprobs"][0]["token"] == entry["token"]);
    CHECK(entry["top_logprobs"][0]["logprob"] == entry["logprob"]);
    double sum = 0, before = 0;
    for (const json& other : entry["top_logprobs"]) {
      check_entry(other);
      const double now = other["logprob"];
      CHECK(now < before);
      before = now;
      sum += std::exp(now);
    }
    CHECK(sum <= 1);
  }
  CHECK(choice["message"]["content"] == text);
  json streamed = asked;
  streamed["stream"] = true;
  json gathered = json::array();
  for (const auto& event : chat(server, streamed).events()) {
    const json& part = event["choices"][0];
    CHECK(part.contains("logprobs") == part["delta"].contains("content") - part["delta"].contains("role"));
    for (const json& entry : part.value("logprobs", json::object()).value("content", json::array()))
      gathered.push_back(entry);
  }
  CHECK(gathered == choice["logprobs"]["content"]);
  const json none =
      chat(server, {{"logprobs", true}}).content()["choices"][0]["logprobs"]["content"][0]["top_logprobs"];
  CHECK(none == json::array());
  CHECK_FALSE(chat(server).content()["choices"][0].contains("logprobs"));
}

TEST_CASE("model_server surface: unknown fields are ignored", "[examples][model_server][surface]") {
  const server server{fast};
  const json more = {
      {"user", "me"}, {"metadata", {{"a", 1}}}, {"top_p", 0.1}, {"felix", true}, {"parallel_tool_calls", true}};
  CHECK(chat(server, more).content()["choices"] == chat(server).content()["choices"]);
}

TEST_CASE("model_server surface: what is wrong with a field is said", "[examples][model_server][surface]") {
  struct row {
    std::string fields, param, message;
  };
  const auto [fields, param, message] = GENERATE(values<row>({
      {R"({"stop":["a","b","c","d","e"]})", "stop", "at most 4"},
      {R"({"stop":[""]})", "stop", "none of them empty"},
      {R"({"stop":1})", "stop", "must be a string"},
      {R"({"tools":{}})", "tools", "must be a list"},
      {R"({"tools":[{"type":"x"}]})", "tools[0]", "\"type\": \"function\""},
      {R"({"tools":[{"type":"function"}]})", "tools[0].function", "must be an object"},
      {R"({"tools":[{"type":"function","function":{"name":"a b"}}]})", "tools[0].function.name", "1 to 64"},
      {R"({"tools":[{"type":"function","function":{"name":"a","parameters":1}}]})", "tools[0].function.parameters",
       "JSON schema"},
      {R"({"tool_choice":"required"})", "tool_choice", "needs a tool"},
      {R"({"tool_choice":"always"})", "tool_choice", "must be \"none\""},
      {R"({"tool_choice":{"type":"function"}})", "tool_choice.function", "must be an object"},
      {R"({"tool_choice":{"function":{"name":"x"}}})", "tool_choice.function.name", "no such tool"},
      {R"({"response_format":{"type":"xml"}})", "response_format", "json_schema"},
      {R"({"response_format":{"type":"json_schema"}})", "response_format.json_schema.schema", "JSON schema"},
      {R"({"top_logprobs":2})", "top_logprobs", "needs \"logprobs\""},
      {R"({"logprobs":true,"top_logprobs":21})", "top_logprobs", "from 0 to 20"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"}]}]})",
       "messages[0].content[0].image_url", "must be an object"},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0].text",
       "must be a string"},
  }));
  CAPTURE(fields);
  const server server{fast};
  const auto got = chat(server, json::parse(fields));
  CHECK(got.status() == 400);
  CHECK(got.content()["error"]["param"] == param);
  CHECK_THAT(message_of(got), ContainsSubstring(message));
}
