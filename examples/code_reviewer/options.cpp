// SPDX-License-Identifier: MIT
// code_reviewer: the command line, read and checked.
#include "code_reviewer/options.hpp"

#include "blog_writer/options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <map>

namespace code_reviewer {

std::optional<options> parse(int argc, const char* const* argv) {
  options chosen;
  std::string fail_on;
  CLI::App app{
      "Reviews source files with a team of agents that share one model server, in parallel and under a token budget."};
  app.name("code_reviewer");
  app.add_option("FILE", chosen.files, "Source files; - is the standard input");
  app.add_option("--code-string", chosen.code_string, "Review this text instead of files");
  app.add_flag("--strict-mode", chosen.strict_mode,
               "Keep the token cap even if the server counts worse than any bound");
  app.add_flag("--eager", chosen.eager, "Keep every slot busy: faster, and no two runs are the same");
  app.add_option("--max-concurrent", chosen.max_concurrent, "Requests at the same time")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}))
      ->capture_default_str();
  app.add_option("--random-seed", chosen.random_seed, "The same seed gives the same run; without one it is drawn");
  app.add_option("--tokens", chosen.tokens, "Tokens for each piece of a file, prompts included; 0: enough for its size")
      ->check(CLI::Range(felix::token_count{0}, felix::token_count{10'000'000}))
      ->capture_default_str();
  app.add_option("--max-file-bytes", chosen.max_file_bytes, "Larger files are refused")->capture_default_str();
  app.add_option("--base-url,--lm-studio-url", chosen.base_url, "An OpenAI-compatible server")->capture_default_str();
  app.add_option("--model", chosen.model, "Its model")->capture_default_str();
  app.add_option("--api-key-env", chosen.api_key_env, "The environment variable that holds the API key");
  app.add_option("--save-output", chosen.save_output, "Save the report and all figures as JSON");
  app.add_option("--sarif", chosen.sarif, "Save the findings as SARIF 2.1.0, for editors and code hosts");
  app.add_option("--fail-on", fail_on,
                 "End with status 3 when a finding is this grave or graver: error, warning or note")
      ->check(CLI::IsMember({"error", "warning", "note"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return std::nullopt;
  } catch (const CLI::ParseError& wrong) {
    throw blog_writer::usage_error{fmt::format("{}; see code_reviewer --help", wrong.what())};
  }
  if (chosen.files.empty() && !chosen.code_string)
    throw blog_writer::usage_error{"FILE: nothing to review; name source files, or give --code-string"};
  if (!chosen.files.empty() && chosen.code_string)
    throw blog_writer::usage_error{"--code-string: it is reviewed instead of files; leave one of them out"};
  if (chosen.save_output && chosen.save_output->empty())
    throw blog_writer::usage_error{"--save-output: the file name is empty"};
  if (chosen.sarif && chosen.sarif->empty()) throw blog_writer::usage_error{"--sarif: the file name is empty"};
  if (!fail_on.empty()) chosen.fail_on = severity_of(fail_on);
  return chosen;
}

}  // namespace code_reviewer
