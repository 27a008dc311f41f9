// SPDX-License-Identifier: MIT
// tests: the server behind fault_server.hpp, on POSIX sockets. Every wait is one poll() of the socket and a stop pipe.
#include "support/fault_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <list>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sockios.h>  // SIOCOUTQ
#endif

namespace felix::test {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto never = clock::time_point::max();
constexpr milliseconds drip_gap{1};       // enough for a client that waits to see each piece alone
constexpr milliseconds accept_pause{10};  // while the process is out of descriptors

#ifdef MSG_NOSIGNAL
constexpr int no_sigpipe = MSG_NOSIGNAL;
#else
constexpr int no_sigpipe = 0;  // there, SO_NOSIGPIPE does it
#endif

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), std::string{"fault_server: "} + what};
}

class descriptor {
 public:
  explicit descriptor(int number) noexcept : number_{number} {}
  descriptor(descriptor&& other) noexcept : number_{std::exchange(other.number_, -1)} {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int get() const noexcept { return number_; }

 private:
  int number_;
};

// Readable for every thread at once, and for good, as soon as somebody says stop: nobody ever reads the byte.
class stop_pipe {
 public:
  stop_pipe() : stop_pipe{ends()} {}
  [[nodiscard]] int reading_end() const noexcept { return reading_.get(); }
  void stop() noexcept {
    while (::write(writing_.get(), "s", 1) < 0 && errno == EINTR) {}
  }

 private:
  explicit stop_pipe(std::array<int, 2> both) : reading_{both[0]}, writing_{both[1]} {
    for (int end : both) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  static std::array<int, 2> ends() {
    std::array<int, 2> both{};
    if (::pipe(both.data()) != 0) fail("pipe");
    return both;
  }

  descriptor reading_, writing_;
};

descriptor bound_to_loopback() {
  descriptor socket{::socket(AF_INET, SOCK_STREAM, 0)};
  if (socket.get() < 0) fail("socket");
  ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);  // port 0: the system chooses a free one
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind to 127.0.0.1");
  return socket;
}

std::string url_of(const descriptor& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  return "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

bool same_name(std::string_view one, std::string_view other) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// How much of a reply that is cut gets sent: all of the head and half of the body, or half of a head without body.
std::size_t cut_size(std::string_view bytes) {
  const auto end = bytes.find("\r\n\r\n");
  const auto head = end == std::string_view::npos || end + 4 == bytes.size() ? 0 : end + 4;
  return head + (bytes.size() - head) / 2;
}

// One accepted connection, as the thread that serves it sees it.
class peer {
 public:
  peer(descriptor socket, const stop_pipe& stop) noexcept : socket_{std::move(socket)}, stop_{stop} {}

  // Empty: none will come. A request that cannot be read is refused on the spot.
  std::optional<request> next_request();
  // False: it was the last one of this connection.
  bool answer(const reply& told);
  [[nodiscard]] bool gone_early() const noexcept { return gone_early_; }

 private:
  enum class wake : unsigned char { ready, time_is_up, gone, stop };

  // Until the socket is ready for `event` (POLLIN, POLLOUT, or 0: for nothing), the client has gone, or `until`. What
  // arrives meanwhile is always taken into received_, because an end of stream shows only behind it.
  wake wait(short event, clock::time_point until);
  bool receive();
  wake write(std::string_view bytes, std::size_t bytes_per_write);
  wake wait_for_delivery();
  void end_stream();
  std::optional<request> refuse(int status, const std::string& why);

  descriptor socket_;
  const stop_pipe& stop_;
  std::string received_;  // not yet part of a request that was returned
  bool gone_early_ = false;
};

peer::wake peer::wait(short event, clock::time_point until) {
  for (;;) {
    int timeout = -1;
    if (until != never) {
      const auto left = std::chrono::ceil<milliseconds>(until - clock::now());
      timeout = static_cast<int>(std::clamp(left, milliseconds{0}, milliseconds{60'000}).count());
    }
    std::array<pollfd, 2> watched{
        {{socket_.get(), static_cast<short>(event | POLLIN), 0}, {stop_.reading_end(), POLLIN, 0}}};
    if (::poll(watched.data(), watched.size(), timeout) < 0 && errno != EINTR) return wake::gone;
    if (watched[1].revents != 0) return wake::stop;
    if ((watched[0].revents & ~POLLOUT) != 0) {
      if (!receive()) return wake::gone;
      if (event == POLLIN) return wake::ready;
    }
    if ((watched[0].revents & POLLOUT) != 0) return wake::ready;
    if (clock::now() >= until) return wake::time_is_up;
  }
}

// False: the client has gone.
bool peer::receive() {
  std::array<char, 16384> chunk;
  const auto size = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
  if (size > 0) received_.append(chunk.data(), static_cast<std::size_t>(size));
  return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

peer::wake peer::write(std::string_view bytes, std::size_t bytes_per_write) {
  while (!bytes.empty()) {
    // Asked before each send, even if there is room: the kernel would take bytes for a client that has closed.
    if (const wake why = wait(POLLOUT, never); why != wake::ready) return why;
    const auto piece = bytes_per_write == 0 ? bytes : bytes.substr(0, bytes_per_write);
    const auto sent = ::send(socket_.get(), piece.data(), piece.size(), no_sigpipe);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return wake::gone;
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    if (bytes_per_write == 0 || bytes.empty()) continue;
    if (const wake why = wait(0, clock::now() + drip_gap); why != wake::time_is_up) return why;
  }
  return wake::ready;
}

// A reset drops what is still in the send buffer. Nothing announces that it has become empty, so look now and then.
peer::wake peer::wait_for_delivery() {
#ifdef SIOCOUTQ
  for (int unsent = 0; ::ioctl(socket_.get(), SIOCOUTQ, &unsent) == 0 && unsent > 0;)
    if (const wake why = wait(0, clock::now() + milliseconds{1}); why != wake::time_is_up) return why;
#endif
  return wake::ready;
}

// To close with input unread would send a reset, which can destroy the reply on its way. A client that never stops
// sending gets that reset after all.
void peer::end_stream() {
  ::shutdown(socket_.get(), SHUT_WR);
  std::array<char, 16384> unread;
  for (int chunks = 0; chunks < 64 && ::recv(socket_.get(), unread.data(), unread.size(), 0) > 0;) ++chunks;
}

bool peer::answer(const reply& told) {
  std::string_view bytes = told.head_and_body;
  if (told.end == reply::ending::cut) bytes = bytes.substr(0, cut_size(bytes));
  constexpr milliseconds a_day = std::chrono::hours{24};  // longer would only risk an overflow
  wake why = wait(0, clock::now() + std::clamp(told.delay, milliseconds{0}, a_day));
  if (why == wake::time_is_up) why = write(bytes, told.bytes_per_write);
  if (why == wake::ready && told.end == reply::ending::hang) why = wait(0, never);
  if (why == wake::ready && told.end == reply::ending::reset) why = wait_for_delivery();
  gone_early_ = why == wake::gone;
  if (why != wake::ready) return false;
  if (told.end == reply::ending::keep_alive) return true;
  if (told.end == reply::ending::reset) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  } else {
    end_stream();
  }
  return false;
}

std::optional<request> peer::refuse(int status, const std::string& why) {
  auto refusal = http(status, "fault_server: " + why, {{"Connection", "close"}}, "text/plain");
  refusal.end = reply::ending::close;
  answer(refusal);
  gone_early_ = false;  // nobody was owed this
  return std::nullopt;
}

std::optional<request> peer::next_request() {
  std::size_t end = 0;
  while ((end = received_.find("\r\n\r\n")) == std::string::npos)
    if (wait(POLLIN, never) != wake::ready) return std::nullopt;

  request asked;
  asked.head = received_.substr(0, end + 4);
  received_.erase(0, asked.head.size());

  const auto line = std::string_view{asked.head}.substr(0, asked.head.find("\r\n"));
  const auto first = line.find(' '), second = line.rfind(' ');
  if (first == 0 || first == std::string_view::npos || second < first + 2 || line.substr(second, 8) != " HTTP/1.")
    return refuse(400, "the request line is not METHOD TARGET HTTP/1.x");
  asked.method = line.substr(0, first);
  asked.target = line.substr(first + 1, second - first - 1);

  if (!asked.header("Transfer-Encoding").empty()) return refuse(411, "request bodies need a Content-Length");
  std::size_t size = 0;
  if (const auto length = asked.header("Content-Length"); !length.empty()) {
    const char* const end_of_length = length.data() + length.size();
    const auto [last, problem] = std::from_chars(length.data(), end_of_length, size);
    if (problem != std::errc{} || last != end_of_length) return refuse(400, "Content-Length is no number");
  }
  // RFC 9110 §10.1.1: not needed once the body is under way.
  if (size > received_.size() && same_name(asked.header("Expect"), "100-continue") &&
      write("HTTP/1.1 100 Continue\r\n\r\n", 0) != wake::ready)
    return std::nullopt;
  while (received_.size() < size)
    if (wait(POLLIN, never) != wake::ready) return std::nullopt;
  asked.body = received_.substr(0, size);
  received_.erase(0, size);
  return asked;
}

std::string json_string(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string quoted = "\"";
  for (char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20) {
      quoted += "\\u00";
      quoted += digits[code >> 4U];
      quoted += digits[code & 15U];
      continue;
    }
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 302: return "Found";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";  // RFC 9112 §4: clients ignore it and it may be absent, but not the space before it
  }
}

}  // namespace

// What the server's threads share.
struct fault_server::shared {
  explicit shared(handler how) : answer{std::move(how)}, listener{bound_to_loopback()}, url{url_of(listener)} {
    if (::listen(listener.get(), SOMAXCONN) != 0) fail("listen");
    ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);  // a client can leave between poll() and accept()
  }

  void accept_until_stopped();
  void serve(descriptor socket, int number, bool& ended);
  reply ask(const request& asked) const;
  template <class Change>
  auto change(Change what) {
    std::scoped_lock lock{mutex};
    ++changes;
    changed.notify_all();
    return what();
  }

  const handler answer;
  const descriptor listener;
  const std::string url;
  stop_pipe stop;
  std::thread acceptor;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::uint64_t changes = 0;
  bool stopping = false;
  std::vector<request> requests;
  int connections = 0, open_connections = 0, gone_early = 0;
};

void fault_server::shared::accept_until_stopped() {
  // The threads of connections inherit this: a signal for the program under test lands on the program's threads.
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);

  struct worker {
    bool ended = false;  // guarded by mutex
    std::thread thread{};
  };
  std::list<worker> workers;  // a list: threads point at their own entry
  bool pause = false;
  for (;;) {
    std::array<pollfd, 2> watched{{{stop.reading_end(), POLLIN, 0}, {listener.get(), POLLIN, 0}}};
    ::poll(watched.data(), pause ? 1 : 2, pause ? static_cast<int>(accept_pause.count()) : -1);
    if (watched[0].revents != 0) break;

    descriptor socket{::accept(listener.get(), nullptr, nullptr)};
    // Out of descriptors, the listener stays readable: look away for a while. All other failures concern one client.
    pause = socket.get() < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
    if (socket.get() < 0) continue;
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // else drips are collected
#ifdef SO_NOSIGPIPE
    ::setsockopt(socket.get(), SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif

    const int number = change([&] { return ++open_connections, connections++; });
    std::list<worker> ended;
    {
      std::scoped_lock lock{mutex};
      for (auto it = workers.begin(); it != workers.end();)
        if (const auto here = it++; here->ended) ended.splice(ended.end(), workers, here);
    }
    for (worker& each : ended) each.thread.join();
    worker& mine = workers.emplace_back();
    mine.thread = std::thread{
        [this, number, &mine, socket = std::move(socket)]() mutable { serve(std::move(socket), number, mine.ended); }};
  }
  for (worker& each : workers) each.thread.join();
}

void fault_server::shared::serve(descriptor socket, int number, bool& ended) {
  bool early = false;
  {
    peer client{std::move(socket), stop};
    while (auto asked = client.next_request()) {
      asked->connection = number;
      change([&] { requests.push_back(*asked); });
      if (!client.answer(ask(*asked))) break;
    }
    early = client.gone_early();
  }  // closes the socket: what counts as closed is closed
  change([&] {
    gone_early += early ? 1 : 0;
    --open_connections;
    ended = true;
  });
}

reply fault_server::shared::ask(const request& asked) const {
  const auto blame = [](std::string_view why) {
    return http(500, "fault_server: the handler threw: " + std::string{why}, {}, "text/plain");
  };
  try {
    return answer(asked);
  } catch (const std::exception& problem) {
    return blame(problem.what());
  } catch (...) {
    return blame("something that is no std::exception");
  }
}

fault_server::fault_server(handler answer) : shared_{std::make_unique<shared>(std::move(answer))} {
  shared_->acceptor = std::thread{[state = shared_.get()] { state->accept_until_stopped(); }};
}

fault_server::~fault_server() {
  shared_->change([&] { shared_->stopping = true; });  // for handlers that wait_until
  shared_->stop.stop();                                // for everybody else
  shared_->acceptor.join();
}

std::string fault_server::url() const { return shared_->url; }

std::vector<request> fault_server::requests() const {
  std::scoped_lock lock{shared_->mutex};
  return shared_->requests;
}

int fault_server::connections() const {
  std::scoped_lock lock{shared_->mutex};
  return shared_->connections;
}

int fault_server::open_connections() const {
  std::scoped_lock lock{shared_->mutex};
  return shared_->open_connections;
}

int fault_server::gone_early() const {
  std::scoped_lock lock{shared_->mutex};
  return shared_->gone_early;
}

std::uint64_t fault_server::changes() const {
  std::scoped_lock lock{shared_->mutex};
  return shared_->changes;
}

bool fault_server::wait_for_change(std::uint64_t seen, clock::time_point deadline) const {
  std::unique_lock lock{shared_->mutex};
  const auto over = [&] { return shared_->changes != seen || shared_->stopping; };
  return shared_->changed.wait_until(lock, deadline, over) && !shared_->stopping;
}

std::string request::header(std::string_view name) const {
  std::string_view rest = head;
  for (auto end = rest.find("\r\n"); end != std::string_view::npos; end = rest.find("\r\n")) {
    rest.remove_prefix(end + 2);
    const auto line = rest.substr(0, rest.find("\r\n"));
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && same_name(line.substr(0, colon), name))
      return std::string{trimmed(line.substr(colon + 1))};
  }
  return {};
}

reply http(int status, std::string_view body, const std::vector<std::pair<std::string, std::string>>& headers,
           std::string_view content_type) {
  std::string bytes = "HTTP/1.1 " + std::to_string(status) + ' ';
  bytes.append(reason(status)).append("\r\n");
  const auto line = [&bytes](std::string_view name, std::string_view value) {
    bytes.append(name).append(": ").append(value).append("\r\n");
  };
  if (!content_type.empty()) line("Content-Type", content_type);
  if (status >= 200 && status != 204) line("Content-Length", std::to_string(body.size()));
  for (const auto& [name, value] : headers) line(name, value);
  bytes.append("\r\n").append(body);
  return {.head_and_body = std::move(bytes), .end = reply::ending::keep_alive};
}

reply chat(std::string_view text, int prompt_tokens, int completion_tokens) {
  return http(200, R"({"id":"chatcmpl-0","object":"chat.completion","created":0,"model":"fault-server",)"
                   R"("choices":[{"index":0,"message":{"role":"assistant","content":)" +
                       json_string(text) + R"(},"finish_reason":"stop"}],"usage":{"prompt_tokens":)" +
                       std::to_string(prompt_tokens) + R"(,"completion_tokens":)" + std::to_string(completion_tokens) +
                       R"(,"total_tokens":)" + std::to_string(prompt_tokens + completion_tokens) + "}}");
}

std::string unused_port_url() { return url_of(bound_to_loopback()); }

std::optional<std::string> sample(std::string_view path) {
  const char* folder = std::getenv("FELIX_TEST_SAMPLES");
  if (folder == nullptr || *folder == '\0') return std::nullopt;
  const auto name = std::string{folder} + '/' + std::string{path};
  std::ifstream file{name, std::ios::binary};
  if (!file) throw std::runtime_error{"sample: no " + name + "; correct the path, or unset FELIX_TEST_SAMPLES"};
  return std::string{std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace felix::test
