// SPDX-License-Identifier: MIT
// tests: the second translation unit of the consumer.
#include "other.hpp"

#include <felix/felix.hpp>

felix::task<int> half_of(int number) {
  co_await felix::sleep_for(std::chrono::hours{1});
  co_return number / 2;
}
