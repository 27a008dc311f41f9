// SPDX-License-Identifier: MIT
#include <felix/net/http.hpp>

#include "support/allocation_count.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

static_assert(!std::is_aggregate_v<felix::http_request>, "g++ 12 would destroy it twice");

TEST_CASE("http: control characters in headers are refused before anything is sent", "[net][http]") {
  felix::http_request request{"http://127.0.0.1:1"};
  CHECK_THROWS_AS(request.header("X-A", "1\r\nX-Evil: 2"), felix::error);
  CHECK_THROWS_AS(request.header("X-A\n", "1"), felix::error);
  CHECK_THROWS_AS(request.header("X-A", std::string{"a\0b", 3}), felix::error);
  CHECK_THROWS_AS(request.header("X-A:", "1"), felix::error);
  CHECK_THROWS_AS(request.header("", "1"), felix::error);
  CHECK_THROWS_WITH(request.header("X-B", "secret\x7f"), ContainsSubstring("X-B") && !ContainsSubstring("secret"));
}

TEST_CASE("http: time limits of zero or less are refused", "[net][http]") {
  felix::http_request request{"http://127.0.0.1:1"};
  CHECK_THROWS_AS(request.timeouts({.connect = 0ms}), felix::error);
  CHECK_THROWS_AS(request.timeouts({.between_tokens = 0ms}), felix::error);
  CHECK_THROWS_AS(request.timeouts({.first_byte = 0ms}), felix::error);
  CHECK_THROWS_AS(request.timeouts({.first_token = -1s}), felix::error);
  CHECK_THROWS_AS(request.timeouts({.total = -1ms}), felix::error);
}

TEST_CASE("http: the longest time limits are ones that can be added to a time", "[net][http]") {
  constexpr auto endless = std::chrono::milliseconds::max();
  felix::http_request request{"http://127.0.0.1:1"};
  request.timeouts(
      {.connect = endless, .between_tokens = endless, .first_byte = endless, .first_token = endless, .total = 576h});
  const felix::http_timeouts& kept = request.timeouts();
  for (const auto limit : {kept.connect, kept.between_tokens, kept.first_byte, kept.first_token, kept.total})
    CHECK(limit == 576h);
}

TEST_CASE("http: a copy of a request shares its headers, and keeps them when the first one gets more", "[net][http]") {
  felix::http_request pattern{"http://127.0.0.1:1/a"};
  pattern.header("X-One", "1");
  const felix::http_request copy = pattern;
  CHECK(copy.header_lines() == pattern.header_lines());
  pattern.header("X-Two", "2");
  CHECK(copy.header_lines() != pattern.header_lines());
  int lines = 0;
  for (const curl_slist* each = copy.header_lines(); each != nullptr; each = each->next) ++lines;
  CHECK(lines == 2);  // Expect: and X-One
}

TEST_CASE("http: the origin shows neither path nor query", "[net][http]") {
  CHECK(felix::http_request{"http://h:1/secret?key=1"}.origin() == "http://h:1");
  CHECK(felix::http_request{"http://h?key=1"}.origin() == "http://h");
  CHECK(felix::http_request{"http://me:hunter2@h:1/?a@b"}.origin() == "http://h:1");
  CHECK_THROWS_WITH(felix::http_request{"nonsense"}, ContainsSubstring("is no URL"));
  CHECK_THROWS_WITH(felix::http_request{"http://me:hunter2@h:x/"}, !ContainsSubstring("hunter2"));
}

TEST_CASE("http: a head finds its headers whatever their case", "[net][http]") {
  felix::http_head head;
  head.add_line("HTTP/1.1 100 Continue\r\n");
  head.add_line("X-Interim: 1\r\n");
  head.add_line("HTTP/2 429\r\n");
  head.add_line("Retry-After:  7 \r\n");
  head.add_line("X-Empty:\r\n");
  head.add_line("no colon\r\n");
  head.add_line("RETRY-AFTER: 8\r\n");
  CHECK(head.status() == 429);
  CHECK_FALSE(head.is_ok());
  CHECK(head.header("retry-after") == "7");
  CHECK(head.header("x-empty").empty());
  CHECK(head.header("x-interim").empty());
  CHECK(head.header("retry").empty());
  head.add_line("HTTP/1.1 garbage\r\n");
  CHECK(head.status() == 0);
}

TEST_CASE("http_head: whether a name begins so", "[net][http]") {
  felix::http_head head;
  CHECK_FALSE(head.has_name_with("x-"));
  for (const char* const line : {"HTTP/1.1 200 OK\r\n", "Server: x-rate\r\n", "X-RateLimit-Limit: 7\r\n", "A: b\r\n"})
    head.add_line(line);
  CHECK(head.has_name_with("x-ratelimit-"));
  CHECK(head.has_name_with("server"));
  CHECK(head.has_name_with("a"));
  CHECK_FALSE(head.has_name_with("x-ratelimits"));
  CHECK_FALSE(head.has_name_with("rate"));
  CHECK_FALSE(head.has_name_with("a: b and more"));
}

namespace {

const std::string key = "sk-0123456789-0123456789-0123456789";

felix::http_request with_key() {
  felix::http_request request{"http://127.0.0.1:1"};
  request.header("X-Key", key);
  request.bearer(felix::secret{key});
  return request;
}

}  // namespace

TEST_CASE("http: a key is sent as a bearer token", "[net][http]") {
  const felix::http_request request = with_key();
  std::string last;
  for (const curl_slist* each = request.header_lines(); each != nullptr; each = each->next) last = each->data;
  CHECK(last == "Authorization: Bearer " + key);
}

TEST_CASE("http: building a header leaves no key behind", "[net][http]") {
  felix::test::freed_text freed{std::string_view{key}.substr(4)};
  static_cast<void>(with_key());
  CHECK_FALSE(freed.was_seen());
}

TEST_CASE("http: the lines of a header are overwritten before libcurl frees them", "[net][http][header_memory]") {
  // Its memory can be watched only from the beginning. ctest runs each test in a program of its own.
  static bool is_used = false;
  const auto free = [](void* place) {
    felix::test::freed_text::look_at(place);
    std::free(place);
  };
  const auto copy = [](const char* text) {
    is_used = true;
    return ::strdup(text);
  };
  REQUIRE(curl_global_init_mem(CURL_GLOBAL_DEFAULT, &std::malloc, free, &std::realloc, copy, &std::calloc) == CURLE_OK);
  felix::test::freed_text freed{std::string_view{key}.substr(4)};
  {
    felix::http_request request = with_key();
    const felix::http_request pattern = request;
    request.header("X-More", "1");  // makes the first lines the pattern's alone
  }
  if (!is_used) WARN("skipped: libcurl was in use before this test");
  CHECK_FALSE(freed.was_seen());
}
