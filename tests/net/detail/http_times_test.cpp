// SPDX-License-Identifier: MIT
#include <felix/net/detail/http_times.hpp>

#include "support/catch.hpp"

#include <chrono>

using namespace std::chrono_literals;
using felix::detail::http_failure;
using felix::detail::http_reading;
using felix::detail::http_times;

namespace {

constexpr http_times::time_point begin{1h};
constexpr auto stream = http_reading::as_it_comes;
constexpr felix::http_timeouts limits{.between_tokens = 8s, .first_byte = 10s, .first_token = 20s, .total = 60s};

/// Sent at `begin` by a reader that waits since.
http_times sent_request() {
  http_times times;
  times.reader_waits(begin);
  times.sent(begin);
  return times;
}

}  // namespace

TEST_CASE("http_times: a stream is late by its head, its first token, and as a whole", "[net][http_times]") {
  http_times times = sent_request();
  CHECK(times.next_limit(limits, stream, begin) == begin + 10s);
  CHECK(times.late(limits, begin + 10s) == http_failure::late_first_byte);
  times.head_came(begin + 9s);
  CHECK(times.next_limit(limits, stream, begin + 10s) == begin + 20s);
  CHECK(times.late(limits, begin + 20s) == http_failure::late_first_token);
  times.content_came();
  CHECK(times.next_limit(limits, stream, begin + 20s) == begin + 60s);
  CHECK(times.late(limits, begin + 60s) == http_failure::late_total);
}

TEST_CASE("http_times: a whole answer has only the total limit", "[net][http_times]") {
  CHECK(sent_request().next_limit(limits, http_reading::as_a_whole, begin) == begin + 60s);
}

TEST_CASE("http_times: the total limit is named when others are over too", "[net][http_times]") {
  const http_times times = sent_request();
  const felix::http_timeouts alike{.first_byte = 5s, .first_token = 5s, .total = 5s};
  CHECK(times.late(alike, begin + 5s) == http_failure::late_total);
  CHECK(times.late({.first_byte = 5s, .first_token = 5s}, begin + 5s) == http_failure::late_first_byte);
}

TEST_CASE("http_times: waits without content add up, and content ends the sum", "[net][http_times]") {
  http_times times = sent_request();
  times.head_came(begin);
  auto now = begin;
  const auto piece_after = [&](std::chrono::seconds wait) {
    now += wait;
    times.reader_goes_on(now);
    times.reader_waits(now);
  };
  piece_after(5s);
  CHECK(times.patience_ends(8s, now) == now + 3s);
  piece_after(2s);
  CHECK(times.patience_ends(8s, now) == now + 1s);
  for (int token = 0; token < 3; ++token) {
    times.content_came();
    CHECK(times.patience_ends(8s, now) == now + 8s);
    piece_after(5s);
    CHECK(times.patience_ends(8s, now) == now + 3s);
  }
}

TEST_CASE("http_times: while the reader is at work the server is not late", "[net][http_times]") {
  http_times times = sent_request();
  times.head_came(begin);
  times.reader_goes_on(begin + 5s);
  for (const auto busy : {5s, 6s, 30s, 59s}) {
    const auto now = begin + busy;
    CHECK(times.patience_ends(8s, now) == now + 3s);  // when to look again
    CHECK(times.next_limit(limits, stream, now) == std::min(now + 15s, begin + 60s));
  }
  times.reader_waits(begin + 40s);
  CHECK(times.patience_ends(8s, begin + 41s) == begin + 43s);
  CHECK(times.next_limit(limits, stream, begin + 41s) == begin + 55s);
}

TEST_CASE("http_times: a server whose time is over is not looked at all the time while the reader works",
          "[net][http_times]") {
  http_times times = sent_request();
  times.head_came(begin);
  times.reader_goes_on(begin + 8s);  // a piece, just in time
  CHECK(times.patience_ends(8s, begin + 8s) == begin + 9s);
  times.reader_waits(begin + 10s);
  CHECK(times.patience_ends(8s, begin + 10s) == begin + 10s);
}

TEST_CASE("http_times: the longest limits end at the end of time", "[net][http_times]") {
  const http_times times = sent_request();
  CHECK(times.patience_ends(std::chrono::nanoseconds::max(), begin) == http_times::time_point::max());
}

TEST_CASE("http_times: where the time went", "[net][http_times]") {
  http_times times;
  CHECK_FALSE(times.was_sent());
  CHECK(times.since_sent(begin) == 0s);
  times.sent(begin);
  CHECK(times.was_sent());
  CHECK(times.since_sent(begin + 1s) == 1s);
  CHECK(times.timing().total == 0s);
  CHECK_FALSE(times.has_head());
  times.head_came(begin + 2s);
  times.ended(begin + 3s);
  CHECK(times.has_head());
  CHECK(times.timing().first_byte == 2s);
  CHECK(times.timing().total == 3s);
}
