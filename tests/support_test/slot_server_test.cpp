// SPDX-License-Identifier: MIT
// support: the simulated server does what a real one does with a limit that is right, too low, or too high.
#include "support/slot_server.hpp"

#include "support/catch.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace {

using felix::test::slot_server;
using felix::test::slot_server_options;

/// Stays where it is, and adds up what it is told.
class fixed_limit final : public felix::limit_policy {
 public:
  explicit fixed_limit(std::size_t limit) : limit_{limit} {}

  [[nodiscard]] std::size_t limit() const noexcept override { return limit_; }
  void sent(std::uint64_t, felix::token_count, time_point now) override {
    in_order = in_order && now >= latest_;
    latest_ = now;
    ++sent_count;
  }
  void first_token(std::uint64_t, std::optional<duration> queued, time_point now) override {
    in_order = in_order && now >= latest_;
    latest_ = now;
    ++first_count;
    if (queued) queue_time += std::chrono::duration<double>{*queued}.count();
  }
  void ended(std::uint64_t, felix::limit_outcome, const felix::token_usage& usage, std::optional<duration>,
             time_point now) override {
    in_order = in_order && now >= latest_;
    latest_ = now;
    ++ended_count;
    answer_tokens += static_cast<double>(usage.completion_tokens);
  }

  bool in_order = true;
  std::size_t sent_count = 0;
  std::size_t first_count = 0;
  std::size_t ended_count = 0;
  double queue_time = 0;
  double answer_tokens = 0;

 private:
  std::size_t limit_;
  time_point latest_;
};

}  // namespace

TEST_CASE("slot_server: with as many requests as slots all are busy and nobody waits", "[support][slot_server]") {
  fixed_limit limit{4};
  slot_server server{{.slots = 4}, 1};
  const auto report = server.run(limit, 300);
  CHECK(report.busy == Approx(1).margin(0.001));
  CHECK(report.queue == Approx(0).margin(0.001));
  CHECK(report.limit == Approx(4));
  CHECK(report.most_in_flight == 4);
  CHECK(limit.queue_time / 300 < 0.060);  // jitter, spikes, and the next token of the others
}

TEST_CASE("slot_server: with more requests they wait, with fewer slots are idle", "[support][slot_server]") {
  fixed_limit more{6};
  const auto queued = slot_server{{.slots = 4}, 1}.run(more, 300);
  CHECK(queued.queue == Approx(2).margin(0.01));
  CHECK(queued.busy == Approx(1).margin(0.001));
  CHECK(more.queue_time / 300 > 1);

  fixed_limit fewer{2};
  const auto idle = slot_server{{.slots = 4}, 1}.run(fewer, 300);
  CHECK(idle.queue == 0);
  CHECK(idle.busy == Approx(0.5).margin(0.01));
}

TEST_CASE("slot_server: another client's requests take slots", "[support][slot_server]") {
  fixed_limit limit{4};
  CHECK(slot_server{{.slots = 8, .others = 4}, 1}.run(limit, 300).queue == Approx(0).margin(0.01));
  fixed_limit again{4};
  CHECK(slot_server{{.slots = 8, .others = 8}, 1}.run(again, 300).queue > 1);
}

TEST_CASE("slot_server: tells all, in the order of time", "[support][slot_server]") {
  fixed_limit limit{3};
  slot_server server{{.slots = 2}, 7};
  server.run(limit, 200);
  CHECK(limit.in_order);
  CHECK(limit.ended_count == 200);
  CHECK(limit.first_count >= 200);
  CHECK(limit.sent_count <= 203);
}

TEST_CASE("slot_server: one request alone takes its prompt and its tokens", "[support][slot_server]") {
  fixed_limit limit{1};
  slot_server server{{.slots = 4, .prompt_tokens = 300, .answer_tokens = 50, .spread = 0, .jitter = 0, .spikes = 0}, 1};
  const auto report = server.run(limit, 10);
  CHECK(limit.answer_tokens == 500);
  CHECK(report.seconds == Approx(10 * (0.2 + 50 * 0.020)));
}

TEST_CASE("slot_server: requests slow each other down", "[support][slot_server]") {
  slot_server_options plain{.slots = 4, .slowed_by = 0.5, .prompt_tokens = 300, .answer_tokens = 50};
  plain.spread = plain.jitter = plain.spikes = 0;
  fixed_limit limit{3};
  CHECK(slot_server{plain, 1}.run(limit, 30).seconds == Approx(10 * (0.2 + 50 * 0.040)));
  plain.prompts_slowed = true;
  fixed_limit again{3};
  CHECK(slot_server{plain, 1}.run(again, 30).seconds == Approx(10 * (0.4 + 50 * 0.040)));
}

TEST_CASE("slot_server: the same seed is the same run", "[support][slot_server]") {
  fixed_limit limits[]{fixed_limit{4}, fixed_limit{4}, fixed_limit{4}};
  const double first = slot_server{{}, 5}.run(limits[0], 100).seconds;
  CHECK(slot_server{{}, 5}.run(limits[1], 100).seconds == first);
  CHECK(slot_server{{}, 6}.run(limits[2], 100).seconds != first);
}
