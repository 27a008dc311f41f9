// SPDX-License-Identifier: MIT
// blog_writer: see prompt_records.hpp.
#include "blog_writer/prompt_records.hpp"

#include "blog_writer/options.hpp"

#include <felix/agent/prompt_variants.hpp>
#include <felix/error.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

namespace blog_writer {

felix::role with_usual_variants(felix::role base) {
  return felix::with_variants(std::move(base),
                              {"Be concise and structured.", "Say how sure you are.", "Check facts; give examples."});
}

felix::prompt_optimiser read_prompt_records(const std::string& path) {
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown) && !unknown) return {};
  std::ifstream file{path};
  if (!file || std::filesystem::is_directory(path, unknown))
    throw usage_error{fmt::format("--optimise-prompts: {} cannot be read: {}", path, std::strerror(errno))};
  try {
    std::vector<felix::prompt_record> records;
    for (const auto& each : nlohmann::json::parse(file))
      records.push_back({.kind = {.role = each.at("role").get<std::string>(),
                                  .third = each.at("third").get<int>(),
                                  .final_text = each.at("final_text").get<bool>(),
                                  .text = each.at("prompt").get<std::uint64_t>()},
                         .answers = each.at("answers").get<std::uint32_t>(),
                         .worth = each.at("worth").get<double>(),
                         .best = each.at("best").get<double>()});
    return felix::prompt_optimiser{records};
  } catch (const nlohmann::json::exception& wrong) {
    throw usage_error{
        fmt::format("--optimise-prompts: {} is not what blog_writer has written: {}", path, wrong.what())};
  } catch (const felix::error& wrong) {
    throw usage_error{fmt::format("--optimise-prompts: {}: {}", path, wrong.what())};
  }
}

std::string as_prompt_records(const std::vector<felix::prompt_record>& learned) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const auto& each : learned)
    json.push_back({{"role", each.kind.role.name()},
                    {"third", each.kind.third},
                    {"final_text", each.kind.final_text},
                    {"prompt", each.kind.text},
                    {"answers", each.answers},
                    {"worth", each.worth},
                    {"best", each.best}});
  return json.dump(2) + "\n";
}

}  // namespace blog_writer
