// SPDX-License-Identifier: MIT
#include "model_server/model_server.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/program.hpp"

#include <string>
#include <vector>

#ifdef FELIX_EXAMPLES

using Catch::Matchers::ContainsSubstring;

namespace {

std::string path_of(const std::string& name) { return FELIX_EXAMPLES + name; }

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

TEST_CASE("hosts: without a server each says so", "[examples][hosts]") {
  const std::string nowhere = felix::test::unused_port_url() + "/v1";
  for (const char* name : {"game", "desktop", "workers", "find_limits", "stream"}) {
    felix::test::program host{path_of(name), name == std::string{"stream"} ? std::vector<std::string>{"x", nowhere}
                                                                           : std::vector<std::string>{nowhere}};
    const int status = host.wait();
    CAPTURE(name);
    if (name != std::string{"workers"}) CHECK(status == 1);  // a worker's failure is its answer
    CHECK_THAT(host.out() + host.err(), ContainsSubstring("is a server listening there?"));
  }
}

#endif
