// SPDX-License-Identifier: MIT
// code_reviewer: see report.hpp.
#include "code_reviewer/report.hpp"

#include <felix/utf8.hpp>
#include <felix/version.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <set>

namespace code_reviewer {

namespace {

using json = nlohmann::ordered_json;

std::string dumped(const json& value) { return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n"; }

std::string place_of(const review& done, const finding& each) {
  return fmt::format("{}:{}", done.files[each.file].name, each.line);
}

}  // namespace

bool review::complete() const {
  return std::all_of(pieces.begin(), pieces.end(), [](const auto& each) { return each.failure.empty(); });
}

felix::token_usage review::usage() const {
  felix::token_usage sum;
  for (const auto& each : pieces) sum += each.result.usage;
  return sum;
}

std::string as_text(const review& done) {
  std::string text;
  const auto out = std::back_inserter(text);
  for (const auto& each : done.findings)
    fmt::format_to(out, "{}: {}: {} [{}]\n", place_of(done, each), to_string(each.level),
                   felix::without_controls(each.text), fmt::join(each.agents, ", "));
  if (done.findings.empty()) text += "No findings.\n";
  int requests = 0, failed = 0, dropped = 0;
  for (const auto& each : done.pieces) {
    const std::string& name = done.files[each.part.file].name;
    fmt::format_to(out, "\n--- {}, lines {} to {}\n", name, each.part.first_line, each.part.last_line);
    if (!each.failure.empty()) fmt::format_to(out, "Not complete: {}\n", each.failure);
    if (!each.result.final_text.empty()) fmt::format_to(out, "{}\n", felix::without_controls(each.result.final_text));
    requests += each.result.requests;
    failed += each.result.failed;
    dropped += each.result.dropped;
  }
  for (const auto& file : done.files) {
    if (file.lines.empty()) fmt::format_to(out, "\n--- {}: it is empty\n", file.name);
  }
  const felix::token_usage usage = done.usage();
  fmt::format_to(
      out,
      "\n{} findings in {} files; {} requests ({} failed, {} left out for want of tokens), {} tokens{}, {:.1f} s\n",
      done.findings.size(), done.files.size(), requests, failed, dropped, usage.total_tokens,
      usage.estimated ? " (estimated)" : "", done.seconds);
  fmt::format_to(out, "Seed {}\n", done.seed);
  return text;
}

std::string as_json(const review& done) {
  json all;
  all["seed"] = done.seed;
  all["complete"] = done.complete();
  all["duration_s"] = done.seconds;
  const felix::token_usage usage = done.usage();
  all["total_tokens"] = usage.total_tokens;
  all["usage_estimated"] = usage.estimated;
  all["findings"] = json::array();
  for (const auto& each : done.findings)
    all["findings"].push_back({{"file", done.files[each.file].name},
                               {"line", each.line},
                               {"severity", to_string(each.level)},
                               {"text", each.text},
                               {"rule", each.rule},
                               {"agents", each.agents}});
  all["pieces"] = json::array();
  for (const auto& each : done.pieces) {
    json part{{"file", done.files[each.part.file].name},  {"first_line", each.part.first_line},
              {"last_line", each.part.last_line},         {"requests", each.result.requests},
              {"failed_requests", each.result.failed},    {"dropped_stages", each.result.dropped},
              {"tokens", each.result.usage.total_tokens}, {"report", each.result.final_text}};
    if (!each.failure.empty()) part["failure"] = each.failure;
    all["pieces"].push_back(std::move(part));
  }
  return dumped(all);
}

std::string as_sarif(const review& done) {
  std::set<std::string> rules;
  for (const auto& each : done.findings) rules.insert(each.rule);
  json driver{{"name", "felix code_reviewer"}, {"version", FELIX_VERSION_STRING}, {"rules", json::array()}};
  for (const auto& rule : rules) driver["rules"].push_back({{"id", rule}, {"name", rule}});
  json results = json::array();
  for (const auto& each : done.findings) {
    const json location{{"physicalLocation",
                         {{"artifactLocation", {{"uri", as_uri(done.files[each.file].name)}}},
                          {"region", {{"startLine", each.line}}}}}};
    results.push_back({{"ruleId", each.rule},
                       {"level", to_string(each.level)},
                       {"message", {{"text", each.text}}},
                       {"locations", json::array({location})}});
  }
  json run{{"tool", {{"driver", driver}}},
           {"invocations", json::array({{{"executionSuccessful", done.complete()}}})},
           {"results", results}};
  const json all{
      {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}, {"runs", json::array({run})}};
  return dumped(all);
}

std::string as_uri(const std::string& path) {
  std::string uri;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        byte < 0x80 && (std::isalnum(byte) != 0 || std::string_view{"-._~/"}.find(c) != std::string_view::npos);
    if (plain) {
      uri += c;
    } else {
      fmt::format_to(std::back_inserter(uri), "%{:02X}", byte);
    }
  }
  return uri.starts_with('/') ? "file://" + uri : uri;
}

}  // namespace code_reviewer
