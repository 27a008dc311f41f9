// SPDX-License-Identifier: MIT
// code_reviewer: source files, read and cut into pieces that a prompt has room for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace code_reviewer {

struct source_file {
  std::string name;                ///< as it was given
  std::vector<std::string> lines;  ///< valid UTF-8, without line ends
};

/// A run of lines of a file. Lines count from 1.
struct piece {
  std::size_t file = 0;
  std::size_t first_line = 1;
  std::size_t last_line = 1;
};

/// Throws blog_writer::usage_error for a text with NUL, which is no source: says which file.
source_file as_source(std::string name, std::string_view text);

/// "-" is the standard input. Throws blog_writer::usage_error, which names the file, when it is missing, a folder, too large or
/// no text.
source_file read_source(const std::string& path, std::size_t max_bytes);

/// Each of at most so many bytes with its line numbers, but at least one line. An empty file has none.
std::vector<piece> pieces_of(const std::vector<source_file>& files, std::size_t max_bytes);

/// "  12| code", a line each. A line beyond 400 bytes is cut, with an ellipsis.
std::string numbered(const source_file& file, const piece& part);

}  // namespace code_reviewer
