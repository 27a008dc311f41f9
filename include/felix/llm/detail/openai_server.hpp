// SPDX-License-Identifier: MIT
// llm: requests to one server that speaks OpenAI's protocol, and its refusals.
#pragma once

#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/codec.hpp>
#include <felix/llm/detail/request_body.hpp>
#include <felix/llm/detail/without_keys.hpp>
#include <felix/llm/dialect.hpp>
#include <felix/llm/rate_limit_report.hpp>
#include <felix/llm/request_usage.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/http_client.hpp>
#include <felix/net/secret.hpp>
#include <felix/net/url.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

/// Where the server is and how to talk to it.
struct openai_options {
  std::string base_url = "http://localhost:1234/v1";  ///< LM Studio's; llama.cpp :8080/v1, Ollama :11434/v1
  std::string model = "local-model";  ///< servers with one model answer with that one, whatever its name
  secret api_key = {};                ///< sent as a bearer token; none: not sent
  felix::dialect dialect = {};        ///< which fields it understands: see `dialects`
  http_timeouts timeouts = {};
  std::string ca_file = {};  ///< PEM; trusted instead of the system's certificates
  /// A longer answer is an error. Of a stream, all its events together, which are some hundred bytes for each token.
  std::size_t max_response_bytes = std::size_t{16} << 20U;
};

namespace detail {

template <class Loop>
class basic_openai_server {
 public:
  /// Throws error (invalid_option) for a base_url that is not one, and a time limit of 0.
  basic_openai_server(Loop& loop, openai_options options)
      : url_{options.base_url},
        options_{std::move(options)},
        http_{loop},
        chat_{prepare(url_.with_path("/chat/completions"), "application/json")},
        chat_stream_{prepare(url_.with_path("/chat/completions"), "text/event-stream")} {
    chat_.header("Content-Type", "application/json");
    chat_stream_.header("Content-Type", "application/json");
  }

  [[nodiscard]] const base_url& url() const noexcept { return url_; }
  [[nodiscard]] const openai_options& options() const noexcept { return options_; }
  [[nodiscard]] basic_http_client<Loop>& http() noexcept { return http_; }
  [[nodiscard]] const basic_http_client<Loop>& http() const noexcept { return http_; }
  [[nodiscard]] request_counter& requests() noexcept { return requests_; }
  [[nodiscard]] const request_counter& requests() const noexcept { return requests_; }

  enum class answer_form : unsigned char { whole, stream };
  /// The request as it is sent.
  /// Throws error (invalid_argument) for what no server could accept.
  [[nodiscard]] http_request post(const chat_request& request, answer_form form) const {
    for (const auto& [name, json] : request.extra()) check_json("the extra field \"" + name + "\"", json);
    for (const function_tool& tool : request.tools()) {
      if (!tool.parameters.empty()) check_json("the parameters of tool \"" + tool.name + "\"", tool.parameters);
    }
    if (request.format().form == response_format::kind::json_schema)
      check_json("the schema \"" + request.format().name + "\"", request.format().schema);
    const bool stream = form == answer_form::stream;
    http_request made = stream ? chat_stream_ : chat_;
    made.body(request_body::of(request, options_.dialect, options_.model, stream, request.n()));
    if (request.repeat_if()) made.at_most_once();  // who pays is asked before it is sent again
    return made;
  }

  /// GET of a URL, or POST of a body.
  task<std::string> send(std::string url, std::string body = {}) {
    http_request request = body.empty() ? prepare_get(std::move(url)) : prepare(std::move(url), "application/json");
    if (!body.empty()) request.header("Content-Type", "application/json").body(std::move(body));
    http_response got = co_await http_.send(std::move(request));
    check(got.head, got.body);
    co_return std::move(got.body);
  }
  /// The same, whatever the status.
  task<http_response> ask(std::string url) {
    http_request request = prepare_get(std::move(url));
    co_return co_await http_.send(std::move(request));
  }

  /// Throws api_error for every status but 2xx.
  void check(const http_head& head, std::string_view body) const {
    if (!head.is_ok()) throw refusal(head, body);
  }
  /// What a status other than 2xx means.
  [[nodiscard]] api_error refusal(const http_head& head, std::string_view body) const {
    std::string place;
    if (head.status() >= 300 && head.status() < 400) {
      place = "it points to " + origin_of(head.header("location"));
      body = place;
    }
    return codec::decode_error(head.status(), body, url_.origin(), head, key());
  }

  /// What the headers say about requests and tokens per minute goes into the answer.
  static void note_rate_limits(const http_head& head, chat_response& answer) {
    if (!head.has_name_with("x-ratelimit-") && !head.has_name_with("anthropic-ratelimit-")) return;
    if (const auto report = read_rate_limits(head, std::chrono::system_clock::now())) answer.rate_limits(*report);
  }

  /// Some servers repeat a key in what they answer, which people save and print. Only one that is long enough to be a
  /// secret: servers without keys are given words as keys, and words occur. The deltas of a stream are not looked at: a key
  /// may come in pieces.
  void hide_key(chat_response& answer) const {
    constexpr std::size_t least_bytes = 16;
    const std::string_view secret = key();
    if (secret.size() < least_bytes) return;
    for (std::size_t i = 0; i < answer.choices().size(); ++i) {
      if (answer.choices()[i].text.find(secret) == std::string::npos) continue;
      answer.choice(i).text = codec::detail::without_keys(answer.choices()[i].text, secret);
    }
  }
  /// What no error and no log may show: see codec::detail::without_keys.
  [[nodiscard]] std::string_view key() const noexcept { return options_.api_key.reveal(); }

 private:
  static void check_json(const std::string& what, const std::string& json) {
    if (!codec::is_json(json))
      throw error{errc::invalid_argument, "chat_request: " + what + " is not JSON; a text needs quotes inside"};
  }

  [[nodiscard]] http_request prepare(std::string url, std::string_view accept) const {
    http_request request{std::move(url)};
    request.header("Accept", accept).timeouts(options_.timeouts).max_response_bytes(options_.max_response_bytes);
    if (!options_.api_key.empty()) request.bearer(options_.api_key);
    // A local server closes an idle connection after 5 s (llama.cpp); a TLS handshake is worth a longer wait.
    request.connection({.reuse_idle_up_to = std::chrono::seconds{url_.is_https() ? 60 : 4},
                        .no_proxy = url_.is_loopback(),
                        .ca_file = options_.ca_file});
    return request;
  }
  /// Nothing is generated for it: its whole answer is there as soon as the first byte of another.
  [[nodiscard]] http_request prepare_get(std::string url) const {
    http_request request = prepare(std::move(url), "application/json");
    http_timeouts limits = options_.timeouts;
    limits.total = std::min(limits.total, limits.first_byte);
    request.timeouts(limits);
    return request;
  }
  [[nodiscard]] std::string origin_of(std::string_view location) const {
    if (location.empty()) return "nowhere";
    if (location.starts_with("//")) return origin_of((url_.is_https() ? "https:" : "http:") + std::string{location});
    const std::size_t host = location.find("://");
    if (host == std::string_view::npos || location.find_first_of("/?#") < host)  // in a query one may stand too
      return "another path of the same server";
    const std::string_view authority = location.substr(0, location.find_first_of("/?#", host + 3));
    const std::size_t user = authority.rfind('@');
    if (user == std::string_view::npos) return std::string{authority};
    return std::string{location.substr(0, host + 3)} + std::string{authority.substr(user + 1)};
  }

  base_url url_;
  openai_options options_;
  request_counter requests_;
  basic_http_client<Loop> http_;
  http_request chat_;  // the patterns of the requests that are sent all the time
  http_request chat_stream_;
};

using openai_server = basic_openai_server<event_loop>;

}  // namespace detail
}  // namespace felix::inline v1
