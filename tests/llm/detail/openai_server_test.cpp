// SPDX-License-Identifier: MIT
#include <felix/llm/detail/openai_server.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::chat_request;
using felix::error_kind;
using felix::detail::openai_server;
using felix::test::fault_server;
using form = openai_server::answer_form;

namespace {

std::vector<std::string> lines_of(const felix::http_request& request) {
  std::vector<std::string> lines;
  for (const curl_slist* each = request.header_lines(); each != nullptr; each = each->next)
    lines.emplace_back(each->data);
  return lines;
}

bool has(const std::vector<std::string>& lines, std::string_view line) {
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

felix::http_head head_of(int status, const std::vector<std::string>& lines = {}) {
  felix::http_head head;
  head.add_line("HTTP/1.1 " + std::to_string(status) + " X\r\n");
  for (const std::string& line : lines) head.add_line(line + "\r\n");
  return head;
}

felix::api_error refusal_of(const openai_server& server, const felix::http_head& head, std::string_view body = "") {
  try {
    server.check(head, body);
  } catch (const felix::api_error& failure) {
    return failure;
  }
  throw std::logic_error{"not refused"};
}

}  // namespace

TEST_CASE("openai_server: a chat is posted with what it needs, and nothing else", "[llm][openai_server]") {
  felix::event_loop loop;
  const openai_server server{
      loop, {.base_url = "http://localhost:8080/v1/", .api_key = felix::secret{"a-key"}, .timeouts = {.total = 5s}}};
  const auto request = chat_request{}.user("x");
  const auto whole = server.post(request, form::whole);
  CHECK(whole.url() == "http://localhost:8080/v1/chat/completions");
  CHECK(lines_of(whole) == std::vector<std::string>{"Expect:", "Accept: application/json",
                                                    "Authorization: Bearer a-key", "Content-Type: application/json"});
  CHECK_THAT(*whole.body(), ContainsSubstring(R"("stream":false)") && ContainsSubstring(R"("model":"local-model")"));
  CHECK(whole.timeouts().total == 5s);
  const auto stream = server.post(request, form::stream);
  CHECK(has(lines_of(stream), "Accept: text/event-stream"));
  CHECK(has(lines_of(stream), "Authorization: Bearer a-key"));
  CHECK_THAT(*stream.body(), ContainsSubstring(R"("stream":true)"));
  CHECK(stream.timeouts().total == 5s);
  const openai_server open{loop, {.base_url = "http://localhost:8080"}};
  CHECK(open.post(request, form::whole).url() == "http://localhost:8080/chat/completions");
  for (const std::string& line : lines_of(open.post(request, form::stream)))
    CHECK_THAT(line, !ContainsSubstring("Authorization"));
}

TEST_CASE("openai_server: connections are kept as long as servers keep them", "[llm][openai_server]") {
  felix::event_loop loop;
  const auto connection_to = [&](const std::string& url) {
    const openai_server server{loop, {.base_url = url, .ca_file = "/some/ca.pem"}};
    return server.post(chat_request{}.user("x"), form::stream).connection();
  };
  CHECK(connection_to("http://localhost:1234/v1") ==
        felix::http_connection{.reuse_idle_up_to = 4s, .no_proxy = true, .ca_file = "/some/ca.pem"});
  CHECK(connection_to("https://example.org/v1") ==
        felix::http_connection{.reuse_idle_up_to = 60s, .no_proxy = false, .ca_file = "/some/ca.pem"});
  CHECK(connection_to("http://example.org").reuse_idle_up_to == 4s);
  CHECK(connection_to("https://127.0.0.1:8443").no_proxy);
}

TEST_CASE("openai_server: what no server could accept is found before anything is sent", "[llm][openai_server]") {
  felix::event_loop loop;
  const openai_server server{loop, {}};
  const auto refused = [&](const chat_request& request, std::string_view what) {
    try {
      static_cast<void>(server.post(request, form::whole));
      FAIL("accepted");
    } catch (const felix::error& failure) {
      CHECK(failure.code() == felix::errc::invalid_argument);
      CHECK(failure.cost() == felix::request_cost::none);
      CHECK_THAT(failure.what(), ContainsSubstring(std::string{what}));
    }
  };
  refused(chat_request{}, "no message");
  refused(chat_request{}.user("x").extra("min_p", "a text"), R"(extra field "min_p" is not JSON)");
  refused(chat_request{}.user("x").extra("min_p", ""), R"(extra field "min_p" is not JSON)");
  refused(chat_request{}.user("x").tool({"f", "", "{"}), R"(parameters of tool "f" is not JSON)");
  refused(chat_request{}.user("x").json_schema("answer", "{,}"), R"(schema "answer" is not JSON)");
  CHECK_NOTHROW(server.post(chat_request{}.user("x").tool({"f"}).extra("min_p", "0.1"), form::whole));
}

TEST_CASE("openai_server: bad options are found at once", "[llm][openai_server]") {
  felix::event_loop loop;
  for (const char* url : {"", "nonsense", "ftp://x", "http://", "http://u:p@x/v1", "http://x/v1?key=1"}) {
    CAPTURE(url);
    CHECK_THROWS_AS((openai_server{loop, {.base_url = url}}), felix::error);
  }
  CHECK_THROWS_AS((openai_server{loop, {.timeouts = {.total = 0ms}}}), felix::error);
  CHECK_THROWS_AS((openai_server{loop, {.timeouts = {.first_token = -1ms}}}), felix::error);
  CHECK_THROWS_AS((openai_server{loop, {.api_key = felix::secret{"two\nlines"}}}), felix::error);
}

TEST_CASE("openai_server: every 2xx is an answer, every other status an error", "[llm][openai_server]") {
  felix::event_loop loop;
  const openai_server server{loop, {.base_url = "http://localhost:8080/v1"}};
  for (const int status : {200, 201, 204, 299}) CHECK_NOTHROW(server.check(head_of(status), "{"));
  for (const int status : {300, 304, 399, 400, 404, 499, 500, 599}) {
    const auto failure = refusal_of(server, head_of(status, {"Retry-After: 7", "X-Request-Id: r-1"}));
    CHECK(failure.status() == status);
    CHECK(failure.retry_after() == 7s);
    CHECK(failure.request_id() == "r-1");
    CHECK_THAT(failure.what(), ContainsSubstring("http://localhost:8080 answered " + std::to_string(status)));
  }
}

TEST_CASE("openai_server: a redirect says where it points, and no more", "[llm][openai_server]") {
  felix::event_loop loop;
  const openai_server server{loop, {.base_url = "http://localhost:8080/v1", .api_key = felix::secret{"a-key"}}};
  const auto [location, place] = GENERATE(
      table<std::string, std::string>({{"http://other:1/v1", "to http://other:1;"},
                                       {"https://other", "to https://other;"},
                                       {"https://other?token=secret", "to https://other;"},
                                       {"https://other#secret", "to https://other;"},
                                       {"https://user:secret@other:2/x?y=z@w", "to https://other:2;"},
                                       {"https://secret@secret@other/", "to https://other;"},
                                       {"https://other/secret@more", "to https://other;"},
                                       {"https://a-key.other/", "to https://[API key].other;"},
                                       {"https://a%2Dkey.other/", "to https://[API key].other;"},
                                       {"/secret/path?q=1", "to another path of the same server;"},
                                       {"secret", "to another path of the same server;"},
                                       {"/login?secret=1&next=http://other/", "to another path of the same server;"},
                                       {"?next=http://user:secret@other/", "to another path of the same server;"},
                                       {"#secret://other", "to another path of the same server;"},
                                       {"//user:secret@other:3/v1", "to http://other:3;"},
                                       {"", "to nowhere;"}}));
  CAPTURE(location);
  const auto failure = refusal_of(server, head_of(307, {"Location: " + location}), "a body that is of no use: secret");
  CHECK(to_string(failure.kind()) == to_string(error_kind::redirect));
  CHECK_THAT(failure.what(),
             ContainsSubstring(": it points " + place) && !ContainsSubstring("secret") && !ContainsSubstring("a-key"));
  CHECK_THAT(failure.body_excerpt(), !ContainsSubstring("secret") && !ContainsSubstring("a-key"));
  CHECK_THAT(refusal_of(server, head_of(302)).what(), ContainsSubstring("it points to nowhere;"));
}

TEST_CASE("openai_server: the key is shown nowhere", "[llm][openai_server]") {
  felix::event_loop loop;
  const openai_server server{loop, {.api_key = felix::secret{"a+key"}}};
  CHECK(server.key() == "a+key");
  CHECK(openai_server{loop, {}}.key().empty());
  const auto failure = refusal_of(server, head_of(401, {"X-Request-Id: a+key"}),
                                  R"({"error":{"message":"a+key","type":"a+key","param":"a+key","code":"a+key"}})");
  for (const std::string& shown : {std::string{failure.what()}, failure.body_excerpt(), failure.type(),
                                   failure.provider_code(), failure.param(), failure.request_id()})
    CHECK_THAT(shown, !ContainsSubstring("a+key"));
}

TEST_CASE("openai_server: a GET without a body, a POST with one, and what came as it is", "[llm][openai_server]") {
  fault_server peer{[](const felix::test::request& asked) {
    if (asked.target.ends_with("/missing")) return felix::test::http(404, R"({"error":{"message":"no a+key here"}})");
    return felix::test::http(200, "you are a+key");
  }};
  felix::event_loop loop;
  openai_server server{loop, {.base_url = peer.url() + "/v1", .api_key = felix::secret{"a+key"}}};
  CHECK(loop.run(server.send(server.url().with_path("/models"))) == "you are a+key");
  CHECK(loop.run(server.send(server.url().with_path("/embeddings"), "{}")) == "you are a+key");
  CHECK_THROWS_WITH(loop.run(server.send(server.url().with_path("/missing"))),
                    ContainsSubstring("no [API key] here") && ContainsSubstring("404"));
  CHECK(loop.run(server.ask(server.url().with_path("/missing"))).status() == 404);
  const auto seen = peer.requests();
  REQUIRE(seen.size() == 4);
  CHECK(seen[0].method == "GET");
  CHECK(seen[0].header("content-type").empty());
  CHECK(seen[0].header("accept") == "application/json");
  CHECK(seen[0].header("authorization") == "Bearer a+key");
  CHECK(seen[1].method == "POST");
  CHECK(seen[1].header("content-type") == "application/json");
  CHECK(seen[1].body == "{}");
  CHECK(seen[3].header("authorization") == "Bearer a+key");
  CHECK(peer.connections() == 1);
}

TEST_CASE("openai_server: a GET ends when another answer would have begun", "[llm][openai_server]") {
  fault_server peer{[](const felix::test::request&) {
    felix::test::reply answer = felix::test::http(200, "{}");
    answer.head_and_body.pop_back();
    answer.end = felix::test::reply::ending::hang;
    return answer;
  }};
  felix::event_loop loop;
  openai_server server{loop, {.base_url = peer.url(), .timeouts = {.first_byte = 61ms, .total = 122ms}}};
  const std::string url = server.url().with_path("/models");
  CHECK_THROWS_WITH(loop.run(server.send(url)), ContainsSubstring("61 ms"));
  CHECK_THROWS_WITH(loop.run(server.ask(url)), ContainsSubstring("61 ms") && ContainsSubstring("timeouts.first_byte"));
  CHECK_THROWS_WITH(loop.run(server.send(url, "{}")), ContainsSubstring("122 ms"));
}

TEST_CASE("openai_server: the bound of an answer is an option", "[llm][openai_server]") {
  felix::event_loop loop;
  CHECK(openai_server{loop, {}}.post(chat_request{}.user("x"), form::whole).max_response_bytes() == 16 << 20);
  fault_server peer{[](const felix::test::request&) { return felix::test::http(200, "12345"); }};
  for (const std::size_t most : {std::size_t{4}, std::size_t{5}}) {
    openai_server server{loop, {.base_url = peer.url(), .max_response_bytes = most}};
    for (const form each : {form::whole, form::stream})
      CHECK(server.post(chat_request{}.user("x"), each).max_response_bytes() == most);
    if (most == 5) {
      CHECK(loop.run(server.send(peer.url())) == "12345");
    } else {
      CHECK_THROWS_WITH(loop.run(server.send(peer.url())), ContainsSubstring("max_response_bytes"));
    }
  }
}
