// SPDX-License-Identifier: MIT
// model_server: HTTP on libmicrohttpd. One thread serves all connections; those that wait for a slot or a token are
// suspended, so that they cost no thread.
#include "model_server/model_server.hpp"

#include "model_server/chat_api.hpp"
#include "model_server/listen.hpp"
#include "model_server/simulated_model.hpp"
#include "model_server/slots.hpp"

#include <microhttpd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace model_server {

namespace {

using detail::api_failure;
using detail::slots;
using namespace std::string_view_literals;

constexpr std::size_t largest_body = 8 * 1024 * 1024;
constexpr unsigned most_connections = 1U << 16U;

// A request, from its header to the last byte of its answer.
struct exchange {
  slots& all_slots;
  std::string body{};
  bool too_large = false;

  detail::chat_call call{};
  answer given{};
  detail::answer_head head{};
  std::shared_ptr<slots::ticket> ticket{};  // set: it is in flight, or answered

  std::string unsent{};  // of the stream
  std::size_t unsent_at = 0;
  int told_tokens = 0;
};

MHD_Result respond(MHD_Connection* connection, unsigned status, std::string_view body,
                   std::string_view allowed_methods = {}) {
  MHD_Response* const response = MHD_create_response_from_buffer(body.size(), const_cast<char*>(body.data()),
                                                                 MHD_RESPMEM_MUST_COPY);  // so it is not written to
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
  if (!allowed_methods.empty())
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, std::string{allowed_methods}.c_str());
  const MHD_Result queued = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

MHD_Result refuse(MHD_Connection* connection, const api_failure& failure, std::string_view allowed_methods = {}) {
  return respond(connection, static_cast<unsigned>(failure.status()), detail::error_json(failure), allowed_methods);
}

// One event for each token: the bytes of a stream do not depend on time.
void tell_tokens(exchange& request, int tokens) {
  const auto text_until = [&](int count) {
    return cut_to_bytes(request.given.text, 4 * static_cast<std::size_t>(count));
  };
  for (; request.told_tokens < tokens; ++request.told_tokens) {
    const std::size_t begin = text_until(request.told_tokens).size();
    request.unsent += detail::delta_event(request.head, text_until(request.told_tokens + 1).substr(begin));
  }
  if (request.told_tokens == request.given.completion_tokens)
    request.unsent += detail::last_events(request.head, request.given);
}

ssize_t read_stream(exchange& request, char* buffer, std::size_t size) {
  if (request.unsent_at == request.unsent.size()) {
    if (request.told_tokens == request.given.completion_tokens) return MHD_CONTENT_READER_END_OF_STREAM;
    const int tokens = request.all_slots.await(*request.ticket, request.told_tokens + 1);
    if (tokens == slots::suspended) return 0;
    if (tokens == slots::over) return MHD_CONTENT_READER_END_WITH_ERROR;
    request.unsent.clear();
    request.unsent_at = 0;
    tell_tokens(request, tokens);
  }
  const std::size_t count = std::min(size, request.unsent.size() - request.unsent_at);
  std::memcpy(buffer, request.unsent.data() + request.unsent_at, count);
  request.unsent_at += count;
  return static_cast<ssize_t>(count);
}

ssize_t on_read(void* context, std::uint64_t /*position*/, char* buffer, std::size_t size) noexcept try {
  return read_stream(*static_cast<exchange*>(context), buffer, size);
} catch (...) {
  return MHD_CONTENT_READER_END_WITH_ERROR;  // no memory: an exception must not pass through C
}

MHD_Result respond_with_stream(MHD_Connection* connection, exchange& request) {
  constexpr std::size_t block = 4096;
  request.unsent = detail::role_event(request.head);
  MHD_Response* const response =
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block, &on_read, &request, nullptr);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
  const MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
  MHD_destroy_response(response);
  return queued;
}

// Called when the request is queued, and whenever its connection is resumed. MHD_NO closes the connection.
MHD_Result go_on(MHD_Connection* connection, exchange& request) {
  const int needed = request.call.stream ? 0 : request.given.completion_tokens;
  const int tokens = request.all_slots.await(*request.ticket, needed);
  if (tokens == slots::suspended) return MHD_YES;
  if (tokens == slots::over) return MHD_NO;
  if (request.call.stream) return respond_with_stream(connection, request);
  return respond(connection, MHD_HTTP_OK, detail::completion_json(request.head, request.given));
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
  return chosen;
}

}  // namespace

class server::impl {
 public:
  explicit impl(options chosen)
      : options_{checked(std::move(chosen))},
        slots_{options_.slots,
               {options_.latency / options_.speed,
                std::chrono::duration<double>{1 / (options_.tokens_per_second * options_.speed)}}} {
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

 private:
  // MHD calls it with the header (request is null), with each part of the body, and once more when it is complete.
  static MHD_Result on_request(void* self, MHD_Connection* connection, const char* url, const char* method,
                               const char* /*version*/, const char* data, std::size_t* size, void** request) noexcept
      try {
    impl& here = *static_cast<impl*>(self);
    if (*request == nullptr) {
      *request = new exchange{here.slots_};
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
    return known.ticket ? go_on(connection, known) : here.route(connection, url, method, known);
  } catch (...) {
    return MHD_NO;  // no memory: an exception must not pass through C
  }

  static void on_completed(void* /*self*/, MHD_Connection* /*connection*/, void** request,
                           MHD_RequestTerminationCode /*why*/) noexcept {
    const std::unique_ptr<exchange> known{static_cast<exchange*>(std::exchange(*request, nullptr))};
    if (known && known->ticket) known->all_slots.leave(*known->ticket);
  }

  MHD_Result route(MHD_Connection* connection, std::string_view path, std::string_view method, exchange& request) {
    constexpr std::array paths{"/v1/chat/completions"sv, "/v1/models"sv, "/health"sv, "/stats"sv};
    const std::string asked = std::string{method} + " " + std::string{path};
    if (std::find(paths.begin(), paths.end(), path) == paths.end())
      return refuse(connection, {404, asked + ": no such path; there are POST /v1/chat/completions, GET /v1/models, "
                                              "GET /health and GET /stats"});
    const bool is_chat = path == paths.front();
    if (is_chat ? method != "POST" : method != "GET" && method != "HEAD") {
      const std::string_view allowed = is_chat ? "POST" : "GET, HEAD";
      return refuse(connection, {405, asked + ": this path knows only " + std::string{allowed}}, allowed);
    }
    if (request.too_large)
      return refuse(connection, {413, "body: larger than " + std::to_string(largest_body) + " bytes; send less"});
    if (is_chat) return chat(connection, request);
    if (path == "/v1/models") return respond(connection, MHD_HTTP_OK, detail::models_json());
    if (path == "/stats") return respond(connection, MHD_HTTP_OK, detail::stats_json(snapshot()));
    return respond(connection, MHD_HTTP_OK, R"({"status":"ok"})");
  }

  MHD_Result chat(MHD_Connection* connection, exchange& request) try {
    request.call = detail::parse_chat(std::exchange(request.body, {}));
    if (!options_.respect_max_tokens) request.call.asked.max_tokens.reset();
    request.given = simulate(request.call.asked, options_.seed);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    request.head = {"chatcmpl-simulated-" + std::to_string(++last_id_),
                    std::chrono::duration_cast<std::chrono::seconds>(now).count(), request.call.include_usage};
    request.ticket = slots_.enter(connection, request.given.prompt_tokens, request.given.completion_tokens);
    return request.ticket ? go_on(connection, request) : MHD_NO;
  } catch (const api_failure& failure) {
    return refuse(connection, failure);
  }

  options options_;
  slots slots_;
  std::int64_t last_id_ = 0;  // MHD's thread alone
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
void server::stop() { impl_->stop(); }

}  // namespace model_server
