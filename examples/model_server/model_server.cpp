// SPDX-License-Identifier: MIT
// model_server: HTTP on libmicrohttpd. One thread serves all connections; those that wait for a slot or a token are
// suspended, so that they cost no thread.
#include "model_server/model_server.hpp"

#include "model_server/chat_api.hpp"
#include "model_server/delivery.hpp"
#include "model_server/errors.hpp"
#include "model_server/listen.hpp"
#include "model_server/other_api.hpp"
#include "model_server/slots.hpp"

#include <microhttpd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace model_server {

namespace {

using detail::api_failure;
using detail::slots;

constexpr std::size_t largest_body = 8 * 1024 * 1024;
constexpr unsigned most_connections = 1U << 16U;

// A request, from its header to the last byte of its answer.
struct exchange {
  std::string body{};
  bool too_large = false;
  std::optional<detail::delivery> answer{};  // set: it is in flight, or answered
};

MHD_Result respond(MHD_Connection* connection, const detail::error_answer& answer) {
  MHD_Response* const response = MHD_create_response_from_buffer(
      answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);  // so it is not written to
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type.c_str());
  for (const auto& [name, value] : answer.headers) MHD_add_response_header(response, name.c_str(), value.c_str());
  const MHD_Result queued = MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return queued;
}

MHD_Result respond(MHD_Connection* connection, std::string body) {
  return respond(connection, detail::error_answer{.status = MHD_HTTP_OK, .body = std::move(body)});
}

enum class path : unsigned char { chat, embeddings, tokenize, models, props, health, stats };
struct known_path {
  std::string_view text;
  path is;
  bool posts;  // else it is read by GET and HEAD
};
constexpr known_path known_paths[] = {{"/v1/chat/completions", path::chat, true},
                                      {"/v1/embeddings", path::embeddings, true},
                                      {"/tokenize", path::tokenize, true},
                                      {"/v1/models", path::models, false},
                                      {"/props", path::props, false},
                                      {"/health", path::health, false},
                                      {"/stats", path::stats, false}};

std::string all_paths() {
  std::string list;
  for (const known_path& each : known_paths)
    list += (list.empty() ? "" : ", ") + std::string{each.posts ? "POST " : "GET "} + std::string{each.text};
  return list;
}

options checked(options chosen) {
  const auto require = [](bool fine, const char* message) {
    if (!fine) throw std::invalid_argument{std::string{"model_server: "} + message};
  };
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  require(chosen.slots >= 1, "slots: at least 1 is needed to generate anything");
  require(positive(chosen.tokens_per_second), "tokens_per_second: must be a number above 0");
  require(chosen.latency.count() >= 0, "latency: must not be negative");
  require(positive(chosen.speed), "speed: must be a number above 0; 1 is real time");
  require(chosen.context_tokens >= 1, "context_tokens: at least 1");
  for (const fault& each : chosen.faults) check(each);
  return chosen;
}

}  // namespace

class server::impl {
 public:
  explicit impl(options chosen)
      : options_{checked(std::move(chosen))},
        slots_{options_.slots,
               {options_.latency / options_.speed,
                std::chrono::duration<double>{1 / (options_.tokens_per_second * options_.speed)}},
               options_.keeps_spans} {
    detail::descriptor listening = detail::listen_on(options_.host, options_.port);
    options_.port = detail::port_of(listening);
    daemon_ =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, &on_request,
                         this, MHD_OPTION_LISTEN_SOCKET, listening.get(), MHD_OPTION_CONNECTION_LIMIT, most_connections,
                         MHD_OPTION_NOTIFY_COMPLETED, &on_completed, this, MHD_OPTION_END);
    listening.release();  // it is MHD's now, also after a failure
    if (daemon_ == nullptr)
      throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again),
                              "model_server: libmicrohttpd did not start"};
  }
  impl(impl&&) = delete;
  ~impl() { stop(); }

  void stop() {
    std::scoped_lock lock{stopping_};
    if (daemon_ == nullptr) return;
    slots_.stop();  // first: it resumes the connections
    MHD_stop_daemon(std::exchange(daemon_, nullptr));
  }

  [[nodiscard]] const options& chosen() const noexcept { return options_; }
  [[nodiscard]] stats snapshot() const { return slots_.snapshot(); }
  [[nodiscard]] std::vector<span> spans() const { return slots_.spans(); }

 private:
  // MHD calls it with the header (request is null), with each part of the body, and once more when it is complete.
  static MHD_Result on_request(void* self, MHD_Connection* connection, const char* url, const char* method,
                               const char* /*version*/, const char* data, std::size_t* size, void** request) noexcept
      try {
    impl& here = *static_cast<impl*>(self);
    if (*request == nullptr) {
      *request = new exchange{};
      return MHD_YES;
    }
    exchange& known = *static_cast<exchange*>(*request);
    if (*size > 0) {
      // What is too much is read and dropped: closing at once could reset the connection before our answer is read.
      known.too_large = known.too_large || known.body.size() + *size > largest_body;
      if (known.too_large)
        std::string{}.swap(known.body);
      else
        known.body.append(data, *size);
      *size = 0;
      return MHD_YES;
    }
    return known.answer ? known.answer->go_on() : here.route(connection, url, method, known);
  } catch (...) {
    return MHD_NO;  // no memory: an exception must not pass through C
  }

  static void on_completed(void* /*self*/, MHD_Connection* /*connection*/, void** request,
                           MHD_RequestTerminationCode /*why*/) noexcept {
    const std::unique_ptr<exchange> known{static_cast<exchange*>(std::exchange(*request, nullptr))};
  }

  MHD_Result route(MHD_Connection* connection, std::string_view url, std::string_view method, exchange& request) try {
    const auto* const found = std::find_if(std::begin(known_paths), std::end(known_paths),
                                           [&](const known_path& each) { return each.text == url; });
    const bool known = found != std::end(known_paths);
    if ((!known || found->is != path::health) && !has_key(connection)) return respond(connection, detail::wrong_key());
    const std::string asked = std::string{method} + " " + std::string{url};
    if (!known) throw api_failure{404, asked + ": no such path; there are " + all_paths()};
    if (found->posts ? method != "POST" : method != "GET" && method != "HEAD") {
      const std::string allowed = found->posts ? "POST" : "GET, HEAD";
      detail::error_answer answer = detail::answer_to({405, asked + ": this path knows only " + allowed});
      answer.headers.emplace_back(MHD_HTTP_HEADER_ALLOW, allowed);
      return respond(connection, answer);
    }
    if (request.too_large)
      throw api_failure{413, "body: larger than " + std::to_string(largest_body) + " bytes; send less"};
    switch (found->is) {
      case path::chat: return chat(connection, request);
      case path::embeddings: return embeddings(connection, request);
      case path::tokenize: return respond(connection, detail::tokenize_json(request.body));
      case path::models: return respond(connection, detail::models_json());
      case path::props: return respond(connection, detail::props_json(options_));
      case path::stats: return respond(connection, detail::stats_json(snapshot()));
      case path::health: break;
    }
    return respond(connection, std::string{R"({"status":"ok"})"});
  } catch (const api_failure& failure) {
    return respond(connection, detail::answer_to(failure));
  }

  bool has_key(MHD_Connection* connection) const {
    if (options_.api_key.empty()) return true;
    const char* const given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    return given != nullptr && given == "Bearer " + options_.api_key;
  }

  MHD_Result embeddings(MHD_Connection* connection, const exchange& request) {
    detail::embedding_answer answer = detail::embeddings_json(request.body);
    slots_.count_embedding(answer.tokens);
    return respond(connection, std::move(answer.body));
  }

  MHD_Result chat(MHD_Connection* connection, exchange& request) {
    detail::chat_call call = detail::parse_chat(std::exchange(request.body, {}), options_.slots);
    if (!options_.respect_max_tokens) call.asked.max_tokens.reset();
    detail::completion given = detail::complete(call, options_.seed);
    const fault* const struck = detail::fault_for(options_.faults, ++chats_, options_.seed, call.stream);
    const auto is = [struck](fault_kind kind) { return struck != nullptr && struck->kind == kind; };
    if (struck != nullptr) slots_.count_fault(struck->kind);
    if (is(fault_kind::refuse)) return MHD_NO;
    if (is(fault_kind::reset) && !struck->after) {
      detail::reset_connection(connection);
      return MHD_NO;
    }
    if (struck != nullptr)
      if (const auto answer = detail::answer_of(*struck, given.prompt_tokens, call.stream))
        return respond(connection, *answer);
    if (given.prompt_tokens > options_.context_tokens)
      return respond(connection, detail::context_overflow(given.prompt_tokens, options_.context_tokens));
    if (is(fault_kind::split_utf8))
      for (detail::choice& each : given.choices) detail::add_wide_characters(each, call);

    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const bool usage = !is(fault_kind::no_usage);
    detail::answer_head head{.id = "chatcmpl-simulated-" + std::to_string(++last_id_),
                             .created = std::chrono::duration_cast<std::chrono::seconds>(now).count(),
                             .usage = usage,
                             .include_usage = usage && call.include_usage,
                             .logprobs = call.logprobs,
                             .top_logprobs = call.top_logprobs};
    request.answer.emplace(slots_, std::move(head), std::move(given), call.stream, struck, options_.speed);
    return request.answer->begin(connection);
  }

  options options_;
  slots slots_;
  std::int64_t last_id_ = 0;  // MHD's thread alone, like the next
  std::int64_t chats_ = 0;    // well-formed ones
  std::mutex stopping_;       // guards daemon_
  MHD_Daemon* daemon_ = nullptr;
};

server::server(options chosen) : impl_{std::make_unique<impl>(std::move(chosen))} {}
server::~server() = default;

std::string server::url() const {
  return "http://" + detail::authority(impl_->chosen().host, impl_->chosen().port) + "/v1";
}
std::uint16_t server::port() const noexcept { return impl_->chosen().port; }
stats server::snapshot() const { return impl_->snapshot(); }
std::vector<span> server::spans() const { return impl_->spans(); }
void server::stop() { impl_->stop(); }

}  // namespace model_server
