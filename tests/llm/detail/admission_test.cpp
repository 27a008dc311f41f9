// SPDX-License-Identifier: MIT
#include <felix/llm/detail/admission.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using felix::chat_request;
using felix::detail::admission;
using felix::detail::estimated_prompt_tokens;
using felix::detail::limit_knowledge;

namespace {

/// Says a limit that is one higher after each thing that it is told, and writes down when that was.
class counting_policy : public felix::limit_policy {
 public:
  struct record {
    std::vector<std::string> events = {};
    std::vector<time_point> times = {};
  };
  explicit counting_policy(record& into) : into_{into} {}

  [[nodiscard]] std::size_t limit() const noexcept override { return 1 + into_.events.size(); }
  void sent(std::uint64_t request, felix::token_count prompt, time_point now) override {
    note("sent " + std::to_string(request) + ": " + std::to_string(prompt), now);
  }
  void first_token(std::uint64_t request, std::optional<duration> queued, time_point now) override {
    note("first " + std::to_string(request) + ": " + (queued ? std::to_string(*queued / 1ms) : "unknown"), now);
  }
  void ended(std::uint64_t request, felix::limit_outcome how, const felix::token_usage& usage, std::optional<duration>,
             time_point now) override {
    constexpr const char* names[] = {"answered ", "overloaded ", "nothing "};
    note(
        names[static_cast<std::size_t>(how)] + std::to_string(request) + ": " + std::to_string(usage.completion_tokens),
        now);
  }

 private:
  void note(std::string what, time_point now) {
    into_.events.push_back(std::move(what));
    into_.times.push_back(now);
  }
  record& into_;
};

/// A limit that has let requests through.
struct scene {
  explicit scene(const std::optional<felix::rate_limit_options>& rate = {})
      : limit{std::make_unique<counting_policy>(told), slots, rate} {}
  admission admit(const felix::scheduler& clock, std::uint64_t ticket = 0) {
    return {limit, *slots.try_acquire(), ticket, chat_request{}.user("1234"), 0ns, &clock};
  }
  std::uint64_t take(const felix::scheduler& clock) { return limit.rate->limiter.try_take(10, clock.now()).ticket; }

  counting_policy::record told;
  felix::priority_semaphore slots{1};
  limit_knowledge limit;
};

felix::api_error refusal(std::optional<std::chrono::milliseconds> hint) {
  return felix::api_error{"no", {.status = 429, .retry_after = hint, .kind = felix::error_kind::rate_limited}};
}

}  // namespace

TEST_CASE("admission: messages and tools count as tokens", "[llm][admission]") {
  CHECK(estimated_prompt_tokens(chat_request{}) == 0);
  CHECK(estimated_prompt_tokens(chat_request{}.user("1234")) == 5);  // and 16 bytes around it
  CHECK(estimated_prompt_tokens(chat_request{}.user("12345")) == 6);
  CHECK(estimated_prompt_tokens(chat_request{}.system("1234").user("1234")) == 10);
  const auto with_tool =
      chat_request{}.user("1234").tool({.name = "t", .description = "8 bytes.", .parameters = R"({"a": "12 bytes"})"});
  CHECK(estimated_prompt_tokens(with_tool) == 12);  // 20 + 8 + 17
}

TEST_CASE("admission: the limit is what the policy says after each thing that it is told", "[llm][admission]") {
  felix::simulated_loop loop;
  scene on;
  CHECK(on.slots.limit() == 1);
  {
    admission one = on.admit(loop);
    CHECK(on.slots.limit() == 2);
    one.first_delta({});
    CHECK(on.slots.limit() == 3);
    felix::chat_response answer;
    answer.usage({.prompt_tokens = 1, .completion_tokens = 7, .total_tokens = 8});
    one.answered(answer);
    CHECK(on.slots.limit() == 4);
    CHECK(on.slots.in_use() == 1);
  }
  CHECK(on.slots.in_use() == 0);
  { const admission left = on.admit(loop); }
  CHECK(on.slots.limit() == 6);
  on.admit(loop).failed(refusal({}));
  CHECK(on.slots.limit() == 8);
  const std::vector<std::string> events{"sent 1: 5",    "first 1: unknown", "answered 1: 7",  "sent 2: 5",
                                        "nothing 2: 0", "sent 3: 5",        "overloaded 3: 0"};
  CHECK(on.told.events == events);
  CHECK(on.limit.usage.admitted == 3);
}

TEST_CASE("admission: one that was moved ends once", "[llm][admission]") {
  felix::simulated_loop loop;
  scene on;
  {
    admission one = on.admit(loop);
    const admission other = std::move(one);
    CHECK(on.slots.in_use() == 1);
  }
  CHECK(on.told.events == std::vector<std::string>{"sent 1: 5", "nothing 1: 0"});
}

TEST_CASE("admission: time never goes back for a policy, whatever clock a request has", "[llm][admission]") {
  felix::simulated_loop ahead, behind;
  ahead.run(ahead.sleep_for(10s));
  scene on;
  { const admission one = on.admit(ahead), two = on.admit(behind); }
  CHECK(on.told.times == std::vector<limit_knowledge::time_point>(4, ahead.now()));
  behind.run(behind.sleep_for(11s));
  { const admission three = on.admit(behind); }
  CHECK(on.told.times.back() == behind.now());
}

TEST_CASE("admission: each ticket is closed, by headers, by a refusal or by the end", "[llm][admission]") {
  felix::simulated_loop loop;
  scene on{felix::rate_limit_options{}};
  const auto status = [&] { return on.limit.rate->limiter.status(loop.now()); };
  on.admit(loop, on.take(loop)).failed(refusal(5s));
  CHECK(status().blocked_until == loop.now() + 5s);
  CHECK(status().unanswered == 0);
  loop.run(loop.sleep_for(5s));
  { const admission left = on.admit(loop, on.take(loop)); }
  CHECK(status().unanswered == 0);
  felix::chat_response answer;
  answer.rate_limits({.requests = {.limit = 60, .remaining = 7}});
  {
    admission one = on.admit(loop, on.take(loop));
    CHECK(status().unanswered == 1);
    one.first_delta({});
    CHECK(status().unanswered == 1);  // nothing was said
    one.first_delta(answer);
    CHECK(status().unanswered == 0);
    CHECK(status().requests.learned);
  }
  on.admit(loop, on.take(loop)).answered(answer);
  CHECK(status().unanswered == 0);
}

TEST_CASE("admission: what an answer says wakes who waits for the minute", "[llm][admission]") {
  felix::simulated_loop loop;
  scene on{felix::rate_limit_options{}};
  felix::detail::rate_line::first waits{*on.limit.rate, 1};
  CHECK_FALSE(waits.stands_back());
  felix::chat_response answer;
  on.admit(loop, on.take(loop)).answered(answer);
  CHECK_FALSE(waits.changed().is_set());
  answer.rate_limits({.requests = {.limit = 60, .remaining = 7}});
  on.admit(loop, on.take(loop)).answered(answer);
  CHECK(waits.changed().is_set());
}
