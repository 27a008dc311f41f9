// SPDX-License-Identifier: MIT
#include <felix/async/detail/frame_pool.hpp>

#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using felix::detail::frame_pool;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool blocks_are_reused = false;  // each comes from operator new
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool blocks_are_reused = false;
#else
constexpr bool blocks_are_reused = true;
#endif
#else
constexpr bool blocks_are_reused = true;
#endif

/// A size that coroutines do not have here, so that a test sees only what it did itself.
constexpr std::size_t unusual = 1'008, more_unusual = 992, most_unusual = 976, almost_unusual = 944;
constexpr std::size_t in_a_batch = 16;  // of these, or 17

class block {
 public:
  explicit block(std::size_t bytes) : bytes_{bytes}, memory_{frame_pool::allocate(bytes)} {
    std::memset(memory_, 0x5A, bytes_);
  }
  block(block&& other) noexcept : bytes_{other.bytes_}, memory_{std::exchange(other.memory_, nullptr)} {}
  ~block() {
    if (memory_ != nullptr) frame_pool::deallocate(memory_, bytes_);
  }
  [[nodiscard]] std::byte* address() const noexcept { return static_cast<std::byte*>(memory_); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool is_untouched() const noexcept {
    return std::all_of(address(), address() + bytes_, [](std::byte each) { return each == std::byte{0x5A}; });
  }

 private:
  std::size_t bytes_;
  void* memory_;
};

std::vector<block> many(std::size_t count, std::size_t bytes) {
  std::vector<block> all;
  for (std::size_t i = 0; i < count; ++i) all.emplace_back(bytes);
  return all;
}
std::set<std::byte*> addresses(const std::vector<block>& of) {
  std::set<std::byte*> all;
  for (const auto& each : of) all.insert(each.address());
  return all;
}

}  // namespace

TEST_CASE("frame_pool: blocks of every size are aligned, and none touches another", "[async][frame_pool]") {
  std::vector<block> all;
  for (int each = 0; each < 3; ++each) {
    for (const std::size_t bytes :
         {1U, 15U, 16U, 17U, 31U, 32U, 33U, 100U, 511U, 512U, 1'007U, 1'023U, 1'024U, 1'025U, 5'000U})
      all.emplace_back(bytes);
  }
  for (const auto& each : all) {
    CHECK(reinterpret_cast<std::uintptr_t>(each.address()) % 16 == 0);
    CHECK(each.is_untouched());  // by those that were filled after it
  }
}

TEST_CASE("frame_pool: thousands of one size are distinct, and all of them can be used", "[async][frame_pool]") {
  const auto all = many(5'000, 48);
  CHECK(addresses(all).size() == all.size());
  CHECK(std::all_of(all.begin(), all.end(), [](const block& each) { return each.is_untouched(); }));
}

TEST_CASE("frame_pool: a block is reused, the last one first, and by its own size only", "[async][frame_pool]") {
  if (!blocks_are_reused) return;
  std::byte* freed = nullptr;
  {
    const block first{unusual};
    freed = first.address();
  }
  {
    const block other_size{unusual - 16};
    CHECK(other_size.address() != freed);
    const block again{unusual - 15};  // rounds up to the same
    CHECK(again.address() == freed);
  }
}

TEST_CASE("frame_pool: what was in use at once is all it holds", "[async][frame_pool]") {
  if (!blocks_are_reused) return;
  const auto first = addresses(many(10 * in_a_batch, unusual));
  for (int round = 0; round < 3; ++round) {
    const auto again = addresses(many(10 * in_a_batch, unusual));
    CHECK(std::includes(first.begin(), first.end(), again.begin(), again.end()));
  }
}

TEST_CASE("frame_pool: blocks are freed on another thread than they came from", "[async][frame_pool]") {
  auto all = many(1'000, more_unusual);
  std::thread{[mine = std::move(all)]() mutable { mine.clear(); }}.join();
  const auto again = many(1'000, more_unusual);
  CHECK(addresses(again).size() == 1'000);
  CHECK(std::all_of(again.begin(), again.end(), [](const block& each) { return each.is_untouched(); }));
}

TEST_CASE("frame_pool: a thread that ends leaves its blocks to others", "[async][frame_pool]") {
  if (!blocks_are_reused) return;
  const auto use_some = [] {
    std::set<std::byte*> used;
    std::thread{[&] { used = addresses(many(5, most_unusual)); }}.join();
    return used;
  };
  const auto first = use_some();
  for (int round = 0; round < 50; ++round) {
    const auto again = use_some();  // the same slab each time, although each thread is a new one
    for (std::byte* const each : again) {
      const auto from = *first.begin() - 16 * 1'024, to = *first.begin() + 16 * 1'024;
      CHECK((each > from && each < to));
    }
  }
}

TEST_CASE("frame_pool: larger frames come from operator new", "[async][frame_pool]") {
  const auto big = [](std::string text) -> felix::task<std::size_t> {
    char room[4'000] = {};
    static_cast<void>(co_await felix::this_task::scheduler());
    room[0] = text.front();
    co_return static_cast<std::size_t>(room[0] == 'x') + sizeof room;
  };
  for (int i = 0; i < 10; ++i) CHECK(felix::sync_wait(big(std::string(100, 'x'))) == 4'001);
}

TEST_CASE("frame_pool: can be used while a thread's objects are destroyed", "[async][frame_pool]") {
  static std::atomic<int> right{0};
  static std::set<std::byte*> used;  // by one thread after the other
  const auto work = [](bool notes) {
    // Made before the pool is used by this thread, so it is destroyed after the pool has given its blocks away.
    class at_thread_end {
     public:
      at_thread_end() = default;
      at_thread_end(at_thread_end&&) = delete;
      ~at_thread_end() {
        kept.clear();
        for (int round = 0; round < 3; ++round) {
          const auto all = many(3 * in_a_batch, unusual);
          right += addresses(all).size() == all.size() &&
                   std::all_of(all.begin(), all.end(), [](const block& each) { return each.is_untouched(); });
        }
        const block one{64};
        right += one.is_untouched();
        if (notes) used.merge(addresses(many(3 * in_a_batch, almost_unusual)));
      }
      std::vector<block> kept;
      bool notes = false;
    };
    static thread_local at_thread_end last;
    last.kept = many(3 * in_a_batch, unusual);
    last.notes = notes;
  };
  constexpr int threads = 8;
  right = 0;
  for (int i = 0; i < threads; ++i) std::thread{work, true}.join();
  CHECK(right == 4 * threads);
  if (blocks_are_reused) CHECK(used.size() <= 4 * in_a_batch);  // each left all it had to the next
  right = 0;
  std::vector<std::thread> together;
  for (int i = 0; i < threads; ++i) together.emplace_back(work, false);
  for (auto& each : together) each.join();
  CHECK(right == 4 * threads);
}

TEST_CASE("frame_pool: several threads hand blocks to each other, and none is given twice", "[async][frame_pool]") {
  constexpr std::size_t threads = 4, each = 200;
  std::vector<std::vector<block>> all(threads);
  for (int round = 0; round < 5; ++round) {
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < threads; ++t) {
      workers.emplace_back([&all, t, round] {
        auto mine = std::move(all[t]);
        mine.clear();  // they came from another thread, which has ended
        for (std::size_t i = 0; i < each; ++i)
          all[t].emplace_back(16 * (1 + (i + static_cast<std::size_t>(round)) % 64));
      });
    }
    for (auto& worker : workers) worker.join();
    std::rotate(all.begin(), all.begin() + 1, all.end());
    std::set<std::byte*> seen;
    bool untouched = true;
    for (const auto& of_thread : all) {
      for (const auto& one : of_thread) {
        seen.insert(one.address());
        untouched = untouched && one.is_untouched();
      }
    }
    CHECK(seen.size() == threads * each);
    CHECK(untouched);
  }
}
