// SPDX-License-Identifier: MIT
// async: where the frames of coroutines come from: blocks of the right size, kept by each thread for the next one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// Blocks of 16 to 1,024 bytes in steps of 16, carved from slabs of 16 KiB. A thread keeps a list for each size and takes
/// no lock until it is empty or holds two slabs' worth; then a whole batch comes from, or goes to, a list that all
/// threads share. A thread that ends leaves its blocks to the others. Slabs are kept: the pool holds what was in use at
/// once, and no more. Larger frames come from operator new.
///
/// Under AddressSanitizer every block comes from operator new: a pool would hide a frame that is leaked or used after it
/// was destroyed. Under ThreadSanitizer a block is written to when it is given back: else another thread that still uses
/// the frame would not be seen.
class frame_pool {
 public:
  static constexpr std::size_t granule = 16;
  static constexpr std::size_t largest = 1024;

  [[nodiscard]] static void* allocate(std::size_t bytes) {
    if (bytes > largest || instrumented) return ::operator new(bytes);
    cache& mine = local();
    const std::size_t size = size_of(bytes);
    block* const free = mine.sizes[size].first;
    if (free == nullptr) return refill(mine, size);
    mine.sizes[size].first = free->next;
    ++mine.sizes[size].room;
    return free;
  }

  static void deallocate(void* memory, std::size_t bytes) noexcept {
    if (bytes > largest || instrumented) return ::operator delete(memory, bytes);
    if constexpr (watched) std::memset(memory, 0xFE, bytes);
    cache& mine = local();
    const std::size_t size = size_of(bytes);
    auto* const freed = ::new (memory) block;
    freed->next = mine.sizes[size].first;
    mine.sizes[size].first = freed;
    if (--mine.sizes[size].room < 0) [[unlikely]]
      overflow(mine, size);
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr bool instrumented = true;
#elif defined(__has_feature)
  static constexpr bool instrumented = __has_feature(address_sanitizer);
#else
  static constexpr bool instrumented = false;
#endif
#if defined(__SANITIZE_THREAD__)
  static constexpr bool watched = true;
#elif defined(__has_feature)
  static constexpr bool watched = __has_feature(thread_sanitizer);
#else
  static constexpr bool watched = false;
#endif

  static constexpr std::size_t slab_bytes = std::size_t{16} * 1024;
  static constexpr std::size_t sizes = largest / granule;

  struct block {
    block* next;
    block* next_batch;  // of the first block of a batch in the shared list
  };
  static_assert(sizeof(block) <= granule);

  enum class stages : unsigned char { fresh, open, closed };  // open: it will be emptied when the thread ends

  struct list {
    block* first;
    std::ptrdiff_t room;  // how many more it takes; none before and after the stage `open`, so that each is noticed
  };
  /// One per thread. Trivial, so that using it costs no check whether it was made, and so that it can be used while the
  /// thread's other objects are destroyed.
  struct cache {
    std::array<list, frame_pool::sizes> sizes;
    stages stage;
  };
  struct shared_lists {
    std::mutex mutex;
    std::array<block*, frame_pool::sizes> batches{};
  };

  static std::size_t size_of(std::size_t bytes) noexcept { return (bytes + granule - 1) / granule - 1; }
  static std::size_t batch(std::size_t size) noexcept { return slab_bytes / ((size + 1) * granule); }

  static cache& local() noexcept {
    static thread_local constinit cache mine{};
    return mine;
  }
  static shared_lists& shared() noexcept {
    static constinit shared_lists all;
    return all;
  }

  /// Empties the thread's cache when the thread ends.
  class closer {
   public:
    explicit closer(cache& mine) noexcept : cache_{mine} {
      cache_.stage = stages::open;
      for (std::size_t size = 0; size < sizes; ++size)
        cache_.sizes[size].room += static_cast<std::ptrdiff_t>(2 * batch(size));
    }
    closer(closer&&) = delete;
    ~closer() {
      cache_.stage = stages::closed;
      for (std::size_t size = 0; size < sizes; ++size) {
        cache_.sizes[size].room = 0;
        if (cache_.sizes[size].first != nullptr) give_all(cache_, size);
      }
    }

   private:
    cache& cache_;
  };

  static void open(cache& mine) noexcept { static thread_local const closer at_thread_end{mine}; }

  [[gnu::noinline]] static void* refill(cache& mine, std::size_t size) {
    if (mine.stage == stages::fresh) open(mine);
    block* first = nullptr;
    {
      shared_lists& all = shared();
      std::scoped_lock lock{all.mutex};
      first = all.batches[size];
      if (first != nullptr) all.batches[size] = first->next_batch;
    }
    if (first == nullptr) {
      auto* const slab = static_cast<std::byte*>(::operator new(slab_bytes));
      std::size_t i = batch(size);  // at least 1
      do {
        first = ::new (slab + --i * (size + 1) * granule) block{first, nullptr};
      } while (i > 0);
    }
    mine.sizes[size].first = first->next;
    if (mine.stage == stages::open) {
      mine.sizes[size].room -= count(first->next);
    } else if (first->next != nullptr) {
      give_all(mine, size);
    }
    return first;
  }

  [[gnu::noinline]] static void overflow(cache& mine, std::size_t size) noexcept {
    if (mine.stage == stages::fresh) open(mine);  // then there is room
    if (mine.stage == stages::closed) {
      give_all(mine, size);
    } else if (mine.sizes[size].room < 0) {
      block* last = mine.sizes[size].first;
      for (std::size_t i = 1; i < batch(size); ++i) last = last->next;
      give(mine, size, *last);
      mine.sizes[size].room += static_cast<std::ptrdiff_t>(batch(size));
    }
  }

  static std::ptrdiff_t count(const block* first) noexcept {
    std::ptrdiff_t found = 0;
    for (; first != nullptr; first = first->next) ++found;
    return found;
  }
  static void give_all(cache& mine, std::size_t size) noexcept {
    block* last = mine.sizes[size].first;
    while (last->next != nullptr) last = last->next;
    give(mine, size, *last);
    mine.sizes[size].room = 0;
  }
  /// To the other threads, as a batch: all up to `last`.
  static void give(cache& mine, std::size_t size, block& last) noexcept {
    block* const first = std::exchange(mine.sizes[size].first, std::exchange(last.next, nullptr));
    shared_lists& all = shared();
    std::scoped_lock lock{all.mutex};
    first->next_batch = std::exchange(all.batches[size], first);
  }
};

/// What a promise derives from, so that its frame comes from the pool.
class pooled_frame {
 public:
  static void* operator new(std::size_t bytes) { return frame_pool::allocate(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { frame_pool::deallocate(frame, bytes); }
};

}  // namespace detail
}  // namespace felix::inline v1
