// SPDX-License-Identifier: MIT
#include <felix/llm/server_info.hpp>

#include <felix/llm/gradient_limit.hpp>
#include <felix/llm/openai_model.hpp>
#include <felix/net/event_loop.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/sent_headers.hpp"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dialects = felix::dialects;
using felix::test::fault_server;
using felix::test::sent_headers;

namespace {

std::vector<felix::model_info> models(std::string owner) { return {{.id = "m", .owned_by = std::move(owner)}}; }

constexpr const char* props =
    R"({"default_generation_settings":{"n_ctx":512,"params":{}},"total_slots":4,"model_alias":"m"})";
constexpr const char* lm_studio_models =
    R"({"models":[{"key":"a","loaded_instances":[]},
                  {"key":"b","loaded_instances":[{"id":"b","config":{"context_length":4096,"parallel":2}}]},
                  {"key":"c","loaded_instances":[{"id":"c","config":{"context_length":8192}}]}]})";

// Answers the paths that it knows.
fault_server server_with(std::map<std::string, std::string> bodies, std::string name = "") {
  return fault_server{[bodies = std::move(bodies), name = std::move(name)](const felix::test::request& asked) {
    const auto found = bodies.find(asked.target);
    if (found == bodies.end()) return felix::test::http(404, R"({"error":"no such path"})");
    return felix::test::http(200, found->second, {{"Server", name}});
  }};
}

}  // namespace

TEST_CASE("server_info: a dialect by headers and owners", "[llm][server_info]") {
  CHECK(felix::dialect_of(sent_headers{{"server", "llama.cpp"}}, models("")) == dialects::llama_cpp);
  CHECK(felix::dialect_of(sent_headers{}, models("llamacpp")) == dialects::llama_cpp);
  CHECK(felix::dialect_of(sent_headers{}, models("vllm")) == dialects::vllm);
  CHECK(felix::dialect_of(sent_headers{}, models("library")) == dialects::ollama);
  CHECK(felix::dialect_of(sent_headers{}, models("organization_owner")) == dialects::lm_studio);
  for (const char* const name : {"openai-processing-ms", "openai-version", "x-ratelimit-limit-requests"}) {
    CAPTURE(name);
    CHECK(felix::dialect_of(sent_headers{{name, "2020"}}, models("openai")) == dialects::openai);
    CHECK(felix::dialect_of(sent_headers{{name, ""}}, models("openai")) == dialects::plain);
  }
  CHECK(felix::dialect_of(sent_headers{}, {{.id = "a", .owned_by = "me"}, {.id = "b", .owned_by = "vllm"}}) ==
        dialects::vllm);  // any of them
  CHECK(felix::dialect_of(sent_headers{{"server", "nginx"}}, models("someone")) == dialects::plain);
  CHECK(felix::dialect_of(sent_headers{}, {}) == dialects::plain);
}

TEST_CASE("server_info: what /props says", "[llm][server_info]") {
  const auto said = felix::codec::decode_props(props);
  CHECK(said.dialect == dialects::llama_cpp);
  CHECK(said.slots == 4);
  CHECK(said.context_tokens == 512);
  for (const char* const other : {"", "no JSON", "[]", "{}", R"({"total_slots":0})", R"({"total_slots":-1})"}) {
    CAPTURE(other);
    CHECK(felix::codec::decode_props(other).slots == 0);
    CHECK(felix::codec::decode_props(other).dialect == dialects::plain);
  }
}

TEST_CASE("server_info: what LM Studio says of its models", "[llm][server_info]") {
  const auto named = felix::codec::decode_lm_studio_models(lm_studio_models, "c");
  CHECK(named.dialect == dialects::lm_studio);
  CHECK(named.slots == 4);  // its default
  CHECK(named.context_tokens == 8192);
  const auto first = felix::codec::decode_lm_studio_models(lm_studio_models, "unknown");
  CHECK(first.slots == 2);
  CHECK(first.context_tokens == 4096);
  CHECK(felix::codec::decode_lm_studio_models(lm_studio_models, "a").slots == 2);  // it is not loaded
  const char* const loaded_twice =
      R"({"models":[{"key":"a","loaded_instances":[{"id":"broken"},
                                                   {"id":"a","config":{"context_length":512,"parallel":3}},
                                                   {"id":"a:2","config":{"context_length":1024,"parallel":5}}]},
                    {"key":"b","loaded_instances":[{"id":"b","config":{"context_length":2048,"parallel":7}}]}]})";
  for (const char* const name : {"a", "unknown"}) {
    CAPTURE(name);
    const auto found = felix::codec::decode_lm_studio_models(loaded_twice, name);
    CHECK(found.slots == 3);  // the first that says anything: requests of that name go there
    CHECK(found.context_tokens == 512);
  }
  CHECK(felix::codec::decode_lm_studio_models(loaded_twice, "b").slots == 7);
  const auto idle = felix::codec::decode_lm_studio_models(R"({"models":[{"key":"a","loaded_instances":[]}]})", "a");
  CHECK(idle.dialect == dialects::lm_studio);
  CHECK(idle.slots == 0);
  for (const char* const other : {"", "no JSON", "[]", "{}", R"({"models":[]})", R"({"models":[{"name":"x"}]})"}) {
    CAPTURE(other);
    CHECK(felix::codec::decode_lm_studio_models(other, "x").dialect == dialects::plain);
  }
}

TEST_CASE("server_info: what no server has is not believed", "[llm][server_info]") {
  const std::string huge = "999999999999";
  const auto props_say = [](const std::string& slots, const std::string& context) {
    return felix::codec::decode_props(R"({"total_slots":)" + slots + R"(,"default_generation_settings":{"n_ctx":)" +
                                      context + "}}");
  };
  CHECK(props_say(huge, huge).slots == 1'024);
  CHECK(props_say(huge, huge).context_tokens == 1'000'000'000);
  CHECK(props_say("1024", "1000000").slots == 1'024);
  CHECK(props_say("1024", "1000000").context_tokens == 1'000'000);
  const auto studio =
      felix::codec::decode_lm_studio_models(R"({"models":[{"key":"a","loaded_instances":[{"config":{"parallel":)" +
                                                huge + R"(,"context_length":)" + huge + "}}]}]}",
                                            "a");
  CHECK(studio.slots == 1'024);
  CHECK(studio.context_tokens == 1'000'000'000);
  CHECK(felix::gradient_limit{{.initial = studio.slots, .max = studio.slots}}.limit() == 1'024);

  fault_server server =
      server_with({{"/v1/models", R"({"data":[{"id":"m","owned_by":"vllm","max_model_len":)" + huge + "}]}"}});
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url() + "/v1"}};
  CHECK(loop.run(llm.identify()).context_tokens == 1'000'000'000);
}

TEST_CASE("server_info: a server is asked no more than it takes", "[llm][server_info]") {
  const std::string list = R"({"data":[{"id":"m","owned_by":")";
  struct kind {
    std::map<std::string, std::string> bodies;
    felix::dialect dialect;
    std::size_t slots;
    felix::token_count context;
    std::size_t questions;
  };
  const std::vector<kind> kinds{
      {{{"/v1/models", list + R"(llamacpp","meta":{"n_ctx":256}}]})"}, {"/props", props}},
       dialects::llama_cpp,
       4,
       512,
       2},
      {{{"/v1/models", list + R"(llamacpp","meta":{"n_ctx":256}}]})"}}, dialects::llama_cpp, 0, 256, 2},
      {{{"/v1/models", list + R"(vllm","max_model_len":2048}]})"}}, dialects::vllm, 0, 2048, 1},
      {{{"/v1/models", list + R"(library"}]})"}, {"/props", props}}, dialects::ollama, 0, 0, 1},
      {{{"/v1/models", list + R"("}]})"}, {"/props", props}}, dialects::llama_cpp, 4, 512, 2},
      {{{"/v1/models", list + R"("}]})"}, {"/api/v1/models", lm_studio_models}}, dialects::lm_studio, 2, 4096, 3},
      {{{"/v1/models", list + R"("}]})"}, {"/props", "<html>"}}, dialects::plain, 0, 0, 3}};
  for (const kind& each : kinds) {
    CAPTURE(each.dialect.name, each.slots);
    fault_server server = server_with(each.bodies);
    felix::event_loop loop;
    felix::openai_model llm{loop, {.base_url = server.url() + "/v1"}};
    const felix::server_info found = loop.run(llm.identify());
    CHECK(found.dialect == each.dialect);
    CHECK(found.slots == each.slots);
    CHECK(found.context_tokens == each.context);
    CHECK(server.requests().size() == each.questions);
  }
}

TEST_CASE("server_info: of several models the one that is asked for", "[llm][server_info]") {
  fault_server server = server_with({{"/v1/models", R"({"data":[{"id":"a","owned_by":"vllm","max_model_len":1024},
                                                                {"id":"b","owned_by":"vllm","max_model_len":2048}]})"}});
  felix::event_loop loop;
  const auto context_of = [&](std::string name) {
    felix::openai_model llm{loop, {.base_url = server.url() + "/v1", .model = std::move(name)}};
    return loop.run(llm.identify()).context_tokens;
  };
  CHECK(context_of("a") == 1024);
  CHECK(context_of("b") == 2048);
  CHECK(context_of("unknown") == 1024);
}

TEST_CASE("server_info: what each server is asked for, in this order", "[llm][server_info]") {
  const auto asked = [](std::string owner, std::map<std::string, std::string> others = {}) {
    others["/v1/models"] = R"({"data":[{"id":"m","owned_by":")" + std::move(owner) + R"("}]})";
    fault_server server = server_with(std::move(others));
    felix::event_loop loop;
    felix::openai_model llm{loop, {.base_url = server.url() + "/v1"}};
    loop.run(llm.identify());
    std::string paths;
    for (const auto& each : server.requests()) paths += each.target + " ";
    return paths;
  };
  CHECK(asked("someone") == "/v1/models /props /api/v1/models ");
  CHECK(asked("someone", {{"/props", props}}) == "/v1/models /props ");
  CHECK(asked("llamacpp") == "/v1/models /props ");
  CHECK(asked("organization_owner", {{"/props", props}}) == "/v1/models /api/v1/models ");
  CHECK(asked("vllm") == "/v1/models ");
}

TEST_CASE("server_info: a server that refuses says why", "[llm][server_info]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(401, R"({"error":"no key"})"); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url() + "/v1"}};
  CHECK_THROWS_AS(loop.run(llm.identify()), felix::api_error);
}
