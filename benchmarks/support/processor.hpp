// SPDX-License-Identifier: MIT
// benchmarks: which thread runs on which processor, where two threads are measured together.
#pragma once

#include <sched.h>

namespace bench {

/// Keeps the calling thread on the n-th of the processors that the process may use, while it lives. Left to itself the
/// kernel moves two threads together or apart from one repetition to the next, and each way has a figure of its own.
class on_processor {
 public:
  explicit on_processor(unsigned n) noexcept {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (unsigned processor = 0; processor < CPU_SETSIZE; ++processor) {
      if (!CPU_ISSET(processor, &before_) || n-- != 0) continue;
      CPU_SET(processor, &one);
      ::sched_setaffinity(0, sizeof one,
                          &one);  // with too few processors, and where it is refused, all stays as it was
      return;
    }
  }
  on_processor(on_processor&&) = delete;
  ~on_processor() { ::sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

}  // namespace bench
