// SPDX-License-Identifier: MIT
// model_server: an OpenAI-compatible HTTP server whose model is simulated: its answers are a function of the request,
// its slots and its pace are those of a real one.
#pragma once

#include "model_server/faults.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace model_server {

struct options {
  std::string host = "127.0.0.1";  ///< an address or a name of this machine
  std::uint16_t port = 0;          ///< 0: a free one
  int slots = 4;                   ///< requests that are generated at once; the others wait, first come first served
  double tokens_per_second = 60;   ///< of a slot
  std::chrono::milliseconds latency{300};  ///< from a slot's grant to the first token
  std::uint64_t seed = 0;                  ///< another seed, other texts
  double speed = 1;                        ///< divides all waiting; tests use 1000
  bool respect_max_tokens = true;          ///< false: like servers that ignore max_tokens
  int context_tokens = 131'072;            ///< a longer prompt is refused: exceed_context_size_error
  std::string api_key{};                   ///< if it is not empty, all but /health need "Authorization: Bearer KEY"
  std::vector<fault> faults{};
  bool keeps_spans = false;  ///< for server::spans(): some bytes for each request
};

/// What the server has done with chat requests. One is in flight from the end of its body to the end of its generation;
/// it is answered when that end is reached, before its client has the last byte. The tokens are those of answered
/// requests, and of requests that ended in a slot because their client left or a fault broke them off: the whole prompt
/// and what was generated until then.
struct stats {
  std::int64_t requests = 0;  ///< answered
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t total_tokens = 0;  ///< the sum of both
  int max_in_flight = 0;          ///< the most that were in flight at once
  int in_flight = 0;              ///< those in slots, and those waiting
  int slots_busy = 0;             ///< a request has one for each of its choices
  int waiting = 0;
  std::int64_t cancelled = 0;  ///< requests whose client went away before their generation ended; not in `requests`
  std::int64_t faults = 0;     ///< chosen, as their request came
  std::array<std::int64_t, fault_kinds> faults_by_kind{};
  std::int64_t embedding_tokens = 0;
};

/// When a request had its slot.
struct span {
  std::chrono::steady_clock::time_point begin, end;
};

/// A server that runs until stop() or its end.
///     model_server::server server{{.speed = 1000}};
///     felix::client llm{loop, {.base_url = server.url()}};
/// Routes:   POST /v1/chat/completions (also stream: true), /v1/embeddings, /tokenize;
///           GET /v1/models, /props, /health and /stats.
/// Usage:    a text has ceil(bytes / 4) tokens, an image 85; a prompt has 4 + those of its content for each message, and
///           3; tools and response_format have those of their JSON. A tool call has one, and those of its arguments.
/// Time:     a request keeps its slot for latency + completion tokens / tokens_per_second, divided by speed. The headers
///           of a stream leave when it gets its slot, before the latency is over. A client that closes its connection,
///           or only its sending side, gives its slot or its place in the queue back.
/// Requests: messages with text and images, max_tokens or max_completion_tokens, temperature, seed, n (1 to slots, each
///           choice in a slot of its own), stop, tools, tool_choice, response_format, logprobs, top_logprobs, stream and
///           stream_options count; any model name is accepted, other fields are ignored. A body has at most 8 MiB.
/// Tools:    one is called when tool_choice demands it, or the last message is a user's and names it; a conversation
///           that ends with a tool's answer gets a text.
/// Threads:  two of its own, however many connections there are. All members: from any thread.
/// Throws:   std::invalid_argument for an option; std::system_error when it cannot listen there.
class server {
 public:
  explicit server(options chosen = {});
  server(server&&) = delete;  // its threads point here
  ~server();

  [[nodiscard]] std::string url() const;  ///< "http://127.0.0.1:PORT/v1"
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] stats snapshot() const;
  [[nodiscard]] std::vector<span> spans() const;  ///< in the order of their ends
  /// Closes every connection, also those whose request is in flight: they are neither answered nor cancelled. Once it
  /// has returned, nothing of the server runs.
  void stop();

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace model_server
