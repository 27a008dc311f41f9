// SPDX-License-Identifier: MIT
// tests: a raw HTTP/1.1 server on loopback that sends exactly the bytes, and fails in exactly the way, that it is told.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::test {

/// What one request gets. `close` is the default because raw bytes need not say where they end.
struct reply {
  enum class ending : unsigned char {
    keep_alive,  ///< the next request may come
    close,       ///< an orderly end (FIN); whether the bytes announced it is up to them
    reset,       ///< RST (SO_LINGER 0), on Linux not before the client's kernel has all the bytes
    hang,        ///< nothing more, until the client goes or the server stops
    cut          ///< only the first half of the body (of the head, if there is no body), then an orderly end
  };
  std::string head_and_body{};
  ending end = ending::close;
  std::chrono::milliseconds delay{0};  ///< before the first byte; ends early when the client goes or the server stops
  std::size_t bytes_per_write = 0;     ///< 0: all at once; else in pieces of this size, a millisecond apart
};

/// A well-formed answer that keeps the connection. It has the right Content-Length, except where the status forbids one
/// (1xx and 204, RFC 9110 §8.6), and no Content-Type if that is empty. For a fault, change the result:
///     auto answer = http(200, "{}");  answer.end = reply::ending::cut;
[[nodiscard]] reply http(int status, std::string_view body,
                         const std::vector<std::pair<std::string, std::string>>& headers = {},
                         std::string_view content_type = "application/json");

/// A whole OpenAI chat completion that says `text` (UTF-8).
[[nodiscard]] reply chat(std::string_view text, int prompt_tokens = 10, int completion_tokens = 5);

struct request {
  std::string method{}, target{};
  std::string head{};  ///< as it came: request line, header lines, and the empty line that ends them
  std::string body{};
  int connection = 0;  ///< which connection brought it, counted from 0 in the order of acceptance

  /// The value of the first header of that name in any case, without the space around it; empty if there is none.
  [[nodiscard]] std::string header(std::string_view name) const;
};

/// A server on 127.0.0.1, on a port of its own.
///     fault_server server{[](const request&) { return http(429, "{}", {{"Retry-After", "1"}}); }};
///     get(server.url() + "/v1/models");
///     CHECK(server.requests().at(0).target == "/v1/models");
/// Threads:  one accepts, one more for each connection. The handler runs on the latter, so it may be called by several
///           at once and may block; while it runs, nobody notices that its client leaves. It must not touch Catch2. If
///           it throws, the client gets a 500 with the message. All members: from any thread, also from the handler.
/// Leaving:  a client has gone when its end of stream or its reset arrives: one that only shuts down its sending side
///           counts as gone too. What it sends before its reply is complete is kept and read as the next request.
/// Refused:  a malformed request line or Content-Length (400) and a Transfer-Encoding (411); then the connection closes
///           and neither requests() nor the handler hears of it.
/// Lifetime: the destructor closes all connections and joins all threads, hence waits for a handler that runs.
class fault_server {
 public:
  using handler = std::function<reply(const request&)>;

  explicit fault_server(handler answer);
  fault_server(fault_server&&) = delete;  // its threads point here
  ~fault_server();

  [[nodiscard]] std::string url() const;                ///< "http://127.0.0.1:PORT"
  [[nodiscard]] std::vector<request> requests() const;  ///< all so far, each is there before its handler is called
  [[nodiscard]] int connections() const;                ///< accepted so far
  [[nodiscard]] int open_connections() const;           ///< accepted, and not yet closed on our side
  [[nodiscard]] int gone_early() const;                 ///< clients that left between a whole request and the last
                                                        ///< byte of its reply; a reply that hangs has no last byte

  /// Waits until `pred(*this)`, asked anew at every change of what the members above report. False after 10 s, or, for
  /// a handler that waits, when the server stops.
  template <class Pred>
  [[nodiscard]] bool wait_until(Pred pred) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    for (;;) {
      const std::uint64_t seen = changes();  // read before asking: a change between question and wait is not slept over
      if (pred(*this)) return true;
      if (!wait_for_change(seen, deadline)) return pred(*this);
    }
  }

 private:
  struct shared;
  [[nodiscard]] std::uint64_t changes() const;
  bool wait_for_change(std::uint64_t seen, std::chrono::steady_clock::time_point deadline) const;

  std::unique_ptr<shared> shared_;
};

/// A loopback URL where nothing listens: its port was free a moment ago.
[[nodiscard]] std::string unused_port_url();

/// The exact bytes of a recorded answer, from the folder that FELIX_TEST_SAMPLES names; empty if it names none, and
/// then a test skips with a word. Throws if the folder lacks the file, so that a misspelt path is not skipped for ever.
[[nodiscard]] std::optional<std::string> sample(std::string_view path);

}  // namespace felix::test
