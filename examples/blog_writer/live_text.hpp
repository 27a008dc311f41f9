// SPDX-License-Identifier: MIT
// blog_writer: the final text, printed while it is written.
#pragma once

#include <felix/agent/session_result.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace blog_writer {

/// Parts are written side by side, and printed one after the other: the first as it comes, the next when that has ended.
class live_text {
 public:
  void show(const felix::session_event& event);
  void show(const felix::session_delta& delta);

  /// Whether all of this text has been printed. It has not when a part failed and was written again.
  [[nodiscard]] bool has_shown(const std::string& text) const;

 private:
  struct part {
    felix::agent_id writer;
    std::string text;
    bool ended = false;
  };
  part* part_of(const felix::agent_id& writer);
  void print();

  std::vector<part> parts_;
  std::size_t current_ = 0;
  std::size_t printed_ = 0;  // bytes of the current one
  bool failed_ = false;
  std::string shown_;
};

}  // namespace blog_writer
