// SPDX-License-Identifier: MIT
// tests: a request that a reactor runs, without a loop.
#pragma once

#include <felix/net/detail/curl_multi.hpp>

#include <curl/curl.h>
#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace felix::test {

struct easy_owner {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{curl_easy_init(), &curl_easy_cleanup};
};

/// GETs a URL and keeps what came.
class curl_transfer final : private easy_owner, public detail::curl_multi::transfer {
 public:
  template <class Reactor>
  curl_transfer(Reactor& reactor, const std::string& url) : easy_owner{}, transfer{handle.get()} {
    curl_easy_setopt(easy(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy(), CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy(), CURLOPT_WRITEFUNCTION, &on_body);
    curl_easy_setopt(easy(), CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(easy(), CURLOPT_OPENSOCKETFUNCTION, &on_socket);
    curl_easy_setopt(easy(), CURLOPT_OPENSOCKETDATA, this);
    reactor.prepare(easy());
    sockets_ = std::make_shared<detail::socket_count>(reactor.on_closing());
    curl_easy_setopt(easy(), CURLOPT_CLOSESOCKETFUNCTION, &detail::socket_count::close_socket);
    curl_easy_setopt(easy(), CURLOPT_CLOSESOCKETDATA, sockets_.get());
    reactor.keep(sockets_);  // connections outlive their request
  }
  void set(CURLoption option, long value) { curl_easy_setopt(easy(), option, value); }
  [[nodiscard]] long opened_connections() const {
    long number = 0;
    curl_easy_getinfo(easy(), CURLINFO_NUM_CONNECTS, &number);
    return number;
  }

  int socket = -1;  // that it opened last
  std::string body;
  std::optional<CURLcode> outcome;
  int orphaned_count = 0;

 private:
  void finished(CURLcode how) override { outcome = how; }
  void orphaned() noexcept override { ++orphaned_count; }
  static curl_socket_t on_socket(void* to, curlsocktype kind, curl_sockaddr* address) {
    auto& self = *static_cast<curl_transfer*>(to);
    return self.socket = detail::socket_count::open_socket(self.sockets_.get(), kind, address);
  }
  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* to) {
    static_cast<std::string*>(to)->append(bytes, count);
    return count;
  }

  std::shared_ptr<detail::socket_count> sockets_;
};

}  // namespace felix::test
