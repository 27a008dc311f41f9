// SPDX-License-Identifier: MIT
// benchmarks: one program of questions, each of which several alternatives answer in turns, and its goals.
#pragma once

#include "support/estimate.hpp"
#include "support/turn.hpp"

#include <benchmark/benchmark.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bench {

/// One way to do what a question asks for: a loop over the state, which ends with state.SetItemsProcessed.
struct alternative {
  std::string name;
  std::function<void(benchmark::State&)> run;
};

/// Whose CPU time is measured.
enum class clock : unsigned char { this_thread, whole_process };

/// An alternative that has threads of its own, and measures itself for about so long.
struct contender {
  std::string name;
  std::function<turn(std::chrono::duration<double>)> run;
};

/// A client of a server, which sends requests for about so long.
struct client {
  std::string name;
  std::function<request_turn(std::chrono::duration<double>)> run;
};

/// Nanoseconds per item, or of a percentile of latency, by alternative and repetition.
class answers {
 public:
  using samples = std::map<std::string, std::vector<double>>;
  answers() = default;
  explicit answers(samples measured) : measured_{std::move(measured)} {}

  /// Empty when one of the two was not measured.
  [[nodiscard]] std::optional<estimate> ratio(const std::string& of, const std::string& to) const;
  [[nodiscard]] std::optional<estimate> items_per_second(const std::string& of) const;

 private:
  samples measured_;
};

struct turns_taken {
  answers per_item, p99_9;
};
struct requests_taken {
  answers cpu, wall;
};

/// How much a program measures when it is not told.
struct effort {
  int repetitions = 25, quick_repetitions = 9;
  double seconds = 0.1, quick_seconds = 0.02;  // of a repetition
};

/// A program that measures with Google Benchmark.
///     bench::suite suite{argc, argv, "wake_up", "What does it cost to wake a waiter?"};
///     const auto answers = suite.measure("event", {{"std", wake_thread}, {"felix", wake_coroutine}});
///     suite.goal("event / std", bench::at_most{0.1}, "times", answers.ratio("felix", "std"));
///     return suite.finish();
/// It understands --quick, --only, --repetitions, --seconds, --json and --help; the last one, and a mistake, end the
/// program in the constructor. A question that --only leaves out is not measured, and its goals are left out.
class suite {
 public:
  suite(int argc, char** argv, std::string name, std::string about, const effort& by_default = {});
  suite(suite&&) = delete;
  ~suite();

  /// Whether --only lets this question through.
  [[nodiscard]] bool asks(const std::string& question) const;
  [[nodiscard]] answers measure(const std::string& question, const std::vector<alternative>& alternatives,
                                clock cpu_time = clock::this_thread);
  /// The contenders take turns, in another order each time. `what` says what a repetition's time is.
  [[nodiscard]] turns_taken take_turns(const std::string& question, const std::string& what,
                                       const std::vector<contender>& contenders);
  /// The same for clients; a turn takes so many times as long as is usual. `what` says what their CPU time is of, and
  /// `item` what is counted.
  [[nodiscard]] requests_taken take_turns(const std::string& question, const std::string& what,
                                          const std::vector<client>& clients, double longer = 1,
                                          const std::string& item = "request");
  /// Nothing measured: no goal.
  void goal(std::string name, bound limit, std::string unit, std::optional<estimate> measured);
  /// Begins what is reported of a question that is not a matter of time.
  void headline(const std::string& text);
  /// A figure without a goal.
  void report(std::string name, double value, std::string unit);
  /// A sentence that has to stand beside the figures.
  void note(std::string sentence);
  /// Prints the goals, writes the JSON; gives what main returns, which is 0 whatever was met.
  [[nodiscard]] int finish();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace bench
