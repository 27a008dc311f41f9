// SPDX-License-Identifier: MIT
// benchmarks: what the program `client` asks, a file each.
#pragma once

#include "server.hpp"
#include "support/suite.hpp"

namespace questions {

void memory(bench::suite& suite, const bench::server& server);
void connections(bench::suite& suite, const bench::server& server);
void answers(bench::suite& suite, const bench::server& server);
void latency(bench::suite& suite, const bench::server& server);
void streams(bench::suite& suite);
void events(bench::suite& suite);
void escape(bench::suite& suite);
void other_languages(bench::suite& suite, const bench::server& server);

}  // namespace questions
