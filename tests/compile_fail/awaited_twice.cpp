// SPDX-License-Identifier: MIT
// A task is awaited once, so it is awaited as an rvalue.
// EXPECT: deleted
#include <felix/async/task.hpp>

#include <utility>

felix::task<int> one() { co_return 1; }

felix::task<int> two() {
  auto work = one();
#ifdef FELIX_WRONG
  co_return co_await work;
#else
  co_return co_await std::move(work);
#endif
}
