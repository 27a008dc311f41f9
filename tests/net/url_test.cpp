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

TEST_CASE("base_url: only a whole final /v1 segment is removed, and no characters of ports or names",
          "[net][url][D29]") {
  // The original stripped the characters "/v1" from the right: port 8081 became 808.
  CHECK(felix::base_url{"http://h:8081"}.outside_v1("/health") == "http://h:8081/health");
  CHECK(felix::base_url{"http://h:18211/v1"}.outside_v1("/health") == "http://h:18211/health");
  CHECK(felix::base_url{"http://h/apiv1"}.outside_v1("/health") == "http://h/apiv1/health");
  CHECK(felix::base_url{"https://gateway/team/v1"}.outside_v1("/x") == "https://gateway/team/x");
}

TEST_CASE("base_url: knows this machine by all its names and numbers", "[net][url]") {
  for (const char* text :
       {"http://localhost:1/v1", "http://LocalHost", "http://localhost.", "http://a.localhost", "http://a.LOCALHOST.:1",
        "http://127.0.0.1:1", "http://127.8.9.1", "http://127.1", "http://[::1]:8080/v1", "http://[0:0::0:1]",
        "http://[::ffff:127.0.0.1]", "http://[::FFFF:7f00:2]", "http://0.0.0.0", "http://0:1234", "http://[::]"}) {
    CAPTURE(text);
    CHECK(felix::base_url{text}.is_loopback());
  }
  for (const char* text : {"https://api.openai.com/v1", "http://localhost.example.com", "http://10.0.0.1",
                           "http://127.evil.com", "http://127.0.0.1.evil.com", "http://notlocalhost", "http://0.0.0.1",
                           "http://[::2]", "http://[::ffff:10.0.0.1]", "http://[::7f00:1]", "http://[1::1]"}) {
    CAPTURE(text);
    CHECK_FALSE(felix::base_url{text}.is_loopback());
  }
  CHECK(felix::base_url{"https://x"}.is_https());
  CHECK_FALSE(felix::base_url{"http://x"}.is_https());
}

TEST_CASE("base_url: what is not an http URL is refused with an example", "[net][url]") {
  for (const char* text :
       {"", "localhost:1234", "ftp://host/", "file:///etc/passwd", "http://", "http:// a", "javascript:1", "/v1"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(felix::base_url{text}, ContainsSubstring("http://localhost:1234/v1"));
  }
  CHECK_THROWS_WITH(felix::base_url{"localhost:1234"}, ContainsSubstring("does not begin with http://"));
  CHECK_THROWS_WITH(felix::base_url{"ftp://host:1/v1"},
                    ContainsSubstring("\"ftp://host:1\" is neither http nor https"));
  CHECK_THROWS_WITH(felix::base_url{"http://host:port/v1"}, ContainsSubstring("\"http://host:port\" is not a URL"));
  CHECK_THROWS_AS(felix::base_url{"http://host/v1?key=1"}, felix::error);
  CHECK_THROWS_AS(felix::base_url{"http://host/v1#x"}, felix::error);
}

TEST_CASE("base_url: a password or a key in it is refused, and not repeated", "[net][url]") {
  for (const char* text :
       {"http://user:hunter2@host/v1", "ftp://user:hunter2@host/v1", "htps://user:hunter2@host/v1",
        "http://user:hunter2/@host/v1", "user:hunter2@host", "hunter2", "https://host/v1 ?key=hunter2",
        "https://host/v1?key=hunter2", "ftp://host?key=hunter2", "http://hunter2 /v1", "http://host:1 hunter2"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(felix::base_url{text}, !ContainsSubstring("hunter2"));
  }
  CHECK_THROWS_WITH(felix::base_url{"http://user:hunter2@host/v1"}, ContainsSubstring("api_key"));
}
