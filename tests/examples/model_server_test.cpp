// SPDX-License-Identifier: MIT
// examples: the model server's texts, its API, and what it does with many clients and with those that leave.
#include "model_server/model_server.hpp"

#include "model_server/simulated_model.hpp"
#include "model_server/slots.hpp"
#include "support/catch.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using model_server::simulate;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

// ---- the text -------------------------------------------------------------------------------------------------------

model_server::request ask(const std::string& role, const std::string& user, std::int64_t max_tokens = 200) {
  model_server::request asked;
  // The first role that is named counts; a general agent hears of none.
  const std::string rest = role.starts_with("general") ? "" : " Structure it for the synthesis.";
  asked.messages = {{"system", "You are the " + role + " of a team." + rest}, {"user", user}};
  asked.max_tokens = max_tokens;
  return asked;
}

std::string text_of(const model_server::request& asked, std::uint64_t server_seed = 0) {
  return simulate(asked, server_seed).text;
}

// By nlohmann, which refuses to write anything else.
bool is_utf8(const std::string& text) {
  try {
    return !json(text).dump().empty();
  } catch (const json::exception&) {
    return false;
  }
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines{""};
  for (const char c : text) {
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  }
  return lines;
}

const std::string findings = "\nFindings:\n- [research_001] Most reports neglect audit trails, says a survey.";

}  // namespace

TEST_CASE("model_server: the text is a function of the request and the server's seed", "[examples][model_server]") {
  const auto role = GENERATE(as<std::string>{}, "research agent", "analysis agent", "critic agent", "synthesis agent",
                             "general agent");
  CAPTURE(role);
  const auto asked = ask(role, "Topic: Write about AI safety" + findings);
  CHECK(text_of(asked) == text_of(asked));
  CHECK(text_of(asked) != text_of(asked, 1));
  CHECK(text_of(asked) != text_of(ask(role, "Topic: Write about bees" + findings)));
  CHECK(text_of(asked) != text_of(ask(role + " (focus: technical)", "Topic: Write about AI safety" + findings)));
  CHECK(text_of(asked) != text_of(ask(role, "Topic: Write about AI safety")));
  auto changed = asked;
  changed.seed = 0;  // given or not is a difference too
  CHECK(text_of(asked) != text_of(changed));
  changed = asked;
  changed.temperature = 0.5;
  CHECK(text_of(asked) != text_of(changed));
  changed = asked;
  changed.messages.push_back({"assistant", "Hm."});
  auto other_role = changed;
  other_role.messages.back().role = "tool";
  CHECK(text_of(asked) != text_of(changed));
  CHECK(text_of(changed) != text_of(other_role));
}

TEST_CASE("model_server: a role has its form, names the subject and picks up findings", "[examples][model_server]") {
  struct row {
    std::string role, each_line, somewhere;
  };
  const auto [role, each_line, somewhere] = GENERATE(values<row>({{"research agent", "(simulated source ", "- "},
                                                                  {"analysis agent (focus: critical)", ". ", "1. "},
                                                                  {"critic agent", "Correction: ", "1. "}}));
  const auto user =
      GENERATE(as<std::string>{}, "Topic: Write a short blog post about AI safety", "Write about AI safety.",
               "Topic: AI safety\nFindings:\n- [critic_007] AI safety lacks waggle dances.");
  CAPTURE(role, user);
  const std::string text = text_of(ask(role, user, 800));
  CHECK_THAT(text, ContainsSubstring("AI safety") && ContainsSubstring(somewhere));
  CHECK_THAT(text, !ContainsSubstring("Write") && !ContainsSubstring("blog post"));
  CHECK((text.find("waggle dances") != std::string::npos) == (user.find("waggle dances") != std::string::npos));
  CHECK((text.find("critic_007") != std::string::npos) == (user.find("critic_007") != std::string::npos));
  for (const auto& line : lines_of(text)) CHECK_THAT(line, ContainsSubstring(each_line));
}

TEST_CASE("model_server: roles fill most of max_tokens and are not cut", "[examples][model_server]") {
  const auto role = GENERATE(as<std::string>{}, "research agent", "analysis agent", "critic agent", "synthesis agent");
  const auto max_tokens = GENERATE(100, 150, 240, 400, 560, 800);
  const auto seed = GENERATE(range(0, 8));
  auto asked = ask(role, "Topic: Write about AI safety" + findings, max_tokens);
  asked.seed = seed;
  const auto answer = simulate(asked, 0);
  CAPTURE(role, max_tokens, seed, answer.text);
  CHECK_FALSE(answer.cut);
  CHECK(answer.completion_tokens <= max_tokens);
  CHECK(answer.completion_tokens * 10 >= max_tokens * 7);
}

TEST_CASE("model_server: without max_tokens, texts end by themselves", "[examples][model_server]") {
  auto asked = ask("synthesis agent", "Topic: AI safety");
  asked.max_tokens.reset();
  const auto draft = simulate(asked, 0);
  asked.messages[1].content += "\nWrite the final text.";
  const auto post = simulate(asked, 0);
  CHECK((!draft.cut && draft.completion_tokens <= 600));
  CHECK((!post.cut && post.completion_tokens > 600 && post.completion_tokens <= 900));
}

TEST_CASE("model_server: a long list does not repeat itself", "[examples][model_server]") {
  const auto role = GENERATE(as<std::string>{}, "research agent", "general agent");
  auto asked = ask(role, "Topic: AI safety", 2000);
  asked.seed = GENERATE(range(0, 8));
  const auto lines = lines_of(text_of(asked));
  CHECK(lines.size() > 30);  // more than there are templates of a kind
  std::set<std::string> seen;
  for (const auto& line : lines) {
    CAPTURE(line);
    CHECK((line.empty() || seen.insert(line.substr(0, line.find(" (simulated"))).second));
  }
}

TEST_CASE("model_server: a final text is a whole blog post from 150 tokens on", "[examples][model_server]") {
  const auto max_tokens = GENERATE(150, 170, 200, 300, 600, 900, 4000);
  const auto topic = GENERATE(
      as<std::string>{}, "Write about AI safety", "Künstliche Intelligenz", "量子コンピュータ",
      "What is the best way to learn a language with little time and no teacher?",
      "the long and winding history of the railway timetables of Europe, their makers, their readers, and all the "
      "people who missed a train because of them");
  const auto seed = GENERATE(range(0, 6));
  auto asked =
      ask("synthesis agent (focus: report)", "Topic: " + topic + "\nWrite the final text." + findings, max_tokens);
  asked.seed = seed;
  const auto answer = simulate(asked, 0);
  CAPTURE(max_tokens, seed, answer.text);
  CHECK_FALSE(answer.cut);
  const auto lines = lines_of(answer.text);
  CHECK(lines.at(0).starts_with("# "));
  CHECK_THAT(lines.at(2), ContainsSubstring("simulated model"));
  std::vector<std::string> headings;
  std::set<std::string> sentences;
  for (const auto& line : lines) {
    if (line.starts_with("## ")) headings.push_back(line);
    for (std::size_t at = 0, end = 0; end != std::string::npos && !line.starts_with('#'); at = end + 2) {
      end = line.find(". ", at);
      const auto sentence = line.substr(at, end - at);
      if (!sentence.empty()) CHECK(sentences.insert(sentence).second);
    }
  }
  for (const std::string template_text : {"None of this requires genius", "is paid for in time", "In conclusion, "}) {
    const std::size_t first = answer.text.find(template_text);
    CHECK((first == std::string::npos || answer.text.find(template_text, first + 1) == std::string::npos));
  }
  CHECK(headings.size() >= 4);  // three sections, and
  CHECK(headings.size() <= 6);
  CHECK(headings.back() == "## Conclusion");
  CHECK(lines.back().ends_with('.'));
}

TEST_CASE("model_server: an executive summary has a heading and three to five points", "[examples][model_server]") {
  const auto part = GENERATE(as<std::string>{}, "executive summary", "executive_summary");
  const auto lines = lines_of(
      text_of(ask("synthesis agent", "Topic: AI safety\nWrite the final text.\nPart: " + part + findings, 200)));
  CHECK(lines.at(0) == "## Executive summary");
  CHECK(lines.size() >= 5);
  CHECK(lines.size() <= 7);
  for (std::size_t i = 2; i < lines.size(); ++i) CHECK(lines[i].starts_with("- "));
}

TEST_CASE("model_server: usage is counted by the documented rule", "[examples][model_server]") {
  CHECK(model_server::count_tokens("") == 0);
  CHECK(model_server::count_tokens("a") == 1);
  CHECK(model_server::count_tokens("abcd") == 1);
  CHECK(model_server::count_tokens("abcde") == 2);
  CHECK(model_server::count_tokens("量子") == 2);  // six bytes
  model_server::request asked;
  asked.messages = {{"system", "12345"}, {"user", "bees"}, {"assistant", ""}};
  const auto answer = simulate(asked, 0);
  CHECK(answer.prompt_tokens == 3 + (4 + 2) + (4 + 1) + 4);
  CHECK(answer.completion_tokens == model_server::count_tokens(answer.text));
}

TEST_CASE("model_server: max_tokens cuts between characters", "[examples][model_server]") {
  CHECK(model_server::cut_to_bytes("a量", 4) == "a量");
  CHECK(model_server::cut_to_bytes("a量b", 4) == "a量");
  CHECK(model_server::cut_to_bytes("a量", 3) == "a");
  CHECK(model_server::cut_to_bytes("🐝", 3).empty());
  const auto topic = GENERATE(as<std::string>{}, "量子コンピュータ", "Künstliche Intelligenz", "🐝🐝🐝🐝🐝", "bees");
  for (int max_tokens = 1; max_tokens < 40; ++max_tokens) {
    const auto answer = simulate(ask("synthesis agent", "Topic: " + topic, max_tokens), 0);
    CAPTURE(answer.text, max_tokens);
    CHECK(is_utf8(answer.text));
    CHECK(answer.completion_tokens <= max_tokens);
    if (answer.cut) CHECK(answer.completion_tokens == max_tokens);
    if (max_tokens < 5) CHECK(answer.cut);
  }
}

TEST_CASE("model_server: a topic comes through unbroken, but for control characters", "[examples][model_server]") {
  const auto text = [](const std::string& topic) { return text_of(ask("general agent", "Topic: " + topic, 400)); };
  CHECK_THAT(text("Künstliche Intelligenz 🤖"), ContainsSubstring("Künstliche Intelligenz 🤖"));
  CHECK_THAT(text("be\x1B\x07"
                  "e \x7F"
                  "dan\xC2\x85"
                  "ces"),
             ContainsSubstring(" bee dances"));
  CHECK_THAT(text("\xC2\xA0"
                  "nbsp"),
             ContainsSubstring("\xC2\xA0"
                               "nbsp"));  // U+00A0 is next to the last control
  CHECK(is_utf8(text(std::string(300, 'x') + "量")));
  CHECK_THAT(text("\x01"), ContainsSubstring("this subject"));
  CHECK_THAT(text(std::string(300, 'x')), !ContainsSubstring(std::string(61, 'x')));  // it stands in many sentences
}

// ---- the server -----------------------------------------------------------------------------------------------------

namespace {

std::string host_of(const model_server::server& server) { return server.url().substr(0, server.url().size() - 3); }

struct response {
  long status = 0;
  std::string body{}, allow{};
  long new_connections = 0;
  [[nodiscard]] json content() const { return json::parse(body); }
};

std::size_t append(char* bytes, std::size_t size, std::size_t count, void* to) {
  static_cast<std::string*>(to)->append(bytes, size * count);
  return size * count;
}

class http_client {
 public:
  response get(const std::string& url) { return perform(url, nullptr, "GET"); }
  response post(const std::string& url, const std::string& body) { return perform(url, &body, "POST"); }
  response perform(const std::string& url, const std::string* body, const char* method) {
    response got;
    CURL* const handle = handle_.get();
    curl_easy_reset(handle);  // keeps the connection
    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &append);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &got.body);
    if (body != nullptr) {
      curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
      curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body->data());
    }
    if (curl_easy_perform(handle) != CURLE_OK) return got;  // status 0
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &got.status);
    curl_easy_getinfo(handle, CURLINFO_NUM_CONNECTS, &got.new_connections);
    curl_header* allow = nullptr;
    if (curl_easy_header(handle, "Allow", 0, CURLH_HEADER, -1, &allow) == CURLHE_OK) got.allow = allow->value;
    return got;
  }

 private:
  struct cleanup {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  std::unique_ptr<CURL, cleanup> handle_{curl_easy_init()};
};

std::string chat_body(const std::string& topic, int max_tokens, const json& more = json::object()) {
  json body = {{"model", "any"}, {"max_tokens", max_tokens}, {"messages", {{{"role", "user"}, {"content", topic}}}}};
  body.update(more);
  return body.dump();
}

// A client that sends its request and need not read the answer. Its end closes the connection.
class raw_client {
 public:
  raw_client(const model_server::server& server, const std::string& body) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit{.tv_sec = 10, .tv_usec = 0};  // a server that says nothing fails the test and does not hang it
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    send(body);
  }
  void send(const std::string& body) const {
    const std::string all =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
        body;
    REQUIRE(::send(socket_.get(), all.data(), all.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(all.size()));
  }
  void shut_sending_side() const { ::shutdown(socket_.get(), SHUT_WR); }
  [[nodiscard]] std::string read_until(std::string_view end) const {
    std::string text;
    while (text.find(end) == std::string::npos && read_byte(text) == 1) {}
    return text;
  }
  // What was still to come, when the server has closed the connection; "silent" if it does not.
  [[nodiscard]] std::string read_to_end() const {
    std::string text;
    ssize_t count = 1;
    while (count == 1) count = read_byte(text);
    return count == 0 || errno == ECONNRESET ? text : "silent";
  }

 private:
  ssize_t read_byte(std::string& text) const {
    char byte = 0;
    const ssize_t count = ::recv(socket_.get(), &byte, 1, 0);
    if (count == 1) text += byte;
    return count;
  }
  model_server::detail::descriptor socket_{::socket(AF_INET, SOCK_STREAM, 0)};
};

// Until the server's numbers are so; false after ten seconds.
template <class Predicate>
bool eventually(const model_server::server& server, Predicate satisfied) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!satisfied(server.snapshot())) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

const model_server::options fast{.speed = 1000};
const model_server::options never_ready{.latency = 1h};

}  // namespace

TEST_CASE("model_server: answers what simulate() says, counts it, keeps the connection", "[examples][model_server]") {
  auto chosen = fast;
  chosen.seed = 7;
  const model_server::server server{chosen};
  http_client client;
  const auto body = chat_body("Write about bees", 50, {{"temperature", 0.5}, {"seed", -3}});
  const auto got = client.post(server.url() + "/chat/completions", body);
  REQUIRE(got.status == 200);
  const auto expected =
      simulate({.messages = {{"user", "Write about bees"}}, .max_tokens = 50, .temperature = 0.5, .seed = -3}, 7);
  const json answer = got.content();
  CHECK(answer["object"] == "chat.completion");
  CHECK(answer["model"] == "felix-simulated");
  CHECK(answer["choices"][0]["message"] == json{{"role", "assistant"}, {"content", expected.text}});
  CHECK(answer["choices"][0]["finish_reason"] == (expected.cut ? "length" : "stop"));
  CHECK(answer["usage"] == json{{"prompt_tokens", expected.prompt_tokens},
                                {"completion_tokens", expected.completion_tokens},
                                {"total_tokens", expected.prompt_tokens + expected.completion_tokens}});

  const auto again = client.post(server.url() + "/chat/completions", body);
  CHECK(again.new_connections == 0);
  CHECK(again.content()["choices"] == answer["choices"]);
  CHECK(again.content()["id"] != answer["id"]);
  for (const int temperature : {0, 2})
    CHECK(client.post(server.url() + "/chat/completions", chat_body("", 1, {{"temperature", temperature}})).status ==
          200);
  const json stats = client.get(host_of(server) + "/stats").content();
  const int others = 2 * (3 + 4);  // two empty prompts, and a token each
  CHECK(stats["requests"] == 4);
  CHECK(stats["prompt_tokens"] == 2 * expected.prompt_tokens + others);
  CHECK(stats["completion_tokens"] == 2 * expected.completion_tokens + 2);
  CHECK(stats["total_tokens"] == 2 * (expected.prompt_tokens + expected.completion_tokens) + others + 2);
  CHECK(stats["max_in_flight"] == 1);
  CHECK((stats["in_flight"] == 0 && stats["waiting"] == 0 && stats["cancelled"] == 0));
}

TEST_CASE("model_server: max_completion_tokens wins, text parts are joined, max_tokens may be ignored",
          "[examples][model_server]") {
  const bool respected = GENERATE(true, false);
  auto chosen = fast;
  chosen.respect_max_tokens = respected;
  const model_server::server server{chosen};
  const json parts = {{{"type", "text"}, {"text", "Write about "}}, {{"type", "text"}, {"text", "bees"}}};
  const json messages = {{{"role", "user"}, {"content", parts}}};
  const auto body = chat_body("", 900, {{"max_completion_tokens", 3}, {"messages", messages}, {"seed", nullptr}});
  const json answer = http_client{}.post(server.url() + "/chat/completions", body).content();
  model_server::request asked{.messages = {{"user", "Write about bees"}}};
  if (respected) asked.max_tokens = 3;
  CHECK(answer["choices"][0]["message"]["content"] == text_of(asked));
  CHECK(answer["choices"][0]["finish_reason"] == (respected ? "length" : "stop"));
}

TEST_CASE("model_server: a stream has the same text, token by token", "[examples][model_server]") {
  const bool with_usage = GENERATE(true, false);
  const model_server::server server{fast};
  const auto expected = simulate({.messages = {{"user", "Write about 量子コンピュータ"}}, .max_tokens = 60}, 0);
  json more = {{"stream", true}};
  if (with_usage) more["stream_options"] = {{"include_usage", true}};
  const auto got =
      http_client{}.post(server.url() + "/chat/completions", chat_body("Write about 量子コンピュータ", 60, more));
  REQUIRE(got.status == 200);
  std::vector<json> events;
  bool done = false;
  for (const auto& line : lines_of(got.body)) {
    if (line.empty()) continue;
    REQUIRE(line.starts_with("data: "));
    REQUIRE_FALSE(done);
    done = line == "data: [DONE]";
    if (!done) events.push_back(json::parse(line.substr(6)));  // throws if a character was split
  }
  CHECK(done);
  if (with_usage) {
    CHECK(events.back()["choices"].empty());
    CHECK(events.back()["usage"]["completion_tokens"] == expected.completion_tokens);
    events.pop_back();
  }
  REQUIRE(events.size() == static_cast<std::size_t>(expected.completion_tokens) + 2);
  CHECK(events.front()["choices"][0]["delta"] == json{{"role", "assistant"}, {"content", ""}});
  CHECK(events.back()["choices"][0]["delta"] == json::object());
  CHECK(events.back()["choices"][0]["finish_reason"] == (expected.cut ? "length" : "stop"));
  std::string text;
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    text += events[i]["choices"][0]["delta"]["content"].get<std::string>();
    CHECK(events[i]["choices"][0]["finish_reason"].is_null());
    CHECK(events[i].contains("usage") == with_usage);
  }
  CHECK(text == expected.text);
  CHECK(server.snapshot().requests == 1);
  CHECK(server.snapshot().cancelled == 0);
}

TEST_CASE("model_server: a bad request is told what is wrong, and where", "[examples][model_server]") {
  struct row {
    std::string body, param, message;
  };
  const std::string fine = R"("messages":[{"role":"user","content":"x"}])";
  const auto [body, param, message] = GENERATE_COPY(values<row>({
      {"", "", "not JSON"},
      {"{\n1}", "", "line 2, column 1"},
      {"[]", "", "must be a JSON object"},
      {"{\"messages\":\"\xC3\x28\"}", "", "not UTF-8 at byte 13"},
      {"{\"messages\":\"\xED\xA0\x80\"}", "", "not UTF-8"},
      {std::string(100, '[') + std::string(100, ']'), "", "nested deeper"},
      {"{}", "messages", "missing"},
      {R"({"messages":[]})", "messages", "empty"},
      {R"({"messages":{}})", "messages", "must be a list"},
      {R"({"messages":["x"]})", "messages[0]", "must be an object"},
      {R"({"messages":[{"content":"x"}]})", "messages[0].role", "must be a string"},
      {R"({"messages":[{"role":"robot","content":"x"}]})", "messages[0].role", "must be system"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":"user"}]})", "messages[1].content", "must be a string"},
      {R"({"messages":[{"role":"user","content":[{"type":"input_audio"}]}]})", "messages[0].content[0]",
       "reads no sounds"},
      {"{" + fine + R"(,"model":1})", "model", "must be a string"},
      {"{" + fine + R"(,"max_tokens":0})", "max_tokens", "at least 1, is 0"},
      {"{" + fine + R"(,"max_tokens":1.5})", "max_tokens", "must be an integer, is 1.5"},
      {"{" + fine + R"(,"max_completion_tokens":-1})", "max_completion_tokens", "at least 1, is -1"},
      {"{" + fine + R"(,"temperature":2.1})", "temperature", "from 0 to 2, is 2.1"},
      {"{" + fine + R"(,"temperature":-0.1})", "temperature", "from 0 to 2"},
      {"{" + fine + R"(,"temperature":"hot"})", "temperature", "must be a number"},
      {"{" + fine + R"(,"seed":18446744073709551615})", "seed", "64 bits"},
      {"{" + fine + R"(,"n":5})", "n", "from 1 to 4, the slots"},
      {"{" + fine + R"(,"stream":1})", "stream", "true or false"},
      {"{" + fine + R"(,"stream_options":{"include_usage":1}})", "stream_options.include_usage", "true or false"},
  }));
  CAPTURE(body);
  const model_server::server server{fast};
  const auto got = http_client{}.post(server.url() + "/chat/completions", body);
  CHECK(got.status == 400);
  const json failure = got.content().at("error");
  CHECK(failure.at("type") == "invalid_request_error");
  CHECK(failure.at("param") == (param.empty() ? json{} : json(param)));
  CHECK(failure.at("code").is_null());
  CHECK_THAT(failure.at("message").get<std::string>(), ContainsSubstring(message) && ContainsSubstring(param));
  CHECK(server.snapshot().requests == 0);
}

TEST_CASE("model_server: other routes, unknown paths, wrong methods, large bodies", "[examples][model_server]") {
  const model_server::server server{fast};
  http_client client;
  CHECK(client.get(server.url() + "/models").content()["data"][0]["id"] == "felix-simulated");
  CHECK(client.get(host_of(server) + "/health").content() == json{{"status", "ok"}});
  const auto unknown = client.get(server.url() + "/engines");
  CHECK(unknown.status == 404);
  CHECK_THAT(unknown.content()["error"]["message"].get<std::string>(), ContainsSubstring("GET /v1/engines"));
  const auto wrong = client.get(server.url() + "/chat/completions");
  CHECK(wrong.status == 405);
  CHECK(wrong.allow == "POST");
  CHECK(wrong.content()["error"]["type"] == "invalid_request_error");
  CHECK(client.post(host_of(server) + "/stats", "{}").allow == "GET, HEAD");

  // curl asks with Expect: 100-continue before it sends so much.
  constexpr std::size_t limit = 8 * 1024 * 1024;
  std::string body = chat_body("Write about bees", 20);
  body.resize(limit, ' ');
  CHECK(client.post(server.url() + "/chat/completions", body).status == 200);
  body += ' ';
  const auto refused = client.post(server.url() + "/chat/completions", body);
  CHECK(refused.status == 413);
  CHECK_THAT(refused.content()["error"]["message"].get<std::string>(), ContainsSubstring("8388608"));
}

TEST_CASE("model_server: no more requests than slots are generated, the others wait in order",
          "[examples][model_server]") {
  auto chosen = never_ready;
  chosen.slots = 2;
  const model_server::server server{chosen};
  std::vector<std::unique_ptr<raw_client>> clients;
  for (int i = 0; i < 20; ++i) {  // one after the other, so that the order is known; each prompt a token longer
    clients.push_back(
        std::make_unique<raw_client>(server, chat_body(std::string(static_cast<std::size_t>(4 * i + 4), 'x'), 9)));
    REQUIRE(eventually(server, [&](const auto& now) { return now.in_flight == i + 1; }));
    CHECK(server.snapshot().slots_busy == std::min(i + 1, 2));
  }
  CHECK(server.snapshot().waiting == 18);
  const auto leave = [&](std::size_t which) {  // and tells which prompt was charged
    const auto before = server.snapshot();
    clients[which].reset();
    REQUIRE(eventually(server, [&](const auto& now) { return now.cancelled == before.cancelled + 1; }));
    return server.snapshot().prompt_tokens - before.prompt_tokens;
  };
  CHECK(leave(5) == 0);  // it was waiting: nothing was spent
  CHECK(leave(0) == 3 + 4 + 1);
  CHECK(leave(2) == 3 + 4 + 3);  // the third was next
  CHECK(leave(1) == 3 + 4 + 2);
  CHECK(leave(4) == 3 + 4 + 5);  // after the fourth, the fifth
  CHECK(leave(6) == 3 + 4 + 7);  // not the sixth, who is gone
  const auto now = server.snapshot();
  CHECK(now.slots_busy == 2);
  CHECK(now.waiting == 12);
  CHECK(now.in_flight == 14);
  CHECK(now.max_in_flight == 20);
  CHECK(now.completion_tokens == 0);
  CHECK(now.requests == 0);
}

TEST_CASE("model_server: twenty clients at once are all answered", "[examples][model_server]") {
  const model_server::server server{fast};
  constexpr std::size_t clients = 20;
  constexpr int each = 6;
  std::vector<std::vector<response>> answers(clients);
  std::vector<std::thread> threads;
  for (auto& got : answers) {
    threads.emplace_back([&got, &server] {
      http_client client;
      for (int i = 0; i < each; ++i)
        got.push_back(client.post(server.url() + "/chat/completions",
                                  chat_body("Write about bees", 40, {{"seed", i}, {"stream", i % 2 == 1}})));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& got : answers) {
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].status == 200);
      CHECK(
          (i % 2 == 1 ? got[i].body.ends_with("[DONE]\n\n") : got[i].content()["usage"]["prompt_tokens"] == 3 + 4 + 4));
    }
  }
  const auto now = server.snapshot();
  CHECK(now.requests == clients * each);
  CHECK(now.prompt_tokens == clients * each * (3 + 4 + 4));
  CHECK(now.in_flight == 0);
  CHECK(now.cancelled == 0);
  CHECK(now.max_in_flight >= 1);
  CHECK(now.max_in_flight <= static_cast<int>(clients));
}

TEST_CASE("model_server: a client that leaves a stream pays for what was generated", "[examples][model_server]") {
  const bool half = GENERATE(false, true);
  const model_server::server server{{.tokens_per_second = 20, .latency = 0ms}};
  auto leaving = std::make_unique<raw_client>(server, chat_body("Write about bees", 800, {{"stream", true}}));
  CHECK_THAT(leaving->read_until("\"content\":\"Main\""), ContainsSubstring("text/event-stream"));
  if (half)
    leaving->shut_sending_side();
  else
    leaving.reset();
  REQUIRE(eventually(server, [](const auto& now) { return now.cancelled == 1; }));
  if (half) CHECK_THAT(leaving->read_to_end(), !ContainsSubstring("[DONE]") && !ContainsSubstring("silent"));
  const auto now = server.snapshot();
  CHECK(now.in_flight == 0);
  CHECK(now.requests == 0);
  CHECK(now.prompt_tokens == 3 + 4 + 4);
  CHECK(now.completion_tokens >= 1);
  CHECK(now.completion_tokens < 500);
}

TEST_CASE("model_server: a client may leave its second request too", "[examples][model_server]") {
  const model_server::server server{{.tokens_per_second = 20, .latency = 0ms}};
  auto leaving = std::make_unique<raw_client>(server, chat_body("Write about bees", 1));
  CHECK_THAT(leaving->read_until("total_tokens"), ContainsSubstring("200 OK"));
  leaving->send(chat_body("Write about bees", 800));
  REQUIRE(eventually(server, [](const auto& now) { return now.requests == 1 && now.in_flight == 1; }));
  leaving.reset();
  CHECK(eventually(server, [](const auto& now) { return now.cancelled == 1 && now.in_flight == 0; }));
}

TEST_CASE("model_server: stop() ends what is in flight, and is neither an answer nor a cancellation",
          "[examples][model_server]") {
  model_server::server server{{.slots = 2, .tokens_per_second = 20, .latency = 0ms}};
  const raw_client streaming{server, chat_body("Write about bees", 800, {{"stream", true}})};
  CHECK_THAT(streaming.read_until("\"content\":\"Main\""), ContainsSubstring("Main"));
  const raw_client generating{server, chat_body("Write about bees", 800)};
  const raw_client waiting{server, chat_body("Write about bees", 800)};
  REQUIRE(eventually(server, [](const auto& now) { return now.waiting == 1 && now.slots_busy == 2; }));
  server.stop();
  const auto now = server.snapshot();
  CHECK(now.in_flight == 0);
  CHECK(now.requests == 0);
  CHECK(now.cancelled == 0);
  CHECK(generating.read_to_end().empty());
  CHECK(waiting.read_to_end().empty());
  CHECK_THAT(streaming.read_to_end(), !ContainsSubstring("[DONE]") && !ContainsSubstring("silent"));
  CHECK(http_client{}.get(host_of(server) + "/health").status == 0);
  server.stop();
}

TEST_CASE("model_server: a wrong option or a taken port is an error that says so", "[examples][model_server]") {
  using model_server::options;
  using model_server::server;
  CHECK_THROWS_WITH(server{options{.slots = 0}}, ContainsSubstring("slots"));
  CHECK_THROWS_WITH(server{options{.tokens_per_second = 0}}, ContainsSubstring("tokens_per_second"));
  CHECK_THROWS_AS(server{options{.latency = -1ms}}, std::invalid_argument);
  CHECK_THROWS_AS(server{options{.speed = std::numeric_limits<double>::quiet_NaN()}}, std::invalid_argument);
  const server first{fast};
  CHECK_THROWS_WITH(server{options{.port = first.port()}}, ContainsSubstring(std::to_string(first.port())));
  CHECK_THROWS_AS(server{options{.port = first.port()}}, std::system_error);
  CHECK(first.url() == "http://127.0.0.1:" + std::to_string(first.port()) + "/v1");
}

TEST_CASE("model_server: the pace is latency, then a token at a time", "[examples][model_server]") {
  const auto rate = GENERATE(60.0, 7.0, 1e6, 3e-5);
  const model_server::detail::pace pace{.latency = 300ms, .per_token = std::chrono::duration<double>{1 / rate}};
  CHECK(pace.until(0) == 300ms);
  CHECK(pace.after(300ms - 1ns, 99) == -1);
  for (int tokens = 0; tokens <= 99; ++tokens) {
    CHECK(pace.after(pace.until(tokens), 99) == tokens);
    CHECK(pace.after(pace.until(tokens) - 1ns, 99) == tokens - 1);
  }
  CHECK(pace.after(1000h, 99) <= 99);
}
