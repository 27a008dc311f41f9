// SPDX-License-Identifier: MIT
// benchmarks: what the figures were measured on, and how busy it was.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <sys/utsname.h>

#include <string>

namespace bench {

inline std::string machine() {
  utsname system{};
  ::uname(&system);
  const benchmark::CPUInfo& processors = benchmark::CPUInfo::Get();
  std::string text = fmt::format("{} {}, {} processors of {:.0f} MHz", system.sysname, system.machine,
                                 processors.num_cpus, processors.cycles_per_second / 1e6);
  for (const auto& cache : processors.caches) {
    if (cache.type != "Instruction") text += fmt::format(", L{} {} KiB", cache.level, cache.size / 1024);
  }
  if (!processors.load_avg.empty()) text += fmt::format(", load {:.2f} at the start", processors.load_avg.front());
  if (processors.scaling == benchmark::CPUInfo::ENABLED) text += ", frequency scaling is on";
  return text;
}

inline std::string compiler() {
#if defined(__clang__)
  return "clang++ " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace bench
