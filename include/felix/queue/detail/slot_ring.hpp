// SPDX-License-Identifier: MIT
// queue: one level: a ring of words that says in which order the cells were pushed.
#pragma once

#include <felix/queue/detail/cell_pool.hpp>

#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace felix::inline v1::detail {

/// A first-in-first-out list of cells, after NCQ (R. Nikolaev, "A Scalable, Portable, and Memory-Efficient Lock-Free
/// FIFO Queue", DISC 2019, section 4). Positions are numbered without end; position p lives in the slot p mod R, in its
/// lap p / R. A slot's word is (lap | cell | state) and only moves forward:
///     consumed in the lap before  ->  live  ->  consumed                      pushed, popped
///                                     live  ->  leaving  ->  dead -> consumed cancelled; consumed when the front passes
/// Unlike NCQ, popping exchanges the slot's word and not the head, so that one exchange decides between two pops, and
/// between a pop and a cancel. Head and tail are then hints, and plain stores: each value that was ever stored stays
/// true for ever ("all below are consumed", "all below are filled"), an old one only makes the next call walk.
///
/// Never overflows: a position that is not consumed holds a cell of its own, and so does the push that looks for the
/// end, hence end - front < capacity <= R, and the slot of the end has been consumed in the lap before.
///
/// Orders. All changes of a slot and all loads of it are seq_cst (plain loads on x86, ldar and casal on arm64), so they
/// stand in one total order S, and a call's linearization point is a place in S. A hint is stored with release after
/// the exchange or load of a slot that makes it true, and loaded with acquire before a slot is: so what it says is
/// true in S before that load. The exchange that publishes a cell releases its content, the load that finds it acquires.
template <class Atomics>
class slot_ring {
 public:
  using position = std::uint64_t;
  enum class state : std::uint64_t { consumed, live, leaving, dead };

  /// A slot as it was seen: the first position that is not consumed.
  struct view {
    position at;
    std::uint64_t word;
    bool live;
  };

  explicit slot_ring(std::size_t capacity)
      : size_{std::bit_ceil(std::uint64_t{capacity})}, slots_{new slot[static_cast<std::size_t>(size_)]} {
    // Counting starts two laps before the 62 bits of (lap | cell) wrap, so that wrapping is nothing rare.
    const position first = position{0} - 2 * size_;
    for (position i = 0; i < size_; ++i) slots_[i].word.store(base(first - size_), std::memory_order_relaxed);
    head_.at.store(first, std::memory_order_relaxed);
    tail_.at.store(first, std::memory_order_relaxed);
  }

  /// Where push shall look first for the end; says, too, that it comes soon.
  [[nodiscard]] position prepare_to_push() const noexcept {
    const position end = tail_.at.load(std::memory_order_acquire);
    prepare_to_change(&slot_of(end));
    return end;
  }
  /// Appends; the exchange of the slot is the linearization point. `end` is what prepare_to_push once gave.
  position push(cell_index cell, position end) noexcept {
    std::uint64_t seen = slot_of(end).load(std::memory_order_seq_cst);
    for (;;) {
      const std::int64_t ahead = distance(seen, end);
      if (ahead >= 0) {  // filled, perhaps laps ago: then so is all below
        end += static_cast<position>(ahead) + 1;
        seen = slot_of(end).load(std::memory_order_seq_cst);
        continue;
      }
      assert(seen == base(end - size_) && "felix: a ring with more positions in use than there are cells");
      if (slot_of(end).compare_exchange_weak(seen, word(end, cell, state::live), std::memory_order_seq_cst,
                                             std::memory_order_seq_cst))
        break;
    }
    tail_.at.store(end + 1, std::memory_order_release);
    return end;
  }

  /// The front, as it is at the last load in here. Not live: the level is empty at that moment, because all below
  /// view.at are consumed and view.at is not filled. Tombstones in front are passed: `release` gets each one's cell, or
  /// none while its canceller still moves the content out.
  template <class Release>
  view front(Release release) noexcept {
    const position begun = head_.at.load(std::memory_order_acquire);
    position at = begun;
    for (;;) {
      std::uint64_t seen = slot_of(at).load(std::memory_order_seq_cst);
      const std::int64_t ahead = distance(seen, at);
      if (ahead > 0) {  // position at + ahead is filled, so all up to a lap before it are consumed
        at += static_cast<position>(ahead) - size_ + 1;
        continue;
      }
      if (ahead < 0 || state_of(seen) == state::live) {
        if (at != begun) head_.at.store(at, std::memory_order_release);
        return {at, seen, ahead == 0};
      }
      if (state_of(seen) != state::consumed) {
        if (!slot_of(at).compare_exchange_strong(seen, base(at), std::memory_order_seq_cst, std::memory_order_seq_cst))
          continue;  // passed by another call, or now dead
        release(state_of(seen) == state::dead ? cell_of(seen) : no_cell);
      }
      ++at;
    }
  }

  /// Is it still what it was?
  [[nodiscard]] bool unchanged(const view& seen) const noexcept {
    return slot_of(seen.at).load(std::memory_order_seq_cst) == seen.word;
  }

  /// The commit of a pop: the cell, now the caller's, or none. It was the front since it was seen: a word never comes
  /// back, and nothing before it can come back to life.
  [[nodiscard]] cell_index take(view front) noexcept {
    std::uint64_t expected = front.word;
    if (!slot_of(front.at).compare_exchange_strong(expected, base(front.at), std::memory_order_seq_cst,
                                                   std::memory_order_seq_cst))
      return no_cell;
    head_.at.store(front.at + 1, std::memory_order_release);
    return cell_of(front.word);
  }

  /// The commit of a cancel: the cell at that position, whose content is now the caller's, or none. It leaves a
  /// tombstone; the content moved out, finish_cancel() leaves the cell to the tombstone. False: the front has passed it
  /// already, and the cell is for the caller to put back.
  [[nodiscard]] cell_index begin_cancel(position at) noexcept {
    std::uint64_t seen = slot_of(at).load(std::memory_order_seq_cst);
    if (distance(seen, at) != 0 || state_of(seen) != state::live) return no_cell;
    if (!slot_of(at).compare_exchange_strong(seen, with(seen, state::leaving), std::memory_order_seq_cst,
                                             std::memory_order_seq_cst))
      return no_cell;
    return cell_of(seen);
  }
  [[nodiscard]] bool finish_cancel(position at, cell_index cell) noexcept {
    std::uint64_t expected = word(at, cell, state::leaving);
    return slot_of(at).compare_exchange_strong(expected, word(at, cell, state::dead), std::memory_order_seq_cst,
                                               std::memory_order_seq_cst);
  }

  [[nodiscard]] cell_index cell_of(std::uint64_t seen) const noexcept {
    return static_cast<cell_index>((seen & low_mask()) >> 2);
  }

  /// Positions from the front to the end, tombstones included. Exact while nobody changes anything.
  [[nodiscard]] std::size_t length() const noexcept {
    position end = tail_.at.load(std::memory_order_acquire);
    for (std::int64_t ahead; (ahead = distance(load(end), end)) >= 0;) end += static_cast<position>(ahead) + 1;
    position at = head_.at.load(std::memory_order_acquire);
    for (;;) {
      const std::uint64_t seen = load(at);
      const std::int64_t ahead = distance(seen, at);
      if (ahead < 0 || (ahead == 0 && state_of(seen) != state::consumed)) break;
      at += ahead == 0 ? 1 : static_cast<position>(ahead) - size_ + 1;
    }
    const auto between = static_cast<std::int64_t>(end - at);
    return between < 0 ? 0 : static_cast<std::size_t>(between);
  }

  /// For the destructor: nobody else is here.
  template <class Visit>
  void for_each_live(Visit visit) noexcept {
    for (position i = 0; i < size_; ++i)
      if (const std::uint64_t seen = slots_[i].word.load(std::memory_order_relaxed); state_of(seen) == state::live)
        visit(cell_of(seen));
  }

  [[nodiscard]] static constexpr std::size_t bytes(std::size_t capacity) noexcept {
    return std::bit_ceil(capacity) * sizeof(slot);
  }

 private:
  using word_atomic = typename Atomics::template atomic<std::uint64_t>;
  struct slot {
    word_atomic word{0};
  };
  struct alignas(cache_line) hint {
    word_atomic at{0};
  };

  // R is a power of two, a cell fits below R, a state below 4: then a lap, shifted to its place in the word, is the
  // position times 4 without its low bits. Positions wrap at 2^62; nothing stands still for that long.
  [[nodiscard]] std::uint64_t low_mask() const noexcept { return size_ * 4 - 1; }
  [[nodiscard]] std::uint64_t base(position at) const noexcept { return (at * 4) & ~low_mask(); }
  [[nodiscard]] std::uint64_t word(position at, cell_index cell, state is) const noexcept {
    return base(at) | (std::uint64_t{cell} * 4) | static_cast<std::uint64_t>(is);
  }
  [[nodiscard]] static std::uint64_t with(std::uint64_t seen, state is) noexcept {
    return (seen & ~std::uint64_t{3}) | static_cast<std::uint64_t>(is);
  }
  [[nodiscard]] static state state_of(std::uint64_t seen) noexcept { return static_cast<state>(seen & 3); }
  /// From `at` to the position that the word in its slot belongs to: a multiple of R.
  [[nodiscard]] std::int64_t distance(std::uint64_t seen, position at) const noexcept {
    return static_cast<std::int64_t>((seen & ~low_mask()) - base(at)) / 4;
  }
  [[nodiscard]] word_atomic& slot_of(position at) const noexcept { return slots_[at & (size_ - 1)].word; }
  [[nodiscard]] std::uint64_t load(position at) const noexcept { return slot_of(at).load(std::memory_order_seq_cst); }

  std::uint64_t size_;  // R
  std::unique_ptr<slot[]> slots_;
  hint head_;  // all below are consumed
  hint tail_;  // all below are filled
};

}  // namespace felix::inline v1::detail
