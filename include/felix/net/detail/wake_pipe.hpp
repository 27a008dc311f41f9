// SPDX-License-Identifier: MIT
// net: a descriptor that any thread, and a signal handler, can make readable.
#pragma once

#include <felix/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace felix::inline v1 {
namespace detail {

/// A pipe that wakes a poll(2). Unlike curl_multi_wakeup its end is documented to be safe in a signal handler: write(2).
class wake_pipe {
 public:
  wake_pipe() {
    if (::pipe(ends_.data()) != 0)
      throw error{std::error_code{errno, std::generic_category()},
                  "event_loop: cannot make a pipe; too many open files? (see ulimit -n)"};
    for (const int end : ends_) {
      ::fcntl(end, F_SETFL, O_NONBLOCK);
      ::fcntl(end, F_SETFD, FD_CLOEXEC);
    }
  }
  wake_pipe(wake_pipe&&) = delete;
  ~wake_pipe() {
    for (const int end : ends_) ::close(end);
  }

  [[nodiscard]] int read_end() const noexcept { return ends_[0]; }
  void write() noexcept {
    const int saved = errno;  // a signal handler leaves errno as it was
    const char byte = 0;
    while (::write(ends_[1], &byte, 1) < 0 && errno == EINTR) {}  // a full pipe wakes as well
    errno = saved;
  }
  /// What is left over wakes once more, which is harmless.
  void drain() noexcept {
    std::array<char, 64> bytes;
    static_cast<void>(::read(ends_[0], bytes.data(), bytes.size()));
  }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace detail
}  // namespace felix::inline v1
