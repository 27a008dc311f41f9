// SPDX-License-Identifier: MIT
// blog_writer: what is going on, on stderr: a live line per agent on a terminal, else a line per event.
#pragma once

#include <felix/agent/session_result.hpp>

#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace blog_writer {

class progress {
 public:
  /// `plain`: a line for each event, also on a terminal.
  explicit progress(bool plain = false);
  void show(const felix::session_event& event);

 private:
  struct line {
    std::string agent, text;
  };
  void redraw();

  bool terminal_;
  std::size_t columns_ = 80;
  std::vector<line> lines_;               // by first appearance
  std::set<std::string> without_tokens_;  // agents of which a stage was dropped
  std::size_t drawn_ = 0;                 // lines on the terminal now
  std::chrono::steady_clock::time_point start_;
};

}  // namespace blog_writer
