// SPDX-License-Identifier: MIT
// tests: a client of the model server that sees each byte, each chunk and how the connection ends.
#pragma once

#include "model_server/listen.hpp"  // descriptor
#include "model_server/model_server.hpp"
#include "support/catch.hpp"

#include <arpa/inet.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace felix::test {

enum class ending : unsigned char { fin, reset, silent };

struct http_bytes {
  std::string all{};
  ending end = ending::silent;

  [[nodiscard]] int status() const { return all.size() < 12 ? 0 : std::atoi(all.c_str() + 9); }
  [[nodiscard]] std::string head() const { return all.substr(0, all.find("\r\n\r\n")); }
  [[nodiscard]] std::string header(const std::string& name) const {
    const std::size_t at = head().find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + 4 + name.size();
    return head().substr(begin, head().find("\r\n", begin) - begin);
  }
  /// As it came, perhaps in chunks.
  [[nodiscard]] std::string raw_body() const {
    const std::size_t at = all.find("\r\n\r\n");
    return at == std::string::npos ? "" : all.substr(at + 4);
  }
  /// One for each HTTP chunk; the last one is empty if the body came to its end.
  [[nodiscard]] std::vector<std::string> chunks() const {
    std::vector<std::string> found;
    const std::string body = raw_body();
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t size = std::strtoul(body.c_str() + at, nullptr, 16);
      const std::size_t begin = body.find("\r\n", at) + 2;
      found.push_back(body.substr(begin, size));
      at = begin + size + 2;
    }
    return found;
  }
  [[nodiscard]] bool is_chunked() const { return header("Transfer-Encoding") == "chunked"; }
  [[nodiscard]] std::string body() const {
    if (!is_chunked()) return raw_body();
    std::string text;
    for (const auto& each : chunks()) text += each;
    return text;
  }
  /// Whether all that was announced came.
  [[nodiscard]] bool is_whole() const {
    if (is_chunked()) return !chunks().empty() && chunks().back().empty();
    return !all.empty() && std::to_string(raw_body().size()) == header("Content-Length");
  }
  [[nodiscard]] nlohmann::json content() const { return nlohmann::json::parse(body()); }
  /// The data of all events but [DONE].
  [[nodiscard]] std::vector<nlohmann::json> events() const {
    std::vector<nlohmann::json> found;
    const std::string text = body();
    for (std::size_t at = 0, stop = 0; (stop = text.find("\n\n", at)) != std::string::npos; at = stop + 2) {
      const std::string data = text.substr(at, stop - at);
      if (data != "data: [DONE]") found.push_back(nlohmann::json::parse(data.substr(6)));
    }
    return found;
  }
  [[nodiscard]] bool is_done() const { return body().ends_with("data: [DONE]\n\n"); }
};

/// One request. Its end closes the connection.
class http_socket {
 public:
  http_socket(const model_server::server& server, const std::string& method, const std::string& path,
              const std::string& body, const std::string& headers = "") {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit{.tv_sec = 10, .tv_usec = 0};  // a server that says nothing fails the test and does not hang it
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const std::string request = method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers +
                                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    REQUIRE(::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(request.size()));
  }
  /// Until the server closes.
  http_bytes read_to_end() {
    while (receive()) {}
    return got_;
  }
  /// Until the text is there, and no byte further.
  http_bytes read_until(std::string_view text) {
    while (got_.all.find(text) == std::string::npos && receive()) {}
    return got_;
  }
  void shut_sending_side() const { ::shutdown(socket_.get(), SHUT_WR); }

 private:
  bool receive() {
    char byte = 0;
    const ssize_t count = ::recv(socket_.get(), &byte, 1, 0);
    if (count == 1) {
      got_.all += byte;
      return true;
    }
    got_.end = count == 0 ? ending::fin : errno == ECONNRESET ? ending::reset : ending::silent;
    return false;
  }
  model_server::detail::descriptor socket_{::socket(AF_INET, SOCK_STREAM, 0)};
  http_bytes got_{};
};

inline http_bytes post(const model_server::server& server, const std::string& path, const nlohmann::json& body,
                       const std::string& headers = "") {
  return http_socket{server, "POST", path, body.dump(), headers}.read_to_end();
}
inline http_bytes get(const model_server::server& server, const std::string& path, const std::string& headers = "") {
  return http_socket{server, "GET", path, "", headers}.read_to_end();
}

/// A chat request about bees, with further fields or other ones.
inline nlohmann::json bees(const nlohmann::json& more = nlohmann::json::object()) {
  nlohmann::json body = {{"model", "any"}, {"max_tokens", 40}};
  body["messages"] = {{{"role", "user"}, {"content", "Write about bees"}}};
  body.update(more);
  return body;
}
inline http_bytes chat(const model_server::server& server, const nlohmann::json& more = nlohmann::json::object()) {
  return post(server, "/v1/chat/completions", bees(more));
}

/// Until the server's numbers are so; false after ten seconds.
template <class Predicate>
bool eventually(const model_server::server& server, Predicate satisfied) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!satisfied(server.snapshot())) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace felix::test
