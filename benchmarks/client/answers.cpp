// SPDX-License-Identifier: MIT
// What does a request cost that is answered at once, at several concurrencies, and what when the answers take their time?
#include "felix_client.hpp"
#include "questions.hpp"
#include "raw_client.hpp"

#include <string>

void questions::answers(bench::suite& suite, const bench::server& server) {
  for (const std::size_t concurrency : {std::size_t{4}, std::size_t{64}, std::size_t{256}}) {
    const std::string question = "answers/" + std::to_string(concurrency);
    if (!suite.asks(question)) continue;
    bench::raw_client eager{server.at_once(), concurrency, peers::epoll_removal::eager};
    bench::raw_client lazy{server.at_once(), concurrency, peers::epoll_removal::lazy};
    bench::felix_on_its_loop felix{server.at_once(), concurrency};
    bench::felix_from_another_thread threaded{server.at_once(), concurrency};
    const auto taken = suite.take_turns(question, "CPU time of the client's threads",
                                        {{"multi_socket", [&](auto length) { return eager.run(length); }},
                                         {"multi_socket_lazy", [&](auto length) { return lazy.run(length); }},
                                         {"felix", [&](auto length) { return felix.run(length); }},
                                         {"felix_from_thread", [&](auto length) { return threaded.run(length); }}});
    suite.report("multi_socket, epoll_ctl a request", eager.engine().epoll_ctl_per_request(), "calls");
    suite.report("multi_socket_lazy, epoll_ctl a request", lazy.engine().epoll_ctl_per_request(), "calls");
    const auto goal = [&](const char* of, const char* to, double most) {
      suite.goal(question + ", CPU, " + of + " / " + to, bench::at_most{most}, "times", taken.cpu.ratio(of, to));
    };
    goal("felix", "multi_socket", 1.0);
    goal("felix", "multi_socket_lazy", 1.15);
    goal("felix_from_thread", "felix", 1.2);
  }
}

void questions::latency(bench::suite& suite, const bench::server& server) {
  constexpr std::size_t concurrency = 64;
  if (!suite.asks("latency_50_ms")) return;
  bench::raw_client lazy{server.delayed(), concurrency, peers::epoll_removal::lazy};
  bench::felix_on_its_loop felix{server.delayed(), concurrency};
  const auto taken = suite.take_turns("latency_50_ms", "64 at once, each answered after 50 ms; CPU time of the client",
                                      {{"multi_socket_lazy", [&](auto length) { return lazy.run(length); }},
                                       {"felix", [&](auto length) { return felix.run(length); }}},
                                      4);
  suite.goal("latency_50_ms, wall time, felix / multi_socket_lazy", bench::at_most{1.02}, "times",
             taken.wall.ratio("felix", "multi_socket_lazy"));
}
