// SPDX-License-Identifier: MIT
#include <felix/net/detail/easy_handle.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <cstddef>
#include <string>
#include <utility>

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
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, ""); }};
  felix::detail::easy_handle easy;
  easy.set(CURLOPT_TIMEOUT_MS, 20L);  // this server does not understand TLS, and waits
  const auto ask = [&](std::string file) {
    felix::http_request request{"https" + server.url().substr(4)};
    easy.apply(request.connection({.no_proxy = true, .ca_file = std::move(file)}));
    return curl_easy_perform(easy.get());
  };
  CHECK(ask("") == CURLE_OPERATION_TIMEDOUT);
  CHECK(ask("/nowhere.pem") == CURLE_SSL_CACERT_BADFILE);
  CHECK(ask("") == CURLE_OPERATION_TIMEDOUT);
}
