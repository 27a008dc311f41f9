// SPDX-License-Identifier: MIT
#include <felix/net/detail/easy_handle.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <string>

namespace {

std::size_t discard(char*, std::size_t, std::size_t count, void*) { return count; }

}  // namespace

TEST_CASE("easy_handle: speaks http and https only", "[net][easy_handle]") {
  felix::detail::easy_handle easy;
  easy.apply(felix::http_request{"file:///etc/hostname"});
  easy.set(CURLOPT_WRITEFUNCTION, &discard);
  CHECK(curl_easy_perform(easy.get()) == CURLE_UNSUPPORTED_PROTOCOL);
  easy.apply(felix::http_request{"ftp://127.0.0.1:1/"});
  CHECK(curl_easy_perform(easy.get()) == CURLE_UNSUPPORTED_PROTOCOL);
}

TEST_CASE("easy_handle: an option that libcurl refuses is an error", "[net][easy_handle]") {
  felix::detail::easy_handle easy;
  CHECK_THROWS_WITH(easy.set(CURLOPT_POSTFIELDSIZE, -2L), Catch::Matchers::ContainsSubstring("refused an option"));
}

TEST_CASE("easy_handle: a file of certificates is for the requests that name it", "[net][easy_handle]") {
  // What the file of certificates is cannot be asked for; whether the handle has a wrong one shows in what it would do.
  felix::detail::easy_handle easy;
  const auto with = [](std::string file) {
    return felix::http_request{"https://127.0.0.1:1/"}.connection({.no_proxy = true, .ca_file = std::move(file)});
  };
  CHECK_NOTHROW(easy.apply(with("/nowhere.pem")));
  CHECK_NOTHROW(easy.apply(with("")));
  CHECK(easy.get_info<const char*>(CURLINFO_CAINFO) ==
        felix::detail::easy_handle{}.get_info<const char*>(CURLINFO_CAINFO));
}
