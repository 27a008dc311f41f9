// SPDX-License-Identifier: MIT
// tests: the test server itself, seen through libcurl, and through a bare socket where a client must misbehave.
#include "support/fault_server.hpp"  // first: this file proves that the header needs no other before it

#include "support/catch.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <thread>

using felix::test::chat;
using felix::test::fault_server;
using felix::test::http;
using felix::test::reply;
using felix::test::request;
using ending = felix::test::reply::ending;

namespace {

struct answer {
  CURLcode code = CURLE_OK;
  long status = 0;
  std::string head{}, body{};
};

// One easy handle, so that its connection cache decides what is reused, as in a client.
class browser {
 public:
  browser() : curl_{curl_easy_init()} {
    if (curl_ == nullptr) throw std::runtime_error{"curl_easy_init failed"};
  }
  browser(browser&&) = delete;
  ~browser() { curl_easy_cleanup(curl_); }

  std::size_t leave_after = std::string::npos;  // this many bytes of the body make the client hang up

  answer get(const std::string& url) { return ask(url, nullptr, {}); }
  answer post(const std::string& url, const std::string& body, const std::vector<std::string>& headers = {}) {
    return ask(url, &body, headers);
  }

 private:
  struct sink {
    answer got;
    std::size_t limit;
  };
  static std::size_t take_head(char* bytes, std::size_t, std::size_t size, void* to) {
    static_cast<sink*>(to)->got.head.append(bytes, size);
    return size;
  }
  static std::size_t take_body(char* bytes, std::size_t, std::size_t size, void* to) {
    auto& [got, limit] = *static_cast<sink*>(to);
    got.body.append(bytes, size);
    return got.body.size() >= limit ? 0 : size;
  }

  answer ask(const std::string& url, const std::string* body, const std::vector<std::string>& headers) {
    sink into{{}, leave_after};
    curl_slist* lines = nullptr;
    for (const auto& line : headers) lines = curl_slist_append(lines, line.c_str());
    curl_easy_reset(curl_);
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_PROXY, "");  // whatever http_proxy says
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, 20'000L);
    curl_easy_setopt(curl_, CURLOPT_EXPECT_100_TIMEOUT_MS, 60'000L);  // longer: without a "100 Continue", time is up
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, lines);
    curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &take_head);
    curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &into);
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &take_body);
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &into);
    if (body != nullptr) {
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body->data());
    }
    into.got.code = curl_easy_perform(curl_);
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &into.got.status);
    curl_slist_free_all(lines);
    return std::move(into.got);
  }

  CURL* curl_;
};

// A client without manners: it sends what it likes and leaves when it likes.
class bare_client {
 public:
  explicit bare_client(const fault_server& server) : socket_{::socket(AF_INET, SOCK_STREAM, 0)} {
    const auto url = server.url();
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
    const timeval patience{.tv_sec = 10, .tv_usec = 0};  // a server that keeps silent fails a test and does not hang it
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error{"bare_client: cannot connect"};
  }
  bare_client(bare_client&&) = delete;
  ~bare_client() { leave(); }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error{"bare_client: cannot send"};
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Exactly so many bytes, or fewer if the stream ends or is reset.
  std::string read(std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const auto got = ::recv(socket_, bytes.data() + have, size - have, 0);
      if (got < 0 && errno == EAGAIN) throw std::runtime_error{"bare_client: the server keeps silent"};
      if (got < 0) was_reset = true;
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }
  std::string read_to_end() { return read(std::size_t{4} << 20U); }
  bool was_reset = false;  // rather than ended in order, found by a read
  void leave() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }

 private:
  int socket_;
};

const std::string one_get = "GET /one HTTP/1.1\r\nHost: test\r\n\r\n";

fault_server::handler saying(reply told) {
  return [told = std::move(told)](const request&) { return told; };
}

reply with(reply base, ending end) {
  base.end = end;
  return base;
}

bool one_gone(const fault_server& server) { return server.gone_early() == 1 && server.open_connections() == 0; }
bool none_open(const fault_server& server) { return server.connections() > 0 && server.open_connections() == 0; }

// A request by hand: `head_lines` are complete lines.
std::string raw(std::string_view first_line, std::string_view head_lines = "", std::string_view body = "") {
  return std::string{first_line} + "\r\nHost: test\r\n" + std::string{head_lines} + "\r\n" + std::string{body};
}

// Sets an environment variable for one scope.
class environment {
 public:
  environment(const char* name, const char* value) : name_{name} {
    if (const char* old = std::getenv(name)) before_ = old;
    set(value);
  }
  environment(environment&&) = delete;
  ~environment() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) { value != nullptr ? ::setenv(name_, value, 1) : ::unsetenv(name_); }
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("fault_server: keep_alive serves one request after another on one connection", "[support][fault_server]") {
  fault_server server{[](const request& asked) { return http(200, asked.method + ' ' + asked.target); }};
  browser client;
  const auto first = client.get(server.url() + "/a?b=c");
  const auto second = client.post(server.url() + "/v1", R"({"x":1})", {"X-Thing:  two words "});
  CHECK(first.code == CURLE_OK);
  CHECK(first.status == 200);
  CHECK(first.body == "GET /a?b=c");
  CHECK(second.body == "POST /v1");
  CHECK(server.connections() == 1);
  CHECK(server.open_connections() == 1);

  const auto seen = server.requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].method == "GET");
  CHECK(seen[0].target == "/a?b=c");
  CHECK(seen[0].body.empty());
  CHECK(seen[1].method == "POST");
  CHECK(seen[1].body == R"({"x":1})");
  CHECK(seen[1].header("x-tHING") == "two words");
  CHECK(seen[1].header("Content-Length") == "7");
  CHECK(seen[1].header("X-Thin").empty());
  CHECK(seen[1].header("POST /v1 HTTP/1.1").empty());
  CHECK(seen[1].head.substr(0, 19) == "POST /v1 HTTP/1.1\r\n");
  CHECK(seen[1].head.substr(seen[1].head.size() - 4) == "\r\n\r\n");
  CHECK(seen[0].connection == 0);
  CHECK(seen[1].connection == 0);
}

TEST_CASE("fault_server: a client that leaves after its reply has not gone early", "[support][fault_server]") {
  fault_server server{saying(http(200, "{}"))};
  browser{}.get(server.url());
  REQUIRE(server.wait_until(none_open));
  CHECK(server.gone_early() == 0);
}

TEST_CASE("fault_server: close ends the connection, and the next request gets a new one", "[support][fault_server]") {
  fault_server server{saying(with(http(200, "whole"), ending::close))};
  browser client;
  CHECK(client.get(server.url()).body == "whole");
  REQUIRE(server.wait_until(none_open));  // though the client still lives
  const auto again = client.get(server.url());
  CHECK(again.code == CURLE_OK);
  CHECK(again.body == "whole");
  CHECK(server.connections() == 2);
  REQUIRE(server.requests().size() == 2);
  CHECK(server.requests()[1].connection == 1);
  CHECK(server.gone_early() == 0);
}

TEST_CASE("fault_server: close sends exactly the bytes, framed or not", "[support][fault_server]") {
  const auto [bytes, code, body] = GENERATE(table<std::string, CURLcode, std::string>({
      {"", CURLE_GOT_NOTHING, ""},
      {"HTTP/1.1 200 OK\r\n\r\nno length", CURLE_OK, "no length"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", CURLE_PARTIAL_FILE, "short"},
      {"garbage", CURLE_UNSUPPORTED_PROTOCOL, ""},
  }));
  CAPTURE(bytes);
  fault_server server{saying({.head_and_body = bytes})};
  const auto got = browser{}.get(server.url());
  CHECK(got.code == code);
  CHECK(got.body == body);

  bare_client bare{server};
  bare.send(one_get);
  CHECK(bare.read_to_end() == bytes);
}

TEST_CASE("fault_server: close is orderly even when the client has sent more than it was to",
          "[support][fault_server]") {
  const std::string much(300'000, 'x');  // more than the client's window: a reset would drop what still waits
  std::promise<void> all_sent;
  fault_server server{[&much, sent = all_sent.get_future().share()](const request&) {
    sent.wait();
    return reply{.head_and_body = much};
  }};
  bare_client client{server};
  client.send(one_get + std::string(60'000, 'x'));  // more than the server happens to take in while it answers
  all_sent.set_value();
  REQUIRE(server.wait_until(none_open));  // read only now, so that there is something to lose
  CHECK(client.read_to_end().size() == much.size());
  CHECK_FALSE(client.was_reset);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("fault_server: reset reaches the client after all the bytes, as an error", "[support][fault_server]") {
  browser client;
  SECTION("before any byte") {
    fault_server server{saying({.head_and_body = "", .end = ending::reset})};
    CHECK(client.get(server.url()).code == CURLE_RECV_ERROR);
    CHECK(server.wait_until(none_open));
    CHECK(server.gone_early() == 0);
  }
  SECTION("where an orderly end would be a success") {
    fault_server server{saying({.head_and_body = "HTTP/1.1 200 OK\r\n\r\nhello", .end = ending::reset})};
    const auto got = client.get(server.url());
    CHECK(got.code == CURLE_RECV_ERROR);
    CHECK(got.body == "hello");
  }
  SECTION("after more than a socket holds") {
    const std::string much(std::size_t{16} << 20U, 'x');
    fault_server server{saying({.head_and_body = "HTTP/1.1 200 OK\r\n\r\n" + much, .end = ending::reset})};
    const auto got = client.get(server.url());
    CHECK(got.code == CURLE_RECV_ERROR);
    CHECK(got.body.size() == much.size());
  }
}

TEST_CASE("fault_server: cut sends half of the body, or half of a head without one", "[support][fault_server]") {
  fault_server server{
      [](const request& asked) { return with(http(200, asked.target == "/body" ? "12345678" : ""), ending::cut); }};
  const auto got = browser{}.get(server.url() + "/body");
  CHECK(got.code == CURLE_PARTIAL_FILE);
  CHECK(got.status == 200);
  CHECK(got.body == "1234");

  bare_client client{server};
  client.send(one_get);
  const auto whole = http(200, "").head_and_body;
  CHECK(client.read_to_end() == whole.substr(0, whole.size() / 2));
  CHECK(server.wait_until(none_open));
  CHECK(server.gone_early() == 0);
}

TEST_CASE("fault_server: hang sends the bytes, and sees the client leave", "[support][fault_server]") {
  fault_server server{saying({.head_and_body = "HTTP/1.1 200 OK\r\n\r\nfirst", .end = ending::hang})};
  SECTION("libcurl, told to hang up at the fifth byte") {
    browser client;
    client.leave_after = 5;
    const auto got = client.get(server.url());
    CHECK(got.code == CURLE_WRITE_ERROR);
    CHECK(got.body == "first");
  }
  SECTION("a reset, with the reply unread") {
    bare_client client{server};
    client.send(one_get);
    REQUIRE(server.wait_until([](const auto& s) { return s.requests().size() == 1; }));
    client.leave();
  }
  CHECK(server.wait_until(one_gone));
  CHECK(server.connections() == 1);
}

TEST_CASE("fault_server: a client that leaves during the delay or the drips is noticed", "[support][fault_server]") {
  auto told = http(200, std::string(100'000, 'x'));  // fits into the sockets: only waiting can make it incomplete
  SECTION("delay") { told.delay = std::chrono::hours{1}; }
  SECTION("the longest delay there is") { told.delay = std::chrono::milliseconds::max(); }
  SECTION("drips") { told.bytes_per_write = 1; }
  fault_server server{saying(told)};
  bare_client client{server};
  client.send(one_get + one_get.substr(0, 20));  // what lies before the end of the stream does not hide it
  if (told.bytes_per_write != 0) CHECK(client.read(1) == "H");
  REQUIRE(server.wait_until([](const fault_server& s) { return s.requests().size() == 1; }));
  CHECK(server.gone_early() == 0);
  client.leave();
  CHECK(server.wait_until(one_gone));
}

TEST_CASE("fault_server: a client that leaves a reply too large for the sockets is noticed",
          "[support][fault_server]") {
  fault_server server{saying(http(200, std::string(std::size_t{64} << 20U, 'x')))};
  bare_client client{server};
  client.send(one_get);
  CHECK(client.read(1) == "H");
  client.leave();
  CHECK(server.wait_until(one_gone));
}

TEST_CASE("fault_server: delay and drips do not change the bytes", "[support][fault_server]") {
  auto told = http(200, "a body of 22 characters");
  told.delay = GENERATE(std::chrono::milliseconds{0}, std::chrono::milliseconds{-5}, std::chrono::milliseconds{5});
  told.bytes_per_write = GENERATE(std::size_t{1}, std::size_t{7}, std::size_t{1000});
  fault_server server{saying(told)};
  browser client;
  CHECK(client.get(server.url()).body == "a body of 22 characters");
  CHECK(client.get(server.url()).body == "a body of 22 characters");
  CHECK(server.connections() == 1);
}

TEST_CASE("fault_server: its end ends every wait, and the client sees the connection close",
          "[support][fault_server]") {
  const auto hour = std::chrono::hours{1};
  const auto told =
      GENERATE_COPY(reply{.head_and_body = "x", .end = ending::hang}, reply{.head_and_body = "x", .delay = hour},
                    reply{.head_and_body = std::string(100'000, 'x'), .bytes_per_write = 1},
                    reply{.head_and_body = "x", .end = ending::keep_alive},
                    reply{.head_and_body = std::string(std::size_t{64} << 20U, 'x')});
  std::optional<fault_server> server;
  server.emplace(saying(told));
  bare_client waiting{*server}, half_way{*server}, silent{*server};
  waiting.send(one_get);
  half_way.send("GET /half HTTP/1.1\r\nHo");
  REQUIRE(server->wait_until([](const auto& s) { return s.connections() == 3 && s.requests().size() == 1; }));
  CHECK(server->gone_early() == 0);
  auto got = told.delay.count() == 0 ? waiting.read(1) : "";  // else the server might stop before it sends
  server.reset();
  CHECK(half_way.read_to_end().empty());
  CHECK(silent.read_to_end().empty());
  got += waiting.read(std::size_t{128} << 20U);
  CHECK((got == told.head_and_body.substr(0, got.size())));  // parentheses: no 64 MB in a failure's report
}

TEST_CASE("fault_server: 100-continue is answered, and the body comes whole", "[support][fault_server]") {
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 % 251);
  fault_server server{saying(http(200, "{}"))};
  browser client;
  const auto got = client.post(server.url(), body, {"Expect: 100-Continue"});
  CHECK(got.code == CURLE_OK);  // without the interim answer libcurl would wait past its timeout
  CHECK(got.head.substr(0, 21) == "HTTP/1.1 100 Continue");
  CHECK(got.status == 200);
  REQUIRE(server.requests().size() == 1);
  CHECK((server.requests()[0].body == body));  // parentheses: no 3 MB in a failure's report

  bare_client eager{server};  // its body is already there, so nothing needs to be said
  eager.send(raw("POST / HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 2\r\n", "ok"));
  CHECK(eager.read(15) == "HTTP/1.1 200 OK");
}

TEST_CASE("fault_server: requests that come together, or in pieces, are told apart", "[support][fault_server]") {
  fault_server server{
      [](const request& asked) { return reply{asked.method + asked.target + asked.body + ';', ending::keep_alive}; }};
  const auto three = raw("POST /1 HTTP/1.1", "content-length: 3\r\n", "abc") + raw("GET /2 HTTP/1.1") +
                     raw("PUT /3 HTTP/1.0", "Content-Length: 4\r\n", "\r\n\r\n");
  bare_client client{server};
  SECTION("all at once") { client.send(three); }
  SECTION("byte by byte") {
    for (char c : three) client.send({&c, 1});
  }
  SECTION("the second while the first waits for its reply") {
    client.send(three.substr(0, 70));
    CHECK(client.read(10) == "POST/1abc;");
    client.send(three.substr(70));
    CHECK(client.read(6) == "GET/2;");
    CHECK(client.read(10) == "PUT/3\r\n\r\n;");
    CHECK(server.requests().size() == 3);
    return;
  }
  CHECK(client.read(26) == "POST/1abc;GET/2;PUT/3\r\n\r\n;");
  CHECK(server.requests().size() == 3);
  CHECK(server.connections() == 1);
}

TEST_CASE("fault_server: what arrives while a reply is delayed is the next request", "[support][fault_server]") {
  fault_server server{[](const request& asked) {
    return reply{.head_and_body = asked.target, .end = ending::keep_alive, .delay = std::chrono::milliseconds{20}};
  }};
  bare_client client{server};
  client.send(raw("GET /1 HTTP/1.1"));
  REQUIRE(server.wait_until([](const auto& s) { return s.requests().size() == 1; }));
  client.send(raw("GET /2 HTTP/1.1"));
  CHECK(client.read(4) == "/1/2");
  CHECK(server.gone_early() == 0);
}

TEST_CASE("fault_server: requests that it cannot read are refused and not seen", "[support][fault_server]") {
  const auto [bytes, status] = GENERATE(table<std::string, std::string>({
      {"GARBAGE\r\n\r\n", "400"},
      {"GET  HTTP/1.1\r\n\r\n", "400"},
      {" / HTTP/1.1\r\n\r\n", "400"},
      {"GET / SPDY/3\r\n\r\n", "400"},
      {"\r\n\r\n", "400"},
      {raw("POST / HTTP/1.1", "Content-Length: -1\r\n"), "400"},
      {raw("POST / HTTP/1.1", "Content-Length: 1x\r\n", "1"), "400"},
      {raw("POST / HTTP/1.1", "Content-Length: 99999999999999999999999\r\n"), "400"},
      {raw("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), "411"},
  }));
  CAPTURE(bytes);
  fault_server server{saying(http(200, "{}"))};
  bare_client client{server};
  client.send(bytes);
  CHECK(client.read_to_end().substr(0, 12) == "HTTP/1.1 " + status);
  bare_client rude{server};  // does not even wait for that
  rude.send(bytes);
  rude.leave();
  REQUIRE(server.wait_until([](const auto& s) { return s.connections() == 2 && s.open_connections() == 0; }));
  CHECK(server.requests().empty());
  CHECK(server.gone_early() == 0);
}

TEST_CASE("fault_server: what the handler throws becomes a 500", "[support][fault_server]") {
  fault_server server{[](const request& asked) -> reply {
    if (asked.target == "/int") throw 7;
    throw std::runtime_error{"no reply for " + asked.target};
  }};
  browser client;
  const auto got = client.get(server.url() + "/what");
  CHECK(got.status == 500);
  CHECK(got.body == "fault_server: the handler threw: no reply for /what");
  CHECK(client.get(server.url() + "/int").status == 500);
  CHECK(server.connections() == 1);
}

TEST_CASE("fault_server: handlers may wait for each other, one connection does not hold up the next",
          "[support][fault_server]") {
  constexpr std::size_t clients = 8;
  fault_server server{[&server](const request& asked) {
    const bool all = server.wait_until([](const fault_server& s) { return s.requests().size() == clients; });
    return http(all ? 200 : 500, std::to_string(asked.connection));
  }};
  std::vector<answer> got(clients);
  {
    std::vector<browser> browsers(clients);
    std::vector<std::thread> threads;
    threads.reserve(clients);
    for (std::size_t i = 0; i < clients; ++i) threads.emplace_back([&, i] { got[i] = browsers[i].get(server.url()); });
    for (auto& thread : threads) thread.join();
  }
  std::vector<bool> served(clients);
  for (const auto& each : got) {
    REQUIRE(each.status == 200);
    served.at(std::stoul(each.body)) = true;
  }
  CHECK(served == std::vector<bool>(clients, true));
  CHECK(server.connections() == clients);
  CHECK(server.wait_until(none_open));
}

TEST_CASE("fault_server: a handler that waits is released when the server stops", "[support][fault_server]") {
  std::optional<bool> outcome;
  {
    fault_server server{[&](const request&) {
      outcome = server.wait_until([](const auto&) { return false; });
      return http(200, "{}");
    }};
    bare_client client{server};
    client.send(one_get);
    REQUIRE(server.wait_until([](const auto& s) { return s.requests().size() == 1; }));
  }
  CHECK(outcome == false);
}

TEST_CASE("fault_server: many short connections leave nothing behind", "[support][fault_server]") {
  fault_server server{saying(http(200, "{}"))};
  for (int i = 0; i < 200; ++i) REQUIRE(browser{}.get(server.url()).code == CURLE_OK);
  CHECK(server.connections() == 200);
  CHECK(server.wait_until(none_open));
  CHECK(server.gone_early() == 0);
}

TEST_CASE("fault_server: http says what the body is and how long", "[support][fault_server]") {
  CHECK(http(429, "slow down", {{"Retry-After", "2"}, {"X", "y"}}, "text/plain").head_and_body ==
        "HTTP/1.1 429 Too Many Requests\r\n"
        "Content-Type: text/plain\r\nContent-Length: 9\r\nRetry-After: 2\r\nX: y\r\n\r\n"
        "slow down");
  CHECK(http(200, "", {}, "").head_and_body == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  CHECK(http(204, "", {}, "").head_and_body == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(http(599, "", {}, "").head_and_body == "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n");
  CHECK(http(200, "").end == ending::keep_alive);
  CHECK(reply{}.end == ending::close);
}

TEST_CASE("fault_server: chat is a completion whose text is quoted as JSON asks", "[support][fault_server]") {
  fault_server server{saying(chat("say \"hi\"\\\n\x1f\xc3\xa9", 3, 4))};
  const auto got = browser{}.get(server.url());
  CHECK(got.status == 200);
  CHECK(got.body ==
        R"({"id":"chatcmpl-0","object":"chat.completion","created":0,"model":"fault-server","choices":[{"index":0,)"
        R"("message":{"role":"assistant","content":"say \"hi\"\\\u000a\u001f)"
        "\xc3\xa9"
        R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}})");
}

TEST_CASE("unused_port_url: nothing listens there", "[support][fault_server]") {
  const auto url = felix::test::unused_port_url();
  CHECK(url.substr(0, 17) == "http://127.0.0.1:");
  CHECK(browser{}.get(url).code == CURLE_COULDNT_CONNECT);
}

TEST_CASE("sample: the bytes of a file, nothing without a folder, an error without the file", "[support][sample]") {
  char folder[] = "/tmp/felix-sample-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  const std::string name = std::string{folder} + "/case.http";
  const std::string bytes{"HTTP/1.1 200 OK\r\n\r\n\0\xff\n", 22};
  std::FILE* file = std::fopen(name.c_str(), "wb");
  REQUIRE(file != nullptr);
  CHECK(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
  std::fclose(file);
  {
    environment set{"FELIX_TEST_SAMPLES", folder};
    CHECK(felix::test::sample("case.http") == bytes);
    CHECK_THROWS_AS(felix::test::sample("csae.http"), std::runtime_error);
  }
  {
    environment empty{"FELIX_TEST_SAMPLES", ""};
    CHECK(felix::test::sample("case.http") == std::nullopt);
  }
  {
    environment unset{"FELIX_TEST_SAMPLES", nullptr};
    CHECK(felix::test::sample("case.http") == std::nullopt);
  }
  std::remove(name.c_str());
  ::rmdir(folder);
}
