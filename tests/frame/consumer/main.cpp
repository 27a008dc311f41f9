// SPDX-License-Identifier: MIT
// tests: a program of a user. With other.cpp it also shows that two translation units that include felix can be linked.
#include "other.hpp"

#include <felix/felix.hpp>

#include <cstdio>

namespace {

felix::task<int> twice(int number) { co_return co_await half_of(4 * number); }

}  // namespace

int main() {
  felix::simulated_loop loop;
  std::printf("felix %d.%d.%d: %d\n", FELIX_VERSION_MAJOR, FELIX_VERSION_MINOR, FELIX_VERSION_PATCH,
              loop.run(twice(21)));
}
