// SPDX-License-Identifier: MIT
// agent: what was published at the central post, as readers see it.
#pragma once

#include <felix/budget/role_id.hpp>

#include <cstdint>
#include <string>

namespace felix::inline v1 {

struct post_message {
  agent_id from = {};
  role_id role = {};
  std::string finding = {};  ///< the text on one line
  double confidence = 0;
  std::uint64_t order = 0;  ///< the publisher's place in the run: readers see an order that does not depend on timing
};

}  // namespace felix::inline v1
