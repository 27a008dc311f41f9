// SPDX-License-Identifier: MIT
// blog_writer: a file that is found to be writable before the work and replaced as a whole after it.
#pragma once

#include <string>
#include <string_view>

namespace blog_writer {

/// Writes beside the file and renames, so that what was there stays until the new content is complete. What is not a
/// regular file (a pipe, /dev/stdout) is written to directly.
class output_file {
 public:
  /// Throws usage_error, which names the option that asks for it, when it cannot be written.
  output_file(std::string_view option, std::string path);
  output_file(output_file&&) = delete;
  ~output_file();

  /// Throws std::runtime_error when the disk is full or the file has become unwritable.
  void write(std::string_view content);

 private:
  std::string path_;
  std::string beside_;  // empty: direct
  int descriptor_ = -1;
};

}  // namespace blog_writer
