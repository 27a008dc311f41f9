// SPDX-License-Identifier: MIT
#include <felix/net/url.hpp>

#include "support/catch.hpp"

#include <string>

using Catch::Matchers::ContainsSubstring;

TEST_CASE("base_url: paths are appended after trailing slashes are dropped", "[net][url]") {
  for (const char* text : {"http://localhost:1234/v1", "http://localhost:1234/v1/", "http://localhost:1234/v1///"}) {
    const felix::base_url url{text};
    CHECK(url.with_path("/models") == "http://localhost:1234/v1/models");
    CHECK(url.outside_v1("/health") == "http://localhost:1234/health");
    CHECK(url.text() == "http://localhost:1234/v1");
    CHECK(url.origin() == "http://localhost:1234");
  }
}

TEST_CASE("base_url: only a whole final /v1 segment is removed, and no characters of ports or names", "[net][url]") {
  // The original stripped the characters "/v1" from the right: port 8081 became 808.
  CHECK(felix::base_url{"http://h:8081"}.outside_v1("/health") == "http://h:8081/health");
  CHECK(felix::base_url{"http://h:18211/v1"}.outside_v1("/health") == "http://h:18211/health");
  CHECK(felix::base_url{"http://h/apiv1"}.outside_v1("/health") == "http://h/apiv1/health");
  CHECK(felix::base_url{"https://gateway/team/v1"}.outside_v1("/x") == "https://gateway/team/x");
}

TEST_CASE("base_url: knows this machine and TLS", "[net][url]") {
  for (const char* text : {"http://localhost:1/v1", "http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]:8080/v1",
                           "http://a.localhost"})
    CHECK(felix::base_url{text}.is_loopback());
  for (const char* text : {"https://api.openai.com/v1", "http://localhost.example.com", "http://10.0.0.1"})
    CHECK_FALSE(felix::base_url{text}.is_loopback());
  CHECK(felix::base_url{"https://x"}.is_https());
  CHECK_FALSE(felix::base_url{"http://x"}.is_https());
}

TEST_CASE("base_url: what is not an http URL is refused with its text and an example", "[net][url]") {
  for (const char* text :
       {"", "localhost:1234", "ftp://host/", "file:///etc/passwd", "http://", "http:// a", "javascript:1", "/v1"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(felix::base_url{text},
                      ContainsSubstring("http://localhost:1234/v1") && ContainsSubstring(std::string{"\""} + text));
  }
  CHECK_THROWS_AS(felix::base_url{"http://host/v1?key=1"}, felix::error);
  CHECK_THROWS_AS(felix::base_url{"http://host/v1#x"}, felix::error);
}

TEST_CASE("base_url: a password in it is refused, and not repeated", "[net][url]") {
  try {
    felix::base_url{"http://user:hunter2@host/v1"};
    FAIL("accepted");
  } catch (const felix::error& refused) {
    CHECK_THAT(refused.what(), !ContainsSubstring("hunter2") && ContainsSubstring("api_key"));
  }
}
