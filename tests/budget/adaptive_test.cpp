// SPDX-License-Identifier: MIT
// budget: which calls run and how large, by hand, and what that gains over small simulated worlds.
#include <felix/budget/adaptive.hpp>

#include <felix/random.hpp>
#include "support/catch.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

using felix::adaptive_allotment;
using felix::call_funding;
using felix::call_kind;
using felix::call_record;
using felix::funding_reason;
using felix::possible_call;
using felix::token_count;

static_assert(std::is_copy_constructible_v<adaptive_allotment> && std::is_copy_assignable_v<adaptive_allotment>);

namespace {

possible_call call_of(const char* role, double depth = 0) {
  return {.role = role, .depth = depth, .base_tokens = 100, .prompt_tokens = 100, .min_tokens = 20, .max_tokens = 300};
}

// Floors would hide what is tested: each role has had its first call, at the bottom.
adaptive_allotment after_first_calls(std::span<const call_record> learned, std::initializer_list<const char*> roles) {
  adaptive_allotment adaptive{learned};
  for (const char* role : roles) adaptive.started({.role = role, .third = 2});
  return adaptive;
}

const std::vector<call_record> rich_and_poor{{{.role = "rich", .third = 0}, 9.0, 10'000},
                                             {{.role = "poor", .third = 0}, 1.0, 10'000}};

}  // namespace

TEST_CASE("adaptive: what is left goes to the calls that bring more", "[budget][adaptive]") {
  const auto adaptive = after_first_calls(rich_and_poor, {"rich", "poor"});
  const std::vector poor_first{call_of("poor"), call_of("rich")};
  const std::vector rich_first{call_of("rich"), call_of("poor")};

  const call_funding skip = adaptive.fund(poor_first, 250);
  CHECK(skip.tokens == 0);
  CHECK(skip.reason == funding_reason::worth_less);
  const call_funding run = adaptive.fund(rich_first, 250);
  CHECK(run.tokens == 150);  // all that is left but the prompt
  CHECK(run.reason == funding_reason::worth_it);
  CHECK(run.worth > skip.worth);
  CHECK(run.water_level == run.worth);
  CHECK(skip.water_level == run.worth);  // what the skip is measured by

  const call_funding both = adaptive.fund(poor_first, 1'000);  // room for both: each at its maximum
  CHECK(both.tokens == 300);
  CHECK(both.water_level == both.worth);
}

TEST_CASE("adaptive: sizes follow the root of the worth, at most half or double", "[budget][adaptive]") {
  const auto adaptive = after_first_calls(rich_and_poor, {"rich", "poor"});
  const std::vector poor_first{call_of("poor"), call_of("rich")};
  const std::vector rich_first{call_of("rich"), call_of("poor")};
  const call_funding poor = adaptive.fund(poor_first, 400);
  const call_funding rich = adaptive.fund(rich_first, 400);
  REQUIRE(poor.tokens > 0);
  CHECK(poor.tokens + rich.tokens <= 200);
  CHECK(poor.tokens + rich.tokens >= 198);  // filled, but for the rounding
  const double mean = (poor.worth + rich.worth) / 2;
  const double ratio = std::max(0.5, std::sqrt(poor.worth / mean)) / std::sqrt(rich.worth / mean);
  CHECK(static_cast<double>(poor.tokens) / static_cast<double>(rich.tokens) == Approx(ratio).margin(0.02));

  // One in a hundred brings all: its root would be ten times the base, it is sized at twice.
  const std::vector<call_record> one{{{.role = "rich"}, 1e6, 1e6}, {{.role = "poor"}, 1.0, 1e8}};
  const auto sure = after_first_calls(one, {"rich", "poor"});
  std::vector<possible_call> many(99, call_of("poor", 0));
  many.insert(many.begin(), call_of("rich", 0));
  // All of them are paid at three quarters of their sizes, 200 and 50, prompts of 100 on top, and scaled to what is left.
  const token_count paid = 100 * 100 + 99 * 50 + 200;
  CHECK(sure.fund(many, paid).tokens == 200);
}

TEST_CASE("adaptive: a call needs three quarters of its size to be funded, within its bounds", "[budget][adaptive]") {
  const auto adaptive = after_first_calls({}, {"a"});
  std::vector<possible_call> same(2, call_of("a"));
  same[1].depth = 0.5;                                                    // another arm: worth the same
  CHECK(adaptive.fund(same, 350).tokens == 75);                           // two at 75 and their prompts
  CHECK(adaptive.fund(same, 349).tokens == 249);                          // one, at all that is left
  CHECK(adaptive.fund(std::span{same}.subspan(1), 1'000).tokens == 300);  // its maximum
  for (auto& call : same) call.min_tokens = 90;
  CHECK(adaptive.fund(same, 380).tokens == 90);
  CHECK(adaptive.fund(same, 379).tokens == 279);  // the minimum is more than three quarters
  for (auto& call : same) call.max_tokens = 1'000, call.min_tokens = 1;
  CHECK(adaptive.fund(std::span{same}.first(1), 2'000).tokens == 600);  // six times the size, and no more
}

TEST_CASE("adaptive: what cannot be paid is skipped, and does not stand before what can", "[budget][adaptive]") {
  adaptive_allotment adaptive;
  std::vector calls{call_of("a"), call_of("b")};
  CHECK(adaptive.fund(calls, 119).tokens == 0);  // 20 and the prompt is the least
  CHECK(adaptive.fund(calls, 119).reason == funding_reason::too_dear);
  CHECK(adaptive.fund(calls, 120).tokens == 20);
  CHECK(adaptive.fund(calls, 0).tokens == 0);
  CHECK(adaptive.fund(calls, -100).tokens == 0);

  const auto practised = after_first_calls(rich_and_poor, {"rich", "poor"});
  std::vector dear{call_of("poor"), call_of("rich")};
  dear[1].prompt_tokens = 1'000;
  CHECK(practised.fund(dear, 250).tokens == 150);
  dear[0].max_tokens = 19;  // the ledger would not grant the least
  CHECK(practised.fund(dear, 5'000).reason == funding_reason::too_dear);
}

TEST_CASE("adaptive: among equals the earlier call goes first", "[budget][adaptive]") {
  const auto adaptive = after_first_calls({}, {"a", "b"});
  CHECK(adaptive.fund(std::vector{call_of("a"), call_of("b")}, 250).tokens == 150);
  CHECK(adaptive.fund(std::vector{call_of("b"), call_of("a")}, 250).tokens == 150);
}

TEST_CASE("adaptive: a repetition is worth less until it has shown more", "[budget][adaptive]") {
  auto adaptive = after_first_calls({}, {"a", "b"});
  CHECK(adaptive.fund(std::vector{call_of("a"), call_of("a")}, 1'000).kind.repetition == 0);
  const double first = adaptive.fund(std::vector{call_of("a")}, 1'000).worth;
  adaptive.started({.role = "a", .third = 0});
  const call_funding second = adaptive.fund(std::vector{call_of("a")}, 1'000);
  CHECK(second.kind.repetition == 1);
  CHECK(second.worth == Approx(0.7 * first));
  CHECK(adaptive.fund(std::vector{call_of("a", 0.5)}, 1'000).kind.repetition == 0);  // another third of the helix
  CHECK(adaptive.fund(std::vector{call_of("a"), call_of("b")}, 250).reason == funding_reason::worth_less);

  // Calls of the same arm that are still to come are repetitions of one another: a fresh arm goes before the second.
  CHECK(adaptive.fund(std::vector{call_of("b"), call_of("b"), call_of("b", 0.5)}, 390).tokens >= 75);
  for (int i = 0; i < 50; ++i) adaptive.started({.role = "a", .third = 0});
  CHECK(adaptive.fund(std::vector{call_of("a")}, 1'000).kind.repetition == 15);
}

TEST_CASE("adaptive: thirds of the helix", "[budget][adaptive]") {
  const adaptive_allotment adaptive;
  const auto third = [&](double depth) { return adaptive.fund(std::vector{call_of("a", depth)}, 1'000).kind.third; };
  CHECK(third(0) == 0);
  CHECK(third(0.3) == 0);
  CHECK(third(0.31) == 1);
  CHECK(third(0.7) == 1);
  CHECK(third(0.71) == 2);
  CHECK(third(1) == 2);
  CHECK(third(std::numeric_limits<double>::quiet_NaN()) == 0);
}

TEST_CASE("adaptive: each role has its first call, whatever it is worth", "[budget][adaptive]") {
  adaptive_allotment adaptive{rich_and_poor};
  adaptive.started({.role = "rich"});
  const std::vector calls{call_of("rich"), call_of("poor")};
  CHECK(adaptive.fund(calls, 219).tokens == 0);  // the poor role's first call keeps 120 of it
  CHECK(adaptive.fund(calls, 219).reason == funding_reason::worth_less);
  const call_funding poor = adaptive.fund(std::span{calls}.subspan(1), 219);
  CHECK(poor.tokens == 119);
  CHECK(poor.reason == funding_reason::floor);
  CHECK(poor.water_level == 0);
  adaptive.started(poor.kind);
  CHECK(adaptive.fund(calls, 219).tokens == 119);  // now it is not kept any more

  // One that the ledger refused, or that was too dear, was no first call.
  adaptive_allotment refused{rich_and_poor};
  refused.started({.role = "rich"});
  refused.skipped({.role = "poor"});
  CHECK(refused.fund(calls, 219).tokens == 0);
  CHECK(refused.fund(std::span{calls}.subspan(1), 219).reason == funding_reason::floor);

  // Floors that do not fit beside those before them leave room for the cheaper ones behind.
  const adaptive_allotment fresh;
  std::vector dear{call_of("a"), call_of("b"), call_of("c")};
  dear[1].prompt_tokens = 150;
  CHECK(fresh.fund(dear, 240).tokens == 20);
  CHECK(fresh.fund(std::span{dear}.first(2), 240).tokens == 140);
}

TEST_CASE("adaptive: a role is not skipped a fourth time in a row", "[budget][adaptive]") {
  auto adaptive = after_first_calls(rich_and_poor, {"rich", "poor"});
  const std::vector calls{call_of("poor"), call_of("rich"), call_of("poor")};
  const std::vector other_first{call_of("rich"), call_of("poor")};
  for (int i = 0; i < 3; ++i) {
    const call_funding skip = adaptive.fund(calls, 219);
    CHECK(skip.reason == funding_reason::worth_less);
    adaptive.skipped(skip.kind);
  }
  const call_funding forced = adaptive.fund(calls, 219);
  CHECK(forced.reason == funding_reason::floor);
  CHECK(forced.tokens >= 20);
  CHECK(adaptive.fund(other_first, 219).tokens == 0);  // what it will need is kept
  adaptive.started(forced.kind);
  CHECK(adaptive.fund(calls, 219).reason == funding_reason::worth_less);
  CHECK(adaptive.fund(other_first, 219).tokens == 119);
}

TEST_CASE("adaptive: learns what calls bring, recent ones first", "[budget][adaptive]") {
  adaptive_allotment adaptive;
  const call_kind kind{.role = "a", .third = 1, .repetition = 2};
  adaptive.learn(kind, 0.5, 200);
  adaptive.learn(kind, 0.25, 100);
  auto learned = adaptive.learned();
  REQUIRE(learned.size() == 1);
  CHECK(learned[0].kind == kind);
  CHECK(learned[0].confidence == Approx(0.5 * 0.97 + 0.25));
  CHECK(learned[0].tokens == Approx(200 * 0.97 + 100));

  adaptive.learn(kind, 0.25, 0);  // no usage
  adaptive.learn(kind, 0.25, -5);
  CHECK(adaptive.learned()[0].tokens == learned[0].tokens);

  // What cannot be gained: the figure is the agents' own.
  adaptive.learn({.role = "b"}, 7.0, 10);
  adaptive.learn({.role = "c"}, -7.0, 10);
  adaptive.learn({.role = "d"}, std::numeric_limits<double>::quiet_NaN(), 10);
  learned = adaptive.learned();
  REQUIRE(learned.size() == 4);
  CHECK(learned[1].confidence == 1.0);
  CHECK(learned[2].confidence == 0.0);
  CHECK(learned[3].confidence == 0.0);
}

TEST_CASE("adaptive: a kind is judged by its arm and by its repetition, until it is known", "[budget][adaptive]") {
  const auto worth = [](const std::vector<call_record>& learned, const char* role, int runs) {
    adaptive_allotment adaptive{learned};
    for (int i = 0; i < runs; ++i) adaptive.started({.role = role});
    return adaptive.fund(std::vector{call_of(role)}, 1'000).worth;
  };
  const std::vector<call_record> good{{{.role = "a"}, 20.0, 10'000}};  // the first calls of a
  const std::vector<call_record> poor{{{.role = "a"}, 0.1, 10'000}};
  const std::vector<call_record> good_again{{{.role = "b", .repetition = 1}, 20.0, 10'000}, good[0]};
  const std::vector<call_record> poor_again{{{.role = "b", .repetition = 1}, 0.1, 10'000}, good[0]};
  CHECK(worth(good, "a", 0) > worth(poor, "a", 0));
  CHECK(worth(good, "a", 1) > worth(good, "c", 1));              // of the same arm
  CHECK(worth(good_again, "a", 1) > worth(poor_again, "a", 1));  // the same repetition of others
  CHECK(worth(good_again, "b", 1) > worth(good_again, "a", 1) * 0.9);

  // By hand: seen, overall, repetition, arm, kind.
  const double overall = (20.0 + 1.4) / (10'000 + 4 * 200);
  const double repetition = (20 + overall * 1'500) / 11'500;
  const double arm = (20 + overall * 800) / 10'800;
  CHECK(worth(good, "a", 0) == Approx((20 + repetition * arm / overall * 500) / 10'500));
  const double unseen = overall * 0.7 * arm / overall;
  CHECK(worth(good, "a", 1) == Approx(unseen));
}

TEST_CASE("adaptive: what is learned goes on in another session, and damaged records do not", "[budget][adaptive]") {
  adaptive_allotment first;
  for (const char* role : {"b", "a", "b"}) {
    const auto call = first.fund(std::vector{call_of(role)}, 1'000);
    first.started(call.kind);
    first.learn(call.kind, 0.3, 250);
  }
  const auto kept = first.learned();
  REQUIRE(kept.size() == 3);
  const adaptive_allotment second{kept};
  const auto again = second.learned();
  REQUIRE(again.size() == kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    CHECK(again[i].kind == kept[i].kind);
    CHECK(again[i].confidence == kept[i].confidence);
    CHECK(again[i].tokens == kept[i].tokens);
  }
  CHECK(second.fund(std::vector{call_of("b")}, 1'000).kind.repetition == 0);  // a session of its own

  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  const std::vector<call_record> damaged{{{.role = "a"}, nan, 1},
                                         {{.role = "a"}, 1, nan},
                                         {{.role = "a"}, infinite, 1},
                                         {{.role = "a"}, 1, infinite},
                                         {{.role = "a"}, -1, 1},
                                         {{.role = "a"}, 1, -1},
                                         {{.role = "a", .third = 3}, 1, 1},
                                         {{.role = "a", .third = -1}, 1, 1},
                                         {{.role = "a", .repetition = 16}, 1, 1},
                                         {{.role = "a", .repetition = -1}, 1, 1}};
  for (const auto& record : damaged) {
    try {
      const adaptive_allotment taken{std::span{&record, 1}};
      FAIL_CHECK("accepted");
    } catch (const felix::error& refused) {
      CHECK(refused.code() == felix::errc::invalid_argument);
      CHECK(std::string{refused.what()} ==
            "adaptive_allotment: a record of role \"a\" is damaged; leave it out, and it is learned again");
    }
  }
}

TEST_CASE("adaptive: numbers without measure do not overflow", "[budget][adaptive]") {
  constexpr token_count most = std::numeric_limits<token_count>::max(), least = std::numeric_limits<token_count>::min();
  adaptive_allotment adaptive;
  const std::vector<possible_call> calls(
      8, {.role = "a", .base_tokens = most, .prompt_tokens = most, .min_tokens = least, .max_tokens = most});
  CHECK(adaptive.fund(calls, most).tokens == 0);
  const std::vector<possible_call> none(
      8, {.role = "a", .base_tokens = least, .prompt_tokens = least, .min_tokens = least, .max_tokens = most});
  CHECK(adaptive.fund(none, 100).tokens == 1);
  for (int i = 0; i < 1'000; ++i) adaptive.learn({.role = "a"}, 1, most);
  CHECK(adaptive.fund(calls, least).worth > 0);
  CHECK_NOTHROW(adaptive_allotment{adaptive.learned()});
}

// --- What it gains: 4 roles at 3 depths, each called 4 times ---

namespace {

struct world {
  struct curve {
    double most, tokens_to_tell;  // a call adds most * (1 - e^(-tokens / tokens_to_tell)), less with each repetition
    token_count prompt;
  };
  static constexpr token_count base = 150, least = 20;
  static constexpr std::array<const char*, 4> roles{"research", "analysis", "synthesis", "critic"};

  explicit world(std::uint64_t seed) {
    felix::seeded_random random{seed};
    for (auto& [most, tokens_to_tell, prompt] : arms) {
      most = random.uniform(0.2, 0.9);
      tokens_to_tell = random.uniform(45, 330);
      prompt = static_cast<token_count>(random.uniform(80, 300));
    }
    for (std::size_t third = 0; third < 3; ++third) {
      for (int repetition = 0; repetition < 4; ++repetition) {
        for (std::size_t role = 0; role < 4; ++role) {
          order.push_back(4 * third + role);
          calls.push_back({.role = roles[role],
                           .depth = 0.45 * static_cast<double>(third),
                           .base_tokens = base,
                           .prompt_tokens = arms[order.back()].prompt,
                           .min_tokens = least,
                           .max_tokens = 4 * base});
          demand += base + arms[order.back()].prompt;
        }
      }
    }
  }
  [[nodiscard]] double gain(std::size_t arm, int repetition, token_count tokens) const {
    return std::pow(0.6, repetition) * arms[arm].most *
           (1 - std::exp(-static_cast<double>(tokens) / arms[arm].tokens_to_tell));
  }

  std::array<curve, 12> arms{};
  std::vector<std::size_t> order;  // the arm of each call
  std::vector<possible_call> calls;
  token_count demand = 0;
};

double in_order_until_empty(const world& in, token_count cap) {
  std::array<int, 12> runs{};
  double gained = 0;
  for (const std::size_t arm : in.order) {
    const token_count tokens = std::min(world::base, cap - in.arms[arm].prompt);
    if (tokens < world::least) continue;
    gained += in.gain(arm, runs[arm]++, tokens);
    cap -= tokens + in.arms[arm].prompt;
  }
  return gained;
}

struct outcome {
  double gained = 0;
  token_count left = 0;
  int most_skips = 0;  // of a role in a row, after its first call
  std::size_t roles = 0;
};

outcome funded_and_sized(const world& in, token_count cap, adaptive_allotment adaptive, felix::seeded_random& noise,
                         std::vector<call_record>& learned) {
  std::array<int, 12> runs{};
  std::array<int, 4> skips{-1, -1, -1, -1};
  outcome result{.left = cap};
  for (std::size_t i = 0; i < in.calls.size(); ++i) {
    const std::size_t arm = in.order[i];
    int& skipped = skips[arm % 4];
    const call_funding call = adaptive.fund(std::span{in.calls}.subspan(i), result.left);
    if (call.tokens == 0) {
      adaptive.skipped(call.kind);
      if (call.reason != funding_reason::too_dear && skipped >= 0)
        result.most_skips = std::max(result.most_skips, ++skipped);
      continue;
    }
    adaptive.started(call.kind);
    skipped = 0;
    CHECK(call.kind.repetition == runs[arm]);
    const double gained = in.gain(arm, runs[arm]++, call.tokens);
    result.gained += gained;
    const token_count cost = call.tokens + in.arms[arm].prompt;
    result.left -= cost;
    CHECK(result.left >= 0);
    adaptive.learn(call.kind, gained + noise.uniform(-0.17, 0.17), cost);
  }
  for (const int skipped : skips) result.roles += skipped >= 0;
  learned = adaptive.learned();
  return result;
}

}  // namespace

TEST_CASE("adaptive: gains a quarter and more where the cap pays for a quarter or half of the calls",
          "[budget][adaptive]") {
  const double share = GENERATE(0.25, 0.5);
  CAPTURE(share);
  double in_order = 0, first = 0, later = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    const world in{seed};
    const auto cap = static_cast<token_count>(share * static_cast<double>(in.demand));
    in_order += in_order_until_empty(in, cap);
    felix::seeded_random noise{seed + 1'000};
    std::vector<call_record> learned;
    for (int session = 0; session < 4; ++session) {
      const outcome made = funded_and_sized(in, cap, adaptive_allotment{learned}, noise, learned);
      CHECK(made.roles == 4);
      CHECK(made.most_skips <= 3);
      CHECK(made.left < cap / 20);  // it is spent
      if (session == 0) first += made.gained;
      if (session == 3) later += made.gained;
    }
  }
  CHECK(first > 1.2 * in_order);
  CHECK(later > 1.25 * in_order);
  CHECK(later > first);
}

TEST_CASE("adaptive: the same calls give the same numbers, also to a copy", "[budget][adaptive]") {
  const world in{7};
  std::vector<call_record> learned[3];
  felix::seeded_random noise{1}, same_noise{1};
  funded_and_sized(in, in.demand / 2, {}, noise, learned[0]);
  funded_and_sized(in, in.demand / 2, {}, same_noise, learned[1]);
  REQUIRE(learned[0].size() == learned[1].size());
  for (std::size_t i = 0; i < learned[0].size(); ++i) {
    CHECK(learned[0][i].kind == learned[1][i].kind);
    CHECK(learned[0][i].confidence == learned[1][i].confidence);
    CHECK(learned[0][i].tokens == learned[1][i].tokens);
  }
  const adaptive_allotment one{learned[0]};
  adaptive_allotment other = one;
  other.learn({.role = "research"}, 1, 100);
  other.started({.role = "research"});
  CHECK(one.fund(in.calls, 1'000).worth != other.fund(in.calls, 1'000).worth);
  CHECK(one.fund(in.calls, 1'000).worth == adaptive_allotment{learned[0]}.fund(in.calls, 1'000).worth);
}
