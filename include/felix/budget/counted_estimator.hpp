// SPDX-License-Identifier: MIT
// budget: plans with what a server has counted before the request, and bounds by it too where that server gets it.
#pragma once

#include <felix/budget/detail/most_seen.hpp>
#include <felix/budget/detail/overrun_watch.hpp>
#include <felix/budget/estimation.hpp>
#include <felix/budget/estimator.hpp>
#include <felix/budget/prompt_bound.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace felix::inline v1 {

/// Takes the count that a server gave beforehand (`prompt_size::counted`), and asks another estimator where there is none.
///     felix::counted_estimator estimator{here};                       // the key of this server and its model
///     size.counted = {.tokens = n, .of = felix::prompt_count::scope::texts, .by = here};
///     token_count worst = estimator.at_most(size);                    // n and the template: not the bytes any more
/// A count bounds only what goes to the server that counted; another's is good for planning. Counted texts lack what the
/// template adds: 16 tokens a message + 128, until an answer shows it. A count holds as long as answers agree with it:
/// what they report beyond it is added from then on, as with a template. Counts of prompts with images, and counts of
/// texts that lack the tools of a prompt, are not used.
/// Threads: none of its own; the owner guards it.
template <estimation_policy Otherwise = prompt_estimator>
class counted_estimator {
 public:
  /// `server`: the one that its prompts go to; not 0.
  explicit counted_estimator(server_key server, Otherwise otherwise = {}) noexcept
      : server_{server}, otherwise_{std::move(otherwise)} {}

  [[nodiscard]] token_count planned(const prompt_size& size) const noexcept {
    if (!is_counted(size)) return otherwise_.planned(size);
    const bool texts = size.counted.of == prompt_count::scope::texts;
    const token_count beyond = !texts               ? beyond_whole_.most()
                               : text_answers_ == 0 ? usual_template_per_message * size.messages
                                                    : beyond_texts_.most();
    return std::min(tokens(size) + beyond, at_most(size));
  }

  [[nodiscard]] token_count at_most(const prompt_size& size) const noexcept {
    if (!is_counted_here(size)) return otherwise_.at_most(size);
    return std::min(prompt_bound::highest, tokens(size) + beyond_count(size));
  }

  void learn(const prompt_size& size, token_count prompt_tokens) noexcept {
    if (prompt_tokens > 0 && is_counted_here(size)) {
      prompt_tokens = std::min(prompt_tokens, prompt_bound::highest);
      overruns_.learn(prompt_tokens <= at_most(size));
      if (size.counted.of == prompt_count::scope::texts) {
        ++text_answers_;
        most_messages_ = std::max(most_messages_, size.messages);
        beyond_texts_.learn(prompt_tokens - tokens(size));
      } else {
        beyond_whole_.learn(prompt_tokens - tokens(size));
      }
    }
    otherwise_.learn(size, prompt_tokens);
  }

  /// 100 % for a count of the whole that answers agree with. None is stated where something is added to a count.
  [[nodiscard]] estimate_confidence confidence(const prompt_size& size) const noexcept {
    if (!is_counted(size)) return otherwise_.confidence(size);
    return {.share = planned(size) == at_most(size) ? 1.0 : 0.0};
  }
  [[nodiscard]] bool one_at_a_time() const noexcept { return overruns_.one_at_a_time() || otherwise_.one_at_a_time(); }
  [[nodiscard]] std::int64_t answers_seen() const noexcept { return otherwise_.answers_seen(); }

 private:
  static constexpr token_count usual_template_per_message = 5;

  [[nodiscard]] static bool is_counted(const prompt_size& size) noexcept {
    const bool lacks_tools = size.tools > 0 && size.counted.of == prompt_count::scope::texts;
    return size.counted.tokens > 0 && size.images == 0 && !lacks_tools;
  }
  [[nodiscard]] bool is_counted_here(const prompt_size& size) const noexcept {
    return is_counted(size) && size.counted.by == server_ && server_ != 0;
  }
  [[nodiscard]] static token_count tokens(const prompt_size& size) noexcept {
    return std::min(prompt_bound::highest, size.counted.tokens);
  }

  /// What a prompt can be beyond its count.
  [[nodiscard]] token_count beyond_count(const prompt_size& size) const noexcept {
    if (size.counted.of == prompt_count::scope::whole) return beyond_whole_.to_keep();
    if (text_answers_ == 0)
      return prompt_bound::first_template_per_message * size.messages + prompt_bound::first_template_once;
    // Texts tokenize a little otherwise inside the template than alone: a token for each. Messages beyond what was seen
    // have their own templates.
    return beyond_texts_.to_keep() + size.messages +
           prompt_bound::first_template_per_message * std::max(0, size.messages - most_messages_);
  }

  server_key server_;
  Otherwise otherwise_;
  detail::most_seen beyond_whole_;  // what answers reported beyond the count of the whole prompt: 0 if it was right
  detail::most_seen beyond_texts_;  // beyond the count of its texts: the template
  std::int64_t text_answers_ = 0;   // to prompts whose texts were counted
  int most_messages_ = 0;           // of those prompts
  detail::overrun_watch overruns_;
};

static_assert(estimation_policy<counted_estimator<>>);

}  // namespace felix::inline v1
