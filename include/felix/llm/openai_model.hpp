// SPDX-License-Identifier: MIT
// llm: an OpenAI-compatible server as a model.
#pragma once

#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat.hpp>
#include <felix/llm/codec.hpp>
#include <felix/llm/model.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/http_client.hpp>
#include <felix/net/secret.hpp>
#include <felix/net/url.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Where the server is and how to talk to it.
struct openai_options {
  std::string base_url = "http://localhost:1234/v1";  ///< LM Studio's; llama.cpp :8080/v1, Ollama :11434/v1
  std::string model = "local-model";  ///< servers with one model answer with that one, whatever its name
  secret api_key = {};                ///< sent as a bearer token; none: not sent
  http_timeouts timeouts = {};
};

/// Talks to a server that speaks OpenAI's chat completions. One request, one attempt.
///     felix::openai_model llm{loop, {.base_url = "http://localhost:8080/v1"}};
/// Threads:  complete and models from any thread; the network runs on the loop.
/// Stop:     the connection is closed at once, which makes servers stop generating; throws `cancelled`.
/// Throws:   api_error for any status but 2xx (a redirect too), transport_error, timed_out, error (protocol) for an
///           answer that is not one, error (invalid_argument) for a request without messages.
/// Lifetime: the loop outlives it.
class openai_model {
 public:
  /// Throws error (invalid_option) for a base_url that is not one.
  explicit openai_model(event_loop& loop, openai_options options = {})
      : url_{options.base_url}, options_{std::move(options)}, http_{std::make_unique<http_client>(loop)} {
    // Found here rather than in the first request.
    static_cast<void>(http_request{url_.text()}.timeouts(options_.timeouts));
  }

  task<chat_response> complete(chat_request request) {
    http_request post = prepare("/chat/completions");
    post.header("Content-Type", "application/json").body(codec::encode(request, options_.model));
    const http_response got = co_await http_->send(std::move(post));
    check(got);
    chat_response answer = codec::decode(without_key(got.body), url_.origin());
    answer.text(without_key(answer.text()));  // again: the body may have had it escaped
    answer.timing({.time_to_first_byte = got.timing.first_byte, .total = got.timing.total});
    co_return answer;
  }

  /// What the server offers: GET /models.
  task<std::vector<model_info>> models() {
    const http_response got = co_await http_->send(prepare("/models"));
    check(got);
    co_return codec::decode_models(without_key(got.body), url_.origin());
  }

  [[nodiscard]] const base_url& url() const noexcept { return url_; }

 private:
  [[nodiscard]] http_request prepare(std::string_view path) const {
    http_request request{url_.with_path(path)};
    request.header("Accept", "application/json").timeouts(options_.timeouts);
    if (!options_.api_key.empty()) request.header("Authorization", "Bearer " + options_.api_key.reveal());
    // A local server closes an idle connection after 5 s (llama.cpp); a TLS handshake is worth a longer wait.
    request.connection({.reuse_idle_up_to = std::chrono::seconds{url_.is_https() ? 60 : 4},
                        .no_proxy = url_.is_loopback()});
    return request;
  }

  void check(const http_response& got) const {
    if (got.status() >= 200 && got.status() < 300) return;
    std::string body = without_key(got.body);
    if (got.status() >= 300 && got.status() < 400) body = "it points to " + origin_of(got.header("location"));
    throw codec::decode_error(got.status(), body, url_.origin(), codec::decode_retry_after(got.header("retry-after")));
  }

  /// Some servers repeat a wrong key in their answer. It must not reach a log, an error or a file.
  [[nodiscard]] std::string without_key(std::string text) const {
    const std::string& key = options_.api_key.reveal();
    if (key.empty()) return text;
    constexpr std::string_view instead = "[API key]";
    for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + instead.size()))
      text.replace(at, key.size(), instead);
    return text;
  }
  [[nodiscard]] std::string origin_of(std::string_view location) const {
    const std::size_t host = location.find("://");
    if (host == std::string_view::npos) return location.empty() ? "nowhere" : "another path of the same server";
    const std::string_view authority = location.substr(0, location.find_first_of("/?#", host + 3));
    const std::size_t user = authority.rfind('@');
    return without_key(codec::detail::excerpt(user == std::string_view::npos
                                                  ? authority
                                                  : std::string{location.substr(0, host + 3)} +
                                                        std::string{authority.substr(user + 1)}));
  }

  base_url url_;
  openai_options options_;
  std::unique_ptr<http_client> http_;  // on the heap: transfers point to it while the stack is moved in
};

static_assert(model<openai_model>);

}  // namespace felix::inline v1
