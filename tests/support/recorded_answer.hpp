// SPDX-License-Identifier: MIT
// tests: an answer that was recorded as it came over the wire, taken apart.
#pragma once

#include "support/sent_headers.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace felix::test {

/// Its status, its headers, and its body with the chunks put together.
struct recorded_answer {
  int status = 0;
  sent_headers headers = {};
  std::string body = {};

  explicit recorded_answer(std::string_view bytes) {
    const auto line = [&] {
      const std::size_t end = bytes.find("\r\n");
      const auto got = bytes.substr(0, end);
      bytes.remove_prefix(std::min(bytes.size(), end + 2));
      return got;
    };
    status = std::stoi(std::string{line().substr(9, 3)});
    for (auto next = line(); !next.empty(); next = line()) {
      const std::size_t colon = next.find(':');
      std::string name{next.substr(0, colon)};
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      headers.lines[name] = next.substr(std::min(colon + 2, next.size()));
    }
    if (headers.header("transfer-encoding") != "chunked") {
      body = bytes;
      return;
    }
    while (!bytes.empty()) {  // a recording may lack its last chunk
      const std::size_t size = std::stoul(std::string{line()}, nullptr, 16);
      if (size == 0) break;
      body += bytes.substr(0, size);
      bytes.remove_prefix(std::min(bytes.size(), size + 2));
    }
  }
};

}  // namespace felix::test
