// SPDX-License-Identifier: MIT
#include <felix/net/detail/wake_pipe.hpp>

#include "support/catch.hpp"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>

static bool is_readable(const felix::detail::wake_pipe& pipe) {
  pollfd watched{pipe.read_end(), POLLIN, 0};
  return ::poll(&watched, 1, 0) == 1;
}

TEST_CASE("wake_pipe: is readable from a write to the drain that follows", "[net][wake_pipe]") {
  felix::detail::wake_pipe pipe;
  CHECK_FALSE(is_readable(pipe));
  pipe.write();
  pipe.write();
  CHECK(is_readable(pipe));
  pipe.drain();
  CHECK_FALSE(is_readable(pipe));
  pipe.drain();  // of nothing: does not block
}

TEST_CASE("wake_pipe: a full pipe neither blocks nor changes errno", "[net][wake_pipe]") {
  felix::detail::wake_pipe pipe;
  errno = ENOENT;
  for (int i = 0; i < 100'000; ++i) pipe.write();
  CHECK(errno == ENOENT);
  CHECK(is_readable(pipe));
}

TEST_CASE("wake_pipe: is not left to child processes", "[net][wake_pipe]") {
  const felix::detail::wake_pipe pipe;
  CHECK((::fcntl(pipe.read_end(), F_GETFD) & FD_CLOEXEC) != 0);
}
