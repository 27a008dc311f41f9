// SPDX-License-Identifier: MIT
#include "blog_writer/options.hpp"
#include "blog_writer/output_file.hpp"
#include "blog_writer/report.hpp"

#include "model_server/model_server.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/program.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::test::fault_server;
using felix::test::program;

namespace {

/// A folder that goes away.
struct scratch {
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "felix-blog-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~scratch() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return (path / name).string(); }
  std::filesystem::path path;
};

std::string content_of(const std::string& path) {
  std::ifstream file{path};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Runs it to its end and gives what it saved.
nlohmann::json saved(const std::string& url, const std::string& topic, std::vector<std::string> more) {
  const scratch folder;
  more.insert(more.begin(), {topic, "--base-url", url, "--save-output", folder / "out.json"});
  program blog{FELIX_BLOG_WRITER, more};
  const int status = blog.wait();
  INFO(blog.err());
  REQUIRE(status == 0);
  return nlohmann::json::parse(content_of(folder / "out.json"));
}

int exit_of(std::vector<std::string> arguments, const std::string& expected_error,
            std::vector<std::pair<std::string, std::string>> environment = {}) {
  program blog{FELIX_BLOG_WRITER, std::move(arguments), std::move(environment)};
  const int status = blog.wait();
  CHECK(blog.out().empty());
  CHECK_THAT(blog.err(), ContainsSubstring("blog_writer: ") && ContainsSubstring(expected_error));
  return status;
}

}  // namespace

TEST_CASE("blog_writer: the same seed is the same run, at any limit, and the server's count is ours",
          "[examples][blog_writer][D30]") {
  const std::string complexity = GENERATE("simple", "medium", "complex");
  const bool strict = GENERATE(true, false);
  CAPTURE(complexity, strict);
  std::vector<std::string> flags{"--complexity", complexity, "--random-seed", "11"};
  if (strict) flags.push_back("--strict-mode");
  std::vector<nlohmann::json> runs;
  for (const char* limit : {"4", "1", "4"}) {
    model_server::server server{{.speed = 2000}};
    auto with_limit = flags;
    with_limit.insert(with_limit.end(), {"--max-concurrent", limit});
    runs.push_back(saved(server.url(), "Write about AI safety", with_limit));
    CHECK(runs.back()["total_tokens"] == server.snapshot().total_tokens);
    CHECK(runs.back()["requests"] == server.snapshot().requests);
    CHECK(server.snapshot().max_in_flight <= std::stoi(limit));
    CHECK(runs.back()["total_tokens"] <= (strict ? 2'000 : 10'000));
  }
  for (const char* same : {"final_text", "agents", "total_tokens", "requests", "seed"}) {
    CHECK(runs[0][same] == runs[1][same]);
    CHECK(runs[0][same] == runs[2][same]);
  }
  CHECK(runs[0]["final_text"].get<std::string>().size() > 50);
}

TEST_CASE("blog_writer: every complexity, mode and seed from 1 to 20 ends with a text under the cap",
          "[examples][blog_writer][D3]") {
  const std::string complexity = GENERATE("simple", "medium", "complex");
  const bool strict = GENERATE(true, false);
  std::map<std::string, int> texts;
  for (int seed = 1; seed <= 20; ++seed) {
    CAPTURE(complexity, strict, seed);
    model_server::server server{{.speed = 5000}};
    std::vector<std::string> flags{"--complexity", complexity, "--random-seed", std::to_string(seed)};
    if (strict) flags.push_back("--strict-mode");
    const auto run = saved(server.url(), "Write about AI safety", flags);
    CHECK(run["complete"] == true);
    CHECK(run["total_tokens"] == server.snapshot().total_tokens);
    CHECK(run["total_tokens"] <= (strict ? 2'000 : 10'000));
    ++texts[run["final_text"].get<std::string>()];
    std::map<std::string, int> stages;
    for (const auto& agent : run["agents"]) stages[agent["role"].get<std::string>()] += agent["stages"].get<int>();
    CHECK(stages.size() == (complexity == "simple" ? 3U : 4U));
    for (const auto& [role, count] : stages) {
      if (!strict) CHECK(count > 0);
    }
  }
  CHECK(texts.size() == 20);  // another seed, another text
}

TEST_CASE("blog_writer: another topic gives another text, in any script", "[examples][blog_writer]") {
  model_server::server server{{.speed = 5000}};
  std::map<std::string, int> texts;
  for (const char* topic : {"Write about tea", "Write about rain", "Künstliche Intelligenz", "量子コンピュータ", "🙂"})
    ++texts[saved(server.url(), topic, {"--random-seed", "1", "--strict-mode"})["final_text"].get<std::string>()];
  CHECK(texts.size() == 5);
}

TEST_CASE("blog_writer: what it saves and what it prints agree", "[examples][blog_writer][D12][D31]") {
  model_server::server server{{.speed = 2000}};
  const scratch folder;
  program blog{
      FELIX_BLOG_WRITER,
      {"Write about tea", "--base-url", server.url(), "--random-seed", "3", "--save-output", folder / "out.json"}};
  REQUIRE(blog.wait() == 0);
  const auto json = nlohmann::json::parse(content_of(folder / "out.json"));
  for (const char* field : {"total_tokens", "duration_s", "team_duration_s", "peak_rss_bytes", "requests", "agents",
                            "final_text", "targets", "seed"}) {
    CAPTURE(field);
    CHECK(json.contains(field));
  }
  for (const char* field : {"id", "role", "spawn_time", "stages", "tokens"}) CHECK(json["agents"][0].contains(field));
  CHECK(json["seed"] == 3);
  CHECK(json["peak_rss_bytes"] > 1'000'000);
  CHECK(json["team_duration_s"] <= json["duration_s"]);
  long long tokens = 0;
  for (const auto& agent : json["agents"]) tokens += agent["tokens"].get<long long>();
  CHECK(json["total_tokens"] == tokens);
  CHECK_THAT(blog.out(), ContainsSubstring(json["final_text"].get<std::string>()));
  CHECK_THAT(blog.out(), ContainsSubstring("PASS       tokens: " + std::to_string(tokens)));
  CHECK_THAT(blog.err(), ContainsSubstring("research_001") && !ContainsSubstring("\x1b"));  // no terminal: plain lines
}

TEST_CASE("blog_writer: without a seed one is drawn and shown, and it repeats the run", "[examples][blog_writer]") {
  model_server::server server{{.speed = 5000}};
  const auto first = saved(server.url(), "Write about tea", {"--complexity", "simple"});
  const auto again =
      saved(server.url(), "Write about tea", {"--complexity", "simple", "--random-seed", first["seed"].dump()});
  CHECK(first["final_text"] == again["final_text"]);
}

TEST_CASE("blog_writer: --sequential is one at a time", "[examples][blog_writer]") {
  model_server::server server{{.speed = 2000}};
  saved(server.url(), "Write about tea", {"--complexity", "complex", "--sequential"});
  CHECK(server.snapshot().max_in_flight == 1);
}

TEST_CASE("blog_writer: --eager keeps the slots busy, under the same caps", "[examples][blog_writer]") {
  model_server::server server{{.speed = 50}};
  const auto run = saved(server.url(), "Write about tea", {"--eager", "--complexity", "complex", "--random-seed", "3"});
  CHECK(run["schedule"] == "eager");
  CHECK(run["complete"] == true);
  CHECK(run["total_tokens"].get<int>() <= 10'000);
  CHECK(server.snapshot().max_in_flight == 4);
}

TEST_CASE("blog_writer: --stream prints the final text as it comes, and nothing of it twice",
          "[examples][blog_writer]") {
  model_server::server server{{.speed = 50}};
  const scratch folder;
  program blog{FELIX_BLOG_WRITER,
               {"Write about tea", "--base-url", server.url(), "--stream", "--complexity", "complex", "--save-output",
                folder / "out.json"}};
  CHECK(blog.wait() == 0);
  const auto run = nlohmann::json::parse(content_of(folder / "out.json"));
  const std::string text = run["final_text"];
  CHECK(blog.out().substr(0, text.size()) == text);
  CHECK(blog.out().find(text.substr(0, 60), 1) == std::string::npos);
  CHECK_THAT(blog.out(), ContainsSubstring("Duration") && ContainsSubstring("PASS"));
}

TEST_CASE("blog_writer: a final text that breaks off while it is shown is shown again, whole",
          "[examples][blog_writer]") {
  std::atomic<int> finals{0};
  fault_server server{[&](const felix::test::request& asked) {
    if (asked.method == "GET") return felix::test::http(200, R"({"data":[]})");
    if (asked.body.find("Write the final text.") == std::string::npos || finals++ > 0)
      return felix::test::chat("All of the text about tea.");
    return felix::test::http(200,
                             R"(data: {"choices":[{"index":0,"delta":{"content":"Half of the text"}}]})"
                             "\n\n",
                             {}, "text/event-stream");
  }};
  program blog{FELIX_BLOG_WRITER, {"t", "--base-url", server.url(), "--stream", "--complexity", "simple"}};
  CHECK(blog.wait() == 0);
  CHECK(blog.out().substr(0, 55) == "Half of the text […]\n\nAll of the text about tea.\n\nDur");
  CHECK(finals == 2);
}

TEST_CASE("blog_writer: --role-prompts are what the roles are told", "[examples][blog_writer]") {
  const scratch folder;
  std::ofstream{folder / "prompts.json"} << R"({"research": "Find {words} words, {{all}} of {focus}.",)"
                                            R"( "critic": "A simple team has none."})";
  fault_server server{[](const felix::test::request& asked) {
    return asked.method == "GET" ? felix::test::http(200, R"({"data":[]})") : felix::test::chat("Tea is old.");
  }};
  program blog{FELIX_BLOG_WRITER,
               {"t", "--base-url", server.url(), "--role-prompts", folder / "prompts.json", "--complexity", "simple"}};
  const int status = blog.wait();
  INFO(blog.err());
  CHECK(status == 0);
  int told = 0, others = 0;
  for (const auto& request : server.requests()) {
    if (request.body.find("Find 112 words, {all} of general.") != std::string::npos) ++told;
    if (request.body.find("the research agent") != std::string::npos) FAIL("the ready-made prompt was sent");
    if (request.body.find("the analysis agent") != std::string::npos) ++others;
  }
  CHECK(told > 0);
  CHECK(others > 0);
}

TEST_CASE("blog_writer: --memory is used by the next run, and added to", "[examples][blog_writer]") {
  const scratch folder;
  fault_server server{[](const felix::test::request& asked) {
    return asked.method == "GET" ? felix::test::http(200, R"({"data":[]})")
                                 : felix::test::chat("Tea is old, stage " + std::to_string(asked.body.size()) + ".");
  }};
  const auto run = [&](const std::string& topic) {
    program blog{FELIX_BLOG_WRITER,
                 {topic, "--base-url", server.url(), "--memory", folder / "found", "--complexity", "simple",
                  "--save-output", folder / "out.json"}};
    const int status = blog.wait();
    INFO(blog.err());
    CHECK(status == 0);
    CHECK_THAT(blog.out(), ContainsSubstring("remembered that were new"));
    return nlohmann::json::parse(content_of(folder / "out.json"))["remembered_findings"].get<int>();
  };
  const auto known = [&] {
    const auto requests = server.requests();
    return std::count_if(requests.begin(), requests.end(),
                         [](const auto& each) { return each.body.find("\\nKnown:\\n- ") != std::string::npos; });
  };
  CHECK(run("Tea in China") > 0);
  CHECK(known() == 0);
  CHECK(run("Tea in India") > 0);
  CHECK(known() > 0);
  CHECK_THAT(content_of(folder / "found"),
             ContainsSubstring("Tea in China\tTea is old") && ContainsSubstring("Tea in India\tTea is old"));

  const auto requests = server.requests().size();
  std::ofstream{folder / "notes"} << "mine";
  CHECK(exit_of({"t", "--base-url", server.url(), "--memory", folder / "notes"}, "is no memory of felix's") == 2);
  CHECK(exit_of({"t", "--base-url", server.url(), "--memory", ""}, "--memory") == 2);
  CHECK(content_of(folder / "notes") == "mine");
  CHECK(server.requests().size() == requests);
}

TEST_CASE("blog_writer: role prompts that cannot be used are refused before any request", "[examples][blog_writer]") {
  const scratch folder;
  fault_server server{[](const felix::test::request&) { return felix::test::chat("Tea is old."); }};
  const auto refused = [&](const std::string& content, const std::string& why) {
    std::ofstream{folder / "prompts.json"} << content;
    CHECK(exit_of({"t", "--base-url", server.url(), "--role-prompts", folder / "prompts.json"}, why) == 2);
  };
  refused("no JSON", "prompts.json is not JSON");
  refused("[]", "is not an object");
  refused(R"({"writer": "Write."})", "\"writer\" is no role of these teams");
  refused(R"({"critic": 7})", "\"critic\" is not a text");
  refused(R"({"critic": " "})", "\"critic\" is empty");
  refused(R"({"critic": "In {length} words"})", "\"critic\" has a brace");
  refused(R"({"critic": "In {words"})", "\"critic\" has a brace");
  CHECK(exit_of({"t", "--role-prompts", folder / "none.json"}, "none.json cannot be read") == 2);
  CHECK(exit_of({"t", "--role-prompts", ""}, "the file name is empty") == 2);
  CHECK(server.requests().empty());
}

TEST_CASE("blog_writer: --dynamic-spawning adds agents where the team needs them, and says why",
          "[examples][blog_writer]") {
  const scratch folder;
  fault_server server{[](const felix::test::request& asked) {
    return asked.method == "GET" ? felix::test::http(200, R"({"data":[]})")
                                 : felix::test::chat("Tea is old. However, its origin is unknown.");
  }};
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "t",      "--base-url",    server.url(),       "--random-seed", "3", "--complexity",
        "simple", "--save-output", folder / "out.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    program blog{FELIX_BLOG_WRITER, arguments};
    const int status = blog.wait();
    INFO(blog.err());
    CHECK(status == 0);
    return std::pair{blog.out() + blog.err(), nlohmann::json::parse(content_of(folder / "out.json"))};
  };
  CHECK(run({}).second["agents"].size() == 3);
  const auto [said, json] = run({"--dynamic-spawning"});
  REQUIRE(json["agents"].size() > 3);
  CHECK(json["agents"][3]["added_because"].get<std::string>().find("confidence") == std::string::npos);
  CHECK(json["agents"][3]["stages"] > 0);
  CHECK_FALSE(json["agents"][0].contains("added_because"));
  CHECK_THAT(said, ContainsSubstring("joins at tick"));
  CHECK_THAT(said, ContainsSubstring("of which 1 were added"));
}

TEST_CASE("blog_writer: --optimise-prompts tries several, and goes on from what former runs have learned",
          "[examples][blog_writer]") {
  const scratch folder;
  fault_server server{[](const felix::test::request& asked) {
    return asked.method == "GET" ? felix::test::http(200, R"({"data":[]})") : felix::test::chat("Tea is old.");
  }};
  const auto answers = [&] {
    program blog{FELIX_BLOG_WRITER, {"t", "--base-url", server.url(), "--optimise-prompts", folder / "prompts.json"}};
    const int status = blog.wait();
    INFO(blog.err());
    CHECK(status == 0);
    int sum = 0;
    for (const auto& each : nlohmann::json::parse(content_of(folder / "prompts.json")))
      sum += each["answers"].get<int>();
    return sum;
  };
  const int first = answers();
  CHECK(first > 0);
  CHECK(answers() > first);
  int tried = 0;
  for (const auto& request : server.requests())
    tried += request.body.find("Be concise and structured.") != std::string::npos;
  CHECK(tried > 0);

  const std::size_t requests = server.requests().size();
  const auto refused = [&](const std::string& content, const std::string& why) {
    std::ofstream{folder / "prompts.json"} << content;
    CHECK(exit_of({"t", "--base-url", server.url(), "--optimise-prompts", folder / "prompts.json"}, why) == 2);
    CHECK(content_of(folder / "prompts.json") == content);
  };
  refused("no JSON", "is not what blog_writer has written");
  refused("[{}]", "is not what blog_writer has written");
  refused(R"([{"role":"research","third":7,"final_text":false,"prompt":1,"answers":1,"worth":1,"best":1}])",
          "a record of role \"research\" is damaged");
  CHECK(exit_of({"t", "--optimise-prompts", folder / "no/where"}, "--optimise-prompts: ") == 2);
  CHECK(exit_of({"t", "--optimise-prompts", ""}, "--optimise-prompts: the file name is empty") == 2);
  CHECK(server.requests().size() == requests);
}

TEST_CASE("blog_writer: --no-strict-mode and --lm-studio-url are understood", "[examples][blog_writer]") {
  model_server::server server{{.speed = 5000}};
  const scratch folder;
  program blog{FELIX_BLOG_WRITER,
               {"t", "--strict-mode", "--no-strict-mode", "--lm-studio-url", server.url(), "--save-output",
                folder / "out.json"}};
  CHECK(blog.wait() == 0);
  CHECK(nlohmann::json::parse(content_of(folder / "out.json"))["strict_mode"] == false);
}

TEST_CASE("blog_writer: --simulation-time scales the run, and 0 or less is refused", "[examples][blog_writer][D22]") {
  model_server::server server{{.speed = 5000}};
  const auto brief = saved(server.url(), "Write about tea", {"--simulation-time", "0.05", "--random-seed", "1"});
  const auto usual = saved(server.url(), "Write about tea", {"--random-seed", "1"});
  CHECK(brief["requests"] < usual["requests"]);
  CHECK(brief["complete"] == true);
  for (const char* bad : {"0", "-1", "nan", "x", "1e9", "inf"}) {
    CAPTURE(bad);
    CHECK(exit_of({"t", std::string{"--simulation-time="} + bad}, "--simulation-time") == 2);
  }
}

TEST_CASE("blog_writer: bad input is refused with a clear error and status 2, before any request",
          "[examples][blog_writer]") {
  const scratch folder;
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, R"({"data":[]})"); }};
  CHECK(exit_of({}, "TOPIC") == 2);
  CHECK(exit_of({""}, "TOPIC is empty") == 2);
  CHECK(exit_of({" \t\n"}, "TOPIC is empty") == 2);
  CHECK(exit_of({"bad \xff utf-8"}, "byte 5 is not UTF-8") == 2);
  CHECK(exit_of({"t", "--nonsense"}, "--nonsense") == 2);
  CHECK(exit_of({"t", "two"}, "two") == 2);
  CHECK(exit_of({"t", "--complexity", "huge"}, "--complexity") == 2);
  for (const char* bad : {"0", "-1", "x", "99999"})
    CHECK(exit_of({"t", std::string{"--max-concurrent="} + bad}, "--max-concurrent") == 2);
  CHECK(exit_of({"t", "--random-seed=-1"}, "--random-seed") == 2);
  CHECK(exit_of({"t", "--base-url", "nonsense"}, "base_url") == 2);
  CHECK(exit_of({"t", "--base-url", "ftp://127.0.0.1"}, "base_url") == 2);
  CHECK(exit_of({"t", "--base-url", felix::test::unused_port_url() + "/v1"}, "is a server listening there?") == 2);
  CHECK(exit_of({"t", "--api-key-env", "FELIX_NO_SUCH_VARIABLE"}, "FELIX_NO_SUCH_VARIABLE") == 2);
  CHECK(exit_of({"t", "--api-key-env", "FELIX_KEY", "--base-url", server.url()}, "FELIX_KEY",
                {{"FELIX_KEY", "a\nb"}}) == 2);
  CHECK(exit_of({"t", "--save-output", folder / "no/such/folder.json", "--base-url", server.url()}, "folder.json") ==
        2);
  CHECK(exit_of({"t", "--save-output", folder.path.string(), "--base-url", server.url()}, folder.path.string()) == 2);
  CHECK(exit_of({"t", "--save-output", "", "--base-url", server.url()}, "--save-output") == 2);
  CHECK(server.requests().empty());
  CHECK(exit_of({std::string(20'000, 'x'), "--base-url", server.url(), "--strict-mode"}, "budget") == 2);
}

TEST_CASE("blog_writer: a server that is none, redirects or refuses the key is an error with status 2",
          "[examples][blog_writer]") {
  const std::string key = "sk-secret-0123456789";
  const int status = GENERATE(200, 302, 401, 403);
  fault_server server{[&](const felix::test::request& r) {
    return felix::test::http(status, R"({"error":{"message":"wrong key: )" + r.header("authorization") + R"("}})",
                             {{"Location", "http://other:1/" + key}});
  }};
  const scratch folder;
  program blog{
      FELIX_BLOG_WRITER,
      {"t", "--base-url", server.url(), "--api-key-env", "FELIX_KEY", "--debug", "--save-output", folder / "o.json"},
      {{"FELIX_KEY", key}}};
  CHECK(blog.wait() == 2);
  CHECK_THAT(blog.err() + blog.out(), ContainsSubstring(server.url()) && !ContainsSubstring(key));
  CHECK_FALSE(std::filesystem::exists(folder / "o.json"));
  CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("blog_writer: a key never appears, even when the server writes it into its answers",
          "[examples][blog_writer]") {
  const std::string key = "sk-secret-0123456789";
  fault_server server{[&](const felix::test::request& r) {
    if (r.method == "GET") return felix::test::http(200, R"({"data":[]})");
    return felix::test::chat("# Post\n\nYour key is " + key + ", and " + r.header("authorization"), 100, 20);
  }};
  const scratch folder;
  program blog{
      FELIX_BLOG_WRITER,
      {"t", "--base-url", server.url(), "--api-key-env", "FELIX_KEY", "--debug", "--save-output", folder / "o.json"},
      {{"FELIX_KEY", key}}};
  CHECK(blog.wait() == 0);
  CHECK_THAT(blog.err() + blog.out() + content_of(folder / "o.json"), !ContainsSubstring(key));
}

TEST_CASE("blog_writer: when every chat fails, status 1 and the reason, and nothing is written over",
          "[examples][blog_writer]") {
  const auto how = GENERATE(felix::test::reply::ending::keep_alive, felix::test::reply::ending::cut,
                            felix::test::reply::ending::reset);
  fault_server server{[&](const felix::test::request& r) {
    if (r.method == "GET") return felix::test::http(200, R"({"data":[]})");
    auto answer = felix::test::http(500, R"({"error":{"message":"out of memory"}})");
    answer.end = how;
    return answer;
  }};
  program blog{FELIX_BLOG_WRITER, {"t", "--base-url", server.url()}};
  CHECK(blog.wait() == 1);
  CHECK_THAT(blog.out(), ContainsSubstring("Not complete: "));
}

TEST_CASE("blog_writer: Ctrl-C ends it at once with the best text so far, and frees the server",
          "[examples][blog_writer]") {
  model_server::server server{{.slots = 2}};  // in real time: there is something to interrupt
  const scratch folder;
  program blog{
      FELIX_BLOG_WRITER,
      {"Write about tea", "--base-url", server.url(), "--random-seed", "1", "--save-output", folder / "o.json"}};
  const int when = GENERATE(0, 1);
  REQUIRE(blog.wait_for(when == 0 ? "research_002" : "tokens, confidence"));
  blog.send(SIGINT);
  CHECK(blog.wait() == 130);
  const auto json = nlohmann::json::parse(content_of(folder / "o.json"));
  CHECK(json["complete"] == false);
  CHECK(json["final_text"].get<std::string>().empty() == (when == 0));
  if (when == 1) CHECK_THAT(blog.out(), ContainsSubstring("interrupted"));
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (server.snapshot().in_flight > 0 && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
  CHECK(server.snapshot().in_flight == 0);
}

TEST_CASE("blog_writer: a reader that leaves ends it quietly", "[examples][blog_writer]") {
  model_server::server server{{.speed = 5000}};
  program blog{FELIX_BLOG_WRITER, {"Write about tea", "--base-url", server.url(), "--random-seed", "1"}};
  blog.close_stdout();
  CHECK(blog.wait() == 0);
  CHECK_THAT(blog.err(), !ContainsSubstring("blog_writer: "));
}

TEST_CASE("blog_writer: an output that fails loses nothing, and is said", "[examples][blog_writer]") {
  model_server::server server{{.speed = 5000}};
  const scratch folder;
  const auto shell = [&](const std::string& redirections, const std::string& more) {
    return program{"/bin/sh",
                   {"-c", std::string{"exec "} + FELIX_BLOG_WRITER + " tea --base-url " + server.url() +
                              " --random-seed 1 " + more + " " + redirections}};
  };
  {
    auto blog = shell(">/dev/full", "--save-output " + (folder / "a.json"));
    CHECK(blog.wait() == 1);
    CHECK_THAT(blog.err(), ContainsSubstring("could not be written to stdout"));
    CHECK(nlohmann::json::parse(content_of(folder / "a.json"))["complete"] == true);
  }
  {
    auto blog = shell("", "--save-output /dev/full");
    CHECK(blog.wait() == 1);
    CHECK_THAT(blog.out(), ContainsSubstring("PASS       tokens"));  // the post was shown before
    CHECK_THAT(blog.err(), ContainsSubstring("/dev/full"));
  }
  for (const char* closed : {">&-", "2>&-", ">&- 2>&-", "2>/dev/full"}) {
    CAPTURE(closed);
    auto blog = shell(closed, "--save-output " + (folder / "b.json"));
    CHECK(blog.wait() == 0);
    CHECK(nlohmann::json::accept(content_of(folder / "b.json")));
  }
}

TEST_CASE("blog_writer: --help tells every option, on stdout, with status 0", "[examples][blog_writer]") {
  program blog{FELIX_BLOG_WRITER, {"--help"}};
  CHECK(blog.wait() == 0);
  for (const char* option :
       {"TOPIC", "--strict-mode", "--max-concurrent", "--complexity", "--random-seed", "--simulation-time",
        "--base-url", "--model", "--api-key-env", "--save-output", "--debug", "--sequential"})
    CHECK_THAT(blog.out(), ContainsSubstring(option));
}

TEST_CASE("output_file: replaces a file as a whole, and leaves it alone until then", "[examples][blog_writer]") {
  const scratch folder;
  const std::string path = folder / "kept.json";
  std::ofstream{path} << "before";
  ::chmod(path.c_str(), 0640);
  { blog_writer::output_file file{"--save-output", path}; }
  CHECK(content_of(path) == "before");
  {
    blog_writer::output_file file{"--save-output", path};
    CHECK(content_of(path) == "before");
    file.write("after");
  }
  CHECK(content_of(path) == "after");
  struct stat found{};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777U) == 0640);
  const std::string link = folder / "link.json";
  std::filesystem::create_symlink(path, link);
  blog_writer::output_file{"--save-output", link}.write("through the link");
  CHECK(std::filesystem::is_symlink(link));
  CHECK(content_of(path) == "through the link");
  CHECK(std::distance(std::filesystem::directory_iterator{folder.path}, {}) == 2);  // nothing is left beside them
  blog_writer::output_file{"--save-output", "/dev/null"}.write("gone");
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

TEST_CASE("report: text from a model cannot steer the terminal", "[examples][blog_writer]") {
  blog_writer::run_report report;
  report.result.final_text = "# Title\n\x1b[2J\x1b]0;owned\x07 text \xff";
  report.result.complete = true;
  CHECK_THAT(blog_writer::as_text(report),
             ContainsSubstring("# Title\n[2J]0;owned text") && !ContainsSubstring("\x1b"));
  CHECK(nlohmann::json::accept(blog_writer::as_json(report)));
}
