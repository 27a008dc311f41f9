// SPDX-License-Identifier: MIT
// blog_writer: a team of agents writes a blog post, in parallel and under a token budget.
//     blog_writer "Write about AI safety" --strict-mode
#include "blog_writer/live_text.hpp"
#include "blog_writer/options.hpp"
#include "blog_writer/output_file.hpp"
#include "blog_writer/progress.hpp"
#include "blog_writer/prompt_records.hpp"
#include "blog_writer/report.hpp"
#include "blog_writer/role_prompts.hpp"
#include "model_server/model_server.hpp"

#include <felix/felix.hpp>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

constexpr int exit_incomplete = 1;
constexpr int exit_usage = 2;
constexpr int exit_interrupted = 130;

/// On stderr; whether anybody can read it is no reason to stop.
void say(const std::string& line) {
  const std::string text = line + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

felix::team team_of(const std::string& complexity) {
  if (complexity == "simple") return felix::teams::simple();
  if (complexity == "complex") return felix::teams::complex();
  return felix::teams::medium();
}

felix::client_options client_options_of(const blog_writer::options& chosen, std::string url) {
  felix::client_options options{
      .base_url = std::move(url), .model = chosen.model, .max_concurrent_requests = chosen.max_concurrent};
  if (chosen.api_key_env) options.api_key = felix::secret::from_env(*chosen.api_key_env);
  if (chosen.debug) options.log = [](const felix::log_line& line) { say("debug: " + line.text); };
  return options;
}

/// Asks for the models. What has no list of them may still answer a chat: that will show.
felix::task<void> greet(felix::openai_model& server) {
  const auto models = co_await felix::as_result(server.models());
  if (models) co_return;
  try {
    std::rethrow_exception(models.error());
  } catch (const felix::api_error& refused) {
    const bool of_the_address = refused.status() < 400 || refused.status() == 401 || refused.status() == 403;
    if (of_the_address) throw;
  }
}

/// Whether a server answers at the default address, be it with an error: that is then the user's to see.
bool answers(felix::event_loop& loop, const std::string& url, const felix::secret& key, felix::stop_token stop) {
  felix::openai_model server{loop, {.base_url = url, .api_key = key, .timeouts = {.connect = 500ms, .total = 2s}}};
  try {
    loop.run(greet(server), stop);
    return true;
  } catch (const felix::cancelled&) {
    throw;
  } catch (const felix::api_error&) {
    throw;
  } catch (const felix::error&) {  // nobody, or something that is no model server
    return false;
  }
}

struct chosen_server {
  std::unique_ptr<model_server::server> simulated;  // lives while it is used
  std::string url;
};

chosen_server choose_server(felix::event_loop& loop, const blog_writer::options& chosen, felix::stop_token stop) {
  if (chosen.base_url) {
    auto options = client_options_of(chosen, *chosen.base_url);
    felix::openai_model server{
        loop, {.base_url = options.base_url, .api_key = options.api_key, .timeouts = {.connect = 5s, .total = 30s}}};
    loop.run(greet(server), stop);
    return {nullptr, *chosen.base_url};
  }
  const std::string local = felix::client_options{}.base_url;
  if (answers(loop, local, client_options_of(chosen, local).api_key, stop)) return {nullptr, local};
  auto simulated = std::make_unique<model_server::server>(model_server::options{});
  std::string url = simulated->url();
  say(fmt::format("No server answers at {}; a simulated one in this process writes instead, at {}.", local, url));
  return {std::move(simulated), std::move(url)};
}

/// Runs the session and fills the report in. Throws what must end the program with an error.
void run_session(blog_writer::run_report& report, felix::event_loop& loop, felix::client& llm, const felix::team& team,
                 felix::session_options options, felix::ledger& budget, felix::stop_token stop) {
  const blog_writer::options& chosen = report.chosen;
  blog_writer::progress progress{chosen.stream};
  blog_writer::live_text live;
  options.on_event = [&](const felix::session_event& event) {
    progress.show(event);
    if (chosen.stream) live.show(event);
  };
  if (chosen.stream) options.on_delta = [&](const felix::session_delta& delta) { live.show(delta); };
  felix::session session{llm, team, budget, std::move(options)};
  try {
    report.result = loop.run(session.run(report.chosen.topic), stop);
    if (!report.result.complete) report.failure = "the final text could not be written; this is the best text so far";
  } catch (const felix::cancelled&) {
    report.result = session.so_far();
    report.failure = "interrupted; this is the best text so far";
  } catch (const felix::api_error& refused) {
    const bool of_the_address_or_key = refused.status() < 500 && refused.status() != 408 && refused.status() != 429;
    if (of_the_address_or_key) throw;
    report.failure = refused.what();
  } catch (const felix::transport_error& gone) {
    report.failure = gone.what();
  } catch (const felix::timed_out& slow) {
    report.failure = slow.what();
  }
  if (!report.result.memory_failure.empty()) say(fmt::format("blog_writer: {}", report.result.memory_failure));
  report.shown = live.has_shown(report.result.final_text);
  report.budget = budget.system_status();
  report.peak_rss_bytes = blog_writer::peak_rss_bytes();
}

/// To stdout. False, with a word on stderr: it could not be written. A reader that has left is not an error.
bool print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) == 0 || errno == EPIPE) return true;
  say(fmt::format("blog_writer: the post could not be written to stdout: {}", std::strerror(errno)));
  return false;
}

/// A file that is opened later must not become the standard output or error that somebody has closed.
void keep_standard_descriptors() {
  for (int descriptor = ::open("/dev/null", O_RDWR); descriptor >= 0; descriptor = ::open("/dev/null", O_RDWR)) {
    if (descriptor <= STDERR_FILENO) continue;
    ::close(descriptor);
    return;
  }
}

int write_blog(const blog_writer::options& chosen) {
  std::optional<blog_writer::output_file> output;
  if (chosen.save_output) output.emplace("--save-output", *chosen.save_output);
  std::optional<felix::file_memory> memory;
  if (chosen.memory) {
    memory.emplace(*chosen.memory);
    if (const auto& lost = memory->recovery(); lost.damaged + lost.torn_bytes > 0)
      say(fmt::format("{}: {} damaged findings are skipped, {} bytes of one that was not written whole are cut off",
                      *chosen.memory, lost.damaged, lost.torn_bytes));
  }
  felix::team team = team_of(chosen.complexity);
  blog_writer::role_prompts own;
  if (chosen.role_prompts) own = blog_writer::read_role_prompts(*chosen.role_prompts);
  for (felix::role role :
       {felix::roles::research, felix::roles::analysis, felix::roles::critic, felix::roles::synthesis}) {
    if (const auto found = own.find(std::string{role.name.name()}); found != own.end()) role.prompt = found->second;
    team.set_role(chosen.optimise_prompts ? blog_writer::with_usual_variants(std::move(role)) : role);
  }

  std::optional<felix::prompt_optimiser> prompts;
  std::optional<blog_writer::output_file> records;
  if (chosen.optimise_prompts) {
    prompts = blog_writer::read_prompt_records(*chosen.optimise_prompts);
    records.emplace("--optimise-prompts", *chosen.optimise_prompts);
  }

  felix::event_loop loop;
  felix::stop_on_signal ctrl_c{loop, SIGINT};
  blog_writer::run_report report;
  report.chosen = chosen;
  report.seed = chosen.random_seed.value_or(std::random_device{}());
  const chosen_server server = choose_server(loop, chosen, ctrl_c.get_token());
  report.server = server.url;
  report.simulated = server.simulated != nullptr;
  felix::session_options options{.seed = report.seed, .simulation_time = chosen.simulation_time};
  if (chosen.eager) options.schedule = felix::session_schedule::eager;
  options.slots = chosen.max_concurrent;
  if (memory) options.memory = *memory;
  if (chosen.dynamic_spawning) options.spawning = felix::spawn_options{};
  options.prompts = std::move(prompts);
  felix::client llm{loop, client_options_of(chosen, server.url)};
  if (chosen.strict_mode) {
    felix::strict_budget budget;
    run_session(report, loop, llm, team, options, budget, ctrl_c.get_token());
  } else {
    felix::normal_budget budget;
    run_session(report, loop, llm, team, options, budget, ctrl_c.get_token());
  }
  if (chosen.debug) say(fmt::format("debug: {}", llm.usage_stats()));

  // Shown first, then saved: whichever fails, the tokens were not spent for nothing.
  int status = ctrl_c.stop_requested() ? exit_interrupted : report.result.complete ? 0 : exit_incomplete;
  if (!print(blog_writer::as_text(report))) status = exit_incomplete;
  if (output) output->write(blog_writer::as_json(report));
  if (records) records->write(blog_writer::as_prompt_records(report.result.prompts));
  return status;
}

int fail(int status, const char* message) {
  say(fmt::format("blog_writer: {}", message));
  return status;
}

}  // namespace

int main(int argc, char** argv) try {
  keep_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has seen enough is not an error
  const auto chosen = blog_writer::parse(argc, argv);
  return chosen ? write_blog(*chosen) : 0;
} catch (const felix::cancelled&) {
  return exit_interrupted;
} catch (const blog_writer::usage_error& wrong) {
  return fail(exit_usage, wrong.what());
} catch (const felix::budget_exceeded& failure) {
  return fail(exit_usage, failure.what());
} catch (const felix::error& failure) {
  return fail(exit_usage, failure.what());
} catch (const std::exception& failure) {
  return fail(exit_incomplete, failure.what());
}
