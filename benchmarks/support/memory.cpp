// SPDX-License-Identifier: MIT
// benchmarks: operator new that counts, and what the C library and the kernel say.
#include "support/memory.hpp"

#include <fmt/core.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <system_error>

namespace {

// Counted only in the child processes that measure memory: elsewhere the price is a branch.
struct {
  bool on = false;
  // Of blocks that were there before, the end is counted too: only differences are used. Exact while one thread runs.
  std::atomic<std::size_t> now{0}, peak{0};
  std::atomic<std::size_t> calls{0};  // exact in any case
} counter;

void* counted(void* memory, std::size_t bytes) {
  if (memory == nullptr) throw std::bad_alloc{};
  if (counter.on) {
    counter.calls.fetch_add(1, std::memory_order_relaxed);
    const std::size_t now = counter.now.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (now > counter.peak.load(std::memory_order_relaxed)) counter.peak.store(now, std::memory_order_relaxed);
  }
  return memory;
}

// A size that was not passed is asked for, rounded up, when the block goes.
void uncounted(void* memory, std::size_t bytes) noexcept {
  if (counter.on && memory != nullptr) counter.now.fetch_sub(bytes, std::memory_order_relaxed);
  std::free(memory);
}
void uncounted(void* memory) noexcept { uncounted(memory, counter.on ? ::malloc_usable_size(memory) : 0); }

}  // namespace

// The array and nothrow forms of the standard library come here.
void* operator new(std::size_t bytes) { return counted(std::malloc(bytes), bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto to = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(to, (bytes + to - 1) / to * to), bytes);
}
void operator delete(void* memory) noexcept { uncounted(memory); }
void operator delete(void* memory, std::size_t bytes) noexcept { uncounted(memory, bytes); }
void operator delete(void* memory, std::align_val_t) noexcept { uncounted(memory); }
void operator delete(void* memory, std::size_t bytes, std::align_val_t) noexcept { uncounted(memory, bytes); }

namespace bench {

memory_use memory_use::now() {
  long pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%*d %ld", &pages) != 1)
    throw std::runtime_error{"/proc/self/statm cannot be read, so memory is not measured here"};
  std::fclose(file);
  const struct mallinfo2 heap = ::mallinfo2();
  return {static_cast<double>(counter.now), static_cast<double>(heap.uordblks + heap.hblkhd),
          static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)),
          static_cast<double>(counter.calls)};
}

memory_use memory_use::peak() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {static_cast<double>(counter.peak), 0, static_cast<double>(usage.ru_maxrss) * 1024, 0};
}

void detail::run_in_a_process_of_its_own(void (*measure)(void*), void* result, std::size_t size) {
  std::fflush(nullptr);
  int ends[2];
  if (::pipe(ends) != 0) throw std::system_error{errno, std::generic_category(), "pipe"};
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error{errno, std::generic_category(), "fork"};
  if (child == 0) {
    try {
      counter.on = true;
      measure(result);
      ::_exit(::write(ends[1], result, size) == static_cast<ssize_t>(size) ? 0 : 1);
    } catch (const std::exception& failure) {
      fmt::print(stderr, "{}\n", failure.what());
      std::fflush(stderr);
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  const ssize_t got = ::read(ends[0], result, size);  // far less than a pipe holds: it comes at once, or not at all
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (got != static_cast<ssize_t>(size) || status != 0)
    throw std::runtime_error{fmt::format("the process that measures memory has ended with status {}", status)};
}

}  // namespace bench
