// SPDX-License-Identifier: MIT
#include <felix/net/detail/easy_handle.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/program.hpp"

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr const char* openssl = "/usr/bin/openssl";

std::size_t discard(char*, std::size_t, std::size_t count, void*) { return count; }

/// A folder that goes with its contents.
class temporary_folder {
 public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "felix-certificates-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
    path_ = name;
  }
  temporary_folder(temporary_folder&&) = delete;
  ~temporary_folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// For `host`, signed by itself: `name`.pem and its key.
void make_certificate(const temporary_folder& in, const std::string& name, const std::string& host = "IP:127.0.0.1") {
  felix::test::program made{
      openssl,
      {"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext",
       "subjectAltName=" + host, "-keyout", in / (name + ".key"), "-out", in / (name + ".pem")}};
  if (made.wait() != 0) throw std::runtime_error{"openssl req: " + made.err()};
}

/// Answers on 127.0.0.1 with the certificate of that name.
class tls_server {
 public:
  tls_server(const temporary_folder& in, const std::string& name, const std::vector<std::string>& options = {})
      : program_{openssl, arguments(in, name, options)} {
    const std::string ready = "ACCEPT 127.0.0.1:";
    if (!program_.wait_for(ready)) throw std::runtime_error{"openssl s_server: " + program_.err()};
    const std::string port = program_.out().substr(program_.out().find(ready) + ready.size());
    url_ = "https://127.0.0.1:" + port.substr(0, port.find('\n')) + "/";
  }
  [[nodiscard]] const std::string& url() const noexcept { return url_; }

 private:
  static std::vector<std::string> arguments(const temporary_folder& in, const std::string& name,
                                            const std::vector<std::string>& options) {
    std::vector<std::string> all{"s_server",           "-accept", "127.0.0.1:0",       "-www", "-cert",
                                 in / (name + ".pem"), "-key",    in / (name + ".key")};
    all.insert(all.end(), options.begin(), options.end());
    return all;
  }
  felix::test::program program_;
  std::string url_;
};

bool has_openssl() {
  if (::access(openssl, X_OK) == 0) return true;
  WARN("skipped: there is no " << openssl);
  return false;
}

/// GETs it, without a proxy.
CURLcode ask(felix::detail::easy_handle& easy, const std::string& url, const std::string& ca_file = {}) {
  easy.set(CURLOPT_WRITEFUNCTION, &discard);
  easy.set(CURLOPT_TIMEOUT_MS, 10'000L);
  felix::http_request request{url};
  easy.apply(request.header("Authorization", "Bearer key").connection({.no_proxy = true, .ca_file = ca_file}));
  return curl_easy_perform(easy.get());
}

/// Of the environment, until the end of the test.
class variable {
 public:
  variable(const char* name, const char* value) : name_{name} {
    if (const char* const before = std::getenv(name)) before_ = before;
    set(value);
  }
  variable(variable&&) = delete;
  ~variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) noexcept {
    if (value != nullptr) {
      ::setenv(name_, value, 1);
    } else {
      ::unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> before_;
};

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

TEST_CASE("easy_handle: a file of certificates is trusted instead of the system's folder too", "[net][easy_handle]") {
  if (!has_openssl()) return;
  const temporary_folder here;
  make_certificate(here, "own");
  make_certificate(here, "system");
  const std::string folder = here / "system";
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(here / "system.pem", folder + "/system.pem");
  REQUIRE(felix::test::program{openssl, {"rehash", folder}}.wait() == 0);
  const tls_server server{here, "system"};

  const auto trusting = [&](const std::string& file) {
    felix::detail::easy_handle easy;
    easy.set(CURLOPT_CAPATH, folder.c_str());  // as though libcurl had been built with it
    return ask(easy, server.url(), file);
  };
  CHECK(trusting(here / "system.pem") == CURLE_OK);
  CHECK(trusting(here / "own.pem") == CURLE_PEER_FAILED_VERIFICATION);
}

TEST_CASE("easy_handle: a certificate that is trusted, but of another host, is refused", "[net][easy_handle]") {
  if (!has_openssl()) return;
  const temporary_folder here;
  make_certificate(here, "other", "DNS:other.invalid");
  const tls_server server{here, "other"};
  felix::detail::easy_handle easy;
  CHECK(ask(easy, server.url(), here / "other.pem") == CURLE_PEER_FAILED_VERIFICATION);
  easy.set(CURLOPT_SSL_VERIFYHOST, 0L);  // it was the name
  CHECK(ask(easy, server.url(), here / "other.pem") == CURLE_OK);
}

TEST_CASE("easy_handle: a server that speaks nothing newer than TLS 1.1 is refused", "[net][easy_handle]") {
  if (!has_openssl()) return;
  const temporary_folder here;
  make_certificate(here, "old");
  // OpenSSL would refuse it too, but for the level.
  const tls_server server{here, "old", {"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}};
  const auto least = [&](std::optional<long> version) {
    felix::detail::easy_handle easy;
    easy.set(CURLOPT_SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0");
    if (version) easy.set(CURLOPT_SSLVERSION, *version);
    return ask(easy, server.url(), here / "old.pem");
  };
  if (least(CURL_SSLVERSION_TLSv1_1) != CURLE_OK) {
    WARN("skipped: this libcurl has no TLS 1.1");
    return;
  }
  CHECK(least(std::nullopt) == CURLE_SSL_CONNECT_ERROR);
}

TEST_CASE("easy_handle: a password in the user's .netrc goes nowhere", "[net][easy_handle]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, ""); }};
  const temporary_folder home;
  std::ofstream{home / ".netrc"} << "machine 127.0.0.1 login me password hunter2\n";
  const variable set{"HOME", (home / "").c_str()};
  felix::detail::easy_handle easy;
  easy.set(CURLOPT_WRITEFUNCTION, &discard);
  felix::http_request request{server.url()};
  const auto authorization = [&] {
    easy.apply(request.connection({.no_proxy = true}));
    REQUIRE(curl_easy_perform(easy.get()) == CURLE_OK);
    return server.requests().back().header("authorization");
  };
  CHECK(authorization().empty());
  easy.set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));  // it is found
  CHECK(authorization().starts_with("Basic "));
}

TEST_CASE("easy_handle: a redirect is not followed", "[net][easy_handle]") {
  felix::test::fault_server other{[](const felix::test::request&) { return felix::test::http(200, ""); }};
  std::string target = other.url();
  felix::test::fault_server server{
      [&](const felix::test::request&) { return felix::test::http(307, "", {{"Location", target}}); }};
  felix::detail::easy_handle easy;
  CHECK(ask(easy, server.url()) == CURLE_OK);
  CHECK(easy.get_info<long>(CURLINFO_RESPONSE_CODE) == 307);
  CHECK(other.connections() == 0);

  // Each of the other options would prevent harm by itself.
  easy.set(CURLOPT_FOLLOWLOCATION, 1L);
  CHECK(ask(easy, server.url()) == CURLE_TOO_MANY_REDIRECTS);
  CHECK(other.connections() == 0);
  easy.set(CURLOPT_MAXREDIRS, 1L);
  CHECK(ask(easy, server.url()) == CURLE_OK);
  CHECK(server.requests().back().header("authorization") == "Bearer key");
  CHECK(other.requests().at(0).header("authorization").empty());
  target = "ftp://127.0.0.1:1/";
  easy.set(CURLOPT_PROTOCOLS_STR, "all");
  CHECK(ask(easy, server.url()) == CURLE_UNSUPPORTED_PROTOCOL);
}

TEST_CASE("easy_handle: the proxy of the environment is for the requests that may have one", "[net][easy_handle]") {
  const auto ok = [](const felix::test::request&) { return felix::test::http(200, ""); };
  felix::test::fault_server server{ok}, proxy{ok};
  const variable proxied{"http_proxy", proxy.url().c_str()};
  const variable no_exception{"no_proxy", nullptr}, nor_in_capitals{"NO_PROXY", nullptr};
  felix::detail::easy_handle easy;
  easy.set(CURLOPT_WRITEFUNCTION, &discard);
  felix::http_request request{server.url()};
  const auto asked = [&](bool no_proxy) {
    easy.apply(request.connection({.no_proxy = no_proxy}));
    REQUIRE(curl_easy_perform(easy.get()) == CURLE_OK);
    return std::pair{server.requests().size(), proxy.requests().size()};
  };
  CHECK(asked(true) == std::pair<std::size_t, std::size_t>{1, 0});
  CHECK(asked(false) == std::pair<std::size_t, std::size_t>{1, 1});
  CHECK(asked(true) == std::pair<std::size_t, std::size_t>{2, 1});
}
