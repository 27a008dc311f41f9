// SPDX-License-Identifier: MIT
// benchmarks: a folder that is gone afterwards.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

namespace bench {

class temporary_folder {
 public:
  temporary_folder() : name_{(std::filesystem::temp_directory_path() / "felix_benchmark_XXXXXX").string()} {
    if (::mkdtemp(name_.data()) == nullptr) throw std::system_error{errno, std::generic_category(), name_};
  }
  temporary_folder(temporary_folder&&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(name_, ignored);
  }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
};

}  // namespace bench
