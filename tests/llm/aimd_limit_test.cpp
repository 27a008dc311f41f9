// SPDX-License-Identifier: MIT
// llm: up by one, down to nine tenths, once for each round of requests.
#include <felix/llm/aimd_limit.hpp>

#include <felix/llm/gradient_limit.hpp>
#include <felix/random.hpp>

#include "support/catch.hpp"
#include "support/slot_server.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::aimd_limit;
using felix::aimd_limit_options;
using felix::limit_outcome;

namespace {

/// A limit, and requests that take as long as they are told.
struct traffic {
  aimd_limit limit;
  std::vector<std::uint64_t> open = {};
  std::uint64_t next = 0;
  aimd_limit::time_point now = {};

  void send(std::size_t count) {
    for (; count > 0; --count) {
      open.push_back(++next);
      limit.sent(next, 100, now);
    }
  }
  /// The oldest ends after `latency`.
  void end(limit_outcome outcome = limit_outcome::answered, std::chrono::nanoseconds latency = 1s) {
    now += latency;
    limit.ended(open.front(), outcome, {}, std::nullopt, now);
    open.erase(open.begin());
  }
};

}  // namespace

TEST_CASE("aimd_limit: an answer raises it by one while half of it is in use", "[llm][aimd_limit]") {
  traffic full{aimd_limit{{.initial = 4}}};
  full.send(4);
  full.end();  // one in flight when it was sent: too few
  CHECK(full.limit.limit() == 4);
  full.end();  // two are half of four
  CHECK(full.limit.limit() == 5);
  full.end();
  full.end();
  CHECK(full.limit.limit() == 7);
}

TEST_CASE("aimd_limit: no growth without demand", "[llm][aimd_limit]") {
  traffic idle{aimd_limit{{.initial = 5}}};
  for (int i = 0; i < 50; ++i) {
    idle.send(2);
    idle.end();
    idle.end();
  }
  CHECK(idle.limit.limit() == 5);
}

TEST_CASE("aimd_limit: what the server refused lowers it to nine tenths, rounded down", "[llm][aimd_limit]") {
  for (const auto& [before, after] : {std::pair<std::size_t, std::size_t>{20, 18}, {10, 9}, {9, 8}, {2, 1}, {1, 1}}) {
    traffic refused{aimd_limit{{.initial = before}}};
    refused.send(1);
    refused.end(limit_outcome::overloaded);
    CHECK(refused.limit.limit() == after);
  }
  traffic most{aimd_limit{{.initial = 90, .max = 100, .backoff = 0.7}}};
  most.send(1);
  most.end(limit_outcome::overloaded);
  CHECK(most.limit.limit() == 63);
}

TEST_CASE("aimd_limit: an answer slower than the timeout lowers it too", "[llm][aimd_limit]") {
  traffic slow{aimd_limit{{.initial = 10}}};
  slow.send(1);
  slow.end(limit_outcome::answered, 5s);
  CHECK(slow.limit.limit() == 10);  // not slower, and alone
  slow.send(1);
  slow.end(limit_outcome::answered, 5s + 1ns);
  CHECK(slow.limit.limit() == 9);
}

TEST_CASE("aimd_limit: requests sent before a decrease do not lower it again", "[llm][aimd_limit]") {
  traffic burst{aimd_limit{{.initial = 20}}};
  burst.send(20);
  for (int i = 0; i < 19; ++i) burst.end(limit_outcome::overloaded, 1ms);
  CHECK(burst.limit.limit() == 18);
  burst.send(1);
  burst.end(limit_outcome::answered, 6s);  // the last of the old ones, slow
  CHECK(burst.limit.limit() == 18);
  burst.end(limit_outcome::overloaded, 1ms);  // of the new ones
  CHECK(burst.limit.limit() == 16);
}

TEST_CASE("aimd_limit: failures and cancelled requests tell nothing", "[llm][aimd_limit]") {
  traffic failing{aimd_limit{{.initial = 4}}};
  failing.send(4);
  for (int i = 0; i < 4; ++i) failing.end(limit_outcome::nothing, 10s);
  CHECK(failing.limit.limit() == 4);
}

TEST_CASE("aimd_limit: stays within its bounds, whatever happens", "[llm][aimd_limit]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    felix::seeded_random random{seed};
    const auto number = [&](std::size_t from, std::size_t to) {
      return from + static_cast<std::size_t>(random.next() % (to - from + 1));
    };
    const std::size_t min = number(1, 10);
    const std::size_t max = number(min, 20);
    traffic any{aimd_limit{{.initial = number(min, max), .min = min, .max = max}}};
    bool reached[2] = {};
    for (int i = 0; i < 2'000; ++i) {
      const bool bad_times = i / 500 % 2 == 1;
      if (any.open.size() < any.limit.limit())
        any.send(1);
      else
        any.end(random.uniform(0, 1) < (bad_times ? 1 : 0.01) ? limit_outcome::overloaded : limit_outcome::answered,
                10ms);
      REQUIRE(any.limit.limit() >= min);
      REQUIRE(any.limit.limit() <= max);
      reached[0] = reached[0] || any.limit.limit() == min;
      reached[1] = reached[1] || any.limit.limit() == max;
    }
    CHECK((reached[0] && reached[1]));
  }
}

TEST_CASE("aimd_limit: a request that it does not know is none", "[llm][aimd_limit]") {
  aimd_limit limit{{.initial = 4}};
  limit.ended(7, limit_outcome::overloaded, {}, std::nullopt, {});
  CHECK(limit.limit() == 4);
}

TEST_CASE("aimd_limit: lets requests wait in the server where gradient_limit does not", "[llm][aimd_limit]") {
  for (const std::size_t slots : {1U, 4U, 16U}) {
    double aimd_queue = 0;
    double gradient_queue = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      aimd_limit aimd;
      felix::gradient_limit gradient;
      aimd_queue += felix::test::slot_server{{.slots = slots}, seed}.run(aimd, 300).queue / 5;
      gradient_queue += felix::test::slot_server{{.slots = slots}, seed}.run(gradient, 300).queue / 5;
    }
    CHECK(aimd_queue > 1);  // measured: 1.9, 5.1, 8.5
    CHECK(aimd_queue > 8 * gradient_queue);
  }
}

TEST_CASE("aimd_limit: options that are none are refused, by name", "[llm][aimd_limit]") {
  const auto refused = [](const aimd_limit_options& options, const std::string& why) {
    CHECK_THROWS_WITH(aimd_limit{options}, ContainsSubstring("aimd_limit: ") && ContainsSubstring(why));
  };
  refused({.min = 0}, "min is 0");
  refused({.initial = 5, .min = 5, .max = 4}, "max is 4");
  refused({.max = 65'537}, "max is 65537");
  refused({.initial = 65}, "initial is 65; use min (1) to max (64)");
  refused({.initial = 1, .min = 2}, "initial is 1");
  refused({.backoff = 1}, "backoff is 1");
  refused({.backoff = 0.4}, "backoff");
  refused({.backoff = std::numeric_limits<double>::quiet_NaN()}, "backoff");
  refused({.timeout = 0s}, "timeout");
  CHECK_NOTHROW(aimd_limit{{.initial = 1, .min = 1, .max = 1, .backoff = 0.5, .timeout = 1ns}});
}
