// SPDX-License-Identifier: MIT
// agent: what was found in one session, for a later one.
#pragma once

#include <felix/agent/detail/word_index.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/budget/role_id.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Something an agent found.
struct memory_record {
  std::string topic = {};  ///< what the session was about
  std::string text = {};
  role_id role = {};
  double confidence = 0;          ///< 0 to 1
  std::int64_t unix_seconds = 0;  ///< when it was found; 0: nobody has said
  friend bool operator==(const memory_record&, const memory_record&) = default;
};

/// Keeps records, and finds again those that a text is about, the best first.
template <class M>
concept memory = requires(M& store, const M& known, memory_record found, std::string_view about, std::size_t most) {
  { store.remember(std::move(found)) } -> std::same_as<bool>;
  { known.recall(about, most) } -> std::same_as<std::vector<memory_record>>;
};

/// As long as the process runs.
/// Threads: none of its own; the owner guards it.
/// Cost:    remember is linear in the words of the record; recall in the records that share a word with the text.
class process_memory {
 public:
  /// Not known already, word for word and of the same role; and there is something in it.
  [[nodiscard]] bool is_new(const memory_record& found) const {
    return found.text.find_first_not_of(" \t\r\n") != std::string::npos && !known_.contains(key_of(found));
  }
  /// False: it is not new.
  bool remember(memory_record found) {
    if (!is_new(found)) return false;
    known_.insert(key_of(found));
    index_.add(found.topic + ' ' + found.text);
    records_.push_back(std::move(found));
    return true;
  }

  /// Up to `most`, by how much they have to do with `about` (BM25) times their confidence; of equals the newer first.
  [[nodiscard]] std::vector<memory_record> recall(std::string_view about, std::size_t most) const {
    std::vector<detail::word_index::hit> hits = index_.find(about);
    for (auto& hit : hits) hit.score *= std::clamp(records_[hit.document].confidence, 0.0, 1.0);
    std::erase_if(hits, [](const auto& hit) { return !(hit.score > 0); });
    const auto better = [](const auto& a, const auto& b) {
      return a.score != b.score ? a.score > b.score : a.document > b.document;
    };
    const auto end = hits.begin() + static_cast<std::ptrdiff_t>(std::min(most, hits.size()));
    std::partial_sort(hits.begin(), end, hits.end(), better);
    std::vector<memory_record> found;
    for (auto hit = hits.begin(); hit != end; ++hit) found.push_back(records_[hit->document]);
    return found;
  }

  [[nodiscard]] const std::vector<memory_record>& records() const noexcept { return records_; }

 private:
  static std::string key_of(const memory_record& record) {
    return std::string{record.role.name()} + '\n' + on_one_line(record.text);
  }

  std::vector<memory_record> records_;
  detail::word_index index_;
  std::set<std::string> known_;
};

static_assert(memory<process_memory>);

/// The user's memory, whatever its type. It outlives what refers to it.
class memory_ref {
 public:
  template <memory M>
    requires(!std::same_as<M, memory_ref>)
  memory_ref(M& store) noexcept
      : store_{&store},
        remember_{[](void* at, memory_record found) { return static_cast<M*>(at)->remember(std::move(found)); }},
        recall_{[](const void* at, std::string_view about, std::size_t most) {
          return static_cast<const M*>(at)->recall(about, most);
        }} {}

  bool remember(memory_record found) const { return remember_(store_, std::move(found)); }
  [[nodiscard]] std::vector<memory_record> recall(std::string_view about, std::size_t most) const {
    return recall_(store_, about, most);
  }

 private:
  void* store_;
  bool (*remember_)(void*, memory_record);
  std::vector<memory_record> (*recall_)(const void*, std::string_view, std::size_t);
};

/// What is known of a topic, for a prompt: a line each, the best first, whole sentences, all together in `max_bytes`.
[[nodiscard]] inline std::string recalled_text(const memory auto& store, std::string_view about,
                                               std::size_t max_bytes) {
  constexpr std::size_t least_bytes = 60;  // fewer say nothing
  std::string text;
  for (const memory_record& record : store.recall(about, std::max<std::size_t>(1, max_bytes / least_bytes))) {
    const std::string head = text.empty() ? "- " : "\n- ";
    if (text.size() + head.size() + (text.empty() ? 1 : least_bytes) > max_bytes) break;
    const std::string body = clip_to_sentences(on_one_line(record.text), max_bytes - text.size() - head.size());
    if (!body.empty()) text += head + body;
  }
  return text;
}

}  // namespace felix::inline v1
