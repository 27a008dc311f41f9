// SPDX-License-Identifier: MIT
// blog_writer: see report.hpp.
#include "blog_writer/report.hpp"

#include <felix/observe/usage.hpp>
#include <felix/utf8.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <chrono>
#include <map>

namespace blog_writer {

namespace {

double seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::int64_t peak_rss_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return usage.ru_maxrss;  // bytes there
#else
  return std::int64_t{usage.ru_maxrss} * 1024;
#endif
}

std::vector<target> run_report::targets() const {
  const bool strict = chosen.strict_mode;
  return {{"duration", strict ? 30.0 : 60.0, seconds(result.duration), "s"},
          {"tokens", strict ? 2'000.0 : 10'000.0, static_cast<double>(budget.settled), "tokens"},
          {"memory", strict ? 500.0 : 1'000.0, static_cast<double>(peak_rss_bytes) / 1e6, "MB"}};
}

std::string as_text(const run_report& report) {
  const felix::session_result& result = report.result;
  std::string text;
  const auto out = std::back_inserter(text);
  if (report.chosen.debug) {
    for (const auto& made : result.contributions)
      fmt::format_to(out, "--- {} stage {} at tick {}, depth {:.2f}, confidence {:.2f}, {} + {} tokens\n{}\n\n",
                     made.agent.name(), made.stage, made.tick, made.depth, made.confidence, made.usage.prompt_tokens,
                     made.usage.completion_tokens, felix::without_controls(made.text));
  }
  if (report.shown) text += "\n\n";
  if (!result.final_text.empty() && !report.shown)
    fmt::format_to(out, "{}\n\n", felix::without_controls(result.final_text));
  if (!report.failure.empty()) fmt::format_to(out, "Not complete: {}\n", report.failure);
  fmt::format_to(out, "Duration   {:.1f} s, of which the team {:.1f} s before the final text\n",
                 seconds(result.duration), seconds(result.team_duration));
  fmt::format_to(out, "Requests   {} ({} failed, {} stages dropped for want of tokens), at most {} at once\n",
                 result.requests, result.failed, result.dropped, report.chosen.max_concurrent);
  fmt::format_to(out, "Tokens     {}{}\n", report.budget,
                 result.usage.estimated ? "\n  (estimated: the server sent no usage)" : "");
  std::size_t added = 0;
  for (const auto& agent : result.agents) added += agent.added_for ? 1U : 0U;
  if (report.chosen.dynamic_spawning)
    fmt::format_to(out, "Agents     {}, of which {} were added\n", result.agents.size(), added);
  fmt::format_to(out, "Memory     {:.0f} MB at most\n", static_cast<double>(report.peak_rss_bytes) / 1e6);
  if (report.chosen.memory) fmt::format_to(out, "Findings   {} remembered that were new\n", result.remembered);
  fmt::format_to(out, "Seed       {}\n", report.seed);
  for (const auto& each : report.targets())
    fmt::format_to(out, "{}       {}: {:.{}f} {} (under {:.0f})\n", each.pass() ? "PASS" : "FAIL", each.name,
                   each.measured, each.unit == "s" ? 1 : 0, each.unit, each.limit);
  return text;
}

std::string as_json(const run_report& report) {
  const felix::session_result& result = report.result;
  nlohmann::ordered_json json;
  json["topic"] = result.task;
  json["complexity"] = report.chosen.complexity;
  json["strict_mode"] = report.chosen.strict_mode;
  json["max_concurrent"] = report.chosen.max_concurrent;
  json["schedule"] = report.chosen.eager ? "eager" : "lockstep";
  json["simulation_time"] = report.chosen.simulation_time;
  json["seed"] = report.seed;
  json["server"] = report.server;
  json["simulated"] = report.simulated;
  json["complete"] = result.complete;
  if (!report.failure.empty()) json["failure"] = report.failure;
  json["total_tokens"] = report.budget.settled;
  json["prompt_tokens"] = result.usage.prompt_tokens;
  json["completion_tokens"] = result.usage.completion_tokens;
  json["usage_estimated"] = result.usage.estimated;
  json["token_cap"] = report.budget.cap;
  json["duration_s"] = seconds(result.duration);
  json["team_duration_s"] = seconds(result.team_duration);
  json["peak_rss_bytes"] = report.peak_rss_bytes;
  json["requests"] = result.requests;
  json["failed_requests"] = result.failed;
  if (report.chosen.memory) json["remembered_findings"] = result.remembered;
  json["dropped_stages"] = result.dropped;
  json["agents"] = nlohmann::ordered_json::array();
  for (const auto& agent : result.agents)
    json["agents"].push_back({{"id", agent.id.name()},
                              {"role", agent.role.name()},
                              {"focus", agent.focus},
                              {"spawn_time", agent.spawn_time},
                              {"stages", agent.stages},
                              {"tokens", agent.usage.total_tokens},
                              {"state", to_string(agent.state)}});
  for (std::size_t i = 0; i < result.agents.size(); ++i) {
    if (const auto why = result.agents[i].added_for) json["agents"][i]["added_because"] = to_text(*why);
  }
  json["contributions"] = nlohmann::ordered_json::array();
  for (const auto& made : result.contributions)
    json["contributions"].push_back({{"agent", made.agent.name()},
                                     {"stage", made.stage},
                                     {"tick", made.tick},
                                     {"depth", made.depth},
                                     {"confidence", made.confidence},
                                     {"tokens", made.usage.total_tokens},
                                     {"final_text", made.final_text},
                                     {"text", made.text}});
  json["targets"] = nlohmann::ordered_json::object();
  for (const auto& each : report.targets())
    json["targets"][each.name] = {
        {"limit", each.limit}, {"measured", each.measured}, {"unit", each.unit}, {"pass", each.pass()}};
  json["final_text"] = result.final_text;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace blog_writer
