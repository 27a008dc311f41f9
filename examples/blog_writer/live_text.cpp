// SPDX-License-Identifier: MIT
// blog_writer: see live_text.hpp.
#include "blog_writer/live_text.hpp"

#include <felix/utf8.hpp>

#include <algorithm>
#include <cstdio>

namespace blog_writer {

void live_text::show(const felix::session_event& event) {
  using kind = felix::session_event::kind;
  if (failed_) return;
  if (event.what == kind::final_started) parts_.push_back({event.agent, {}});
  if (event.what == kind::final_failed) {
    failed_ = true;
    if (!shown_.empty()) std::fputs(" […]\n\n", stdout);
    std::fflush(stdout);
  }
  if (event.what == kind::final_ended) {
    part_of(event.agent)->ended = true;
    print();
  }
}

void live_text::show(const felix::session_delta& delta) {
  if (failed_ || !delta.final_text) return;
  part_of(delta.agent)->text += delta.text;
  print();
}

bool live_text::has_shown(const std::string& text) const { return !failed_ && !text.empty() && shown_ == text; }

live_text::part* live_text::part_of(const felix::agent_id& writer) {
  return &*std::find_if(parts_.begin(), parts_.end(), [&](const part& each) { return each.writer == writer; });
}

void live_text::print() {
  std::string more;
  while (current_ < parts_.size()) {
    const part& now = parts_[current_];
    more += now.text.substr(printed_);
    printed_ = now.text.size();
    if (!now.ended) break;
    ++current_;
    printed_ = 0;
    if (current_ < parts_.size()) more += "\n\n";
  }
  shown_ += more;
  const std::string safe = felix::without_controls(more);
  std::fwrite(safe.data(), 1, safe.size(), stdout);
  std::fflush(stdout);
}

}  // namespace blog_writer
