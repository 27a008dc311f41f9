// SPDX-License-Identifier: MIT
// model_server: a simulated model on a port, until Ctrl-C. For trying things out where there is no real one.
//     ./model_server --port 1234 --fault rate-limit:first=2
#include "model_server/model_server.hpp"

#include <CLI/CLI.hpp>

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <limits>
#include <string>
#include <vector>

namespace {

// Each waiting client is an open socket: as many as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) try {
  model_server::options chosen;
  auto latency_ms = chosen.latency.count();

  CLI::App program{
      "An OpenAI-compatible HTTP server whose model is simulated: it needs no GPU, answers in readable\n"
      "English, and takes as long as a real one. It prints its URL and runs until Ctrl-C (SIGINT, SIGTERM)."};
  program.add_option("--host", chosen.host, "Address or name to listen on")->capture_default_str();
  program.add_option("--port", chosen.port, "TCP port; 0 takes a free one")
      ->check(CLI::Range(0, 65'535))
      ->capture_default_str();
  program.add_option("--slots", chosen.slots, "Requests generated at once; the others wait in order")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  program.add_option("--tokens-per-second", chosen.tokens_per_second, "Speed of each slot")
      ->check(CLI::Range(0.001, 1e9))
      ->capture_default_str();
  program.add_option("--latency-ms", latency_ms, "Time to the first token, in milliseconds")
      ->check(CLI::Range(0, 86'400'000))
      ->capture_default_str();
  program.add_option("--seed", chosen.seed, "Another seed, other texts")
      ->check([](const std::string& text) { return text.starts_with('-') ? "must not be negative" : ""; })
      ->capture_default_str();
  program.add_option("--context", chosen.context_tokens, "Tokens that a prompt may have")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  program.add_option("--api-key", chosen.api_key, "If given, all paths but /health need Authorization: Bearer KEY");
  std::vector<std::string> faults;
  program.add_option("--fault", faults, "What goes wrong: KIND[:ARGUMENTS], see below; may be repeated")
      ->allow_extra_args(false);
  program.footer("\n" + model_server::fault_help());
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& refused) {
    return program.exit(refused) == 0 ? 0 : 2;
  }
  chosen.latency = std::chrono::milliseconds{latency_ms};

  for (const std::string& each : faults) chosen.faults.push_back(model_server::parse_fault(each));

  raise_descriptor_limit();
  sigset_t ending;  // blocked before the server's threads start, so that all of them leave it to sigwait
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  model_server::server server{chosen};
  std::printf("%s\n", server.url().c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ending, &signal);
  server.stop();
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 2;
}
