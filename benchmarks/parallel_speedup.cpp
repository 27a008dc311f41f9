// SPDX-License-Identifier: MIT
// How much faster is a team in parallel than one request at a time, with the same requests on a server of 4 slots?
// The peer is felix itself with --max-concurrent 1: both send the same requests, which is checked.
#include "model_server/model_server.hpp"

#include <felix/felix.hpp>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

struct settings {
  double speed = 1;
  int seeds = 5;
  std::string json;
};

template <class Budget>
felix::session_result run(const settings& chosen, const felix::team& team, std::size_t limit, std::uint64_t seed) {
  model_server::server server{{.slots = 4, .speed = chosen.speed}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = limit}};
  Budget budget;
  felix::session session{llm, team, budget, {.seed = seed}};
  auto result = loop.run(session.run("Write about AI safety"));
  if (server.snapshot().total_tokens != budget.system_status().settled) throw std::runtime_error{"the counts differ"};
  return result;
}

struct ratios {
  std::vector<double> team, whole;
};

/// Median, and the lowest and highest: with few seeds the range of all of them is the honest interval.
struct summary {
  double median, lowest, highest;
};
summary summarise(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

template <class Budget>
ratios measure(const settings& chosen, const char* mode, const char* name, const felix::team& team) {
  ratios measured;
  for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(chosen.seeds); ++seed) {
    const auto one = run<Budget>(chosen, team, 1, seed);
    const auto four = run<Budget>(chosen, team, 4, seed);
    if (one.final_text != four.final_text || one.usage != four.usage || one.requests != four.requests)
      throw std::runtime_error{"the limit changed more than the time"};
    const auto seconds = [&](std::chrono::nanoseconds d) {
      return std::chrono::duration<double>(d).count() * chosen.speed;
    };
    measured.team.push_back(seconds(one.team_duration) / seconds(four.team_duration));
    measured.whole.push_back(seconds(one.duration) / seconds(four.duration));
    fmt::print(
        "{:<7} {:<8} seed {}: {:>2} requests, {:>5} tokens; one by one {:5.1f} s, at 4 {:5.1f} s: team {:.2f}, whole "
        "{:.2f}\n",
        mode, name, seed, four.requests, four.usage.total_tokens, seconds(one.duration), seconds(four.duration),
        measured.team.back(), measured.whole.back());
    std::fflush(stdout);
  }
  return measured;
}

}  // namespace

int main(int argc, char** argv) try {
  settings chosen;
  bool quick = false;
  CLI::App app{
      "Team and whole-run duration, one request at a time against four, on a simulated server of 4 slots, 300 ms and\n"
      "60 tokens a second. Without --quick in real time: about a quarter of an hour."};
  app.add_flag("--quick", quick, "The server 20 times as fast: about a minute");
  app.add_option("--json", chosen.json, "Write the figures and goals to this file");
  app.add_option("--seeds", chosen.seeds, "Seeds 1 to N")->check(CLI::Range(1, 100))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (quick) chosen.speed = 20;

  utsname machine{};
  ::uname(&machine);
  fmt::print("parallel_speedup, {} {}, {} processors, server speed {}x\n", machine.sysname, machine.machine,
             std::thread::hardware_concurrency(), chosen.speed);
  const auto normal = measure<felix::normal_budget>(chosen, "normal", "complex", felix::teams::complex());
  const auto strict = measure<felix::strict_budget>(chosen, "strict", "complex", felix::teams::complex());

  struct goal {
    const char* name;
    double at_least;
    summary measured;
  };
  const std::vector<goal> goals{{"team_speedup_normal_complex", 3.0, summarise(normal.team)},
                                {"whole_speedup_normal_complex", 2.6, summarise(normal.whole)}};
  const auto bound = summarise(strict.whole);
  fmt::print("\nstrict complex, bound by tokens, no goal: whole {:.2f} ({:.2f} to {:.2f})\n", bound.median,
             bound.lowest, bound.highest);
  fmt::print("{:<30} {:>6} {:>9} {:>15}  {}\n", "goal", "least", "median", "range", "pass");
  nlohmann::ordered_json json;
  json["command"] = std::string{argv[0]} + (quick ? " --quick" : "");
  json["machine"] =
      fmt::format("{} {}, {} processors", machine.sysname, machine.machine, std::thread::hardware_concurrency());
  json["team_ratios"] = normal.team;
  json["whole_ratios"] = normal.whole;
  json["strict_whole_ratios"] = strict.whole;
  for (const auto& [name, at_least, got] : goals) {
    const bool pass = got.median >= at_least;
    fmt::print("{:<30} {:>6.2f} {:>9.2f} {:>7.2f}-{:<7.2f}  {}\n", name, at_least, got.median, got.lowest, got.highest,
               pass ? "yes" : "no");
    json["goals"].push_back(
        {{"name", name}, {"goal", at_least}, {"measured", got.median}, {"unit", "times"}, {"pass", pass}});
  }
  if (!chosen.json.empty()) {
    std::ofstream file{chosen.json};
    file << json.dump(2) << '\n';
    if (!file.flush()) throw std::runtime_error{chosen.json + " cannot be written"};
  }
} catch (const std::exception& failure) {
  fmt::print(stderr, "parallel_speedup: {}\n", failure.what());
  return 1;
}
