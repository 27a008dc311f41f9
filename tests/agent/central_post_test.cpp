// SPDX-License-Identifier: MIT
// agent: what is published is read in one order, whoever was first; nothing is lost, and every wait can be stopped.
#include <felix/agent/central_post.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using felix::central_post;
using felix::contribution;
using namespace std::chrono_literals;

namespace {

contribution found(std::string_view agent, std::string text, std::string_view role = "research",
                   double confidence = 0.5) {
  contribution made;
  made.agent = agent;
  made.role = role;
  made.text = std::move(text);
  made.confidence = confidence;
  return made;
}

// Keeps what became of a spawned task.
struct outcome {
  int ended = 0;
  int cancelled = 0;
  int refused = 0;  // with an invalid_argument

  void operator()(const felix::result<void>& got) {
    ++ended;
    try {
      got.value();
    } catch (const felix::cancelled&) {
      ++cancelled;
    } catch (const felix::error& failure) {
      CHECK(failure.code() == felix::errc::invalid_argument);
      CHECK(std::string{failure.what()} == "central_post: it is closed; nothing more can be published");
      ++refused;
    }
  }
};

auto into(outcome& kept) {
  return [&kept](felix::result<void> got) { kept(got); };
}

std::string orders(const central_post& post) {
  std::string letters;
  for (const auto& message : post.messages()) letters += static_cast<char>('a' + message.order);
  return letters;
}

// Publishes at once, and waits for each: the queue is as long as the test likes.
void publish_now(felix::simulated_loop& loop, central_post& post, contribution made, std::uint64_t order) {
  loop.run(post.publish(std::move(made), order));
}

std::string refusal(felix::central_post_options options) {
  try {
    const central_post post{options};
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    return refused.what();
  }
  return "accepted";
}

felix::task<> publish_later(central_post& post, contribution made, std::uint64_t order) {
  co_await felix::sleep_for(1s);
  co_await post.publish(std::move(made), order);
}

felix::task<> publish_all(central_post& post, std::string steps) {
  co_await felix::with_nursery([&](felix::nursery& publishers) -> felix::task<void> {
    for (const char step : steps)
      publishers.spawn(
          publish_later(post, found({&step, 1}, std::string(1, step)), static_cast<std::uint64_t>(step - 'a')));
    co_return;
  });
  co_await post.processed();
  CHECK(post.messages().size() == steps.size());
  post.close();
}

}  // namespace

TEST_CASE("central_post: used as it is documented", "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post;
  post.register_agent("research_001");
  loop.run(felix::with_nursery([&](felix::nursery& n) -> felix::task<void> {
    n.spawn(post.process());
    contribution made = found("research_001", "# Facts\n- Rivers are  long.\n", "research", 0.625);
    co_await post.publish(std::move(made), 3);
    co_await post.processed();
    post.close();
  }));
  REQUIRE(post.messages().size() == 1);
  CHECK(post.messages()[0].from == "research_001");
  CHECK(post.messages()[0].role == "research");
  CHECK(post.messages()[0].text == "Facts Rivers are long.");
  CHECK(post.messages()[0].confidence == 0.625);
  CHECK(post.messages()[0].order == 3);
  const felix::central_post_stats stats = post.stats();
  CHECK(stats.agents == 1);
  CHECK(stats.published == 1);
  CHECK(stats.processed == 1);
  CHECK(stats.queued == 0);
}

TEST_CASE("central_post: readers see the publishers' order, whoever was first, at any size", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  const std::string steps = felix::test::shuffled("abcdefghij", seed);
  const std::size_t capacity = 1 + seed % 3;
  const std::size_t processors = 1 + seed / 3 % 4;
  CAPTURE(seed, steps, capacity, processors);
  felix::simulated_loop loop{seed};
  central_post post{{.queue_capacity = capacity, .processors = processors}};
  for (const char step : steps) post.register_agent(std::string_view{&step, 1});
  outcome processing;
  loop.spawn(post.process(), into(processing));
  loop.run(publish_all(post, steps));
  loop.poll();
  CHECK(processing.ended == 1);
  CHECK(processing.cancelled == 0);
  CHECK(orders(post) == "abcdefghij");
  CHECK(post.stats().published == 10);
  CHECK(post.stats().processed == 10);
  CHECK(post.stats().queued == 0);
}

TEST_CASE("central_post: of equal orders the earlier one stays the earlier", "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post{{.processors = 1}};
  post.register_agent("a");
  for (const char* text : {"first", "second", "third"}) publish_now(loop, post, found("a", text), 5);
  publish_now(loop, post, found("a", "zeroth"), 4);
  post.close();
  loop.run(post.process());
  std::vector<std::string> texts;
  for (const auto& message : post.messages()) texts.push_back(message.text);
  CHECK(texts == std::vector<std::string>{"zeroth", "first", "second", "third"});
}

TEST_CASE("central_post: agents register once, up to the limit", "[agent][central_post]") {
  central_post post{{.max_agents = 2}};
  const auto refused = [&](const char* name) -> std::string {
    try {
      post.register_agent(name);
    } catch (const felix::error& failure) {
      CHECK(failure.code() == felix::errc::invalid_argument);
      return failure.what();
    }
    return "accepted";
  };
  CHECK(refused("a") == "accepted");
  CHECK(refused("a") == "central_post: agent \"a\" is registered twice");
  CHECK(refused("b") == "accepted");
  CHECK(refused("c") == "central_post: 2 agents are registered; raise max_agents for more");
  CHECK(post.stats().agents == 2);
}

TEST_CASE("central_post: only those who are registered publish", "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post;
  post.register_agent("a");
  try {
    publish_now(loop, post, found("b", "text"), 0);
    FAIL("published");
  } catch (const felix::error& failure) {
    CHECK(failure.code() == felix::errc::invalid_argument);
    CHECK(std::string{failure.what()} == "central_post: agent \"b\" is not registered; call register_agent first");
  }
  CHECK(post.stats().published == 0);
  CHECK(post.stats().queued == 0);
}

TEST_CASE("central_post: a limit of 0 is refused", "[agent][central_post]") {
  const std::string refused = "central_post: max_agents, queue_capacity and processors have to be at least 1";
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.max_agents = 1, .queue_capacity = 1, .processors = 1}) == "accepted");
  CHECK(refusal({.max_agents = 0}) == refused);
  CHECK(refusal({.queue_capacity = 0}) == refused);
  CHECK(refusal({.processors = 0}) == refused);
}

TEST_CASE("central_post: a full queue makes publishing wait, and nothing more", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  central_post post{{.queue_capacity = 1}};
  post.register_agent("a");
  outcome publishing;
  outcome processing;
  for (std::uint64_t order = 0; order < 3; ++order)
    loop.spawn(post.publish(found("a", "text"), order), into(publishing));
  loop.poll();
  REQUIRE(publishing.ended == 1);  // nobody processes yet
  CHECK(post.stats().published == 1);
  CHECK(post.stats().queued == 1);
  CHECK(post.messages().empty());

  loop.spawn(post.process(), into(processing));
  loop.poll();
  CHECK(publishing.ended == 3);
  CHECK(publishing.cancelled + publishing.refused == 0);
  CHECK(orders(post) == "abc");
  CHECK(processing.ended == 0);
  post.close();
  loop.poll();
  CHECK(processing.ended == 1);
  CHECK(processing.cancelled == 0);
}

TEST_CASE("central_post: processed waits for all that was published, and for nothing else", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  central_post post;
  post.register_agent("a");
  outcome idle;
  loop.spawn(post.processed(), into(idle));
  CHECK(idle.ended == 1);  // nothing was published: there is nothing to wait for

  for (std::uint64_t order = 0; order < 3; ++order) publish_now(loop, post, found("a", "text"), order);
  outcome waiting;
  std::size_t seen_by_first = 0;
  loop.spawn(post.processed(), [&](felix::result<void> got) {
    seen_by_first = post.messages().size();
    waiting(got);
  });
  loop.spawn(post.processed(), into(waiting));
  loop.poll();
  REQUIRE(waiting.ended == 0);
  outcome processing;
  loop.spawn(post.process(), into(processing));
  loop.poll();
  CHECK(waiting.ended == 2);
  CHECK(seen_by_first == 3);

  publish_now(loop, post, found("a", "text"), 3);  // a second time: an event that is set once would not do
  outcome again;
  loop.spawn(post.processed(), into(again));
  loop.poll();
  CHECK(again.ended == 1);
  CHECK(orders(post) == "abcd");
  post.close();
  loop.poll();
  CHECK(processing.ended == 1);
}

TEST_CASE("central_post: close loses nothing that is queued", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  const std::size_t processors = 1 + seed % 5;
  CAPTURE(seed, processors);
  felix::simulated_loop loop{seed};
  central_post post{{.processors = processors}};
  post.register_agent("a");
  for (std::uint64_t order = 0; order < 7; ++order) publish_now(loop, post, found("a", "text"), order);
  post.close();
  CHECK(post.stats().queued == 7);
  loop.run(post.process());
  CHECK(orders(post) == "abcdefg");
  CHECK(post.stats().queued == 0);
  CHECK_NOTHROW(loop.run(post.processed()));
}

TEST_CASE("central_post: closed before, with or without room, nothing is published", "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post{{.queue_capacity = 1}};
  post.register_agent("a");
  publish_now(loop, post, found("a", "text"), 0);
  post.close();
  post.close();  // again: changes nothing
  outcome late;
  loop.spawn(post.publish(found("a", "late"), 1), into(late));  // the queue is full
  CHECK(late.refused == 1);
  loop.run(post.process());
  loop.spawn(post.publish(found("a", "late"), 1), into(late));  // it is empty
  CHECK(late.refused == 2);
  CHECK(orders(post) == "a");
  CHECK(post.stats().published == 1);
}

TEST_CASE("central_post: everyone who waited for room when it was closed is told", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  central_post post{{.queue_capacity = 1}};
  post.register_agent("a");
  outcome publishing;
  for (std::uint64_t order = 0; order < 4; ++order)
    loop.spawn(post.publish(found("a", "text"), order), into(publishing));
  loop.poll();
  REQUIRE(publishing.ended == 1);
  post.close();
  loop.run(post.process());
  loop.poll();
  CHECK(publishing.ended == 4);
  CHECK(publishing.refused == 3);
  CHECK(orders(post) == "a");
}

TEST_CASE("central_post: a stopped publish leaves neither a message nor a gap", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  central_post post{{.queue_capacity = 1}};
  post.register_agent("a");
  felix::stop_source stop;
  outcome stopped;
  outcome others;
  publish_now(loop, post, found("a", "text"), 0);
  loop.spawn(post.publish(found("a", "text"), 1), into(stopped), stop.get_token());
  loop.spawn(post.publish(found("a", "text"), 2), into(others));
  loop.poll();
  REQUIRE(stopped.ended + others.ended == 0);
  stop.request_stop();
  loop.poll();
  CHECK(stopped.cancelled == 1);
  CHECK(others.ended == 0);
  CHECK(post.stats().published == 1);

  outcome processing;
  loop.spawn(post.process(), into(processing));
  loop.poll();
  CHECK(others.ended == 1);
  CHECK(orders(post) == "ac");
  for (std::uint64_t order = 3; order < 6; ++order) publish_now(loop, post, found("a", "text"), order);
  loop.poll();
  CHECK(orders(post) == "acdef");
  post.close();
  loop.poll();
  CHECK(processing.ended == 1);
}

TEST_CASE("central_post: stopped processors keep what they did, and others can go on", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  central_post post;
  post.register_agent("a");
  felix::stop_source stop;
  outcome first;
  loop.spawn(post.process(), into(first), stop.get_token());
  publish_now(loop, post, found("a", "text"), 0);
  loop.poll();
  stop.request_stop();
  loop.poll();
  CHECK(first.ended == 1);
  CHECK(first.cancelled == 1);
  CHECK(orders(post) == "a");
  publish_now(loop, post, found("a", "text"), 1);

  felix::stop_source stop_waiting;
  outcome waiting;
  loop.spawn(post.processed(), into(waiting), stop_waiting.get_token());
  loop.poll();
  REQUIRE(waiting.ended == 0);
  stop_waiting.request_stop();
  loop.poll();
  CHECK(waiting.cancelled == 1);

  post.close();
  loop.run(post.process());
  CHECK(orders(post) == "ab");
  CHECK(post.stats().queued == 0);
}

TEST_CASE("central_post: the loop's shut-down ends every wait", "[agent][central_post]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  central_post full{{.queue_capacity = 1}};
  central_post idle;
  full.register_agent("a");
  outcome waits;
  publish_now(loop, full, found("a", "text"), 0);
  loop.spawn(full.publish(found("a", "text"), 1), into(waits));
  loop.spawn(full.processed(), into(waits));
  loop.spawn(idle.process(), into(waits));
  loop.poll();
  REQUIRE(waits.ended == 0);
  loop.shut_down();
  CHECK(waits.cancelled == 3);
}
