// SPDX-License-Identifier: MIT
// model_server: what may go wrong on purpose, and for which requests.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace model_server {

enum class fault_kind : unsigned char {
  refuse,           ///< the connection is closed before any byte
  reset,            ///< RST: before any byte, or after that many tokens
  stall,            ///< headers and that many tokens (none), then silence until the client leaves; the slot is held
  drip,             ///< byte after byte, `ms` (5) apart
  truncate,         ///< the body ends after that many tokens (half of them), though more was announced
  garbage,          ///< 200 with bytes that are neither JSON nor server-sent events
  rate_limit,       ///< 429, code rate_limit_exceeded; Retry-After is `ms` (1000), rounded up to seconds
  loading,          ///< 503 "Loading model" like llama.cpp's, without Retry-After
  slow_start,       ///< `ms` (60000) more until the first token; the headers of a stream leave before
  error_in_stream,  ///< that many tokens (3), then an event with an error, without [DONE]; buffered answers have none
  no_usage,         ///< no usage anywhere
  no_done,          ///< finish_reason, but no [DONE]; buffered answers have none
  split_utf8,       ///< a text with characters of several bytes, sent in pieces that end inside of them, `ms` (1) apart
  overflow,         ///< 400 exceed_context_size_error with n_prompt_tokens and n_ctx
  bad_key           ///< 401, code invalid_api_key
};
inline constexpr std::size_t fault_kinds = 15;

/// "slow-start", as it is written on the command line.
[[nodiscard]] std::string_view name_of(fault_kind kind) noexcept;

/// One fault. The chat requests that are well-formed are counted from 1: it hits those that satisfy first, every and
/// rate alike. Of several faults that hit a request, the first one does.
///     model_server::server server{{.faults = {{.kind = fault_kind::rate_limit, .first = 2}}}};
struct fault {
  fault_kind kind = fault_kind::refuse;
  int first = 0;    ///< only the first so many; 0: no such bound
  int every = 1;    ///< each so-manieth
  double rate = 1;  ///< with this probability, 0 to 1; by the server's seed and the request's number
  /// Tokens before it strikes: reset, stall, truncate, error_in_stream; in the last token at the latest. A buffered
  /// answer sends as large a part of its body.
  std::optional<int> after{};
  std::optional<std::chrono::milliseconds> ms{};  ///< divided by options::speed, but for Retry-After
  bool orderly = false;  ///< truncate, streams only: a proper end, without finish_reason and [DONE]
  bool done = false;     ///< error_in_stream: [DONE] after the error, like vLLM

  friend bool operator==(const fault&, const fault&) = default;
};

/// "stall:after=3:every=2". Arguments are separated by colons or commas.
/// Throws: std::invalid_argument, which says what there is.
[[nodiscard]] fault parse_fault(std::string_view text);

/// For --help: the kinds, a line each, and the arguments.
[[nodiscard]] std::string fault_help();

/// Throws: std::invalid_argument if a number is out of its range, or is given to a kind that has no use for it.
void check(const fault& chosen);

namespace detail {

/// The fault that hits the request of this number (from 1); null if none does.
[[nodiscard]] const fault* fault_for(std::span<const fault> faults, std::int64_t number, std::uint64_t seed,
                                     bool stream) noexcept;

}  // namespace detail
}  // namespace model_server
