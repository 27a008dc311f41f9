// SPDX-License-Identifier: MIT
// tests: the headers of an answer that no server sent.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace felix::test {

/// Headers by their names in lower case, as felix asks for them.
///     sent_headers{{"retry-after", "3"}, {"server", "nginx"}}
struct sent_headers {
  std::map<std::string, std::string, std::less<>> lines;

  sent_headers() = default;
  sent_headers(std::initializer_list<std::pair<const std::string, std::string>> all) : lines{all} {}

  [[nodiscard]] std::string_view header(std::string_view name) const {
    const auto found = lines.find(name);
    return found == lines.end() ? std::string_view{} : std::string_view{found->second};
  }
};

}  // namespace felix::test
