// SPDX-License-Identifier: MIT
// benchmarks: what the program `async` asks, a file each.
#pragma once

#include "support/suite.hpp"

namespace questions {

void suspended_memory(bench::suite& suite);
void sleepers(bench::suite& suite);
void ready_task(bench::suite& suite);
void when_all(bench::suite& suite);
void stop_callback(bench::suite& suite);
void timers(bench::suite& suite);
void post(bench::suite& suite);
void semaphore(bench::suite& suite);
void channel(bench::suite& suite);
void simulated_loop(bench::suite& suite);

}  // namespace questions
