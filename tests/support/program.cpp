// SPDX-License-Identifier: MIT
// Tests: see program.hpp.
#include "support/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <tuple>

namespace felix::test {

namespace {

constexpr std::chrono::seconds patience{60};

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error{"pipe"};
  return ends;
}

}  // namespace

program::program(const std::string& path, std::vector<std::string> arguments,
                 std::vector<std::pair<std::string, std::string>> environment) {
  const auto out = make_pipe();
  const auto err = make_pipe();
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error{"fork"};
  if (pid_ == 0) {
    ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    ::signal(SIGPIPE, SIG_DFL);
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_end_ = out[0];
  err_end_ = err[0];
}

program::~program() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  for (const int end : {out_end_, err_end_}) {
    if (end >= 0) ::close(end);
  }
}

bool program::read_some() {
  std::array<pollfd, 2> ends{{{out_end_, POLLIN, 0}, {err_end_, POLLIN, 0}}};  // a negative one is ignored
  if (out_end_ < 0 && err_end_ < 0) return false;
  if (::poll(ends.data(), ends.size(), 100) < 0 && errno != EINTR) return false;
  for (auto [descriptor, text, own] : {std::tuple{ends[0], &out_, &out_end_}, {ends[1], &err_, &err_end_}}) {
    if (descriptor.revents == 0) continue;
    std::array<char, 4096> bytes;
    const auto count = ::read(*own, bytes.data(), bytes.size());
    if (count > 0) {
      text->append(bytes.data(), static_cast<std::size_t>(count));
    } else {
      ::close(*own);
      *own = -1;
    }
  }
  return out_end_ >= 0 || err_end_ >= 0;
}

int program::wait() {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (read_some()) {
    if (std::chrono::steady_clock::now() > deadline) ::kill(pid_, SIGKILL);
  }
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void program::send(int signal) const { ::kill(pid_, signal); }

bool program::wait_for(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const auto seen = [&] { return out_.find(text) != std::string::npos || err_.find(text) != std::string::npos; };
  while (!seen() && std::chrono::steady_clock::now() < deadline) {
    if (!read_some()) break;
  }
  return seen();
}

void program::close_stdout() {
  ::close(out_end_);
  out_end_ = -1;
}

}  // namespace felix::test
