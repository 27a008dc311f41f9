// SPDX-License-Identifier: MIT
// llm: requests are found by their number until they are taken.
#include <felix/llm/detail/requests_in_flight.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <vector>

namespace {

struct request_record {
  std::uint64_t request;
  int value;
};

}  // namespace

TEST_CASE("requests_in_flight: each is found until it is taken, whatever the order", "[llm][requests_in_flight]") {
  felix::detail::requests_in_flight<request_record> open;
  for (const std::uint64_t number : {3U, 5U, 9U, 100U}) open.add({number, static_cast<int>(number) * 2});
  REQUIRE(open.size() == 4);
  CHECK(open.find(4) == nullptr);
  CHECK(open.find(101) == nullptr);
  REQUIRE(open.find(9) != nullptr);
  open.find(9)->value = 1;

  const auto taken = open.take(9);
  REQUIRE(taken);
  CHECK(taken->request == 9);
  CHECK(taken->value == 1);
  CHECK_FALSE(open.take(9));
  CHECK(open.find(9) == nullptr);

  std::vector<std::uint64_t> left;
  for (const auto& each : open) left.push_back(each.request);
  CHECK(left == std::vector<std::uint64_t>{3, 5, 100});
}

TEST_CASE("requests_in_flight: none is in it at first", "[llm][requests_in_flight]") {
  felix::detail::requests_in_flight<request_record> open;
  CHECK(open.size() == 0);
  CHECK_FALSE(open.take(0));
}
