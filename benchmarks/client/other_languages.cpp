// SPDX-License-Identifier: MIT
// What does a request cost with the clients that other languages have? Each runs as a program of its own, in turns.
#include "felix_client.hpp"
#include "questions.hpp"
#include "support/child.hpp"
#include "support/temporary_folder.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t concurrency = 64;

struct peer {
  std::string name;
  double goal;  // how many times felix's CPU time it takes
  std::string remedy;
  std::vector<std::string> command;  // empty: not present
};

std::string script(const char* name) { return std::string{FELIX_BENCHMARK_PEERS} + "/" + name; }

/// The first of the commands that says its version, which it adds to what is noted.
std::vector<std::string> find(bench::suite& suite, const peer& wanted,
                              const std::vector<std::vector<std::string>>& commands) {
  for (const auto& command : commands) {
    auto check = command;
    check.emplace_back("--check");
    if (auto version = bench::output_of(check)) {
      suite.note(wanted.name + ": " + version->substr(0, version->find('\n')));
      return command;
    }
  }
  suite.note(wanted.name + ": not present (" + wanted.remedy + ")");
  return {};
}

std::vector<std::vector<std::string>> python(const char* name) {
  // The first may be another one than Debian's, whose packages only its own Python finds. -B: no files beside the source.
  return {{"python3", "-B", script(name)}, {"/usr/bin/python3", "-B", script(name)}};
}

std::vector<std::vector<std::string>> node(const char* name) {
  // A program does not find what npm has installed for all, unless it is told where.
  auto root = bench::output_of({"npm", "root", "-g"});
  if (!root) return {{"node", script(name)}};
  root->resize(root->find_last_not_of(" \n") + 1);
  return {{"node", script(name)}, {"env", "NODE_PATH=" + *root, "node", script(name)}};
}

std::vector<std::vector<std::string>> go(const char* name, const std::string& folder) {
  const std::string program = folder + "/go_net_http";
  // Only the standard library: nothing is fetched.
  if (!bench::output_of({"env", "GO111MODULE=off", "GOPROXY=off", "GOCACHE=" + folder + "/cache", "go", "build", "-o",
                         program, script(name)}))
    return {};
  return {{program}};
}

bench::request_turn run(const peer& one, const std::string& base_url, std::chrono::duration<double> length) {
  auto command = one.command;
  for (auto argument :
       {base_url, std::string{chat::request}, std::to_string(concurrency), fmt::format("{:.3f}", length.count())})
    command.push_back(std::move(argument));
  const auto printed = bench::output_of(command);
  if (!printed) throw std::runtime_error{one.name + ": it failed"};
  const auto figures = nlohmann::json::parse(*printed);
  const double nanoseconds_each = 1e9 / figures.at("requests").get<double>();
  return {figures.at("seconds").get<double>() * nanoseconds_each,
          figures.at("cpu_seconds").get<double>() * nanoseconds_each, figures.at("p50").get<double>() * 1e9,
          figures.at("p99").get<double>() * 1e9};
}

}  // namespace

void questions::other_languages(bench::suite& suite, const bench::server& server) {
  if (!suite.asks("other_languages")) return;
  suite.headline("other_languages: who is here");
  const bench::temporary_folder folder;  // for what the Go compiler makes
  std::vector<peer> peers{{"python_httpx", 25, "Debian: python3-httpx", {}},
                          {"python_aiohttp", 9, "Debian: python3-aiohttp", {}},
                          {"node_openai", 25, "npm install -g openai", {}},
                          {"go_net_http", 1.8, "Debian: golang-go", {}}};
  peers[0].command = find(suite, peers[0], python("python_httpx.py"));
  peers[1].command = find(suite, peers[1], python("python_aiohttp.py"));
  peers[2].command = find(suite, peers[2], node("node_openai.cjs"));
  peers[3].command = find(suite, peers[3], go("go_net_http.go", folder.name()));
  std::erase_if(peers, [](const peer& each) { return each.command.empty(); });
  if (peers.empty()) return;

  bench::felix_on_its_loop felix{server.at_once(), concurrency};
  std::vector<bench::client> clients{{"felix", [&](auto length) { return felix.run(length); }}};
  for (const peer& each : peers)
    clients.push_back({each.name, [&](auto length) { return run(each, server.at_once(), length); }});
  const auto taken = suite.take_turns("other_languages", "64 at once; CPU time of the client's process", clients, 4);
  for (const peer& each : peers)
    suite.goal("other_languages, CPU, " + each.name + " / felix", bench::at_least{each.goal}, "times",
               taken.cpu.ratio(each.name, "felix"));
}
