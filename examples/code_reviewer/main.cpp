// SPDX-License-Identifier: MIT
// code_reviewer: a team of agents reviews source files, in parallel and under a token budget.
//     code_reviewer src/parser.cpp src/lexer.cpp --sarif review.sarif --fail-on error
#include "blog_writer/options.hpp"  // usage_error
#include "blog_writer/output_file.hpp"
#include "code_reviewer/finding.hpp"
#include "code_reviewer/options.hpp"
#include "code_reviewer/report.hpp"
#include "code_reviewer/review_team.hpp"
#include "code_reviewer/source.hpp"

#include <felix/felix.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using blog_writer::output_file;

namespace {

constexpr int exit_incomplete = 1;
constexpr int exit_usage = 2;
constexpr int exit_findings = 3;
constexpr int exit_interrupted = 130;
constexpr std::size_t piece_bytes = 6'000;

void say(const std::string& line) {
  const std::string text = line + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::vector<code_reviewer::source_file> read_all(const code_reviewer::options& chosen) {
  std::vector<code_reviewer::source_file> files;
  if (chosen.code_string) files.push_back(code_reviewer::as_source("<code>", *chosen.code_string));
  for (const auto& path : chosen.files) files.push_back(code_reviewer::read_source(path, chosen.max_file_bytes));
  return files;
}

felix::budget_options budget_for(const code_reviewer::options& chosen, std::size_t bytes) {
  return {.session_cap_tokens = chosen.tokens > 0 ? chosen.tokens : code_reviewer::usual_tokens(bytes),
          .min_stage_tokens = 60};
}

void show(const std::string& where, const felix::session_event& event) {
  using kind = felix::session_event::kind;
  const std::string who = fmt::format("{}  {:<14}", where, event.agent.name());
  if (event.what == kind::stage_ended) say(fmt::format("{} {} tokens", who, event.tokens));
  if (event.what == kind::stage_failed || event.what == kind::final_failed)
    say(fmt::format("{} failed: {}", who, event.message));
  if (event.what == kind::final_ended) say(fmt::format("{} has written the report: {} tokens", who, event.tokens));
}

/// A piece is a session of its own, with its own budget. What fails is said in its result; a stop keeps what there is.
felix::task<void> review_piece(felix::client& llm, const code_reviewer::review& all, code_reviewer::reviewed& into) {
  const code_reviewer::source_file& file = all.files[into.part.file];
  const std::string code = code_reviewer::numbered(file, into.part);
  const felix::budget_options cap = budget_for(all.chosen, code.size());
  code_reviewer::strict_review_budget strict{cap};
  code_reviewer::review_budget usual{cap};
  felix::ledger& budget = all.chosen.strict_mode ? static_cast<felix::ledger&>(strict) : usual;
  felix::session_options options{.seed = all.seed, .slots = all.chosen.max_concurrent, .accepted_confidence = 2};
  if (all.chosen.eager) options.schedule = felix::session_schedule::eager;
  options.on_event = [where = fmt::format("{}:{}", file.name, into.part.first_line)](
                         const felix::session_event& event) { show(where, event); };
  felix::session session{llm, code_reviewer::review_team(), budget, std::move(options)};
  const auto ended = co_await felix::as_result(
      session.run(code_reviewer::task_of(file.name, into.part.first_line, into.part.last_line, code)));
  into.result = session.so_far();
  if (!ended) {
    into.failure = ended.message();
    const auto stop = co_await felix::this_task::stop_token();
    if (stop.stop_requested()) into.failure = "interrupted";
  } else if (!into.result.complete) {
    into.failure = "the report could not be written; this is the best text so far";
  }
}

felix::task<void> review_all(felix::client& llm, code_reviewer::review& all) {
  std::vector<felix::task<void>> pieces;
  for (auto& each : all.pieces) pieces.push_back(review_piece(llm, all, each));
  co_await felix::when_all(std::move(pieces));
}

std::vector<code_reviewer::finding> findings_of(const code_reviewer::review& all) {
  std::vector<code_reviewer::finding> found;
  for (const auto& each : all.pieces) {
    for (const auto& made : each.result.contributions) {
      std::string rule{made.role.name()};
      for (const auto& agent : each.result.agents)
        if (agent.id == made.agent) rule = agent.focus;
      const auto its = code_reviewer::findings_in(made.text, std::string{made.agent.name()}, rule, each.part);
      found.insert(found.end(), its.begin(), its.end());
    }
  }
  return code_reviewer::merged(std::move(found));
}

bool print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) == 0 || errno == EPIPE) return true;
  say(fmt::format("code_reviewer: the review could not be written to stdout: {}", std::strerror(errno)));
  return false;
}

int review(const code_reviewer::options& chosen) {
  code_reviewer::review all{.chosen = chosen, .seed = chosen.random_seed.value_or(std::random_device{}())};
  all.files = read_all(chosen);
  std::optional<output_file> output, sarif;
  if (chosen.save_output) output.emplace("--save-output", *chosen.save_output);
  if (chosen.sarif) sarif.emplace("--sarif", *chosen.sarif);
  for (const auto& part : code_reviewer::pieces_of(all.files, piece_bytes)) all.pieces.push_back({part, {}, {}});

  felix::event_loop loop;
  felix::stop_on_signal ctrl_c{loop, SIGINT};
  felix::client_options options{
      .base_url = chosen.base_url, .model = chosen.model, .max_concurrent_requests = chosen.max_concurrent};
  if (chosen.api_key_env) options.api_key = felix::secret::from_env(*chosen.api_key_env);
  felix::client llm{loop, std::move(options)};
  const auto begun = std::chrono::steady_clock::now();
  try {
    loop.run(review_all(llm, all), ctrl_c.get_token());
  } catch (const felix::cancelled&) {  // each piece has kept what there is
  }
  all.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  all.findings = findings_of(all);

  int status = ctrl_c.stop_requested() ? exit_interrupted : all.complete() ? 0 : exit_incomplete;
  const bool grave = chosen.fail_on && std::any_of(all.findings.begin(), all.findings.end(),
                                                   [&](const auto& each) { return each.level <= *chosen.fail_on; });
  if (status == 0 && grave) status = exit_findings;
  if (!print(code_reviewer::as_text(all))) status = exit_incomplete;
  if (output) output->write(code_reviewer::as_json(all));
  if (sarif) sarif->write(code_reviewer::as_sarif(all));
  return status;
}

int fail(int status, const char* message) {
  say(fmt::format("code_reviewer: {}", message));
  return status;
}

}  // namespace

int main(int argc, char** argv) try {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has seen enough is not an error
  const auto chosen = code_reviewer::parse(argc, argv);
  return chosen ? review(*chosen) : 0;
} catch (const blog_writer::usage_error& wrong) {
  return fail(exit_usage, wrong.what());
} catch (const felix::error& failure) {
  return fail(exit_usage, failure.what());
} catch (const std::exception& failure) {
  return fail(exit_incomplete, failure.what());
}
