// SPDX-License-Identifier: MIT
// How much memory does a request take while the server works on it, and how much while it is still queued?
#include "support/memory.hpp"
#include "felix_client.hpp"
#include "questions.hpp"
#include "raw_client.hpp"

#include <felix/async/nursery.hpp>
#include <felix/async/sleep.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr std::size_t in_flight = 256;
constexpr std::size_t queued = 10'000;
constexpr std::chrono::milliseconds all_sent{500};  // they are, long before

std::string base_url;  // the child processes know it because they are copies

bench::memory_use raw() {
  const auto before = bench::memory_use::now();
  bench::raw_client client{base_url, in_flight, peers::epoll_removal::lazy};
  // It sends one body from all slots; requests that differ have one each.
  const std::vector<std::string> bodies(in_flight, std::string{chat::request});
  client.engine().start_all();
  client.engine().drive(std::chrono::steady_clock::now() + all_sent);
  return (bench::memory_use::now() - before).per(in_flight);
}

felix::task<> measure_felix(bench::felix_client& client, std::size_t requests, const bench::memory_use& before,
                            bench::memory_use& used) {
  co_await felix::with_nursery([&](felix::nursery& scope) -> felix::task<> {
    scope.spawn(client.send(requests));
    return [](felix::nursery& all, bench::felix_client& measured, const bench::memory_use& start,
              bench::memory_use& result) -> felix::task<> {
      co_await felix::sleep_for(all_sent);
      result = bench::memory_use::now() - start;
      if (measured.status().in_use == 0) throw std::runtime_error{"nothing is in flight"};
      all.request_stop();
    }(scope, client, before, used);
  });
}

bench::memory_use felix_in_flight() {
  const auto before = bench::memory_use::now();
  felix::event_loop loop;
  bench::felix_client client{loop, base_url, in_flight};
  bench::memory_use used;
  loop.run(measure_felix(client, in_flight, before, used));
  return used.per(in_flight);
}

bench::memory_use felix_queued() {
  felix::event_loop loop;
  bench::felix_client client{loop, base_url, 1};
  bench::memory_use used;
  loop.run(measure_felix(client, 1, bench::memory_use::now(), used));  // what is set up once is not theirs
  loop.run(measure_felix(client, queued + 1, bench::memory_use::now(), used));
  return used.per(queued);
}

}  // namespace

void questions::memory(bench::suite& suite, const bench::server& server) {
  if (!suite.asks("memory")) return;
  base_url = server.silent();
  const auto raw_use = bench::in_a_process_of_its_own<raw>();
  const auto felix_use = bench::in_a_process_of_its_own<felix_in_flight>();
  const auto queued_use = bench::in_a_process_of_its_own<felix_queued>();
  const double text = static_cast<double>(chat::system.size() + chat::user.size());
  suite.headline("memory: a request, of 256 in flight, and of 10,000 queued; set aside by malloc");
  suite.report("in flight, multi_socket_lazy", raw_use.heap, "bytes");
  suite.report("in flight, felix", felix_use.heap, "bytes");
  suite.report("of these, in both, its body", static_cast<double>(chat::request.size()), "bytes");
  suite.report("queued, felix", queued_use.heap, "bytes");
  suite.report("of these, its own text", text, "bytes");
  suite.goal("memory, in flight, felix beyond multi_socket_lazy", bench::at_most{4096}, "bytes",
             bench::exactly(felix_use.heap - raw_use.heap));
  suite.goal("memory, queued, felix beyond its text", bench::at_most{1536}, "bytes",
             bench::exactly(queued_use.heap - text));
}

void questions::connections(bench::suite& suite, const bench::server& server) {
  constexpr std::size_t limit = 64;
  if (!suite.asks("connections")) return;
  const auto before = server.connections_accepted();
  if (!before) return suite.note("connections are not counted: only nginx tells how many it has accepted");
  bench::felix_on_its_loop client{server.at_once(), limit};
  static_cast<void>(client.run(std::chrono::milliseconds{200}));
  const double opened = *server.connections_accepted() - *before - 1;  // the question has one too
  suite.goal("connections opened at a limit of 64", bench::at_most{limit}, "connections", bench::exactly(opened));
}
