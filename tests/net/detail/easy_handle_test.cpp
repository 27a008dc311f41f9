// SPDX-License-Identifier: MIT
#include <felix/net/detail/easy_handle.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/program.hpp"

#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

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

/// For localhost, signed by itself: `name`.pem and its key.
void make_certificate(const temporary_folder& in, const std::string& name) {
  felix::test::program made{
      openssl,
      {"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext",
       "subjectAltName=IP:127.0.0.1", "-keyout", in / (name + ".key"), "-out", in / (name + ".pem")}};
  if (made.wait() != 0) throw std::runtime_error{"openssl req: " + made.err()};
}

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
  if (::access(openssl, X_OK) != 0) {
    WARN("skipped: there is no " << openssl);
    return;
  }
  const temporary_folder here;
  make_certificate(here, "own");
  make_certificate(here, "system");
  const std::string folder = here / "system";
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(here / "system.pem", folder + "/system.pem");
  REQUIRE(felix::test::program{openssl, {"rehash", folder}}.wait() == 0);
  felix::test::program server{
      openssl,
      {"s_server", "-accept", "127.0.0.1:0", "-www", "-cert", here / "system.pem", "-key", here / "system.key"}};
  const std::string ready = "ACCEPT 127.0.0.1:";
  REQUIRE(server.wait_for(ready));
  const std::string port = server.out().substr(server.out().find(ready) + ready.size());

  const auto ask = [&](const std::string& file) {
    felix::detail::easy_handle easy;
    easy.set(CURLOPT_WRITEFUNCTION, &discard);
    easy.set(CURLOPT_TIMEOUT_MS, 10'000L);
    easy.set(CURLOPT_CAPATH, folder.c_str());  // as though libcurl had been built with it
    felix::http_request request{"https://127.0.0.1:" + port.substr(0, port.find('\n')) + "/"};
    easy.apply(request.connection({.no_proxy = true, .ca_file = file}));
    return curl_easy_perform(easy.get());
  };
  CHECK(ask(here / "system.pem") == CURLE_OK);
  CHECK(ask(here / "own.pem") == CURLE_PEER_FAILED_VERIFICATION);
}
