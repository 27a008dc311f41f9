// SPDX-License-Identifier: MIT
// blog_writer: the command line, read and checked.
#include "blog_writer/options.hpp"

#include <felix/utf8.hpp>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>

namespace blog_writer {

namespace {

/// One line of valid UTF-8 with something in it.
std::string checked_topic(std::string topic) {
  for (std::size_t at = 0; at < topic.size();) {
    const felix::code_point next = felix::code_point_at(topic, at);
    if (!next.valid)
      throw usage_error{
          fmt::format("TOPIC: byte {} is not UTF-8; set the terminal to UTF-8 or convert the text", at + 1)};
    // A line break would look like the next part of the prompt.
    const bool control = next.value < 0x20 || (next.value >= 0x7f && next.value < 0xA0);
    if (control) topic.replace(at, next.bytes, " ");
    at += control ? 1 : next.bytes;
  }
  const auto first = topic.find_first_not_of(' ');
  if (first == std::string::npos)
    throw usage_error{"TOPIC is empty; say what to write about, for example \"Write about AI safety\""};
  return topic.substr(first, topic.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::optional<options> parse(int argc, const char* const* argv) {
  options chosen;
  CLI::App app{
      "Writes a blog post with a team of agents that share one model server, in parallel and under a token budget.\n"
      "Without --base-url it uses http://localhost:1234/v1 if a server answers there, and else a simulated one."};
  app.name("blog_writer");
  app.add_option("TOPIC", chosen.topic, "What to write about")->required();
  app.add_flag("--strict-mode,!--no-strict-mode", chosen.strict_mode,
               "Small prompts and answers for lightweight models: 2,000 tokens in all");
  app.add_option("--max-concurrent", chosen.max_concurrent, "Requests at the same time")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}))
      ->capture_default_str();
  app.add_option("--complexity", chosen.complexity, "Team: simple (3 agents), medium (6) or complex (10)")
      ->check(CLI::IsMember({"simple", "medium", "complex"}))
      ->capture_default_str();
  app.add_option("--random-seed", chosen.random_seed,
                 "The same seed gives the same run; without one it is drawn and shown")
      ->check([](const std::string& text) {  // else -1 would wrap
        const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return digits ? std::string{} : text + " is not a whole number of at least 0";
      });
  app.add_option("--simulation-time", chosen.simulation_time,
                 "Logical time of the run, above 0; longer means more stages")
      ->check([](const std::string& text) {
        double value = 0;
        const bool number = CLI::detail::lexical_cast(text, value);
        return number && value > 0 && value <= 1'000 ? std::string{} : text + " is not a number above 0 and up to 1000";
      })
      ->capture_default_str();
  app.add_option("--base-url,--lm-studio-url", chosen.base_url,
                 "An OpenAI-compatible server, such as http://localhost:1234/v1");
  app.add_option("--model", chosen.model, "Its model")->capture_default_str();
  app.add_option("--api-key-env", chosen.api_key_env, "The environment variable that holds the API key");
  app.add_option("--save-output", chosen.save_output, "Save the post and all figures as JSON");
  app.add_flag("--debug", chosen.debug, "Show every request and every contribution");
  app.add_flag("--sequential", chosen.sequential, "One request at a time: the same as --max-concurrent 1");
  app.add_flag("--eager", chosen.eager, "Keep every slot busy: faster, and no two runs are the same");
  app.add_flag("--stream", chosen.stream, "Print the final text while it is written");
  app.add_option(
      "--role-prompts", chosen.role_prompts,
      "A JSON file of system prompts by role, such as {\"research\": \"Find sources. At most {words} words.\"}; "
      "{focus}, {depth}, {stage}, {tokens} and {words} are filled in");
  app.add_option("--memory", chosen.memory, "A file of what former runs have found; this run uses it and adds to it");
  app.add_flag("--dynamic-spawning", chosen.dynamic_spawning,
               "Add agents while the team is unsure, contradicts itself or misses something");
  app.add_option("--optimise-prompts", chosen.optimise_prompts,
                 "A file of what several prompts of each role have brought; this run tries them and adds to it");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return std::nullopt;
  } catch (const CLI::ParseError& wrong) {
    throw usage_error{fmt::format("{}; see blog_writer --help", wrong.what())};
  }
  chosen.topic = checked_topic(std::move(chosen.topic));
  if (chosen.sequential) chosen.max_concurrent = 1;
  if (chosen.save_output && chosen.save_output->empty()) throw usage_error{"--save-output: the file name is empty"};
  if (chosen.memory && chosen.memory->empty()) throw usage_error{"--memory: the file name is empty"};
  if (chosen.optimise_prompts && chosen.optimise_prompts->empty())
    throw usage_error{"--optimise-prompts: the file name is empty"};
  if (chosen.role_prompts && chosen.role_prompts->empty()) throw usage_error{"--role-prompts: the file name is empty"};
  return chosen;
}

}  // namespace blog_writer
