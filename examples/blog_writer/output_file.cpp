// SPDX-License-Identifier: MIT
// blog_writer: see output_file.hpp.
#include "blog_writer/output_file.hpp"

#include "blog_writer/options.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace blog_writer {

output_file::output_file(std::string_view option, std::string path) : path_{std::move(path)} {
  const auto refuse = [&](int why) {
    throw usage_error{fmt::format("{}: {} cannot be written: {}", option, path_, std::strerror(why))};
  };
  struct stat found{};
  const bool exists = ::stat(path_.c_str(), &found) == 0;
  if (exists && S_ISDIR(found.st_mode)) refuse(EISDIR);
  if (exists && !S_ISREG(found.st_mode)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) refuse(errno);
    return;
  }
  if (exists) {
    if (::access(path_.c_str(), W_OK) != 0) refuse(errno);
    const std::unique_ptr<char, void (*)(void*)> resolved{::realpath(path_.c_str(), nullptr), &std::free};
    if (resolved) path_ = resolved.get();  // the file behind a link is replaced, not the link
  }
  beside_ = path_ + ".XXXXXX";
  descriptor_ = ::mkstemp(beside_.data());
  if (descriptor_ < 0) refuse(errno);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(descriptor_, exists ? found.st_mode & 07777U : 0666U & ~mask);  // mkstemp's 0600 is for secrets
}

output_file::~output_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!beside_.empty()) ::unlink(beside_.c_str());
}

void output_file::write(std::string_view content) {
  const auto fail = [this] {
    throw std::runtime_error{fmt::format("{} could not be written: {}", path_, std::strerror(errno))};
  };
  while (!content.empty()) {
    const auto written = ::write(descriptor_, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail();
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (beside_.empty()) return;
  if (::fsync(descriptor_) != 0 || ::rename(beside_.c_str(), path_.c_str()) != 0) fail();
  beside_.clear();
}

}  // namespace blog_writer
