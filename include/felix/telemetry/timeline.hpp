// SPDX-License-Identifier: MIT
// telemetry: what happened when, in the order in which it ended.
#pragma once

#include <felix/priority.hpp>
#include <felix/usage.hpp>

#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// One request of an agent, from asking to the end of the answer.
struct request_span {
  std::string agent = {};
  std::string role = {};
  int stage = 0;
  request_priority priority = request_priority::normal;
  std::chrono::steady_clock::time_point begin = {};
  std::chrono::steady_clock::time_point end = {};
  token_usage usage = {};
  std::string failure = {};  ///< what went wrong; empty: nothing
  bool final_text = false;
};

/// A list of spans that grows.
/// Threads: every member, from any thread.
class timeline {
 public:
  timeline() = default;
  timeline(timeline&&) = delete;

  void record(request_span span) {
    std::scoped_lock lock{mutex_};
    spans_.push_back(std::move(span));
  }
  [[nodiscard]] std::vector<request_span> spans() const {
    std::scoped_lock lock{mutex_};
    return spans_;
  }

 private:
  mutable std::mutex mutex_;  // guards spans_
  std::vector<request_span> spans_;
};

}  // namespace felix::inline v1
