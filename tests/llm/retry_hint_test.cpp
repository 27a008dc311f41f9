// SPDX-License-Identifier: MIT
// llm: every form in which a server says when to come back, and the nonsense that servers have said.
#include <felix/llm/retry_hint.hpp>

#include <felix/net/http_client.hpp>  // for http_response, which is a source of headers
#include <felix/random.hpp>

#include "support/catch.hpp"
#include "support/sent_headers.hpp"

#include <chrono>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using felix::test::sent_headers;

namespace {

constexpr std::chrono::sys_seconds now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 25} + 12h;

std::optional<std::chrono::milliseconds> hint(const sent_headers& sent, int status = 429) {
  return felix::retry_hint(status, sent, now);
}

}  // namespace

static_assert(felix::header_source<sent_headers> && felix::header_source<felix::no_headers>);
static_assert(felix::header_source<felix::http_response> && felix::header_source<felix::http_head>);

TEST_CASE("retry_hint: nothing said is nothing", "[llm][retry_hint]") {
  CHECK_FALSE(felix::retry_hint(429, felix::no_headers{}, now));
  CHECK_FALSE(hint({{"retry-after", ""}}));
}

TEST_CASE("retry_hint: seconds, with decimals or without, rounded up", "[llm][retry_hint]") {
  CHECK(hint({{"retry-after", "1"}}) == 1s);
  CHECK(hint({{"retry-after", " 2.5\t"}}) == 2500ms);
  CHECK(hint({{"retry-after", "0.0001"}}) == 1ms);
  CHECK(hint({{"retry-after", "121"}}, 503) == 121s);  // whether that is too long is not decided here
  CHECK(hint({{"retry-after", "86400"}}) == 24h);
  CHECK(hint({{"retry-after", "1000000000"}}) == std::chrono::seconds{1'000'000'000});  // not above: still a wait
}

TEST_CASE("retry_hint: what is not usable counts as not said", "[llm][retry_hint]") {
  for (const char* odd : {"0",
                          "0.0",
                          "-1",
                          "-0.5",
                          "nan",
                          "NaN",
                          "-nan",
                          "inf",
                          "-inf",
                          "infinity",
                          "1e3",
                          "0x10",
                          "soon",
                          "2 s",
                          "2s",
                          "1,5",
                          "1, 2",
                          "+1",
                          ".",
                          "--1",
                          "1e999",
                          "Wed, 21 Oct 2015 07:28:00 GMT",
                          "Wed, 25 Nov 2026 12:00:00 GMT",
                          "Wed, 25 Nov 2026"}) {
    CAPTURE(odd);
    CHECK_FALSE(hint({{"retry-after", odd}}));
    CHECK_FALSE(hint({{"retry-after-ms", odd}, {"retry-after", odd}}));
    CHECK(hint({{"retry-after-ms", odd}, {"retry-after", "3"}}) == 3s);
  }
  CHECK_FALSE(hint({{"retry-after", std::string(400, '9')}}));  // infinite for a double
}

TEST_CASE("retry_hint: milliseconds go before seconds", "[llm][retry_hint]") {
  CHECK(hint({{"retry-after-ms", "1500"}, {"retry-after", "9"}}) == 1500ms);
  CHECK(hint({{"retry-after-ms", "0.2"}}) == 1ms);
  CHECK(hint({{"retry-after-ms", "1e3"}, {"retry-after", "9"}}) == 9s);
}

TEST_CASE("retry_hint: a number above 10^9 is a time", "[llm][retry_hint]") {
  const auto epoch = now.time_since_epoch().count();
  CHECK(hint({{"retry-after", std::to_string(epoch + 30)}}) == 30s);
  CHECK(hint({{"retry-after", std::to_string(epoch + 30) + ".5"}}) == 30'500ms);
  CHECK_FALSE(hint({{"retry-after", std::to_string(epoch)}}));
  CHECK_FALSE(hint({{"retry-after", "1000000001"}}));                                            // September 2001
  CHECK(hint({{"retry-after", std::string(200, '9')}}) == std::chrono::seconds{1'000'000'000});  // and no overflow
}

TEST_CASE("retry_hint: a date is measured by the server's clock, else by ours", "[llm][retry_hint]") {
  CHECK(hint({{"retry-after", "Wed, 25 Nov 2026 12:00:07 GMT"}}) == 7s);
  CHECK(hint({{"retry-after", "Wednesday, 25-Nov-26 12:00:07 GMT"}}) == 7s);
  CHECK(hint({{"retry-after", "Wed Nov 25 12:00:07 2026"}}) == 7s);
  CHECK(hint({{"retry-after", "Wed, 25 Nov 2015 12:00:07 GMT"}, {"date", "Wed, 25 Nov 2015 12:00:02 GMT"}}) == 5s);
  CHECK(hint({{"retry-after", "Wed, 25 Nov 2026 12:00:07 GMT"}, {"date", "yesterday"}}) == 7s);
  CHECK_FALSE(hint({{"retry-after", "Wed, 25 Nov 2026 12:00:07 GMT"}, {"date", "Wed, 25 Nov 2026 12:00:08 GMT"}}));
  // A part of a second of our clock does not lengthen the wait.
  CHECK(felix::retry_hint(503, sent_headers{{"retry-after", "Wed, 25 Nov 2026 12:00:07 GMT"}}, now + 999ms) == 7s);
}

TEST_CASE("retry_hint: the longest reset of the buckets that are empty, for a 429 only", "[llm][retry_hint]") {
  const sent_headers both{{"x-ratelimit-remaining-requests", "0"},
                          {"x-ratelimit-reset-requests", "1s"},
                          {"x-ratelimit-remaining-tokens", "0"},
                          {"x-ratelimit-reset-tokens", "6m0s"}};
  CHECK(hint(both) == 6min);
  CHECK_FALSE(hint(both, 503));
  CHECK(hint({{"x-ratelimit-remaining-requests", "0"},
              {"x-ratelimit-reset-requests", "12ms"},
              {"x-ratelimit-remaining-tokens", "17"},
              {"x-ratelimit-reset-tokens", "6m0s"}}) == 12ms);
  CHECK(hint({{"x-ratelimit-remaining-tokens_usage_based", "0"}, {"x-ratelimit-reset-tokens_usage_based", "3s"}}) ==
        3s);
  CHECK(hint({{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "1ns"}}) == 1ms);
  CHECK_FALSE(hint({{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "0s"}}));
  CHECK_FALSE(hint({{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "soon"}}));
  CHECK_FALSE(hint({{"x-ratelimit-reset-tokens", "3s"}}));
  CHECK_FALSE(hint(
      {{"x-ratelimit-limit-tokens", "-1"}, {"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "3s"}}));
  CHECK_FALSE(hint(
      {{"x-ratelimit-limit-tokens", "0"}, {"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "3s"}}));
}

TEST_CASE("retry_hint: Retry-After goes before the buckets (aimock)", "[llm][retry_hint]") {
  CHECK(hint({{"retry-after", "1"},
              {"x-ratelimit-limit-tokens", "150000"},
              {"x-ratelimit-remaining-tokens", "0"},
              {"x-ratelimit-reset-tokens", "6m0s"}}) == 1s);
}

TEST_CASE("should_retry: true, false, or nothing", "[llm][retry_hint]") {
  CHECK(felix::should_retry(sent_headers{{"x-should-retry", "true"}}) == true);
  CHECK(felix::should_retry(sent_headers{{"x-should-retry", "false"}}) == false);
  for (const char* odd : {"", "1", "maybe", "TRUE"})
    CHECK_FALSE(felix::should_retry(sent_headers{{"x-should-retry", odd}}));
}

TEST_CASE("retry_hint: whatever a server sends, a hint is above 0 and at most 10^9 s", "[llm][retry_hint]") {
  // Pieces of what is understood, and of what is not, in any order.
  const std::string pieces[] = {"0",
                                "1",
                                "9",
                                "120",
                                "1e9",
                                ".",
                                "-",
                                "+",
                                "e",
                                "nan",
                                "inf",
                                "Sun",
                                "Nov",
                                ", ",
                                " ",
                                "GMT",
                                "06",
                                ":",
                                "08:49:",
                                "94",
                                "m",
                                "s",
                                "h",
                                "1994",
                                "9999",
                                "ms",
                                "\xC2\xB5s",
                                "Sunday",
                                "Wed, 25 Nov 2026 12:00:0"};
  felix::seeded_random random{20'261'125};
  const auto text = [&] {
    std::string made;
    for (auto parts = random.next() % 6; parts > 0; --parts) {
      if (random.next() % 8 == 0)
        made += static_cast<char>(random.next() % 256);
      else
        made += pieces[random.next() % std::size(pieces)];
    }
    return made;
  };
  int given = 0;
  for (int round = 0; round < 100'000; ++round) {
    const sent_headers sent{{"retry-after-ms", text()},
                            {"retry-after", text()},
                            {"date", text()},
                            {"x-ratelimit-remaining-tokens", random.next() % 2 == 0 ? "0" : text()},
                            {"x-ratelimit-reset-tokens", text()}};
    const auto got = hint(sent);
    if (!got) continue;
    ++given;
    if (got->count() <= 0 || *got > std::chrono::seconds{1'000'000'000}) {
      CAPTURE(sent.header("retry-after-ms"), sent.header("retry-after"), sent.header("x-ratelimit-reset-tokens"));
      FAIL(got->count());
    }
  }
  CHECK(given > 5'000);  // else the pieces make nothing that is understood
}
