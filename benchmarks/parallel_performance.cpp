// SPDX-License-Identifier: MIT
// What does it gain to run a team in parallel, and under small budgets? The guide's performance test over real HTTP, with a
// server of 4 slots, 300 ms and 60 tokens a second a slot. The peer is felix itself, with one request at a time.
#include "model_server/model_server.hpp"
#include "support/estimate.hpp"
#include "support/goals.hpp"

#include <felix/felix.hpp>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t slots = 4;

struct settings {
  double speed = 1;
  int seeds = 5;
  std::string json;
};

enum class schedule : unsigned char { sequential, lockstep, eager };
constexpr const char* name_of(schedule which) {
  constexpr std::array names{"sequential", "lockstep", "eager"};
  return names[static_cast<std::size_t>(which)];
}

/// One session, by the clock of its server; seconds are those of a server that is not sped up.
struct run {
  std::string mode, complexity;
  schedule how = schedule::sequential;
  std::uint64_t seed = 0;
  double duration_s = 0, team_s = 0;  // to the end; to the beginning of the final text
  long long tokens = 0;
  int requests = 0, finals = 0;
  double busy = 0;        // the share of the slots, up to the final text
  double confidence = 0;  // the best: a proxy for quality
  double final_words = 0;
  double peak_mb = 0;                          // of this process, until then
  double team_speedup = 0, whole_speedup = 0;  // per request, against sequential

  [[nodiscard]] bool strict() const { return mode == "strict"; }
  [[nodiscard]] bool in_time() const { return duration_s < (strict() ? 30 : 60); }
  [[nodiscard]] bool in_tokens() const { return tokens < (strict() ? 2'000 : 10'000); }
  [[nodiscard]] bool in_memory() const { return peak_mb < (strict() ? 500 : 1'000); }
};

double peak_mb() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) / 1'024;
}

felix::team team_of(const std::string& complexity) {
  return complexity == "simple"   ? felix::teams::simple()
         : complexity == "medium" ? felix::teams::medium()
                                  : felix::teams::complex();
}

/// Fills in the times, from when each request had its slot.
void time(run& into, std::vector<model_server::span> spans, double speed) {
  const auto seconds = [&](std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count() * speed; };
  std::sort(spans.begin(), spans.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  const auto start = spans.front().begin;
  const auto finals = spans.end() - into.finals;  // they begin last
  const auto final_start = finals->begin;
  auto end = start;
  std::chrono::nanoseconds busy{0};
  for (auto each = spans.begin(); each != spans.end(); ++each) {
    end = std::max(end, each->end);
    if (each < finals) busy += each->end - each->begin;
  }
  into.duration_s = seconds(end - start);
  into.team_s = seconds(final_start - start);
  into.busy = seconds(busy) / (into.team_s * slots);
}

run measure(const settings& chosen, const std::string& mode, const std::string& complexity, schedule how,
            std::uint64_t seed) {
  model_server::server server{{.slots = static_cast<int>(slots), .speed = chosen.speed, .keeps_spans = true}};
  felix::event_loop loop;
  felix::client llm{loop,
                    {.base_url = server.url(), .max_concurrent_requests = how == schedule::sequential ? 1 : slots}};
  felix::strict_budget strict;
  felix::normal_budget normal;
  felix::ledger& budget = mode == "strict" ? static_cast<felix::ledger&>(strict) : static_cast<felix::ledger&>(normal);
  felix::session_options options{.seed = seed};
  if (how == schedule::eager) options.schedule = felix::session_schedule::eager;
  options.slots = slots;
  felix::session session{llm, team_of(complexity), budget, options};
  const auto result = loop.run(session.run("Write about AI safety"));
  if (server.snapshot().total_tokens != budget.system_status().settled) throw std::runtime_error{"the counts differ"};
  run made{.mode = mode, .complexity = complexity, .how = how, .seed = seed};
  made.tokens = server.snapshot().total_tokens;
  made.requests = result.requests;
  for (const auto& span : result.timeline) made.finals += span.final_text ? 1 : 0;
  for (const auto& each : result.contributions) made.confidence = std::max(made.confidence, each.confidence);
  made.final_words = 1.0 + static_cast<double>(std::count(result.final_text.begin(), result.final_text.end(), ' '));
  made.peak_mb = peak_mb();
  time(made, server.spans(), chosen.speed);
  return made;
}

void print(const run& made) {
  fmt::print("{:<7} {:<8} {:<10} {:>4}  {:>7.1f} {:>7.1f}  {:>6}  {:>8}  {:>4.0f} %  {:>5.2f}  {:>5.0f}", made.mode,
             made.complexity, name_of(made.how), made.seed, made.duration_s, made.team_s, made.tokens, made.requests,
             100 * made.busy, made.confidence, made.final_words);
  if (made.how != schedule::sequential) fmt::print("  {:>5.2f} {:>6.2f}", made.team_speedup, made.whole_speedup);
  fmt::print("\n");
  std::fflush(stdout);
}

/// All schedules of a mode and team, with one seed.
void measure_all(std::vector<run>& runs, const settings& chosen, const std::string& mode, const std::string& complexity,
                 std::uint64_t seed) {
  const run one = measure(chosen, mode, complexity, schedule::sequential, seed);
  runs.push_back(one);
  print(one);
  for (const schedule how : {schedule::lockstep, schedule::eager}) {
    run many = measure(chosen, mode, complexity, how, seed);
    const auto a_request = [](double s, int requests) { return s / std::max(1, requests); };
    many.team_speedup =
        a_request(one.team_s, one.requests - one.finals) / a_request(many.team_s, many.requests - many.finals);
    many.whole_speedup = a_request(one.duration_s, one.requests) / a_request(many.duration_s, many.requests);
    print(many);
    runs.push_back(many);
  }
}

/// Four agents, one call each: as a thread that waits for each, and all awaited together.
std::pair<double, double> sync_and_async(const settings& chosen) {
  model_server::server server{{.slots = static_cast<int>(slots), .speed = chosen.speed}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  std::vector<felix::agent> agents;
  for (const auto& kind :
       {felix::roles::research, felix::roles::analysis, felix::roles::critic, felix::roles::synthesis})
    agents.emplace_back(llm, kind);
  const auto timed = [&](auto&& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() * chosen.speed;
  };
  const auto asked = [] { return felix::agent_task{"Write about AI safety"}.max_tokens(150); };
  const double sync = timed([&] {
    for (auto& each : agents) static_cast<void>(loop.run(each.process(asked())));
  });
  const double async = timed([&] {
    std::vector<felix::task<felix::contribution>> all;
    for (auto& each : agents) all.push_back(each.process(asked()));
    static_cast<void>(loop.run(felix::when_all(std::move(all))));
  });
  return {sync, async};
}

/// In simulated time: the most that this process has had with so many agents in it.
double mb_with_agents(std::size_t count) {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("Tea is old. It came from China.").after(std::chrono::seconds{2});
  auto llm = felix::model_ref{model} | felix::limit{64};
  felix::normal_budget budget{{.session_cap_tokens = 100'000'000}};
  felix::team team;
  for (std::size_t left = count; left > 0;) {
    const std::size_t some = std::min<std::size_t>(left, 999);
    team.add(felix::roles::research, some, {.spawn = {0, 0}});
    left -= some;
  }
  felix::session session{llm, team, budget, {.seed = 1, .simulation_time = 0.1, .window = 64}};
  const auto result = loop.run(session.run("Write about tea"));
  if (result.contributions.size() < count) throw std::runtime_error{"not all agents have answered"};
  return peak_mb();
}

bench::estimate median_of(const std::vector<double>& values) {
  return bench::bootstrap(values.size(), [&](const std::vector<std::size_t>& drawn) {
    std::vector<double> some;
    for (const std::size_t i : drawn) some.push_back(values[i]);
    return bench::median(std::move(some));
  });
}

template <class Figure>
bench::estimate median_over(const std::vector<run>& runs, schedule how, Figure figure) {
  std::vector<double> values;
  for (const run& each : runs) {
    if (each.mode == "normal" && each.complexity == "complex" && each.how == how) values.push_back(figure(each));
  }
  return median_of(values);
}

/// Normal over strict, per team and summed over the teams, for lockstep.
struct comparison {
  double time = 0, tokens = 0;
};
comparison strict_beside_normal(const std::vector<run>& runs, const std::string& complexity) {
  double time[2] = {}, tokens[2] = {};
  for (const run& each : runs) {
    if (each.how != schedule::lockstep || each.seed != 1 || (!complexity.empty() && each.complexity != complexity))
      continue;
    time[each.strict()] += each.duration_s;
    tokens[each.strict()] += static_cast<double>(each.tokens);
  }
  return {time[0] / time[1], tokens[0] / tokens[1]};
}

}  // namespace

int main(int argc, char** argv) try {
  settings chosen;
  bool quick = false;
  CLI::App app{
      "The guide's performance test: teams in parallel and one request at a time, strict and normal, over HTTP "
      "against\n"
      "the embedded server (4 slots, 300 ms, 60 tokens a second a slot). In real time: about 40 minutes."};
  app.add_flag("--quick", quick, "The server 20 times as fast, three seeds: about a minute");
  app.add_option("--json", chosen.json, "Write runs and goals to this file");
  app.add_option("--seeds", chosen.seeds, "Seeds 1 to N of complex teams in normal mode; the others run with one")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    chosen.speed = 20;
    chosen.seeds = std::min(chosen.seeds, 3);
  }
  utsname machine{};
  ::uname(&machine);
  const std::string where =
      fmt::format("{} {}, {} processors", machine.sysname, machine.machine, std::thread::hardware_concurrency());
  fmt::print("parallel_performance, {}, server speed {}x\n\n", where, chosen.speed);
  fmt::print(
      "mode    team     schedule   seed  seconds    team  tokens  requests    busy   sure  words   team  whole\n");

  std::vector<run> runs;
  for (int seed = 1; seed <= chosen.seeds; ++seed)
    measure_all(runs, chosen, "normal", "complex", static_cast<std::uint64_t>(seed));
  const double complex_mb = peak_mb();
  for (const char* complexity : {"simple", "medium"}) measure_all(runs, chosen, "normal", complexity, 1);
  for (const char* complexity : {"simple", "medium", "complex"}) measure_all(runs, chosen, "strict", complexity, 1);
  const auto [sync, async] = sync_and_async(chosen);
  fmt::print("\nfour agents, a call each: one after the other {:.1f} s, together {:.1f} s\n", sync, async);
  fmt::print(
      "strict beside normal, in lockstep, seed 1 (the guide's example: 1.8 times faster, 3.6 times fewer tokens)\n");
  for (const char* complexity : {"simple", "medium", "complex", ""}) {
    const auto [time, tokens] = strict_beside_normal(runs, complexity);
    fmt::print("  {:<8} {:.2f} times faster, {:.2f} times fewer tokens\n", *complexity != 0 ? complexity : "all", time,
               tokens);
  }
  const double many_mb = mb_with_agents(10'000);

  using bench::at_least;
  using bench::at_most;
  std::vector<bench::goal> goals;
  const auto team = [](const run& each) { return each.team_speedup; };
  const auto whole = [](const run& each) { return each.whole_speedup; };
  const auto busy = [](const run& each) { return each.busy; };
  goals.push_back({"team_speedup_eager", at_least{3.5}, "times", median_over(runs, schedule::eager, team)});
  goals.push_back({"team_speedup_lockstep", at_least{3.0}, "times", median_over(runs, schedule::lockstep, team)});
  goals.push_back({"whole_speedup_eager", at_least{3.0}, "times", median_over(runs, schedule::eager, whole)});
  goals.push_back({"whole_speedup_lockstep", at_least{2.8}, "times", median_over(runs, schedule::lockstep, whole)});
  goals.push_back({"slots_busy_eager", at_least{0.85}, "share", median_over(runs, schedule::eager, busy)});
  const auto all = strict_beside_normal(runs, "");
  goals.push_back({"strict_faster", at_least{1.8}, "times", bench::exactly(all.time)});
  goals.push_back({"strict_fewer_tokens", at_least{3.6}, "times", bench::exactly(all.tokens)});
  int passed = 0, parallel = 0;
  for (const run& each : runs) {
    if (each.how == schedule::sequential) continue;
    ++parallel;
    passed += each.in_time() && each.in_tokens() && each.in_memory() ? 1 : 0;
  }
  goals.push_back({"runs_within_all_targets", at_least{static_cast<double>(parallel)}, "runs",
                   bench::exactly(static_cast<double>(passed))});
  goals.push_back({"memory_complex_session", at_most{50}, "MB", bench::exactly(complex_mb)});
  goals.push_back({"memory_10000_agents", at_most{500}, "MB", bench::exactly(many_mb)});
  bench::print(goals);

  if (!chosen.json.empty()) {
    nlohmann::ordered_json json;
    json["command"] = std::string{argv[0]} + (quick ? " --quick" : "");
    json["machine"] = where;
    json["server"] = {{"slots", slots}, {"latency_ms", 300}, {"tokens_per_second", 60}, {"speed", chosen.speed}};
    json["sync_s"] = sync;
    json["async_s"] = async;
    for (const run& each : runs) {
      json["runs"].push_back(
          {{"mode", each.mode},
           {"complexity", each.complexity},
           {"schedule", name_of(each.how)},
           {"seed", each.seed},
           {"duration_s", each.duration_s},
           {"team_duration_s", each.team_s},
           {"total_tokens", each.tokens},
           {"requests", each.requests},
           {"speedup", each.whole_speedup},
           {"team_speedup", each.team_speedup},
           {"slot_utilisation", each.busy},
           {"best_confidence", each.confidence},
           {"final_words", each.final_words},
           {"targets", {{"duration", each.in_time()}, {"tokens", each.in_tokens()}, {"memory", each.in_memory()}}}});
    }
    json["goals"] = bench::to_json(goals);
    std::ofstream file{chosen.json};
    file << json.dump(2) << '\n';
    if (!file.flush()) throw std::runtime_error{chosen.json + " cannot be written"};
  }
} catch (const std::exception& failure) {
  fmt::print(stderr, "parallel_performance: {}\n", failure.what());
  return 1;
}
