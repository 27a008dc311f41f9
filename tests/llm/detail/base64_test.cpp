// SPDX-License-Identifier: MIT
#include <felix/llm/detail/base64.hpp>

#include "support/catch.hpp"

#include <string>
#include <utility>

using felix::detail::from_base64;
using felix::detail::to_base64;

TEST_CASE("base64: the vectors of RFC 4648", "[llm][base64]") {
  for (const auto& [bytes, text] : {std::pair<std::string, std::string>{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"},
                                    {"\xff\xfe\xfb", "//77"}}) {
    CHECK(to_base64(bytes) == text);
    CHECK(from_base64(text) == bytes);
  }
}

TEST_CASE("base64: every byte at every place comes back", "[llm][base64]") {
  for (int value = 0; value < 256; ++value) {
    for (std::size_t length = 1; length <= 4; ++length) {
      const std::string bytes(length, static_cast<char>(value));
      CHECK(from_base64(to_base64(bytes)) == bytes);
    }
  }
}

TEST_CASE("base64: what is none is nothing", "[llm][base64]") {
  for (const char* text : {"Zg", "Zg=", "Zg==Zg==", "Z!==", "=Zg=", "Zm9 ", "===="}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64(text));
  }
}
