// SPDX-License-Identifier: MIT
// blog_writer: several prompts for each role, and what they have brought in former runs.
#pragma once

#include <felix/agent/prompt_optimiser.hpp>
#include <felix/agent/role.hpp>

#include <string>
#include <vector>

namespace blog_writer {

/// The role with three more prompts to choose from.
felix::role with_usual_variants(felix::role base);

/// From a JSON file that as_prompt_records() has made; none when there is no such file. Throws usage_error, which names the
/// file and what is wrong with it.
felix::prompt_optimiser read_prompt_records(const std::string& path);

std::string as_prompt_records(const std::vector<felix::prompt_record>& learned);

}  // namespace blog_writer
