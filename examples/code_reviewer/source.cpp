// SPDX-License-Identifier: MIT
// code_reviewer: see source.hpp.
#include "code_reviewer/source.hpp"

#include "blog_writer/options.hpp"

#include <felix/utf8.hpp>

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

namespace code_reviewer {

namespace {

constexpr std::size_t longest_line = 400;

std::string numbered_line(const source_file& file, std::size_t number) {
  const std::string& line = file.lines[number - 1];
  if (line.size() <= longest_line) return fmt::format("{:>4}| {}\n", number, line);
  std::size_t end = longest_line;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) --end;  // not inside a character
  return fmt::format("{:>4}| {}…\n", number, line.substr(0, end));
}

}  // namespace

source_file as_source(std::string name, std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    throw blog_writer::usage_error{fmt::format("{}: it has a NUL byte, so it is no source text", name)};
  source_file file{std::move(name), {}};
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::string valid;
    felix::append_valid_utf8(valid, line);
    file.lines.push_back(felix::without_controls(valid));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return file;
}

source_file read_source(const std::string& path, std::size_t max_bytes) {
  const auto refused = [&](const std::string& why) {
    return blog_writer::usage_error{fmt::format("{}: {}", path, why)};
  };
  std::error_code unknown;
  if (path != "-" && std::filesystem::is_directory(path, unknown)) throw refused("it is a folder; name its files");
  std::ifstream opened;
  if (path != "-") {
    opened.open(path, std::ios::binary);
    if (!opened) throw refused(fmt::format("it cannot be read: {}", std::strerror(errno)));
  }
  std::istream& from = path == "-" ? std::cin : opened;
  std::string text(max_bytes + 1, '\0');
  from.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (from.bad()) throw refused(fmt::format("it cannot be read: {}", std::strerror(errno)));
  text.resize(static_cast<std::size_t>(from.gcount()));
  if (text.size() > max_bytes)
    throw refused(fmt::format("it has more than {} bytes; raise --max-file-bytes, or review a part of it", max_bytes));
  return as_source(path == "-" ? "<stdin>" : path, text);
}

std::vector<piece> pieces_of(const std::vector<source_file>& files, std::size_t max_bytes) {
  std::vector<piece> pieces;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::size_t bytes = 0;
    for (std::size_t number = 1; number <= files[i].lines.size(); ++number) {
      const std::size_t more = numbered_line(files[i], number).size();
      if (number == 1 || bytes + more > max_bytes) {
        pieces.push_back({i, number, number});
        bytes = 0;
      }
      bytes += more;
      pieces.back().last_line = number;
    }
  }
  return pieces;
}

std::string numbered(const source_file& file, const piece& part) {
  std::string text;
  for (std::size_t number = part.first_line; number <= part.last_line; ++number) text += numbered_line(file, number);
  return text;
}

}  // namespace code_reviewer
