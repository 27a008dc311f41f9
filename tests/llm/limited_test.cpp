// SPDX-License-Identifier: MIT
#include <felix/llm/limited.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/gradient_limit.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::chat_request;
using felix::request_priority;

static_assert(felix::model<felix::limited<felix::scripted_model>>);

TEST_CASE("limited: never more than the limit at once, and all are answered", "[llm][limited]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{4};
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(llm.complete(chat_request{}.user("x")));
  const auto answers = loop.run(felix::when_all(std::move(asked)));
  CHECK(answers.size() == 10);
  CHECK(script.max_in_flight() == 4);
  CHECK(loop.now() == felix::simulated_loop::start + 3s);  // 4 + 4 + 2: no slot idles
  CHECK(llm.status().in_use == 0);
}

TEST_CASE("limited: urgent overtakes forty waiting low requests", "[llm][limited][D24]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{2};
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 42; ++i) n.spawn(llm.complete(chat_request{}.user("low").priority(request_priority::low)));
    n.spawn(llm.complete(chat_request{}.user("urgent").priority(request_priority::urgent)));
    CHECK(llm.status().waiting[static_cast<std::size_t>(request_priority::low)] == 40);
    CHECK(llm.status().waiting_in_all() == 41);
    co_return;
  };
  loop.run(felix::with_nursery(body));
  REQUIRE(script.requests().size() == 43);
  CHECK(script.requests()[2].messages()[0].content == "urgent");  // after the two that were in their slots
}

TEST_CASE("limited: the wait is told, and a failure gives the slot back", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("bad").fail(felix::error{felix::errc::transport, "gone"}).after(2s);
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{1};
  const auto both = [](auto& model) -> felix::task<felix::chat_response> {
    auto [failed, answered] = co_await felix::when_all(felix::as_result(model.complete(chat_request{}.user("bad"))),
                                                       model.complete(chat_request{}.user("good")));
    CHECK_FALSE(failed);
    co_return answered;
  };
  const auto answer = loop.run(both(llm));
  CHECK(answer.timing().waited == 2s);
  CHECK(answer.timing().total == 1s);
  CHECK(llm.status().in_use == 0);
}

TEST_CASE("limited: a stop while waiting leaves the queue, and one in flight gives its slot back",
          "[llm][limited][D27]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1h);
  auto llm = felix::model_ref{script} | felix::limit{1};
  felix::stop_source stop_flying, stop_waiting;
  std::vector<felix::request_cost> costs;
  const auto note = [&](felix::result<felix::chat_response> r) {
    try {
      r.value();
    } catch (const felix::cancelled& ended) {
      costs.push_back(ended.cost());
    }
  };
  loop.spawn(llm.complete(chat_request{}.user("a")), note, stop_flying.get_token());
  loop.spawn(llm.complete(chat_request{}.user("b")), note, stop_waiting.get_token());
  stop_waiting.request_stop();
  loop.poll();
  CHECK(costs == std::vector{felix::request_cost::none});  // it was never sent
  CHECK(llm.status().in_use == 1);
  CHECK(llm.status().waiting_in_all() == 0);
  stop_flying.request_stop();
  loop.poll();
  CHECK(costs == std::vector{felix::request_cost::none, felix::request_cost::unknown});
  CHECK(llm.status().in_use == 0);
  CHECK(script.requests().size() == 1);
}

TEST_CASE("limited: with 10,000 low requests waiting an urgent one waits for one service at most",
          "[llm][limited][D26]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  felix::priority_semaphore_options options{.limit = 4};
  SECTION("it is next") {}
  SECTION("it starts at once, when a slot is held back") { options.held_back = 1; }
  const std::size_t held_back = options.held_back;
  auto llm = felix::model_ref{script} | felix::limit{options};
  std::size_t before_it = 0;
  const auto ask = [](auto& model, felix::scripted_model& of,
                      std::size_t& before) -> felix::task<felix::chat_response> {
    co_await felix::sleep_for(100ms);  // the slots are at work
    before = of.requests().size();
    co_return co_await model.complete(chat_request{}.user("urgent").priority(request_priority::urgent));
  };
  std::chrono::nanoseconds waited{-1};
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 10'000; ++i) n.spawn(llm.complete(chat_request{}.user("low").priority(request_priority::low)));
    const auto answer = co_await ask(llm, script, before_it);
    waited = answer.timing().waited;
  };
  loop.run(felix::with_nursery(body));
  CHECK(before_it == 4 - held_back);
  CHECK(waited == (held_back == 0 ? 900ms : 0ms));  // what was left of a service that takes 1 s
  REQUIRE(script.requests().size() == 10'001);
  CHECK(script.requests()[before_it].messages()[0].content == "urgent");
  CHECK(llm.status().in_use == 0);
}

TEST_CASE("limited: with aging a low request is not starved by an endless stream of urgent ones",
          "[llm][limited][D25]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{{.limit = 1, .aging = 5}};
  const auto stream = [](auto& model) -> felix::task<void> {
    for (int i = 0; i < 50; ++i) co_await model.complete(chat_request{}.user("u").priority(request_priority::urgent));
  };
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 2; ++i) n.spawn(stream(llm));  // one in the slot, one waiting
    n.spawn(llm.complete(chat_request{}.user("low").priority(request_priority::low)));
    co_return;
  };
  loop.run(felix::with_nursery(body));
  // The two that were there before, five later ones, then it.
  REQUIRE(script.requests().size() == 101);
  CHECK(script.requests()[7].messages()[0].content == "low");
}

TEST_CASE("limited: one limit of yours for several models", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model one{loop}, two{loop};
  one.on("").reply("one").after(1s);
  two.on("").reply("two").after(1s);
  felix::priority_semaphore slots{3};
  auto first = felix::model_ref{one} | felix::limit{slots};
  auto second = felix::model_ref{two} | felix::limit{slots};
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 6; ++i) asked.push_back(first.complete(chat_request{}.user("x")));
  for (int i = 0; i < 6; ++i) asked.push_back(second.complete(chat_request{}.user("x")));
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (auto& each : asked) n.spawn(std::move(each));
    CHECK(first.status().in_use == 3);
    CHECK(second.status().in_use == 3);  // of all who share it
    CHECK(second.status().waiting_in_all() == 9);
    CHECK(&first.slots() == &slots);
    co_return;
  };
  loop.run(felix::with_nursery(body));
  CHECK(loop.now() == felix::simulated_loop::start + 4s);  // 12 requests, 3 at once
  CHECK(one.max_in_flight() == 3);
  CHECK(slots.in_use() == 0);
}

TEST_CASE("limited: groups of one limit keep their shares and lend what they do not use", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model of_team{loop}, of_batch{loop};
  of_team.on("").reply("team").after(1s);
  of_batch.on("").reply("batch").after(1s);
  felix::priority_semaphore slots{4};
  felix::priority_semaphore::group team{slots, "team", {.guaranteed = 2}}, batch{slots, "batch", {.ceiling = 3}};
  auto for_team = felix::model_ref{of_team} | felix::limit{team};
  auto for_batch = felix::model_ref{of_batch} | felix::limit{batch};
  CHECK(felix::limit{team}.is_shared());
  CHECK(&for_team.slots() == &slots);
  const auto ask_later = [](auto& model) -> felix::task<std::chrono::nanoseconds> {
    co_await felix::sleep_for(500ms);
    const auto answer = co_await model.complete(chat_request{}.user("x").priority(request_priority::low));
    co_return answer.timing().waited;
  };
  std::chrono::nanoseconds waited{-1}, waited_too{-1};
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 20; ++i)
      n.spawn(for_batch.complete(chat_request{}.user("x").priority(request_priority::urgent)));
    CHECK(for_batch.status().in_use == 3);
    CHECK(for_batch.status().limit == 3);
    CHECK(for_batch.status().waiting_in_all() == 17);
    CHECK(for_team.status().in_use == 0);
    CHECK(for_team.status().limit == 4);
    auto [a, b] = co_await felix::when_all(ask_later(for_team), ask_later(for_team));
    waited = a;
    waited_too = b;
  };
  loop.run(felix::with_nursery(body));
  CHECK(waited + waited_too ==
        500ms);  // one finds the slot above the ceiling, the other gets the first that comes back
  CHECK(of_batch.max_in_flight() == 3);
}

TEST_CASE("limited: one limit for models on several threads", "[llm][limited]") {
  felix::priority_semaphore slots{1};
  std::optional<felix::priority_semaphore::permit> held{felix::sync_wait(slots.acquire())};
  std::atomic<int> answered{0};
  const auto ask = [&] {
    felix::simulated_loop loop;  // nobody drives it: the answer comes at once
    felix::scripted_model script{loop};
    auto llm = felix::model_ref{script} | felix::limit{slots};
    for (int i = 0; i < 100; ++i) {
      felix::sync_wait(llm.complete(chat_request{}.user("x")));
      ++answered;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(ask);
  while (slots.waiting(request_priority::normal) < 3 && answered == 0) std::this_thread::yield();
  CHECK(answered == 0);
  held.reset();
  for (auto& thread : threads) thread.join();
  CHECK(answered == 300);
  CHECK(slots.in_use() == 0);
}

TEST_CASE("limited: the limit can be changed while requests wait, and a moved stack keeps its own", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto first = felix::model_ref{script} | felix::limit{1};
  auto llm = std::move(first);
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 5; ++i) n.spawn(llm.complete(chat_request{}.user("x")));
    CHECK(script.in_flight() == 1);
    llm.slots().set_limit(4);
    co_return;
  };
  loop.run(felix::with_nursery(body));
  CHECK(script.max_in_flight() == 4);
  CHECK(loop.now() == felix::simulated_loop::start + 2s);
}

TEST_CASE("limited: a limit of 0 is refused", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  CHECK_THROWS_AS(felix::model_ref{script} | felix::limit{0}, felix::error);
  CHECK_THROWS_AS((felix::model_ref{script} | felix::limit{{.limit = 1, .held_back = 1}}), felix::error);
}

namespace {

/// Writes down what it is told, and has the limit that a test gives it.
class recording_policy : public felix::limit_policy {
 public:
  struct record {
    std::vector<std::string> events = {};
    std::size_t limit = 1;
  };
  explicit recording_policy(record& into) : into_{&into} {}

  [[nodiscard]] std::size_t limit() const noexcept override { return into_->limit; }
  void sent(std::uint64_t request, felix::token_count prompt, time_point now) override {
    note("sent", request, now);
    into_->events.back() += ", " + std::to_string(prompt) + " tokens";
  }
  void first_token(std::uint64_t request, std::optional<duration>, time_point now) override {
    note("first", request, now);
  }
  void ended(std::uint64_t request, felix::limit_outcome how, const felix::token_usage& usage, std::optional<duration>,
             time_point now) override {
    constexpr const char* names[] = {"answered", "overloaded", "nothing"};
    note(names[static_cast<std::size_t>(how)], request, now);
    if (how == felix::limit_outcome::answered)
      into_->events.back() += ", " + std::to_string(usage.completion_tokens) + " tokens";
  }

 private:
  void note(const std::string& what, std::uint64_t request, time_point now) {
    const auto at = std::chrono::duration_cast<std::chrono::seconds>(now - felix::simulated_loop::start);
    into_->events.push_back(what + " " + std::to_string(request) + " at " + std::to_string(at.count()));
  }
  record* into_;
};

/// A model without streams.
struct whole_answers {
  felix::scripted_model* script;
  felix::task<felix::chat_response> complete(chat_request request) { return script->complete(std::move(request)); }
};

}  // namespace

TEST_CASE("limited: a policy is told of each request, and whole answers are streamed for it", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("01234567").after(4s);
  recording_policy::record told{.limit = 2};
  auto llm = felix::model_ref{script} | felix::limit{recording_policy{told}};
  CHECK(llm.status().limit == 2);
  const auto answers =
      loop.run(felix::when_all(llm.complete(chat_request{}.user("1234")), llm.complete(chat_request{}.user("12345678")),
                               llm.complete(chat_request{}.user("123456789abc"))));
  CHECK(std::get<0>(answers).text() == "01234567");
  CHECK(std::get<2>(answers).timing().waited == 4s);
  CHECK(told.events == std::vector<std::string>{"sent 1 at 0, 5 tokens", "sent 2 at 0, 6 tokens", "first 1 at 2",
                                                "first 2 at 2", "answered 1 at 4, 2 tokens",
                                                "answered 2 at 4, 2 tokens", "sent 3 at 4, 7 tokens", "first 3 at 6",
                                                "answered 3 at 8, 2 tokens"});
}

TEST_CASE("limited: the limit is what the policy says, from its next event on", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("x").after(1s);
  recording_policy::record told{.limit = 1};
  auto llm = whole_answers{&script} | felix::limit{recording_policy{told}};
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 5; ++i) asked.push_back(llm.complete(chat_request{}.user("x")));
  told.limit = 4;  // seen when the first has been sent
  loop.run(felix::when_all(std::move(asked)));
  CHECK(script.max_in_flight() == 4);
  CHECK(llm.slots().limit() == 4);
  CHECK(told.events.size() == 10);  // no model that streams: no first token
  CHECK(loop.now() == felix::simulated_loop::start + 2s);
}

TEST_CASE("limited: a policy is told once how a request ended, however it did", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  const auto refused = [](int status, std::optional<std::chrono::milliseconds> hint) {
    return felix::api_error{"no",
                            {.status = status,
                             .retry_after = hint,
                             .kind = status == 503 ? felix::error_kind::overloaded : felix::error_kind::rate_limited}};
  };
  script.on("busy").fail(refused(503, {}));
  script.on("often").fail(refused(429, {}));
  script.on("hinted").fail(refused(429, 5s));
  script.on("broken").fail(felix::error{felix::errc::transport, "gone"});
  script.on("").reply("0123456789").after(3s);
  recording_policy::record told{.limit = 9};
  auto llm = felix::model_ref{script} | felix::limit{recording_policy{told}};
  for (const char* const what : {"busy", "often", "hinted", "broken"})
    CHECK_THROWS_AS(loop.run(llm.complete(chat_request{}.user(what))), felix::error);
  CHECK_THROWS_AS(loop.run(felix::timeout(1s, llm.complete(chat_request{}.user("slow")))), felix::timed_out);
  const auto leave = [&]() -> felix::task<void> {
    auto stream = llm.stream(chat_request{}.user("left"));
    static_cast<void>(co_await stream.next());
  };
  loop.run(leave());
  std::vector<std::string> ends;
  for (const std::string& event : told.events) {
    if (!event.starts_with("sent") && !event.starts_with("first")) ends.push_back(event);
  }
  CHECK(ends == std::vector<std::string>{"overloaded 1 at 0", "overloaded 2 at 0", "nothing 3 at 0", "nothing 4 at 0",
                                         "nothing 5 at 1", "nothing 6 at 2"});
  CHECK(llm.status().in_use == 0);
}

TEST_CASE("limited: streams are passed on, and hold their slot to the end", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("0123456789").after(3s);
  auto llm = felix::model_ref{script} | felix::limit{1};
  const auto read = [&]() -> felix::task<std::string> {
    auto stream = llm.stream(chat_request{}.user("x"));
    std::string text;
    for (;;) {
      const auto delta = co_await stream.next();
      if (!delta) break;
      text += delta->text();
      CHECK(llm.status().in_use == 1);
    }
    CHECK(stream.response().text() == text);
    text += " after " + std::to_string(stream.response().timing().waited / 1s);
    co_return text;
  };
  const auto [one, two] = loop.run(felix::when_all(read(), read()));
  CHECK(one == "0123456789 after 0");
  CHECK(two == "0123456789 after 3");
  CHECK(script.max_in_flight() == 1);
}

namespace {

felix::task<std::vector<int>> finish_times(felix::simulated_loop& loop,
                                           std::vector<felix::task<felix::chat_response>> asked) {
  std::vector<int> seconds(asked.size());
  const auto one = [&](felix::task<felix::chat_response> task, int& at) -> felix::task<void> {
    co_await std::move(task);
    at = static_cast<int>((loop.now() - felix::simulated_loop::start) / 1s);
  };
  std::vector<felix::task<void>> all;
  for (std::size_t i = 0; i < asked.size(); ++i) all.push_back(one(std::move(asked[i]), seconds[i]));
  co_await felix::when_all(std::move(all));
  co_return seconds;
}

/// Says in its answers what a server's headers would.
struct metered_model {
  felix::scripted_model* script;
  felix::rate_limit_report report;
  felix::task<felix::chat_response> complete(chat_request request) {
    auto answer = co_await script->complete(std::move(request));
    answer.rate_limits(report);
    co_return answer;
  }
};

}  // namespace

TEST_CASE("limited: so many requests per minute, and so many tokens", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  const auto times = [&](felix::limit by) {
    auto llm = felix::model_ref{script} | std::move(by);
    std::vector<felix::task<felix::chat_response>> asked;
    for (int i = 0; i < 4; ++i)
      asked.push_back(llm.complete(chat_request{}.user(std::string(384, 'x')).max_tokens(200)));
    auto seconds = loop.run(finish_times(loop, std::move(asked)));
    CHECK(llm.usage_stats().rate.unanswered == 0);
    return seconds;
  };
  CHECK(times(felix::limit{4}.rate({.requests_per_minute = 30})) == std::vector<int>{0, 2, 4, 6});
  loop.run(loop.sleep_for(54s));
  // 100 of the prompt and 200 of the longest answer: two at once, then one in 30 s.
  CHECK(times(felix::limit{4}.rate({.tokens_per_minute = 600})) == std::vector<int>{60, 60, 90, 120});
}

TEST_CASE("limited: learns from answers what a server lets through", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  const felix::rate_limit_report report{.requests = {.limit = 60, .remaining = 0, .reset = 60s}};
  auto llm = metered_model{&script, report} | felix::limit{4}.rate({});
  loop.run(llm.complete(chat_request{}.user("x")));
  CHECK(loop.now() == felix::simulated_loop::start);
  CHECK(llm.usage_stats().rate.requests.learned);
  loop.run(llm.complete(chat_request{}.user("x")));
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
}

TEST_CASE("limited: a refusal with a hint holds the others back", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("too often")
      .fail(felix::api_error{"no", {.status = 429, .retry_after = 5s, .kind = felix::error_kind::rate_limited}});
  auto llm = felix::model_ref{script} | felix::limit{4}.rate({});
  CHECK_THROWS_AS(loop.run(llm.complete(chat_request{}.user("too often"))), felix::api_error);
  loop.run(llm.complete(chat_request{}.user("x")));
  CHECK(loop.now() == felix::simulated_loop::start + 5s);
}

TEST_CASE("limited: where tokens are short the most urgent has the next turn, and who leaves loses nothing of others",
          "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  auto llm = felix::model_ref{script} | felix::limit{4}.rate({.requests_per_minute = 6});
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (const char* const name : {"first", "second", "third"}) n.spawn(llm.complete(chat_request{}.user(name)));
    n.spawn(llm.complete(chat_request{}.user("urgent").priority(request_priority::urgent)));
    const auto waiting = llm.usage_stats().slots.waiting;
    CHECK(waiting == std::array<std::size_t, 4>{0, 2, 0, 1});
    static_cast<void>(co_await felix::as_result(felix::timeout(1s, llm.complete(chat_request{}.user("gone")))));
    CHECK(llm.usage_stats().slots.waiting == waiting);
  };
  loop.run(felix::with_nursery(body));
  std::vector<std::string> order;
  for (const auto& request : script.requests()) order.push_back(request.messages()[0].content);
  CHECK(order == std::vector<std::string>{"first", "urgent", "second", "third"});
  CHECK(loop.now() == felix::simulated_loop::start + 30s);
  CHECK(llm.usage_stats().rate.unanswered == 0);
}

TEST_CASE("limited: bounds of waiting hold for tokens too, and what can never go is refused", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  auto llm = felix::model_ref{script} | felix::limit{4}
                                            .rate({.requests_per_minute = 6, .tokens_per_minute = 1'000})
                                            .waiting({.max_waiting = 1, .max_wait = 3s});
  loop.run(llm.complete(chat_request{}.user("x").max_tokens(10)));
  const auto refused = [&](chat_request request) -> felix::task<felix::errc> {
    try {
      co_await llm.complete(std::move(request));
    } catch (const felix::error& failure) {
      co_return felix::errc{failure.code().value()};
    }
    co_return felix::errc{};
  };
  const auto [late, full] = loop.run(felix::when_all(refused(chat_request{}.user("a").max_tokens(10)),
                                                     refused(chat_request{}.user("b").max_tokens(10))));
  CHECK(late == felix::errc::queue_full);
  CHECK(full == felix::errc::queue_full);
  CHECK(loop.now() == felix::simulated_loop::start + 3s);
  loop.run(loop.sleep_for(60s));
  CHECK(loop.run(refused(chat_request{}.user("c").max_tokens(2'000))) == felix::errc::invalid_argument);
  const auto all_there_are = std::numeric_limits<felix::token_count>::max();
  CHECK(loop.run(refused(chat_request{}.user("c").max_tokens(all_there_are))) == felix::errc::invalid_argument);
  CHECK(llm.usage_stats().refused == 2);
  CHECK(llm.usage_stats().slots.waiting_in_all() == 0);
  CHECK(script.requests().size() == 1);
  CHECK_THROWS_AS((felix::model_ref{script} | felix::limit{4}.rate({.requests_per_minute = -1})), felix::error);
}

namespace {

/// A server with slots: the header of a stream leaves when a slot takes the request, as llama.cpp's does.
struct slot_server {
  felix::priority_semaphore slots;
  bool shows_queue;

  felix::task<felix::chat_response> complete(chat_request request) {
    co_return co_await felix::collect(stream(std::move(request)));
  }
  felix::chat_stream stream(chat_request) {
    auto whole = std::make_shared<felix::chat_stream::answer>();
    return {deltas(*this, whole), whole};
  }
  static felix::async_generator<felix::chat_delta> deltas(slot_server& self,
                                                          std::shared_ptr<felix::chat_stream::answer> whole) {
    const auto sent = co_await felix::this_task::now();
    const auto slot = co_await self.slots.acquire();
    felix::chat_timing timing;
    if (self.shows_queue) timing.queued = co_await felix::this_task::now() - sent;
    co_await felix::sleep_for(50ms);
    timing.time_to_first_token = co_await felix::this_task::now() - sent;
    whole->response().timing(timing).usage({.prompt_tokens = 20, .completion_tokens = 40, .total_tokens = 60});
    co_yield felix::chat_delta{};
    co_await felix::sleep_for(800ms);
  }
};

}  // namespace

TEST_CASE("limited: an adaptive limit finds the slots of a server, by its queue or by its first tokens",
          "[llm][limited]") {
  const bool shows_queue = GENERATE(true, false);
  felix::simulated_loop loop;
  slot_server server{felix::priority_semaphore{5}, shows_queue};
  auto llm = felix::model_ref{server} | felix::limit{felix::gradient_limit{}};
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 400; ++i) asked.push_back(llm.complete(chat_request{}.user("How many slots are there?")));
  loop.run(felix::when_all(std::move(asked)));
  CAPTURE(shows_queue);
  CHECK(llm.status().limit >= 5);
  CHECK(llm.status().limit <= 6);  // it may be trying one more
  // 400 answers of 850 ms in 5 slots take 68 s.
  CHECK(loop.now() - felix::simulated_loop::start < 72s);
}

TEST_CASE("limited: who waits for a slot takes nothing of the minute", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("slow").reply("ok").after(120s);
  auto llm = felix::model_ref{script} | felix::limit{1}.rate({.requests_per_minute = 60});
  std::vector<felix::task<felix::chat_response>> asked;
  asked.push_back(llm.complete(chat_request{}.user("slow")));
  for (int i = 0; i < 5; ++i) asked.push_back(llm.complete(chat_request{}.user("quick")));
  const auto seconds = loop.run(finish_times(loop, std::move(asked)));
  CHECK(seconds == std::vector<int>{120, 120, 121, 122, 123, 124});  // not all five at once
}

TEST_CASE("limited: a large request that waits for its tokens stands back for an urgent one", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  auto llm = felix::model_ref{script} | felix::limit{1}.rate({.tokens_per_minute = 1'000});
  loop.run(llm.complete(chat_request{}.user("x").max_tokens(980)));  // nearly all that there is
  std::vector<felix::task<felix::chat_response>> asked;
  asked.push_back(llm.complete(chat_request{}.user("large").priority(request_priority::low).max_tokens(900)));
  const auto later = [&]() -> felix::task<felix::chat_response> {
    co_await felix::sleep_for(10s);
    co_return co_await llm.complete(chat_request{}.user("urgent").priority(request_priority::urgent).max_tokens(10));
  };
  asked.push_back(later());
  const auto seconds = loop.run(finish_times(loop, std::move(asked)));
  CHECK(seconds[1] == 10);
  CHECK(seconds[0] >= 54);
  CHECK(seconds[0] <= 56);
  CHECK(llm.usage_stats().slots.waiting_in_all() == 0);
}

TEST_CASE("limited: where tokens are short a small request does not overtake a large one that came first",
          "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  auto llm = felix::model_ref{script} | felix::limit{4}.rate({.tokens_per_minute = 1'000});
  loop.run(llm.complete(chat_request{}.user("x").max_tokens(500)));  // half of what there is
  const auto second_priority = GENERATE(request_priority::normal, request_priority::low);
  std::vector<felix::task<felix::chat_response>> asked;
  asked.push_back(llm.complete(chat_request{}.user("large").max_tokens(800)));
  asked.push_back(llm.complete(chat_request{}.user("small").max_tokens(10).priority(second_priority)));
  const auto seconds = loop.run(finish_times(loop, std::move(asked)));
  CHECK(seconds[0] >= 18);
  CHECK(seconds[1] >= seconds[0]);
}

TEST_CASE("limited: one that gets a slot while a more urgent one waits for the minute leaves both to others",
          "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  felix::priority_semaphore slots{1};
  auto metered = felix::model_ref{script} | felix::limit{slots}.rate({.tokens_per_minute = 1'000});
  auto other = felix::model_ref{script} | felix::limit{slots};
  script.on("slow").reply("ok").after(20s);
  loop.run(metered.complete(chat_request{}.user("x").max_tokens(900)));  // nearly all that there is
  const auto later = [&](auto& llm, std::chrono::seconds at, const char* text, felix::token_count tokens,
                         request_priority priority) -> felix::task<felix::chat_response> {
    co_await felix::sleep_for(at);
    co_return co_await llm.complete(chat_request{}.user(text).max_tokens(tokens).priority(priority));
  };
  std::vector<felix::task<felix::chat_response>> asked;
  asked.push_back(later(other, 1s, "slow", 10, request_priority::normal));  // has the slot for 20 s
  asked.push_back(
      later(metered, 0s, "low", 200, request_priority::low));  // waits for the minute, and then for the slot
  asked.push_back(later(metered, 10s, "urgent", 900, request_priority::urgent));  // for the slot, and then the minute
  asked.push_back(later(other, 22s, "other", 10, request_priority::low));
  const auto seconds = loop.run(finish_times(loop, std::move(asked)));
  CHECK(seconds[0] == 21);
  CHECK(seconds[3] == 22);
  CHECK(seconds[2] >= 40);
  CHECK(seconds[1] >= seconds[2]);
}

TEST_CASE("limited: urgent requests of one model cost its low ones no place at a limit that it shares",
          "[llm][limited]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  felix::priority_semaphore slots{1};
  auto metered = felix::model_ref{script} | felix::limit{slots}.rate({});
  auto other = felix::model_ref{script} | felix::limit{slots};
  std::chrono::nanoseconds waited{0};
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 10; ++i) n.spawn(other.complete(chat_request{}.user("x").priority(request_priority::low)));
    const auto low = [&]() -> felix::task<void> {
      const auto answer = co_await metered.complete(chat_request{}.user("x").priority(request_priority::low));
      waited = answer.timing().waited;
    };
    n.spawn(low());
    co_await felix::sleep_for(500ms);
    for (int i = 0; i < 20; ++i) {
      co_await felix::sleep_for(2s);
      n.spawn(metered.complete(chat_request{}.user("x").priority(request_priority::urgent)));
      n.spawn(other.complete(chat_request{}.user("x").priority(request_priority::low)));
    }
  };
  loop.run(felix::with_nursery(body));
  CHECK(waited <= 20s);  // ten that came before, and an urgent one every two seconds
}

TEST_CASE("limited: with a rate or without, who shares a limit gets its slots in the order of coming",
          "[llm][limited]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  felix::priority_semaphore slots{1};
  auto metered = felix::model_ref{script} | felix::limit{slots}.rate({.tokens_per_minute = 1'000'000});
  auto other = felix::model_ref{script} | felix::limit{slots};
  const auto later = [](auto& llm, int turn) -> felix::task<felix::chat_response> {
    co_await felix::sleep_for(turn * 1ms);
    co_return co_await llm.complete(chat_request{}.user("x"));
  };
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 10; i += 2) {
    asked.push_back(later(metered, i));
    asked.push_back(later(other, i + 1));
  }
  CHECK(loop.run(finish_times(loop, std::move(asked))) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("limited: who waits for the minute goes as soon as an answer tells that it may", "[llm][limited]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::scripted_model script{loop};
  script.on("slow").reply("ok").after(10s);
  const felix::rate_limit_report one_per_minute{.requests = {.limit = 60, .remaining = 0, .reset = 3600s}};
  const felix::rate_limit_report one_per_second{.requests = {.limit = 60, .remaining = 30, .reset = 30s}};
  metered_model server{&script, one_per_second};
  auto llm = felix::model_ref{server} | felix::limit{4}.rate({});
  const auto wait = [&]() -> felix::task<felix::chat_response> {
    co_await felix::sleep_for(2s);
    server.report = one_per_minute;
    co_await llm.complete(chat_request{}.user("quick"));
    server.report = one_per_second;
    co_return co_await llm.complete(chat_request{}.user("waits"));
  };
  std::vector<felix::task<felix::chat_response>> asked;
  asked.push_back(llm.complete(chat_request{}.user("slow")));
  asked.push_back(wait());
  CHECK(loop.run(finish_times(loop, std::move(asked))) == std::vector<int>{10, 10});
}

namespace {

/// Answers when it may.
struct held_answers {
  felix::event* may;
  felix::task<felix::chat_response> complete(chat_request) {
    co_await *may;
    co_return felix::chat_response{};
  }
};

felix::test::foreign ask(auto& llm, request_priority priority, int& answered) {
  co_await llm.complete(chat_request{}.user("x").priority(priority));
  ++answered;
}

}  // namespace

TEST_CASE("limited: coroutines of other types may go on inside of what woke them", "[llm][limited]") {
  felix::event may;
  int answered = 0;
  SECTION("when a policy raises the limit") {
    recording_policy::record told{.limit = 1};
    auto llm = held_answers{&may} | felix::limit{recording_policy{told}};
    for (int i = 0; i < 3; ++i) ask(llm, request_priority::normal, answered);
    CHECK(llm.status().waiting_in_all() == 2);
    told.limit = 3;
    may.set();
    CHECK(llm.status().limit == 3);
  }
  SECTION("when one has stood back for another") {
    auto llm = held_answers{&may} | felix::limit{1}.rate({});
    for (const auto priority : {request_priority::normal, request_priority::urgent, request_priority::low})
      ask(llm, priority, answered);
    CHECK(llm.usage_stats().slots.waiting_in_all() == 2);
    may.set();
  }
  CHECK(answered == 3);
}
