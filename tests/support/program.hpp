// SPDX-License-Identifier: MIT
// Tests: a program as a user starts it, with its output caught.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace felix::test {

/// A child process. stdin is empty.
///     program blog{FELIX_BLOG_WRITER, {"Write about tea"}};
///     CHECK(blog.wait() == 0);
/// Lifetime: the destructor ends it, if it still runs.
class program {
 public:
  program(const std::string& path, std::vector<std::string> arguments,
          std::vector<std::pair<std::string, std::string>> environment = {});
  program(program&&) = delete;
  ~program();

  /// Reads until both outputs end, and gives the exit status, or 128 + the signal that ended it. At most 60 s, then it
  /// is killed.
  int wait();
  void send(int signal) const;
  /// Reads until `text` has been seen in an output. False: it ended, or 60 s passed, before.
  bool wait_for(const std::string& text);
  /// Nobody reads its stdout any more.
  void close_stdout();

  [[nodiscard]] const std::string& out() const noexcept { return out_; }
  [[nodiscard]] const std::string& err() const noexcept { return err_; }

 private:
  bool read_some();  // false: both outputs have ended

  int pid_ = -1;
  int out_end_ = -1, err_end_ = -1;
  std::string out_, err_;
};

}  // namespace felix::test
