// SPDX-License-Identifier: MIT
// agent: a memory that survives restarts, in a file that people can read.
#pragma once

#include <felix/agent/memory.hpp>
#include <felix/error.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace felix::inline v1 {

namespace detail {

/// CRC-32C (Castagnoli), reflected. See: RFC 3720, appendix B.4.
[[nodiscard]] constexpr std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t crc = 0xFFFF'FFFFU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1U) ^ (0x82F6'3B78U & (0U - (crc & 1U)));
  }
  return ~crc;
}
static_assert(crc32c("123456789") == 0xE306'9283U);

/// One line: checksum, time, confidence, role, topic and text between tabs. A tab, a line break and a backslash inside
/// are \t, \n, \r and \\.
[[nodiscard]] inline std::string memory_line(const memory_record& record) {
  const auto escaped = [](std::string_view text) {
    std::string safe;
    for (const char c : text) {
      if (c == '\t') {
        safe += "\\t";
      } else if (c == '\n') {
        safe += "\\n";
      } else if (c == '\r') {
        safe += "\\r";
      } else if (c == '\\') {
        safe += "\\\\";
      } else {
        safe += c;
      }
    }
    return safe;
  };
  std::array<char, 32> number{};
  const auto end = std::to_chars(number.data(), number.data() + number.size(), record.confidence).ptr;
  const std::string fields = std::to_string(record.unix_seconds) + '\t' + std::string(number.data(), end) + '\t' +
                             escaped(record.role.name()) + '\t' + escaped(record.topic) + '\t' + escaped(record.text);
  std::string sum(8, '0');
  std::uint32_t left = crc32c(fields);
  for (std::size_t i = 8; i-- > 0; left >>= 4U) sum[i] = "0123456789abcdef"[left & 15U];
  return sum + '\t' + fields + '\n';
}

/// Without its line break. Nothing: it is damaged.
[[nodiscard]] inline std::optional<memory_record> memory_record_of(std::string_view line) {
  if (line.size() < 9 || line[8] != '\t') return std::nullopt;
  std::uint32_t sum = 0;
  if (std::from_chars(line.data(), line.data() + 8, sum, 16).ptr != line.data() + 8) return std::nullopt;
  std::string_view rest = line.substr(9);
  if (crc32c(rest) != sum) return std::nullopt;
  std::array<std::string, 5> fields;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t end = i + 1 < fields.size() ? rest.find('\t') : rest.size();
    if (end == std::string_view::npos) return std::nullopt;
    for (std::size_t at = 0; at < end; ++at) {
      if (rest[at] != '\\' || at + 1 >= end) {
        fields[i] += rest[at];
        continue;
      }
      const char next = rest[++at];
      fields[i] += next == 't' ? '\t' : next == 'n' ? '\n' : next == 'r' ? '\r' : next;
    }
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  memory_record record{.topic = fields[3], .text = fields[4]};
  if (fields[2].size() > role_id::max_bytes) return std::nullopt;
  record.role = std::string_view{fields[2]};
  const auto read = [](const std::string& text, auto& number) {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failure == std::errc{} && end == text.data() + text.size();
  };
  if (!read(fields[0], record.unix_seconds) || !read(fields[1], record.confidence)) return std::nullopt;
  if (!std::isfinite(record.confidence)) return std::nullopt;
  return record;
}

}  // namespace detail

/// What became of a file when it was opened.
struct memory_recovery {
  std::size_t records = 0;     ///< read
  std::size_t damaged = 0;     ///< in the middle: skipped, and left where they are
  std::size_t torn_bytes = 0;  ///< at the end: a record that was not written whole, cut off
};

/// A file that records are appended to, a line each with a checksum. It is read when it is opened; what was torn at its end
/// is cut off then, and nothing before it is ever changed. What is remembered is in the file when remember() returns, and
/// survives the end of the process; sync() makes it survive the end of the power. One process at a time has it.
///     felix::file_memory known{"findings.felix"};
///     felix::session blog{llm, team, budget, {.seed = 7, .memory = known}};
/// Throws:  error (invalid_argument) that names the file: it cannot be opened, read or written, another process has it, or it
///          is no memory of felix's, and is then left as it is. A record that could not be written is not remembered.
/// Threads: none of its own; the owner guards it. Calls block for as long as the disk takes.
class file_memory {
 public:
  explicit file_memory(std::string path) : path_{std::move(path)} {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file_ < 0) throw failed("cannot be opened");
    try {
      if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) throw refused("is in use by another process, or by this one");
        throw failed("cannot be locked");
      }
      load(read_all());
    } catch (...) {
      ::close(file_);
      throw;
    }
  }
  file_memory(file_memory&&) = delete;
  ~file_memory() { ::close(file_); }

  /// False: it is known already, or there is nothing in it.
  bool remember(memory_record found) {
    if (!known_.is_new(found)) return false;
    append(detail::memory_line(found));
    return known_.remember(std::move(found));
  }
  [[nodiscard]] std::vector<memory_record> recall(std::string_view about, std::size_t most) const {
    return known_.recall(about, most);
  }
  void sync() {
    if (::fdatasync(file_) != 0) throw failed("cannot be written to the disk");
  }

  [[nodiscard]] const std::vector<memory_record>& records() const noexcept { return known_.records(); }
  [[nodiscard]] const memory_recovery& recovery() const noexcept { return recovery_; }

 private:
  static constexpr std::string_view header = "felix-memory 1\n";

  [[nodiscard]] error refused(const std::string& why) const {
    return {errc::invalid_argument, "file_memory: " + path_ + " " + why};
  }
  [[nodiscard]] error failed(const std::string& why) const { return refused(why + ": " + std::strerror(errno)); }

  [[nodiscard]] std::string read_all() const {
    struct stat about{};
    if (::fstat(file_, &about) != 0) throw failed("cannot be read");
    if (!S_ISREG(about.st_mode)) throw refused("is no regular file");
    std::string all(static_cast<std::size_t>(about.st_size), '\0');
    for (std::size_t have = 0; have < all.size();) {
      const ssize_t got = ::pread(file_, all.data() + have, all.size() - have, static_cast<off_t>(have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw failed("cannot be read");
      if (got == 0) all.resize(have);  // it has become shorter
      have += static_cast<std::size_t>(got);
    }
    return all;
  }

  void load(const std::string& all) {
    if (header.starts_with(all)) {  // new, or torn when it was made
      cut_to(0);
      append(std::string{header});
      return;
    }
    if (!all.starts_with(header)) throw refused("is no memory of felix's, and is left as it is; give another name");
    std::size_t at = header.size();
    for (std::size_t end = all.find('\n', at); end != std::string::npos; end = all.find('\n', at)) {
      auto record = detail::memory_record_of(std::string_view{all}.substr(at, end - at));
      at = end + 1;
      if (!record) {
        ++recovery_.damaged;
      } else {
        ++recovery_.records;
        known_.remember(std::move(*record));
      }
    }
    recovery_.torn_bytes = all.size() - at;
    size_ = at;
    if (recovery_.torn_bytes > 0) cut_to(at);
  }

  /// All of it, or nothing.
  void append(const std::string& text) {
    for (std::size_t written = 0; written < text.size();) {
      const ssize_t some = ::write(file_, text.data() + written, text.size() - written);
      if (some < 0 && errno == EINTR) continue;
      if (some < 0) {
        const error failure = failed("cannot be written");
        cut_to(size_);
        throw failure;
      }
      written += static_cast<std::size_t>(some);
    }
    size_ += text.size();
  }
  void cut_to(std::size_t bytes) {
    if (::ftruncate(file_, static_cast<off_t>(bytes)) != 0) throw failed("cannot be cut to its whole records");
    size_ = bytes;
  }

  const std::string path_;
  int file_ = -1;
  std::size_t size_ = 0;  // of what is whole in it
  process_memory known_;
  memory_recovery recovery_;
};

static_assert(memory<file_memory>);

}  // namespace felix::inline v1
