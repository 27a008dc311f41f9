// SPDX-License-Identifier: MIT
// What is queued is moved by another thread, which cannot handle its exception.
// EXPECT: queue a std::unique_ptr<T> instead
#include <felix/queue/bounded_queue.hpp>

#include <memory>

struct job {
  job() = default;
  job(job&&) {}
};

#ifdef FELIX_WRONG
felix::bounded_queue<job> queue{1};
#else
felix::bounded_queue<std::unique_ptr<job>> queue{1};
#endif
