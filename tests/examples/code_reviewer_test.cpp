// SPDX-License-Identifier: MIT
// code_reviewer: source files in, findings out, as text, JSON and SARIF; over real sockets.
#include "code_reviewer/finding.hpp"
#include "code_reviewer/report.hpp"
#include "code_reviewer/review_team.hpp"
#include "code_reviewer/source.hpp"

#include "blog_writer/options.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/program.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using code_reviewer::finding;
using code_reviewer::severity;
using felix::test::fault_server;
using felix::test::program;

namespace {

class scratch {
 public:
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "felix_review_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  scratch(scratch&&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] std::string operator/(std::string_view name) const { return (folder_ / name).string(); }
  std::string write(std::string_view name, std::string_view content) const {
    std::ofstream{*this / name, std::ios::binary} << content;
    return *this / name;
  }

 private:
  std::filesystem::path folder_;
};

std::string content_of(const std::string& path) {
  std::ifstream file{path};
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

constexpr code_reviewer::piece whole{.file = 0, .first_line = 1, .last_line = 99};

std::string shown(const std::vector<finding>& all) {
  std::string text;
  for (const auto& each : all)
    text += std::string{to_string(each.level)} + " " + std::to_string(each.line) + " " + each.text + "; ";
  return text;
}
std::string read(std::string_view answer, const code_reviewer::piece& part = whole) {
  return shown(code_reviewer::findings_in(answer, "research_001", "style", part));
}

/// A reviewer that finds the same in every piece.
felix::test::reply reviewer(const felix::test::request& asked) {
  if (asked.method == "GET") return felix::test::http(200, R"({"data":[]})");
  if (asked.body.find("You write the report") != std::string::npos)
    return felix::test::chat("The pointer is the worst of it. Mend it first.");
  if (asked.body.find("for security") != std::string::npos)
    return felix::test::chat("error 2: a null pointer is read\nwarning 1: no check\n");
  return felix::test::chat("warning 1: no check\nnote 77: beyond the end\nnone");
}

int run(const std::vector<std::string>& arguments, std::string& out, std::string& err) {
  program reviewing{FELIX_CODE_REVIEWER, arguments};
  const int status = reviewing.wait();
  out = reviewing.out();
  err = reviewing.err();
  return status;
}
int refused(const std::vector<std::string>& arguments, const std::string& why) {
  std::string out, err;
  const int status = run(arguments, out, err);
  CHECK_THAT(err, ContainsSubstring(why));
  CHECK(out.empty());
  return status;
}

}  // namespace

TEST_CASE("code_reviewer: findings are read in whatever form they are written", "[examples][code_reviewer]") {
  CHECK(read("error 12: a leak") == "error 12 a leak; ");
  CHECK(read("Error a.cpp:12: a leak") == "error 12 a leak; ");
  CHECK(read("- **warning** `a2.cpp:3`: 4 is too many") == "warning 3 4 is too many; ");
  CHECK(read("* NOTE line 7: std::move: why") == "note 7 std::move: why; ");
  CHECK(read("1. warning 12-14: long\n2) note 3: short\r\n") == "warning 12 long; note 3 short; ");
  CHECK(read("[error] 5: x") == "error 5 x; ");
  CHECK(read("critical 5: x\nmajor 6: y\ninfo 7: z") == "error 5 x; warning 6 y; note 7 z; ");
}

TEST_CASE("code_reviewer: what is no finding, or of another place, is none", "[examples][code_reviewer]") {
  CHECK(read("").empty());
  CHECK(read("none").empty());
  CHECK(read("This is an error in line 12: really").empty());
  CHECK(read("error: no line").empty());
  CHECK(read("errors 12: a word that only begins so").empty());
  CHECK(read("error 12").empty());
  CHECK(read("error 12:   ").empty());
  CHECK(read("error 99999999999999999999999: x").empty());
  CHECK(read("error 0: x").empty());
  CHECK(read("error 100: x").empty());
  CHECK(read("error 4: x", {.file = 0, .first_line = 5, .last_line = 9}).empty());
  CHECK(read("error 5: x", {.file = 0, .first_line = 5, .last_line = 9}) == "error 5 x; ");
}

TEST_CASE("code_reviewer: the same said by several is one, as grave as the gravest, in the order of the lines",
          "[examples][code_reviewer]") {
  const auto all = code_reviewer::merged({{severity::note, 0, 9, "late", {"a"}, "style"},
                                          {severity::warning, 0, 2, "twice", {"a"}, "style"},
                                          {severity::error, 0, 2, "twice", {"b"}, "bugs"},
                                          {severity::error, 0, 2, "twice", {"b"}, "bugs"},
                                          {severity::note, 0, 2, "other", {"a"}, "style"}});
  CHECK(shown(all) == "error 2 twice; note 2 other; note 9 late; ");
  CHECK(all[0].agents == std::vector<std::string>{"b", "a"});
}

TEST_CASE("code_reviewer: sources are lines of valid text, whatever their ends", "[examples][code_reviewer]") {
  const auto file = code_reviewer::as_source("a.cpp", "one\r\ntwo\nbad \xff\n\nlast");
  REQUIRE(file.lines.size() == 5);
  CHECK(file.lines[0] == "one");
  CHECK(file.lines[2] == "bad \xEF\xBF\xBD");
  CHECK(file.lines[3].empty());
  CHECK(code_reviewer::as_source("a", "").lines.empty());
  CHECK(code_reviewer::as_source("a", "x\n").lines.size() == 1);
  CHECK_THROWS_AS(code_reviewer::as_source("a", std::string_view{"a\0b", 3}), blog_writer::usage_error);
}

TEST_CASE("code_reviewer: pieces hold all lines once, in order, and as many as have room",
          "[examples][code_reviewer]") {
  std::string text;
  for (int i = 0; i < 500; ++i) text += std::string(static_cast<std::size_t>(i % 90), 'x') + "\n";
  text += std::string(5'000, 'y') + "\n";
  const std::vector<code_reviewer::source_file> files{code_reviewer::as_source("a", text),
                                                      code_reviewer::as_source("empty", ""),
                                                      code_reviewer::as_source("b", "one\ntwo\n")};
  std::map<std::size_t, std::size_t> next{{0, 1}, {2, 1}};
  for (const auto& part : code_reviewer::pieces_of(files, 1'000)) {
    CHECK(part.first_line == next.at(part.file));
    CHECK(part.last_line >= part.first_line);
    CHECK(code_reviewer::numbered(files[part.file], part).size() <= 1'000);
    next[part.file] = part.last_line + 1;
  }
  CHECK(next[0] == 502);
  CHECK(next[2] == 3);
  CHECK(code_reviewer::numbered(files[2], {2, 1, 2}) == "   1| one\n   2| two\n");
  // A line that has no room is cut, never inside a character.
  const auto wide = code_reviewer::as_source("w", "a" + std::string(300, 'b') + std::string(200, '\xC3'));
  const std::string line = code_reviewer::numbered(code_reviewer::as_source(
                                                       "w", "aé" +
                                                                [] {
                                                                  std::string all;
                                                                  for (int i = 0; i < 300; ++i) all += "é";
                                                                  return all;
                                                                }()),
                                                   {0, 1, 1});
  CHECK(line.find("é…\n") != std::string::npos);
  CHECK(line.size() < 420);
  CHECK_FALSE(code_reviewer::numbered(wide, {0, 1, 1}).empty());
}

TEST_CASE("code_reviewer: paths are URIs in SARIF", "[examples][code_reviewer]") {
  CHECK(code_reviewer::as_uri("src/a.cpp") == "src/a.cpp");
  CHECK(code_reviewer::as_uri("/tmp/a b.cpp") == "file:///tmp/a%20b.cpp");
  CHECK(code_reviewer::as_uri("ä#?.c\xff") == "%C3%A4%23%3F.c%FF");
}

TEST_CASE("code_reviewer: nine agents, one request each, and a report", "[examples][code_reviewer]") {
  const scratch folder;
  const std::string path = folder.write("a.cpp", "int* p = nullptr;\nint x = *p;\n");
  fault_server server{reviewer};
  std::string out, err;
  const int status = run({path, "--base-url", server.url(), "--random-seed", "1", "--sarif", folder / "out.sarif",
                          "--save-output", folder / "out.json"},
                         out, err);
  INFO(err);
  CHECK(status == 0);
  CHECK_THAT(out, ContainsSubstring(path + ":1: warning: no check ["));
  CHECK_THAT(out, ContainsSubstring(path + ":2: error: a null pointer is read [analysis_002]\n"));
  CHECK(out.find("beyond the end") == std::string::npos);
  CHECK_THAT(out, ContainsSubstring("The pointer is the worst of it."));
  CHECK_THAT(out, ContainsSubstring("2 findings in 1 files; 10 requests"));
  int told = 0;
  for (const auto& asked : server.requests()) {
    if (asked.body.find("   2| int x = *p;") != std::string::npos) ++told;
  }
  CHECK(told == 10);

  const auto json = nlohmann::json::parse(content_of(folder / "out.json"));
  CHECK(json["complete"] == true);
  CHECK(json["findings"].size() == 2);
  CHECK(json["findings"][1]["rule"] == "security");
  const auto sarif = nlohmann::json::parse(content_of(folder / "out.sarif"));
  CHECK(sarif["version"] == "2.1.0");
  const auto& results = sarif["runs"][0]["results"];
  REQUIRE(results.size() == 2);
  CHECK(results[1]["level"] == "error");
  CHECK(results[1]["ruleId"] == "security");
  CHECK(results[1]["message"]["text"] == "a null pointer is read");
  CHECK(results[1]["locations"][0]["physicalLocation"]["region"]["startLine"] == 2);
  CHECK(results[1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == code_reviewer::as_uri(path));
  CHECK(sarif["runs"][0]["tool"]["driver"]["rules"].size() == 2);
}

TEST_CASE("code_reviewer: several files and long ones are reviewed side by side, each with its budget",
          "[examples][code_reviewer]") {
  const scratch folder;
  std::string text;
  for (int i = 0; i < 400; ++i) text += "int value_" + std::to_string(i) + " = " + std::to_string(i) + ";\n";
  fault_server server{reviewer};
  std::string out, err;
  const int status = run({folder.write("long one.cpp", text), folder.write("b.cpp", "int b;\n"), "--base-url",
                          server.url(), "--eager", "--strict-mode"},
                         out, err);
  INFO(err);
  CHECK(status == 0);
  CHECK_THAT(out, ContainsSubstring("long one.cpp, lines 1 to "));
  CHECK_THAT(out, ContainsSubstring(" to 400\n"));
  CHECK_THAT(out, ContainsSubstring("b.cpp:1: warning: no check"));
}

TEST_CASE("code_reviewer: --fail-on tells a build that there are findings", "[examples][code_reviewer]") {
  fault_server server{reviewer};
  std::string out, err;
  const std::vector<std::string> code{"--code-string", "int* p = nullptr;\nint x = *p;\n", "--base-url", server.url()};
  const auto with = [&](const char* level) {
    auto arguments = code;
    arguments.insert(arguments.end(), {"--fail-on", level});
    return run(arguments, out, err);
  };
  CHECK(run(code, out, err) == 0);
  CHECK(with("error") == 3);
  CHECK_THAT(out, ContainsSubstring("<code>:2: error"));
  fault_server mild{[](const felix::test::request&) { return felix::test::chat("note 1: fine"); }};
  CHECK(run({"--code-string", "x\n", "--base-url", mild.url(), "--fail-on", "warning"}, out, err) == 0);
  CHECK(run({"--code-string", "x\n", "--base-url", mild.url(), "--fail-on", "note"}, out, err) == 3);
}

TEST_CASE("code_reviewer: bad input is refused before any request, and says what and where",
          "[examples][code_reviewer]") {
  const scratch folder;
  fault_server server{reviewer};
  const std::string binary = folder.write("a.out", std::string_view{"\x7f"
                                                                    "ELF\0\0",
                                                                    6});
  const std::string large = folder.write("large.cpp", std::string(3'000, 'x'));
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--base-url", server.url()});
    return arguments;
  };
  CHECK(refused(with({}), "FILE: nothing to review") == 2);
  CHECK(refused(with({folder / "none.cpp"}), "none.cpp: it cannot be read: No such file") == 2);
  CHECK(refused(with({folder / ""}), "it is a folder") == 2);
  CHECK(refused(with({binary}), "a.out: it has a NUL byte") == 2);
  CHECK(refused(with({large, "--max-file-bytes", "2000"}), "large.cpp: it has more than 2000 bytes") == 2);
  CHECK(refused(with({large, "--code-string", "x"}), "--code-string") == 2);
  CHECK(refused(with({large, "--fail-on", "style"}), "--fail-on") == 2);
  CHECK(refused(with({large, "--sarif", ""}), "--sarif: the file name is empty") == 2);
  CHECK(refused(with({large, "--sarif", folder / "no/where"}), "--sarif: ") == 2);
  CHECK(refused(with({large, "--tokens", "-1"}), "--tokens") == 2);
  CHECK(server.requests().empty());
}

TEST_CASE("code_reviewer: a server that fails is said, with status 1, and the files are written",
          "[examples][code_reviewer]") {
  const scratch folder;
  fault_server server{[](const felix::test::request&) { return felix::test::http(500, R"({"error":"down"})"); }};
  std::string out, err;
  const int status =
      run({"--code-string", "int x;\n", "--base-url", server.url(), "--sarif", folder / "out.sarif"}, out, err);
  CHECK(status == 1);
  CHECK_THAT(out, ContainsSubstring("Not complete: "));
  const auto sarif = nlohmann::json::parse(content_of(folder / "out.sarif"));
  CHECK(sarif["runs"][0]["invocations"][0]["executionSuccessful"] == false);
  CHECK(sarif["runs"][0]["results"].empty());
}

TEST_CASE("code_reviewer: an empty file has nothing to review", "[examples][code_reviewer]") {
  const scratch folder;
  fault_server server{reviewer};
  std::string out, err;
  CHECK(run({folder.write("empty.cpp", ""), "--base-url", server.url()}, out, err) == 0);
  CHECK_THAT(out, ContainsSubstring("No findings."));
  CHECK_THAT(out, ContainsSubstring("empty.cpp: it is empty"));
}

TEST_CASE("code_reviewer: what an answer says in bytes that are no text is valid in every output",
          "[examples][code_reviewer]") {
  const scratch folder;
  fault_server server{[](const felix::test::request&) { return felix::test::chat("error 1: \x1b[31mred\a"); }};
  std::string out, err;
  CHECK(run({"--code-string", "x\n", "--base-url", server.url(), "--sarif", folder / "out.sarif"}, out, err) == 0);
  CHECK(out.find('\x1b') == std::string::npos);
  CHECK_NOTHROW(nlohmann::json::parse(content_of(folder / "out.sarif")));
}
