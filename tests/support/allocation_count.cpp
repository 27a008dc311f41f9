// SPDX-License-Identifier: MIT
// Tests: see allocation_count.hpp. All forms, because those of the sanitizers do not call each other.
#include "support/allocation_count.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>

namespace {

std::atomic<std::size_t> all_calls{0}, all_bytes{0};
std::mutex watching;  // guards what the next one points to
std::atomic<felix::test::freed_text*> watch{nullptr};
std::atomic<void (*)()> next_step{nullptr};

void* counted(void* place, std::size_t bytes) {
  if (place == nullptr) throw std::bad_alloc{};
  all_calls.fetch_add(1, std::memory_order_relaxed);
  all_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (next_step.load(std::memory_order_relaxed) != nullptr)
    if (const auto step = next_step.exchange(nullptr)) step();
  return place;
}

void release(void* place) noexcept {
  felix::test::freed_text::look_at(place);
  std::free(place);
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(std::malloc(bytes != 0 ? bytes : 1), bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(step, (bytes + step - 1) / step * step), bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return operator new(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t bytes, const std::nothrow_t& tag) noexcept { return operator new(bytes, tag); }
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return operator new(bytes, alignment); }
void operator delete(void* place) noexcept { release(place); }
void operator delete(void* place, std::size_t) noexcept { release(place); }
void operator delete(void* place, std::align_val_t) noexcept { release(place); }
void operator delete(void* place, std::size_t, std::align_val_t) noexcept { release(place); }
void operator delete[](void* place) noexcept { release(place); }
void operator delete[](void* place, std::size_t) noexcept { release(place); }
void operator delete[](void* place, std::align_val_t) noexcept { release(place); }
void operator delete[](void* place, std::size_t, std::align_val_t) noexcept { release(place); }

namespace felix::test {

allocation_count::allocation_count() noexcept : calls_{all_calls.load()}, bytes_{all_bytes.load()} {}
std::size_t allocation_count::calls() const noexcept { return all_calls.load() - calls_; }
std::size_t allocation_count::bytes() const noexcept { return all_bytes.load() - bytes_; }

freed_text::freed_text(std::string_view text) noexcept : text_{text} { watch = this; }
freed_text::~freed_text() {
  std::scoped_lock lock{watching};
  watch = nullptr;
}
bool freed_text::was_seen() const noexcept {
  std::scoped_lock lock{watching};
  return seen_;
}
void freed_text::look_at(const void* place) noexcept {
  if (place == nullptr || watch == nullptr) return;
  std::scoped_lock lock{watching};
  freed_text* const who = watch;
  if (who == nullptr) return;
  const std::string_view all{static_cast<const char*>(place), ::malloc_usable_size(const_cast<void*>(place))};
  if (all.find(who->text_) != std::string_view::npos) who->seen_ = true;
}

void before_next_allocation(void (*step)()) noexcept { next_step.store(step); }

}  // namespace felix::test
