// SPDX-License-Identifier: MIT
#include "model_server/model_server.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/program.hpp"

#include <felix/async/when_all.hpp>
#include <felix/llm/client.hpp>
#include <felix/net/event_loop.hpp>

#include <chrono>

#include <cstdlib>
#include <string>
#include <vector>

#ifdef FELIX_EXAMPLES

using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;

namespace {

std::string path_of(const std::string& name) { return FELIX_EXAMPLES + name; }

/// 0: there is none.
long long number_after(const std::string& text, const std::string& label) {
  const auto at = text.find(label);
  return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + label.size());
}

}  // namespace

TEST_CASE("stream: prints the answer, what it cost, and when it began", "[examples][stream]") {
  model_server::server server{{.speed = 100}};
  felix::test::program stream{path_of("stream"), {"A long story", server.url()}};
  CHECK(stream.wait() == 0);
  CHECK(stream.err().empty());
  CHECK_THAT(stream.out(), ContainsSubstring("tokens, the first after"));
}

TEST_CASE("hosts: a game, a desktop program and a server with threads each get their answers", "[examples][hosts]") {
  model_server::server server{{.speed = 20}};
  felix::test::program game{path_of("game"), {server.url()}}, desktop{path_of("desktop"), {server.url()}},
      workers{path_of("workers"), {server.url()}};
  CHECK(game.wait() == 0);
  CHECK_THAT(game.out(), ContainsSubstring("the smith: ") && ContainsSubstring("the ferryman: ") &&
                             ContainsSubstring("frames were drawn meanwhile"));
  CHECK(desktop.wait() == 0);
  CHECK(desktop.err().empty());
  CHECK(workers.wait() == 0);
  CHECK_THAT(workers.out(), ContainsSubstring("4 requests, 0 failed"));
}

TEST_CASE("find_limits: says what the server is, and what the requests came to", "[examples][find_limits]") {
  model_server::server server{{.slots = 3, .speed = 20}};
  felix::test::program found{path_of("find_limits"), {server.url(), "12"}};
  CHECK(found.wait() == 0);
  CHECK(found.err().empty());
  CHECK_THAT(found.out(), ContainsSubstring("llama_cpp, says that it has 3 slots") &&
                              ContainsSubstring("12 requests, 0 failed") && ContainsSubstring("requests at once"));
}

TEST_CASE("find_limits: a server may have more slots than a limit looks for by default", "[examples][find_limits]") {
  model_server::server server{{.slots = 128, .speed = 20}};
  felix::test::program found{path_of("find_limits"), {server.url(), "3"}};
  CHECK(found.wait() == 0);
  CHECK(found.err().empty());
  CHECK_THAT(found.out(), ContainsSubstring("says that it has 128 slots") && ContainsSubstring("128 requests at once"));
}

TEST_CASE("budget_scopes: what fits is paid here and around, what waits comes later, what never fits is refused",
          "[examples][budget_scopes]") {
  model_server::server server{{.speed = 20}};
  felix::test::program scopes{path_of("budget_scopes"), {server.url()}};
  CHECK(scopes.wait() == 0);
  CHECK(scopes.err().empty());
  for (const char* question : {"How do I reset my password? ", "Where is my parcel? ", "Summarise the letter of 1901. ",
                               "Summarise the letter of 1904. ", "Who wrote them? "})
    CHECK(number_after(scopes.out(), question) > 0);  // tokens, not a refusal
  CHECK_THAT(scopes.out(), ContainsSubstring("Write a history of the town. budget: a request asked for"));
  const auto support = number_after(scopes.out(), "support: ");
  const auto archive = number_after(scopes.out(), "archive: ");
  CHECK(support > 0);
  CHECK(archive > 0);
  CHECK(number_after(scopes.out(), "company: ") == support + archive);
  CHECK_THAT(scopes.out(), ContainsSubstring(" of 20000 tokens, $0.0000") && ContainsSubstring(" of $0.01"));
}

TEST_CASE("budget_scopes: a model without a price is not asked", "[examples][budget_scopes]") {
  model_server::server server;
  felix::test::program scopes{path_of("budget_scopes"), {server.url(), "unheard-of"}};
  CHECK(scopes.wait() == 1);
  CHECK(scopes.out().empty());
  CHECK_THAT(scopes.err(), ContainsSubstring("no price for unheard-of"));
}

TEST_CASE("adaptive_team: leaves stages out that bring less, and shows what it has learned",
          "[examples][adaptive_team]") {
  model_server::server server{{.speed = 20}};
  felix::test::program team{path_of("adaptive_team"), {server.url(), "Write about tea", "Write about time"}};
  CHECK(team.wait() == 0);
  CHECK(team.err().empty());
  for (const char* topic : {"Write about tea: ", "Write about time: "}) {
    const auto tokens = number_after(team.out(), topic);
    CHECK(tokens > 1'000);
    CHECK(tokens <= 5'000);
  }
  CHECK(number_after(team.out(), " tokens, ") > 0);  // stages left out
  CHECK_THAT(team.out(), ContainsSubstring("confidence per 1,000 tokens") && ContainsSubstring("\nresearch"));
}

TEST_CASE("tools: calls what the model asks for, and answers with it", "[examples][tools]") {
  model_server::server server{{.speed = 50}};
  felix::test::program tools{path_of("tools"), {server.url()}};
  CHECK(tools.wait() == 0);
  CHECK(tools.err().empty());
  CHECK_THAT(tools.out(), ContainsSubstring("weather(") && ContainsSubstring(" tokens ("));
}

TEST_CASE("central_post: every subscriber gets what it asks for, and the post says what it did", "[examples]") {
  felix::test::program post{path_of("central_post"), {}};
  CHECK(post.wait() == 0);
  CHECK_THAT(post.out(), ContainsSubstring("editor   critic_001: fact 1 is wrong\n"));
  CHECK_THAT(post.out(), ContainsSubstring("analyst  research_002: fact 3 of research_002\n"));
  CHECK_THAT(post.out(), ContainsSubstring("7 messages published, 7 processed"));
}

TEST_CASE("model_server: says when each request had its slot, if it is told to keep that", "[examples][model_server]") {
  const bool keeps = GENERATE(true, false);
  model_server::server server{{.slots = 1, .speed = 100, .keeps_spans = keeps}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  const auto ask = [&] { return llm.complete(felix::chat_request{}.user("Why?").max_tokens(20)); };
  static_cast<void>(loop.run(felix::when_all(ask(), ask())));
  const auto spans = server.spans();
  REQUIRE(spans.size() == (keeps ? 2U : 0U));
  if (!keeps) return;
  for (const auto& each : spans) CHECK(each.end - each.begin >= 3ms);  // the latency, a hundred times as fast
  CHECK(spans[1].begin >= spans[0].end);                               // there is one slot
}

TEST_CASE("hosts: without a server each says so", "[examples][hosts]") {
  const std::string nowhere = felix::test::unused_port_url() + "/v1";
  for (const char* name :
       {"game", "desktop", "workers", "find_limits", "budget_scopes", "adaptive_team", "tools", "stream"}) {
    felix::test::program host{path_of(name), name == std::string{"stream"} ? std::vector<std::string>{"x", nowhere}
                                                                           : std::vector<std::string>{nowhere}};
    const int status = host.wait();
    CAPTURE(name);
    if (name != std::string{"workers"}) CHECK(status == 1);  // a worker's failure is its answer
    CHECK_THAT(host.out() + host.err(), ContainsSubstring("is a server listening there?"));
  }
}

#endif
