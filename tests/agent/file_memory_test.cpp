// SPDX-License-Identifier: MIT
// agent: a memory that survives restarts, torn writes and damage.
#include <felix/agent/file_memory.hpp>

#include "support/catch.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

using Catch::Matchers::ContainsSubstring;
using felix::file_memory;
using felix::memory_record;

namespace {

struct scratch {
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "felix-memory-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    path = (folder / "findings").string();
  }
  ~scratch() { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
  std::string path;

  [[nodiscard]] std::string content() const {
    std::ifstream file{path, std::ios::binary};
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
  }
  void content(const std::string& bytes) const { std::ofstream{path, std::ios::binary} << bytes; }
};

memory_record found(std::string text, double confidence = 0.625) {
  return {.topic = "Write about tea",
          .text = std::move(text),
          .role = "research",
          .confidence = confidence,
          .unix_seconds = 1'700'000'000};
}

std::string refusal(const std::string& path) {
  try {
    const file_memory known{path};
  } catch (const felix::error& failure) {
    CHECK(failure.code() == felix::errc::invalid_argument);
    return failure.what();
  }
  return "opened";
}

}  // namespace

TEST_CASE("file_memory: what was remembered is there again", "[agent][file_memory]") {
  const scratch file;
  const memory_record odd{.topic = "tabs\tand\nbreaks\r\\",
                          .text = "Line one.\nLine\ttwo. \\n 茶 \x01",
                          .role = "odd\trole",
                          .confidence = 0.1,
                          .unix_seconds = -5};
  {
    file_memory known{file.path};
    CHECK(known.remember(found("Tea is old.")));
    CHECK(known.remember(odd));
    CHECK_FALSE(known.remember(found("Tea is old.")));
    known.sync();
  }
  file_memory again{file.path};
  REQUIRE(again.records().size() == 2);
  CHECK(again.records()[0] == found("Tea is old."));
  CHECK(again.records()[1] == odd);
  CHECK(again.recovery().records == 2);
  CHECK(again.recovery().damaged == 0);
  CHECK(again.recovery().torn_bytes == 0);
  CHECK_FALSE(again.remember(found("Tea is old.")));
  CHECK(again.recall("tea", 1).at(0).text == "Tea is old.");
  struct stat about{};
  REQUIRE(::stat(file.path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0077) == 0);  // nobody else reads it
}

TEST_CASE("file_memory: people can read it", "[agent][file_memory]") {
  const scratch file;
  file_memory known{file.path};
  known.remember(found("Tea is old."));
  CHECK_THAT(file.content(), ContainsSubstring("felix-memory 1\n") &&
                                 ContainsSubstring("\t1700000000\t0.625\tresearch\tWrite about tea\tTea is old.\n"));
}

TEST_CASE("file_memory: a record that is torn at any byte is cut off, and all before it stays",
          "[agent][file_memory]") {
  const scratch file;
  std::size_t whole = 0;
  {
    file_memory known{file.path};
    known.remember(found("Tea is old."));
    whole = file.content().size();
    known.remember(found("Tea is green."));
  }
  const std::string all = file.content();
  for (std::size_t size = 0; size < all.size(); ++size) {
    CAPTURE(size);
    file.content(all.substr(0, size));
    {
      file_memory known{file.path};
      REQUIRE(known.records().size() == (size >= whole ? 1U : 0U));
      REQUIRE(known.recovery().damaged == 0);
      REQUIRE(known.remember(found("Tea is black.")));
    }
    file_memory again{file.path};
    REQUIRE(again.records().size() == (size >= whole ? 2U : 1U));
    REQUIRE(again.records().back().text == "Tea is black.");
    REQUIRE(again.recovery().torn_bytes == 0);
  }
}

TEST_CASE("file_memory: any damaged byte costs its own record at most, or two where it was a line break",
          "[agent][file_memory]") {
  const scratch file;
  const std::string texts[] = {"Tea is old.", "Tea is green.", "Tea is dear."};
  {
    file_memory known{file.path};
    for (const auto& text : texts) known.remember(found(text));
  }
  const std::string all = file.content();
  const std::size_t first = all.find('\n') + 1;
  for (std::size_t at = first; at < all.size(); ++at) {
    for (const unsigned flip : {1U, 0x80U}) {
      std::string damaged = all;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ flip);
      CAPTURE(at, flip);
      file.content(damaged);
      file_memory known{file.path};
      REQUIRE(known.records().size() >= (all[at] == '\n' ? 1U : 2U));
      for (const auto& record : known.records())
        REQUIRE(std::find(std::begin(texts), std::end(texts), record.text) != std::end(texts));
      REQUIRE(known.recovery().damaged + known.recovery().torn_bytes > 0);
      if (at + 1 < all.size()) REQUIRE(file.content() == damaged);  // nothing in the middle is changed
    }
  }
}

TEST_CASE("file_memory: what is no memory of felix's is refused, and left as it is", "[agent][file_memory][D37]") {
  const scratch file;
  for (const std::string& content :
       {std::string{"# Notes\n"}, std::string{"felix-memory 2\n"}, std::string(5'000, '\0')}) {
    file.content(content);
    CHECK_THAT(refusal(file.path), ContainsSubstring(file.path + " is no memory of felix's, and is left as it is"));
    CHECK(file.content() == content);
  }
  CHECK_THAT(refusal(file.folder.string()), ContainsSubstring("cannot be opened: Is a directory"));
  CHECK_THAT(refusal((file.folder / "no" / "such").string()), ContainsSubstring("cannot be opened: No such file"));
  CHECK_THAT(refusal("/dev/null"), ContainsSubstring("no regular file"));
}

TEST_CASE("file_memory: one at a time has it", "[agent][file_memory]") {
  const scratch file;
  {
    const file_memory known{file.path};
    CHECK_THAT(refusal(file.path), ContainsSubstring("is in use by another process"));
  }
  CHECK(refusal(file.path) == "opened");
}

TEST_CASE("file_memory: what could not be written is not remembered, and leaves no trace", "[agent][file_memory]") {
  const scratch file;
  file_memory known{file.path};
  known.remember(found("Tea is old."));
  const std::string before = file.content();
  // No file may grow beyond some bytes more than this one has.
  const auto former = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  const rlimit small{before.size() + 10, old_limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string why;
  try {
    known.remember(found("Tea is green."));
  } catch (const felix::error& failure) {
    why = failure.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, former);
  CHECK_THAT(why, ContainsSubstring(file.path + " cannot be written: File too large"));
  CHECK(file.content() == before);
  CHECK(known.records().size() == 1);
  CHECK(known.remember(found("Tea is green.")));
}

TEST_CASE("file_memory: numbers and fields that no record has are damage", "[agent][file_memory]") {
  using felix::detail::memory_record_of;
  const std::string line = felix::detail::memory_line(found("Tea is old."));
  CHECK(memory_record_of(std::string_view{line}.substr(0, line.size() - 1)) == found("Tea is old."));
  const auto with_sum = [](const std::string& fields) {
    std::string sum(8, '0');
    std::uint32_t left = felix::detail::crc32c(fields);
    for (std::size_t i = 8; i-- > 0; left >>= 4U) sum[i] = "0123456789abcdef"[left & 15U];
    return sum + '\t' + fields;
  };
  CHECK(memory_record_of(with_sum("1\t0.5\tr\tt\ttext")));
  for (const char* bad : {"", "1", "1\t0.5\tr\tt", "x\t0.5\tr\tt\ttext", "1\t\tr\tt\ttext", "1\tnan\tr\tt\ttext",
                          "1\t1e999\tr\tt\ttext", "1\t0.5\tthe_name_of_this_role_is_too_long_for_one\tt\ttext"})
    CHECK_FALSE(memory_record_of(with_sum(bad)));
  for (const char* bad : {"", "12345678", "1234567x\t", "12345678 1\t0.5\tr\tt\ttext"})
    CHECK_FALSE(memory_record_of(bad));
}
