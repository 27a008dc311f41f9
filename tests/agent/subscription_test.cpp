// SPDX-License-Identifier: MIT
// agent: what subscribers of the central post get: each message once, each sender's in order, whatever happens.
#include <felix/agent/subscription.hpp>

#include <felix/agent/central_post.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/timeout.hpp>
#include <felix/random.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using felix::central_post;
using felix::message_type;
using felix::post_message;
using felix::request_priority;
using felix::when_full;
using namespace std::chrono_literals;

namespace {

post_message message(std::string_view from, std::string text, message_type type = message_type::status_update,
                     std::string_view role = "research") {
  return {.from = from, .role = role, .type = type, .text = std::move(text)};
}

std::string unread(felix::subscription& all) {
  std::string texts;
  while (auto next = all.try_next()) texts += next->text + " ";
  return texts;
}

}  // namespace

TEST_CASE("subscription: of all, by role and by type", "[agent][subscription]") {
  felix::simulated_loop loop;
  central_post post;
  post.register_agent("a");
  post.register_agent("b");
  auto everything = post.subscribe();
  auto facts = post.subscribe({.role = felix::role_id{"research"}});
  auto errors = post.subscribe({.types = {message_type::error_report, message_type::task_request}});
  auto own = post.subscribe({.role = felix::role_id{"critic"}, .types = {message_type::status_update}});
  CHECK(post.stats().subscribers == 4);
  CHECK(post.try_publish(message("a", "1")));
  CHECK(post.try_publish(message("b", "2", message_type::error_report, "critic")));
  CHECK(post.try_publish(message("b", "3", message_type::status_update, "critic")));
  CHECK(post.try_publish(message("a", "4", message_type::task_complete)));
  post.close();
  loop.run(post.process());
  CHECK(unread(everything) == "1 2 3 4 ");
  CHECK(unread(facts) == "1 4 ");
  CHECK(unread(errors) == "2 ");
  CHECK(unread(own) == "3 ");
  CHECK(post.messages().size() == 2);  // findings only
  CHECK(post.stats().delivered == 8);
  CHECK(everything.delivered() == 4);
}

// D13: the original's subscribers read a queue that nobody wrote to.
TEST_CASE("subscription: D13, what one agent publishes is what another one reads", "[agent][subscription]") {
  felix::simulated_loop loop;
  central_post post;
  post.register_agent("research_001");
  std::vector<std::string> read;
  loop.run(felix::with_nursery([&](felix::nursery& n) -> felix::task<void> {
    n.spawn(post.process());
    n.spawn([](felix::subscription facts, std::vector<std::string>& into) -> felix::task<void> {
      while (auto next = co_await facts.next()) into.push_back(next->text);
    }(post.subscribe({.role = felix::role_id{"research"}}), read));
    co_await post.publish(message("research_001", "Tea is old."));
    co_await post.publish(message("research_001", "Tea is green."));
    post.close();
  }));
  CHECK(read == std::vector<std::string>{"Tea is old.", "Tea is green."});
}

// D34: the original dropped 500 of 500 queued messages when it was shut down.
TEST_CASE("subscription: D34, what is queued when the post is closed is delivered", "[agent][subscription]") {
  felix::simulated_loop loop;
  central_post post;
  post.register_agent("a");
  auto all = post.subscribe({.capacity = 500});
  for (int i = 0; i < 500; ++i) REQUIRE(post.try_publish(message("a", std::to_string(i))));
  post.close();
  CHECK(post.stats().queued == 500);
  loop.run(post.process());
  CHECK(post.stats().processed == 500);
  CHECK(post.messages().size() == 500);
  CHECK(all.waiting() == 500);
}

// D35: the original confirmed a delivery when the message was sent, so that each took no time.
TEST_CASE("subscription: D35, a delivery takes as long as the subscriber has no room for it", "[agent][subscription]") {
  felix::simulated_loop loop;
  central_post post{{.processors = 1}};
  post.register_agent("a");
  loop.run(felix::with_nursery([&](felix::nursery& n) -> felix::task<void> {
    n.spawn(post.process());
    n.spawn([](felix::subscription slow) -> felix::task<void> {
      co_await felix::sleep_for(2s);
      while (auto next = co_await slow.next()) co_await felix::sleep_for(1s);
    }(post.subscribe({.capacity = 1})));
    for (int i = 0; i < 3; ++i) co_await post.publish(message("a", "x"));
    post.close();
  }));
  const auto stats = post.stats();
  // The first has room at once, the second at 2 s; the third is taken then, and has room at 3 s.
  CHECK(stats.deliveries.max() == 2s);
  CHECK(stats.deliveries.sum() == 3s + felix::histogram::shortest);
  CHECK(stats.waits.max() == 2s);
  CHECK(stats.busy == 3s);
  CHECK(stats.throughput() == Approx(1.0));
}

TEST_CASE("subscription: without room, what its options say is left out and counted", "[agent][subscription]") {
  felix::simulated_loop loop;
  central_post post;
  post.register_agent("a");
  auto newest = post.subscribe({.capacity = 2, .full = when_full::drop_oldest});
  auto oldest = post.subscribe({.capacity = 2, .full = when_full::reject});
  for (const char* text : {"1", "2", "3", "4", "5"}) REQUIRE(post.try_publish(message("a", text)));
  post.close();
  loop.run(post.process());
  CHECK(newest.delivered() == 5);
  CHECK(newest.dropped() == 3);
  CHECK(oldest.delivered() == 2);
  CHECK(oldest.dropped() == 3);
  CHECK(unread(newest) == "4 5 ");
  CHECK(unread(oldest) == "1 2 ");
}

TEST_CASE("subscription: whoever leaves gets nothing more, and holds up nobody", "[agent][subscription]") {
  felix::simulated_loop loop;
  central_post post{{.processors = 1}};
  post.register_agent("a");
  std::optional<felix::subscription> stuck{post.subscribe({.capacity = 1})};
  auto other = post.subscribe();
  loop.spawn(post.process(), [](const felix::result<void>&) {});
  for (const char* text : {"1", "2", "3"}) REQUIRE(post.try_publish(message("a", text)));
  loop.poll();
  CHECK(post.stats().processed == 1);
  stuck.reset();
  loop.poll();
  CHECK(post.stats().processed == 3);
  CHECK(post.stats().subscribers == 1);
  CHECK(unread(other) == "1 2 3 ");
  post.close();
  loop.poll();
}

TEST_CASE("subscription: it may outlive its post, and can be replaced", "[agent][subscription]") {
  felix::simulated_loop loop;
  std::optional<felix::subscription> kept;
  {
    central_post post;
    post.register_agent("a");
    kept.emplace(post.subscribe());
    REQUIRE(post.try_publish(message("a", "1")));
    post.close();
    loop.run(post.process());
  }
  CHECK(unread(*kept) == "1 ");
  const auto end = loop.run([](felix::subscription& from) -> felix::task<bool> {
    const auto next = co_await from.next();
    co_return !next;
  }(*kept));
  CHECK(end);

  central_post post;
  auto first = post.subscribe();
  first = post.subscribe({.capacity = 1});
  CHECK(post.stats().subscribers == 1);
}

TEST_CASE("subscription: a closed post that nobody processes ends it when nothing is left", "[agent][subscription]") {
  felix::simulated_loop loop;
  central_post post;
  auto all = post.subscribe();
  post.close();
  const auto end = loop.run([](felix::subscription& from) -> felix::task<bool> {
    const auto next = co_await from.next();
    co_return !next;
  }(all));
  CHECK(end);
}

TEST_CASE("subscription: no room at all, and a closed post, are refused", "[agent][subscription]") {
  central_post post;
  CHECK_THROWS_AS(post.subscribe({.capacity = 0}), felix::error);
  post.close();
  CHECK_THROWS_AS(post.subscribe(), felix::error);
}

TEST_CASE("central_post: a full queue drops the oldest of the least urgent ones", "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post{{.queue_capacity = 2, .full = when_full::drop_oldest}};
  post.register_agent("a");
  const auto publish = [&](const char* text, request_priority urgency) {
    post_message next = message("a", text);
    next.urgency = urgency;
    loop.run(post.publish(std::move(next)));
  };
  publish("1", request_priority::normal);
  publish("2", request_priority::high);
  publish("3", request_priority::normal);  // instead of 1
  publish("4", request_priority::low);     // all are more urgent
  CHECK(post.stats().published == 4);
  CHECK(post.stats().dropped == 2);
  CHECK(post.stats().queued == 2);
  CHECK(post.stats().most_queued == 2);
  CHECK(post.stats().queued_by_urgency == std::array<std::size_t, 4>{0, 1, 1, 0});
  post.close();
  loop.run(post.process());
  REQUIRE(post.messages().size() == 2);
  CHECK(post.messages()[0].text == "2");
  CHECK(post.messages()[1].text == "3");
}

TEST_CASE("central_post: a full queue refuses, if it is told so, and always where nobody waits",
          "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post{{.queue_capacity = 1, .full = when_full::reject}};
  post.register_agent("a");
  loop.run(post.publish(message("a", "1")));
  try {
    loop.run(post.publish(message("a", "2")));
    FAIL("accepted");
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::queue_full);
    CHECK(std::string{refused.what()} ==
          "central_post: 1 messages wait to be processed; publish later, or raise queue_capacity");
  }
  CHECK_FALSE(post.try_publish(message("a", "3")));
  CHECK_THROWS_AS(post.try_publish(message("b", "3")), felix::error);
  CHECK(post.stats().rejected == 2);
  CHECK(post.stats().published == 1);
  post.close();
  loop.run(post.process());
  CHECK_FALSE(post.try_publish(message("a", "4")));
}

TEST_CASE("central_post: publishers that wait are let in by urgency", "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post{{.queue_capacity = 1, .processors = 1}};
  auto all = post.subscribe();
  const auto done = [](const felix::result<void>&) {};
  for (const char* name : {"a", "b", "c"}) post.register_agent(name);
  REQUIRE(post.try_publish(message("a", "1")));
  post_message low = message("b", "2"), urgent = message("c", "3");
  low.urgency = request_priority::low;
  urgent.urgency = request_priority::urgent;
  loop.spawn(post.publish(low), done);
  loop.spawn(post.publish(urgent), done);
  loop.spawn(post.process(), done);
  loop.poll();
  CHECK(unread(all) == "1 3 2 ");
  post.close();
  loop.poll();
}

TEST_CASE("central_post: as many findings are kept as it is told", "[agent][central_post]") {
  felix::simulated_loop loop;
  central_post post{{.kept = 2}};
  post.register_agent("a");
  for (std::uint64_t order : {5U, 9U, 7U, 6U}) {
    post_message next = message("a", std::to_string(order));
    next.order = order;
    REQUIRE(post.try_publish(next));
  }
  post.close();
  loop.run(post.process());
  REQUIRE(post.messages().size() == 2);
  CHECK(post.messages()[0].order == 7);
  CHECK(post.messages()[1].order == 9);
}

namespace {

/// A post with random senders, readers and accidents.
class play {
 public:
  explicit play(std::uint64_t seed) : random_{seed}, loop_{seed} {}

  void run() {
    constexpr std::array policies{when_full::wait, when_full::drop_oldest, when_full::reject};
    post_.emplace(felix::central_post_options{
        .queue_capacity = 1 + below(6), .processors = 1 + below(4), .full = policies[below(3)]});
    const std::size_t senders = 1 + below(4);
    expected_ = 1 + below(3);
    for (std::size_t i = 0; i < expected_; ++i) {
      reader& each = readers_.emplace_back();
      each.leaves_after = below(4) == 0 ? below(6) : never;
      felix::subscription_options options{.capacity = 1 + below(4), .full = policies[below(3)]};
      if (below(3) == 0) options.role = felix::role_id{below(2) == 0 ? "research" : "critic"};
      if (below(3) == 0) options.types = {message_type::status_update};
      each.options = options;
      loop_.spawn(read(post_->subscribe(options), each), [](const felix::result<void>&) {});
    }
    loop_.run(felix::with_nursery([&](felix::nursery& all) -> felix::task<void> {
      all.spawn(process());
      co_await felix::with_nursery([&](felix::nursery& sending) -> felix::task<void> {
        for (std::size_t i = 0; i < senders; ++i) {
          names_.push_back(std::string(1, static_cast<char>('a' + i)));
          post_->register_agent(names_.back());
          sending.spawn(send(i));
        }
        if (below(3) == 0) sending.spawn(close_early());
        co_return;
      });
      post_->close();
    }));
    loop_.run(felix::timeout(1h, [](felix::event& left) -> felix::task<void> { co_await left; }(all_left_)));
  }

  void check() {
    const auto stats = post_->stats();
    CHECK(left_ == expected_);
    CHECK(stats.queued == 0);
    CHECK(stats.published == accepted_.size());
    CHECK(stats.published == stats.processed + stats.dropped);
    CHECK(stats.rejected == refused_);
    std::multiset<std::string> kept;
    for (const auto& each : post_->messages()) kept.insert(each.text);
    std::uint64_t delivered = 0;
    for (const auto& each : readers_) {
      std::set<std::string> once;
      std::map<felix::agent_id, int> last;
      for (const auto& got : each.read) {
        CHECK(once.insert(got.text).second);
        const int number = std::stoi(got.text.substr(1));
        CHECK(number > last[got.from]);
        last[got.from] = number;
        CHECK((!each.options.role || got.role == *each.options.role));
        CHECK((each.options.types.empty() || got.type == message_type::status_update));
      }
      delivered += each.delivered;
      if (each.leaves_after != never) continue;
      if (each.options.full != when_full::drop_oldest) CHECK(each.delivered == each.read.size());
      if (each.options.full != when_full::wait) continue;
      CHECK(each.dropped == 0);
      for (const auto& finding : post_->messages())
        CHECK((once.contains(finding.text) || (each.options.role && *each.options.role != finding.role)));
      if (!each.options.role && each.options.types.empty()) CHECK(once.size() == stats.processed);
    }
    // What is on its way to one who leaves may arrive, and is read by nobody.
    const bool all_stayed =
        std::all_of(readers_.begin(), readers_.end(), [](const auto& each) { return each.leaves_after == never; });
    if (all_stayed) CHECK(delivered == stats.delivered);
    for (const auto& text : kept) CHECK(kept.count(text) == 1);
  }

 private:
  static constexpr std::size_t never = 1'000'000;
  struct reader {
    felix::subscription_options options = {};
    std::size_t leaves_after = never;
    std::vector<post_message> read = {};
    std::uint64_t delivered = 0, dropped = 0;
  };

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_.uniform(0, static_cast<double>(n))); }
  std::chrono::milliseconds pause() { return std::chrono::milliseconds{below(20)}; }

  felix::task<void> send(std::size_t who) {
    for (int i = 1; i <= 12; ++i) {
      co_await felix::sleep_for(pause());
      post_message next = message(names_[who], names_[who] + std::to_string(i),
                                  below(3) == 0 ? message_type::task_complete : message_type::status_update,
                                  who % 2 == 0 ? "research" : "critic");
      next.urgency = static_cast<request_priority>(below(4));
      const std::string text = next.text;
      bool accepted = true;
      if (below(4) == 0) {
        accepted = post_->try_publish(std::move(next));
        refused_ += accepted ? 0U : 1U;
      } else {
        const auto published = co_await felix::as_result(post_->publish(std::move(next)));
        accepted = static_cast<bool>(published);
        refused_ += !accepted && published.message().find("wait to be processed") != std::string::npos ? 1U : 0U;
      }
      if (accepted) CHECK(accepted_.insert(text).second);
    }
  }
  felix::task<void> close_early() {
    co_await felix::sleep_for(pause() * 5);
    post_->close();
  }
  /// Now and then stopped, and begun again.
  felix::task<void> process() {
    for (bool ended = false; !ended;) {
      if (below(2) == 0) {
        co_await post_->process();
        ended = true;
      } else {
        const auto got = co_await felix::as_result(felix::timeout(pause(), post_->process()));
        ended = static_cast<bool>(got);
      }
    }
  }
  felix::task<void> read(felix::subscription from, reader& into) {
    while (into.read.size() < into.leaves_after) {
      auto next = co_await from.next();
      if (!next) break;
      into.read.push_back(std::move(*next));
      if (below(2) == 0) co_await felix::sleep_for(pause());
    }
    into.delivered = from.delivered();
    into.dropped = from.dropped();
    if (++left_ == expected_) all_left_.set();
  }

  felix::seeded_random random_;
  felix::simulated_loop loop_;
  std::optional<central_post> post_;
  std::deque<reader> readers_;
  std::deque<std::string> names_;
  std::set<std::string> accepted_;
  std::uint64_t refused_ = 0;
  std::size_t expected_ = 0, left_ = 0;  // readers
  felix::event all_left_;
};

}  // namespace

TEST_CASE("subscription: whatever happens, each message once, each sender's in order, and all are accounted for",
          "[agent][subscription]") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    play scene{seed};
    scene.run();
    scene.check();
  }
}
