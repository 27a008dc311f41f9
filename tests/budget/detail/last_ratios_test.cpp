// SPDX-License-Identifier: MIT
// budget: the prediction interval by hand, and how often the next ratio is above it.
#include <felix/budget/detail/last_ratios.hpp>

#include <felix/random.hpp>
#include "support/catch.hpp"

#include <cmath>
#include <limits>
#include <vector>

using felix::token_count;
using felix::detail::last_ratios;

namespace {

// The interval as the textbook has it, from scratch.
double by_the_book(const std::vector<double>& ratios, double t) {
  const auto n = static_cast<double>(ratios.size());
  double mean = 0, squares = 0;
  for (const double ratio : ratios) mean += ratio / n;
  for (const double ratio : ratios) squares += (ratio - mean) * (ratio - mean);
  return mean + t * std::sqrt(squares / (n - 1)) * std::sqrt(1 + 1 / n);
}

}  // namespace

TEST_CASE("last_ratios: mean + t·s·√(1 + 1/n)", "[budget][last_ratios]") {
  struct row {
    std::size_t n;
    double t;
  };
  // Student's t, 99 %, one-sided, n - 1 degrees of freedom; between two rows that of the smaller n
  const auto [n, t] = GENERATE(values<row>({{8, 2.998},
                                            {9, 2.998},
                                            {10, 2.821},
                                            {11, 2.821},
                                            {12, 2.718},
                                            {15, 2.718},
                                            {16, 2.602},
                                            {31, 2.602},
                                            {32, 2.453},
                                            {63, 2.453},
                                            {64, 2.387}}));
  last_ratios ratios;
  std::vector<double> same;
  felix::seeded_random random{n};
  for (std::size_t i = 0; i < n; ++i) {
    const token_count tokens = 200 + static_cast<token_count>(random.next() % 200);
    ratios.learn(tokens, 1'000);
    same.push_back(static_cast<double>(tokens) / 1'000);
  }
  CHECK(ratios.count() == n);
  CHECK(ratios.upper() >= by_the_book(same, t) - 1e-9);
  CHECK(ratios.upper() <= by_the_book(same, t) + 4e-6);  // roundings, all upwards
}

TEST_CASE("last_ratios: equal ratios have no spread", "[budget][last_ratios]") {
  last_ratios ratios;
  for (int i = 0; i < 8; ++i) ratios.learn(25, 100);
  CHECK(ratios.upper() == 0.25);
}

TEST_CASE("last_ratios: the 65th takes the place of the first", "[budget][last_ratios]") {
  last_ratios ratios;
  for (int i = 0; i < 10; ++i) ratios.learn(1'000, 1'000);
  for (int i = 0; i < 63; ++i) ratios.learn(250, 1'000);
  CHECK(ratios.upper() > 0.26);
  CHECK(ratios.count() == 64);
  ratios.learn(250, 1'000);
  CHECK(ratios.upper() == 0.25);
  CHECK(ratios.count() == 64);
}

TEST_CASE("last_ratios: the next is above in one of a hundred cases", "[budget][last_ratios]") {
  felix::seeded_random random{20'26};
  const auto ratio = [&] {  // about normal: twelve uniform ones, mean 0.25, deviation 0.025
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += random.uniform(-0.5, 0.5);
    return static_cast<token_count>(25'000 + 2'500 * sum);
  };
  const std::size_t n = GENERATE(std::size_t{8}, std::size_t{16}, std::size_t{64});
  int above = 0;
  for (int trial = 0; trial < 4'000; ++trial) {
    last_ratios ratios;
    for (std::size_t i = 0; i < n; ++i) ratios.learn(ratio(), 100'000);
    above += static_cast<double>(ratio()) > ratios.upper() * 100'000 ? 1 : 0;
  }
  CAPTURE(n);
  CHECK(above > 15);
  CHECK(above < 60);  // 40 expected, with a deviation of 6
}

TEST_CASE("last_ratios: nonsense overflows nothing", "[budget][last_ratios]") {
  last_ratios ratios;
  constexpr auto most = std::numeric_limits<token_count>::max();
  for (int i = 0; i < 64; ++i) ratios.learn(i % 2 == 0 ? most : 0, 1);
  CHECK(ratios.upper() > 16);
  CHECK(ratios.upper() < 16 + 3 * 16);
  for (int i = 0; i < 64; ++i) ratios.learn(-most, -5);
  CHECK(ratios.upper() == 0);
  for (int i = 0; i < 64; ++i) ratios.learn(most, 1);
  CHECK(ratios.upper() == 16);
}
