// SPDX-License-Identifier: MIT
// blog_writer: see progress.hpp.
#include "blog_writer/progress.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace blog_writer {

namespace {

std::string describe(const felix::session_event& event) {
  using kind = felix::session_event::kind;
  switch (event.what) {
    case kind::stage_started: return fmt::format("stage {} at tick {} …", event.stage, event.tick);
    case kind::stage_ended:
      return fmt::format("stage {} at tick {}: {} tokens, confidence {:.2f}", event.stage, event.tick, event.tokens,
                         event.confidence);
    case kind::stage_failed: return fmt::format("stage {} failed: {}", event.stage, event.message);
    case kind::stage_dropped: return fmt::format("rests from tick {} on: {}", event.tick, event.message);
    case kind::agent_added: return fmt::format("joins at tick {}: {}", event.tick, event.message);
    case kind::accepted:
      return fmt::format("accepted with confidence {:.2f}: the team's work is done", event.confidence);
    case kind::final_started: return "writes the final text …";
    case kind::final_ended: return fmt::format("has written the final text: {} tokens", event.tokens);
    case kind::final_failed: return fmt::format("could not write the final text: {}", event.message);
  }
  return {};
}

/// Progress that nobody can see any more (a full disk, a closed pipe) is no reason to stop.
void write(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); }

}  // namespace

progress::progress(bool plain)
    : terminal_{!plain && ::isatty(STDERR_FILENO) == 1}, start_{std::chrono::steady_clock::now()} {
  const char* const kind = std::getenv("TERM");
  if (kind == nullptr || std::string_view{kind} == "dumb") terminal_ = false;
  winsize size{};
  if (terminal_ && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) columns_ = size.ws_col;
}

void progress::show(const felix::session_event& event) {
  const std::string agent{event.agent.name()};
  // Once the tokens of its role are gone, an agent has none for any later stage: said once.
  if (event.what == felix::session_event::kind::stage_dropped && !without_tokens_.insert(agent).second) return;
  const std::string text = describe(event);
  if (!terminal_) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    write(fmt::format("{:6.1f} s  {:<14} {}\n", seconds, agent, text));
    return;
  }
  auto found = std::find_if(lines_.begin(), lines_.end(), [&](const line& each) { return each.agent == agent; });
  if (found == lines_.end()) found = lines_.insert(lines_.end(), {agent, {}});
  found->text = text;
  redraw();
}

void progress::redraw() {
  std::string frame;
  if (drawn_ > 0) frame += fmt::format("\033[{}A", drawn_);
  for (const auto& [agent, text] : lines_) {
    std::string shown = fmt::format("{:<14} {}", agent, text);
    // A line that wraps would break the count of lines to go up. Bytes are at least as many as columns here.
    if (shown.size() >= columns_) shown = felix::clip(shown, columns_ - 1);
    frame += "\033[2K" + shown + "\n";
  }
  drawn_ = lines_.size();
  write(frame);
}

}  // namespace blog_writer
