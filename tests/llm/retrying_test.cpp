// SPDX-License-Identifier: MIT
#include <felix/llm/retrying.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/limited.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::error_kind;

namespace {

felix::api_error refused(error_kind kind, int status, std::optional<std::chrono::milliseconds> hint = {}) {
  return {"server: no", {.status = status, .retry_after = hint, .kind = kind}};
}

// Fails as its list says, then answers; a stream fails after so many deltas.
struct failing_model {
  std::shared_ptr<std::vector<std::function<void()>>> failures = std::make_shared<std::vector<std::function<void()>>>();
  std::shared_ptr<int> asked = std::make_shared<int>(0);
  std::shared_ptr<std::string> questions =
      std::make_shared<std::string>();  // of all attempts, each with a bar behind it
  int deltas_before = 0;

  felix::task<felix::chat_response> complete(felix::chat_request request) {
    note(request);
    fail();
    co_return felix::chat_response{"answer"};
  }
  felix::chat_stream stream(felix::chat_request request) {
    note(request);
    auto whole = std::make_shared<felix::chat_stream::answer>();
    return {deltas(whole), whole};
  }
  felix::async_generator<felix::chat_delta> deltas(std::shared_ptr<felix::chat_stream::answer> whole) {
    for (int i = 0; i < deltas_before; ++i) co_yield felix::chat_delta{}.text("x");
    fail();
    whole->response().text("answer");
    co_yield felix::chat_delta{}.text("answer");
  }
  void note(const felix::chat_request& request) const {
    *questions += (request.messages().empty() ? "" : request.messages().back().content) + "|";
  }
  void fail() {
    const int now = (*asked)++;
    if (now < static_cast<int>(failures->size())) (*failures)[static_cast<std::size_t>(now)]();
  }
  template <class E>
  failing_model& then(E failure) {
    failures->push_back([failure] { throw failure; });
    return *this;
  }
};

static_assert(felix::streaming_model<failing_model>);

felix::task<std::string> read(felix::chat_stream& stream) {
  std::string text;
  while (auto delta = co_await stream.next()) text += delta->text();
  co_return text;
}

}  // namespace

TEST_CASE("retrying: what may pass is asked again, after a wait", "[llm][retrying][D28]") {
  felix::simulated_loop loop{1};
  failing_model server;
  server.then(refused(error_kind::overloaded, 503)).then(refused(error_kind::server_error, 502));
  auto llm = failing_model{server} | felix::retry{}.seed(7);
  CHECK(loop.run(llm.complete(felix::chat_request{}.user("x"))).text() == "answer");
  CHECK(*server.asked == 3);
  CHECK(loop.now() > felix::simulated_loop::start);
  CHECK(loop.now() <= felix::simulated_loop::start + 1500ms);
  const auto stats = llm.usage_stats();
  CHECK(stats.requests == 1);
  CHECK(stats.retries == 2);
  CHECK(stats.given_up == 0);
  CHECK(stats.waited == loop.now() - felix::simulated_loop::start);
}

TEST_CASE("retrying: the last failure comes out as it was", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  for (int i = 0; i < 3; ++i) server.then(refused(error_kind::overloaded, 503));
  auto llm = failing_model{server} | felix::retry{};
  try {
    loop.run(llm.complete(felix::chat_request{}.user("x")));
    FAIL("no failure");
  } catch (const felix::api_error& failure) {
    CHECK(failure.status() == 503);
  }
  CHECK(*server.asked == 3);
  CHECK(llm.usage_stats().given_up == 1);
}

TEST_CASE("retrying: what will not pass is not asked again", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  const auto kind = GENERATE(error_kind::authentication, error_kind::context_overflow, error_kind::bad_request,
                             error_kind::redirect, error_kind::quota_exhausted);
  failing_model server;
  server.then(refused(kind, 400));
  auto llm = failing_model{server} | felix::retry{};
  CHECK_THROWS_AS(loop.run(llm.complete(felix::chat_request{}.user("x"))), felix::api_error);
  CHECK(*server.asked == 1);
}

TEST_CASE("retrying: a server's hint is waited for", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  server.then(refused(error_kind::rate_limited, 429, 20s));
  auto llm = failing_model{server} | felix::retry{};
  CHECK(loop.run(llm.complete(felix::chat_request{}.user("x"))).text() == "answer");
  CHECK(loop.now() >= felix::simulated_loop::start + 20s);
  CHECK(loop.now() <= felix::simulated_loop::start + 22s);
}

TEST_CASE("retrying: a stop ends the wait at once", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  server.then(refused(error_kind::rate_limited, 429, 60s));
  auto llm = failing_model{server} | felix::retry{};
  CHECK_THROWS_AS(loop.run(felix::timeout(5s, llm.complete(felix::chat_request{}.user("x")))), felix::timed_out);
  CHECK(loop.now() == felix::simulated_loop::start + 5s);
  CHECK(*server.asked == 1);
}

TEST_CASE("retrying: an outage is not multiplied", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  for (int i = 0; i < 10'000; ++i) server.then(refused(error_kind::overloaded, 503));
  auto llm = failing_model{server} | felix::retry{};
  const auto many = [](auto& model) -> felix::task<int> {
    int failed = 0;
    for (int i = 0; i < 500; ++i) {
      try {
        static_cast<void>(co_await model.complete(felix::chat_request{}.user("x")));
      } catch (const felix::error&) {
        ++failed;
      }
    }
    co_return failed;
  };
  CHECK(loop.run(many(llm)) == 500);
  const double seconds = std::chrono::duration<double>(loop.now() - felix::simulated_loop::start).count();
  CHECK(*server.asked <= 500 + 10 + 0.2 * 500 + 0.1 * seconds + 1);
  CHECK(*server.asked > 500 + 90);
}

TEST_CASE("retrying: models that share a budget share its end", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  felix::retry_budget budget{{.most = 1, .per_request = 0, .per_second = 0}};
  failing_model first, second;
  first.then(refused(error_kind::overloaded, 503));
  second.then(refused(error_kind::overloaded, 503));
  auto one = failing_model{first} | felix::retry{budget};
  auto two = failing_model{second} | felix::retry{budget};
  CHECK(loop.run(one.complete(felix::chat_request{}.user("x"))).text() == "answer");
  CHECK_THROWS_AS(loop.run(two.complete(felix::chat_request{}.user("x"))), felix::api_error);
}

TEST_CASE("retrying: a stream is asked again only while it has given nothing", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  server.then(refused(error_kind::overloaded, 503));
  SECTION("nothing came") {
    auto llm = failing_model{server} | felix::retry{};
    auto stream = llm.stream(felix::chat_request{}.user("x"));
    CHECK(loop.run(read(stream)) == "answer");
    CHECK(stream.response().text() == "answer");
    CHECK(*server.asked == 2);
  }
  SECTION("something came") {
    server.deltas_before = 1;
    auto llm = failing_model{server} | felix::retry{};
    auto stream = llm.stream(felix::chat_request{}.user("x"));
    CHECK_THROWS_AS(loop.run(read(stream)), felix::api_error);
    CHECK(*server.asked == 1);
  }
}

TEST_CASE("retrying: who waits for another attempt holds no slot", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  server.then(refused(error_kind::rate_limited, 429, 60s));
  auto llm = failing_model{server} | felix::limit{1} | felix::retry{};
  const auto both = [](auto& model, felix::simulated_loop& on) -> felix::task<std::chrono::nanoseconds> {
    std::chrono::nanoseconds second{0};
    const auto ask = [](auto& of, felix::simulated_loop& clock, std::chrono::nanoseconds& at) -> felix::task<void> {
      static_cast<void>(co_await of.complete(felix::chat_request{}.user("x")));
      at = clock.now() - felix::simulated_loop::start;
    };
    std::chrono::nanoseconds first{0};
    co_await felix::when_all(ask(model, on, first), ask(model, on, second));
    co_return second;
  };
  CHECK(loop.run(both(llm, loop)) < 1s);
}

TEST_CASE("retrying: every attempt has the whole request", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  for (int i = 0; i < 2; ++i) server.then(refused(error_kind::overloaded, 503));
  auto llm = failing_model{server} | felix::retry{};
  SECTION("of a whole answer") { CHECK(loop.run(llm.complete(felix::chat_request{}.user("x"))).text() == "answer"); }
  SECTION("of a stream") {
    auto stream = llm.stream(felix::chat_request{}.user("x"));
    CHECK(loop.run(read(stream)) == "answer");
  }
  CHECK(*server.questions == "x|x|x|");
}

TEST_CASE("retrying: the seed makes the waits", "[llm][retrying]") {
  const auto waited_with = [](std::uint64_t seed) {
    felix::simulated_loop loop{1};
    failing_model server;
    for (int i = 0; i < 2; ++i) server.then(refused(error_kind::overloaded, 503));
    auto llm = failing_model{server} | felix::retry{}.seed(seed);
    loop.run(llm.complete(felix::chat_request{}.user("x")));
    return llm.usage_stats().waited;
  };
  CHECK(waited_with(1) == waited_with(1));
  CHECK(waited_with(1) != waited_with(2));
}

TEST_CASE("retrying: a model that loads is waited for, but not for ever", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  const bool loads_in_time = GENERATE(false, true);
  for (int i = 0; i < (loads_in_time ? 8 : 100); ++i) server.then(refused(error_kind::model_loading, 503));
  felix::retry_budget budget{{.most = 0, .per_request = 0, .per_second = 0}};  // it takes none
  auto llm = failing_model{server} | felix::retry{budget, {.attempts = 2, .model_loading = 30s}};
  if (loads_in_time) {
    CHECK(loop.run(llm.complete(felix::chat_request{}.user("x"))).text() == "answer");
    CHECK(*server.asked == 9);
    CHECK(llm.usage_stats().given_up == 0);
  } else {
    CHECK_THROWS_AS(loop.run(llm.complete(felix::chat_request{}.user("x"))), felix::api_error);
    CHECK(*server.asked > 5);
    CHECK(llm.usage_stats().given_up == 1);
  }
  CHECK(loop.now() <= felix::simulated_loop::start + 30s);
  CHECK(llm.usage_stats().waited == loop.now() - felix::simulated_loop::start);
}

TEST_CASE("retrying: a connection that was stale is free, once", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  const int times = GENERATE(1, 2);
  failing_model server;
  for (int i = 0; i < times; ++i) server.then(felix::transport_error{"closed", 56, error_kind::transport_stale});
  felix::retry_budget budget{{.most = 0, .per_request = 0, .per_second = 0}};
  auto llm = failing_model{server} | felix::retry{budget};
  if (times == 1) {
    CHECK(loop.run(llm.complete(felix::chat_request{}.user("x"))).text() == "answer");
  } else {
    CHECK_THROWS_AS(loop.run(llm.complete(felix::chat_request{}.user("x"))), felix::transport_error);
  }
  CHECK(*server.asked == 2);
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("retrying: who pays is asked before what may have cost something is sent again", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  bool pays = true;
  int asked = 0;
  const auto ask = [&](auto& llm) {
    auto request = felix::chat_request{}.user("x");
    request.repeat_if([&] {
      ++asked;
      CHECK(llm.usage_stats().requests == 1);  // it may look, and go on with others
      return pays;
    });
    return loop.run(llm.complete(request)).text();
  };
  const auto cost = felix::request_cost::unknown;
  const felix::transport_error lost{"lost", 56, cost, error_kind::transport_reset};
  SECTION("and pays") {
    server.then(lost).then(lost);
    auto llm = failing_model{server} | felix::retry{};
    CHECK(ask(llm) == "answer");
    CHECK(asked == 2);
  }
  SECTION("and does not") {
    pays = false;
    server.then(lost);
    int told = 0;
    auto llm = failing_model{server} | felix::retry{}.on_retry([&](const auto&...) { ++told; });
    CHECK_THROWS_AS(ask(llm), felix::transport_error);
    CHECK(told == 0);
    CHECK(asked == 1);
    CHECK(*server.asked == 1);
    CHECK(llm.usage_stats().given_up == 1);
    CHECK(loop.now() == felix::simulated_loop::start);
  }
  SECTION("not for what cost nothing") {
    pays = false;
    server.then(felix::transport_error{"refused", 7, felix::request_cost::none, error_kind::transport_refused});
    auto llm = failing_model{server} | felix::retry{};
    CHECK(ask(llm) == "answer");
    CHECK(asked == 0);
  }
  SECTION("not for what is not sent again") {
    server.then(lost).then(lost);
    felix::retry_budget none{{.most = 0, .per_request = 0, .per_second = 0}};
    auto llm = failing_model{server} | felix::retry{none};
    CHECK_THROWS_AS(ask(llm), felix::transport_error);
    CHECK(asked == 0);
  }
}

TEST_CASE("retrying: what it has done, with what the budget has", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  server.then(refused(error_kind::overloaded, 503));
  felix::retry_budget budget{{.most = 5, .per_request = 1, .per_second = 0}};
  auto llm = failing_model{server} | felix::retry{budget};
  CHECK(llm.usage_stats().requests == 0);
  auto stream = llm.stream(felix::chat_request{}.user("x"));
  CHECK(llm.usage_stats().requests == 0);  // nothing begins before it is read
  CHECK(loop.run(read(stream)) == "answer");
  CHECK(llm.usage_stats().requests == 1);
  CHECK(llm.usage_stats().retries == 1);
  CHECK(llm.usage_stats().budget == 4);
  CHECK(budget.level(loop.now()) == 4);
  CHECK(llm.usage_stats().waited == loop.now() - felix::simulated_loop::start);
  loop.run(llm.complete(felix::chat_request{}.user("x")));
  CHECK(budget.level(loop.now()) == 5);  // each request earns
  CHECK(llm.usage_stats().requests == 2);
}

TEST_CASE("retrying: each retry is told, and options out of range are refused", "[llm][retrying]") {
  felix::simulated_loop loop{1};
  failing_model server;
  server.then(refused(error_kind::overloaded, 503));
  std::vector<int> told;
  auto llm = failing_model{server} | felix::retry{}.on_retry([&](const felix::chat_request&, const felix::error& why,
                                                                 const felix::retry_decision&) {
    told.push_back(dynamic_cast<const felix::api_error&>(why).status());  // as it was thrown
  });
  CHECK(loop.run(llm.complete(felix::chat_request{}.user("x"))).text() == "answer");
  CHECK(told == std::vector{503});
  CHECK_THROWS_AS(felix::retry{{.attempts = 0}}, felix::error);
}

TEST_CASE("retrying: one attempt is one, whatever the failure", "[llm][retrying]") {
  for (const auto kind : {error_kind::model_loading, error_kind::transport_stale, error_kind::overloaded}) {
    felix::simulated_loop loop;
    failing_model server;
    for (int i = 0; i < 3; ++i) server.then(refused(kind, 503));
    auto llm = failing_model{server} | felix::retry{{.attempts = 1}};
    CHECK_THROWS_AS(loop.run(llm.complete(felix::chat_request{}.user("x"))), felix::api_error);
    CHECK(*server.asked == 1);
  }
}

TEST_CASE("retrying: no attempt is begun after the time of all", "[llm][retrying]") {
  felix::simulated_loop loop;
  failing_model server;
  for (int i = 0; i < 9; ++i) server.then(refused(error_kind::rate_limited, 429, 1500ms));
  auto llm = failing_model{server} | felix::retry{{.attempts = 9, .total = 4s}};
  CHECK_THROWS_AS(loop.run(llm.complete(felix::chat_request{}.user("x"))), felix::api_error);
  CHECK(*server.asked == 3);  // at 0, 1.5 and 3 s and a little
  CHECK(loop.now() < felix::simulated_loop::start + 4s);
  CHECK_THROWS_AS(felix::retry{{.total = 0ms}}, felix::error);
}
