// SPDX-License-Identifier: MIT
// benchmarks: arguments by CLI11, timing by Google Benchmark, one question after the other.
#include "support/suite.hpp"

#include "support/goals.hpp"
#include "support/machine.hpp"

#include <CLI/CLI.hpp>
#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

namespace {

/// Keeps each repetition's time per item. Google Benchmark hands over the repetitions of an alternative in their order.
class collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) keep(run);
  }
  answers::samples samples;

 private:
  // A template, because a failed run has error_occurred up to version 1.7 and `skipped` from 1.8 on.
  template <class R>
  void keep(const R& run) {
    const std::string& name = run.run_name.function_name;
    bool failed = false;
    if constexpr (requires { run.error_occurred; }) {
      failed = run.error_occurred;
    } else {
      failed = static_cast<int>(run.skipped) != 0;
    }
    if (failed) throw std::runtime_error{name + ": it could not be measured"};
    if (run.run_type != R::RT_Iteration) return;
    const auto items = run.counters.find("items_per_second");
    if (items == run.counters.end()) throw std::logic_error{name + " does not call SetItemsProcessed"};
    samples[name].push_back(1e9 / items->second.value);
  }
};

/// What each gave in each repetition, in another order each time.
template <class Turn, class Contender>
std::map<std::string, std::vector<Turn>> in_turns(const std::vector<Contender>& contenders, int repetitions,
                                                  double seconds) {
  std::map<std::string, std::vector<Turn>> turns;
  std::vector<const Contender*> order;
  for (const Contender& each : contenders) order.push_back(&each);
  std::mt19937 random{20};
  for (int i = 0; i < repetitions; ++i) {
    std::shuffle(order.begin(), order.end(), random);
    for (const Contender* each : order) turns[each->name].push_back(each->run(std::chrono::duration<double>{seconds}));
  }
  return turns;
}

std::string nanoseconds(double value) { return fmt::format("{:.{}f} ns", value, value < 100 ? 2 : 0); }

}  // namespace

std::optional<estimate> answers::ratio(const std::string& of, const std::string& to) const {
  const auto numerator = measured_.find(of), denominator = measured_.find(to);
  if (numerator == measured_.end() || denominator == measured_.end()) return std::nullopt;
  return ratio_of_medians(numerator->second, denominator->second);
}

std::optional<estimate> answers::items_per_second(const std::string& of) const {
  const auto found = measured_.find(of);
  if (found == measured_.end()) return std::nullopt;
  return bench::items_per_second(found->second);
}

struct suite::state {
  bool quick = false;
  std::string only;
  bool asked = false;  // any
  std::regex pattern;
  int repetitions = 0;
  double seconds = 0;
  std::string json;

  std::vector<bench::goal> goals;
  nlohmann::ordered_json written;

  // glibc and libstdc++ leave out the atomic instructions of locks and counters as long as a process has one thread. A
  // program that uses felix has more: so has this one.
  std::promise<void> ended;
  std::thread second{[this] { ended.get_future().wait(); }};

  ~state() {
    ended.set_value();
    second.join();
  }
};

suite::suite(int argc, char** argv, std::string name, std::string about, const effort& by_default)
    : state_{std::make_unique<state>()} {
  state& s = *state_;
  CLI::App app{std::move(about), name};
  app.add_flag("--quick", s.quick, "Fewer and shorter repetitions: less than a minute");
  app.add_option("--only", s.only, "Only the questions that this regular expression is found in");
  const auto* repetitions = app.add_option("--repetitions", s.repetitions,
                                           fmt::format("Of each alternative: {}, with --quick {}",
                                                       by_default.repetitions, by_default.quick_repetitions))
                                ->check(CLI::Range(3, 999));
  const auto* seconds =
      app.add_option("--seconds", s.seconds,
                     fmt::format("Of a repetition: {}, with --quick {}", by_default.seconds, by_default.quick_seconds))
          ->check(CLI::Range(0.001, 60.0));
  app.add_option("--json", s.json, "Write goals and figures to this file");
  try {
    app.parse(argc, argv);
    s.pattern = std::regex{s.only};
  } catch (const CLI::ParseError& stop) {
    std::exit(app.exit(stop));  // 0 for --help
  } catch (const std::regex_error& wrong) {
    fmt::print(stderr, "{}: --only {}: {}\n", name, s.only, wrong.what());
    std::exit(1);
  }
#if !defined(NDEBUG) || !defined(__OPTIMIZE__)
  // g++ makes a symmetric transfer a tail call only when it optimises; without, the peers would use up the stack.
  fmt::print(stderr, "{}: this build has no optimisation, or has assertions; use the release preset\n", name);
  std::exit(1);
#endif
  if (repetitions->count() == 0) s.repetitions = s.quick ? by_default.quick_repetitions : by_default.repetitions;
  if (seconds->count() == 0) s.seconds = s.quick ? by_default.quick_seconds : by_default.seconds;

  // The repetitions of all alternatives of a question in random order: what slows the machine slows each of them.
  std::string interleaved = "--benchmark_enable_random_interleaving=true";
  std::array<char*, 3> flags{argv[0], interleaved.data(), nullptr};
  int count = 2;
  benchmark::Initialize(&count, flags.data());

  std::string command;
  for (int i = 0; i < argc; ++i) command += fmt::format("{}{}", i > 0 ? " " : "", argv[i]);
  s.written = {{"program", name},        {"command", command},           {"machine", machine()},
               {"compiler", compiler()}, {"repetitions", s.repetitions}, {"seconds", s.seconds}};
  fmt::print("{}\n{}; {}\nOf each figure the median, and the lowest and highest of {} repetitions\n", command,
             machine(), compiler(), s.repetitions);
  std::fflush(stdout);
}

suite::~suite() = default;

bool suite::asks(const std::string& question) const {
  const bool asked = std::regex_search(question, state_->pattern);
  state_->asked = state_->asked || asked;
  return asked;
}

answers suite::measure(const std::string& question, const std::vector<alternative>& alternatives, clock cpu_time) {
  if (!asks(question)) return {};
  for (const alternative& each : alternatives) {
    auto* const registered = benchmark::RegisterBenchmark((question + '/' + each.name).c_str(), each.run);
    registered->Repetitions(state_->repetitions)->MinTime(state_->seconds);
    if (cpu_time == clock::whole_process) registered->MeasureProcessCPUTime();
  }
  collector collected;
  benchmark::RunSpecifiedBenchmarks(&collected);
  benchmark::ClearRegisteredBenchmarks();

  fmt::print("\n{}: CPU time per item\n", question);
  auto& json = state_->written["questions"].emplace_back();
  json["name"] = question;
  answers::samples measured;
  for (const alternative& each : alternatives) {
    auto& samples = collected.samples.at(question + '/' + each.name);
    const auto [lowest, highest] = std::minmax_element(samples.begin(), samples.end());
    fmt::print("  {:<24} {:>12}   {} to {}\n", each.name, nanoseconds(median(samples)), nanoseconds(*lowest),
               nanoseconds(*highest));
    json["cpu_nanoseconds"][each.name] = {{"median", median(samples)}, {"repetitions", samples}};
    measured[each.name] = std::move(samples);
  }
  std::fflush(stdout);
  return answers{std::move(measured)};
}

turns_taken suite::take_turns(const std::string& question, const std::string& what,
                              const std::vector<contender>& contenders) {
  if (!asks(question)) return {};
  const auto turns = in_turns<turn>(contenders, state_->repetitions, state_->seconds);

  fmt::print("\n{}: {}\n  {:<24} {:>8} {:>17}   {:>8} {:>8} {:>8} {:>10}\n", question, what, "", "million/s", "",
             "p50, ns", "p99", "p99.9", "longest");
  auto& json = state_->written["questions"].emplace_back();
  json["name"] = question;
  json["time"] = what;
  answers::samples per_item, p99_9;
  for (const contender& each : contenders) {
    std::vector<double>& times = per_item[each.name];
    std::array<std::vector<double>, 4> latencies;
    for (const turn& one : turns.at(each.name)) {
      times.push_back(one.per_item);
      for (std::size_t i = 0; i < latencies.size(); ++i) latencies[i].push_back(one.latency[i]);
    }
    const auto [lowest, highest] = std::minmax_element(times.begin(), times.end());
    fmt::print("  {:<24} {:>9.2f} {:>16}   {:>8.0f} {:>8.0f} {:>8.0f} {:>10.0f}\n", each.name, 1e3 / median(times),
               fmt::format("{:.2f} to {:.2f}", 1e3 / *highest, 1e3 / *lowest), median(latencies[0]),
               median(latencies[1]), median(latencies[2]), median(latencies[3]));
    json["nanoseconds"][each.name] = {
        {"median", median(times)},
        {"repetitions", times},
        {"latency",
         {{"p50", latencies[0]}, {"p99", latencies[1]}, {"p99.9", latencies[2]}, {"longest", latencies[3]}}}};
    p99_9[each.name] = std::move(latencies[2]);
  }
  std::fflush(stdout);
  return {answers{std::move(per_item)}, answers{std::move(p99_9)}};
}

requests_taken suite::take_turns(const std::string& question, const std::string& what,
                                 const std::vector<client>& clients, double longer, const std::string& item) {
  if (!asks(question)) return {};
  const auto turns = in_turns<request_turn>(clients, state_->repetitions, state_->seconds * longer);

  fmt::print("\n{}: {}\n  {:<24} {:>10} {:>14} {:>18}   {:>9} {:>9}\n", question, what, "", item + "s/s",
             "CPU us/" + item, "", "p50, us", "p99, us");
  auto& json = state_->written["questions"].emplace_back();
  json["name"] = question;
  json["cpu_time"] = what;
  answers::samples cpu, wall;
  for (const client& each : clients) {
    std::vector<double>& cpus = cpu[each.name];
    std::vector<double>& walls = wall[each.name];
    std::vector<double> p50, p99;
    for (const request_turn& one : turns.at(each.name)) {
      cpus.push_back(one.cpu);
      walls.push_back(one.wall);
      p50.push_back(one.p50);
      p99.push_back(one.p99);
    }
    const auto [lowest, highest] = std::minmax_element(cpus.begin(), cpus.end());
    fmt::print("  {:<24} {:>10.0f} {:>14.2f} {:>18}   {:>9.0f} {:>9.0f}\n", each.name, 1e9 / median(walls),
               median(cpus) / 1e3, fmt::format("{:.2f} to {:.2f}", *lowest / 1e3, *highest / 1e3), median(p50) / 1e3,
               median(p99) / 1e3);
    json["nanoseconds"][each.name] = {{"cpu", cpus}, {"wall", walls}, {"latency", {{"p50", p50}, {"p99", p99}}}};
  }
  std::fflush(stdout);
  return {answers{std::move(cpu)}, answers{std::move(wall)}};
}

void suite::goal(std::string name, bound limit, std::string unit, std::optional<estimate> measured) {
  if (measured) state_->goals.push_back({std::move(name), limit, std::move(unit), *measured});
}

void suite::headline(const std::string& text) { fmt::print("\n{}\n", text); }

void suite::report(std::string name, double value, std::string unit) {
  fmt::print("  {:<50} {:>12} {}\n", name, figure(value), unit);
  std::fflush(stdout);
  state_->written["figures"].push_back({{"name", std::move(name)}, {"value", value}, {"unit", std::move(unit)}});
}

void suite::note(std::string sentence) {
  fmt::print("  {}\n", sentence);
  state_->written["notes"].push_back(std::move(sentence));
}

int suite::finish() {
  if (!state_->asked) throw std::runtime_error{"no question has \"" + state_->only + "\" in it"};
  print(state_->goals);
  state_->written["goals"] = to_json(state_->goals);
  if (state_->json.empty()) return 0;
  std::ofstream file{state_->json};
  file << state_->written.dump(2) << '\n';
  if (!file.flush()) throw std::runtime_error{state_->json + " cannot be written"};
  return 0;
}

}  // namespace bench
