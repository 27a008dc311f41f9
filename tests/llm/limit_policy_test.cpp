// SPDX-License-Identifier: MIT
#include <felix/llm/limit_policy.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// A rule of one's own: one more after each answer, up to three.
class up_to_three final : public felix::limit_policy {
 public:
  [[nodiscard]] std::size_t limit() const noexcept override { return limit_; }
  void sent(std::uint64_t, felix::token_count, time_point) override {}
  void first_token(std::uint64_t, std::optional<duration>, time_point) override {}
  void ended(std::uint64_t, felix::limit_outcome outcome, const felix::token_usage&, std::optional<duration>,
             time_point) override {
    if (outcome == felix::limit_outcome::answered && limit_ < 3) ++limit_;
  }

 private:
  std::size_t limit_ = 1;
};

}  // namespace

TEST_CASE("limit_policy: a rule of one's own decides how many there may be", "[llm][limit_policy]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  const up_to_three rule;
  auto one = felix::model_ref{script} | felix::limit{rule};
  auto two = felix::model_ref{script} | felix::limit{rule};  // each stack has its own
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 9; ++i) asked.push_back(one.complete(felix::chat_request{}.user("x")));
  loop.run(felix::when_all(std::move(asked)));
  CHECK(one.status().limit == 3);
  CHECK(two.status().limit == 1);
  CHECK(script.max_in_flight() == 3);
  CHECK(loop.now() == felix::simulated_loop::start + 4s);  // 1, 2, 3 and 3 at once
}
