// SPDX-License-Identifier: MIT
// agent: what others found, cut to what a prompt can afford.
#pragma once

#include <felix/agent/post_message.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/budget/role_id.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <vector>

namespace felix::inline v1 {

/// The newest finding of each agent that `wanted` accepts, the most confident first (of equals the newer), a line each:
///     - [research_001] Tea is old. It comes from China.
/// All together have at most `max_bytes`. When that is little, the least confident are left out and the others cut to whole
/// sentences; to words and an ellipsis where not even the first sentence has room. A blank text is no finding.
/// `messages` are in their order. O(messages), but for the few that have room.
[[nodiscard]] inline std::string findings_text(std::span<const post_message> messages, std::size_t max_bytes,
                                               const std::predicate<const post_message&> auto& wanted) {
  std::vector<const post_message*> found;
  std::unordered_set<std::string_view> agents;
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    if (!message->text.empty() && wanted(*message) && agents.insert(message->from.name()).second)
      found.push_back(&*message);
  }
  // A finding in fewer bytes than this says nothing.
  constexpr std::size_t least_bytes = 80;
  const std::size_t count = std::min(found.size(), std::max<std::size_t>(1, max_bytes / least_bytes));
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count), found.end(),
                    [](const post_message* a, const post_message* b) {
                      return std::tie(b->confidence, b->order, a->from) < std::tie(a->confidence, a->order, b->from);
                    });
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string head = (text.empty() ? "- [" : "\n- [") + std::string{found[i]->from.name()} + "] ";
    const std::size_t share = (max_bytes - text.size()) / (count - i);  // what one does not need goes to the next
    if (share <= head.size()) break;
    const std::string body = clip_to_sentences(found[i]->text, share - head.size());
    if (!body.empty()) text += head + body;
  }
  return text;
}

}  // namespace felix::inline v1
