// SPDX-License-Identifier: MIT
// model_server: the writer. Each draw stands in a statement of its own: the order of draws is part of the text, and C++
// leaves the order of arguments open.
#include "model_server/prose.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace model_server::detail {

std::uint64_t random_numbers::next() noexcept {
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
  return mixed ^ (mixed >> 31U);
}

writer::writer(const assignment& work, std::uint64_t seed) : work_{work}, random_{seed} {
  const phrase_list own = phrases::aspects_of(work.focus);
  aspects_.cards.assign(own.begin(), own.end());
  if (own.data() != phrases::general_aspects.data())
    aspects_.cards.insert(aspects_.cards.end(), phrases::general_aspects.begin(), phrases::general_aspects.end());
  if (!work.findings.empty()) findings_used_ = random_.below(work.findings.size());
}

std::optional<std::string> writer::sentence(phrase_list templates, std::size_t room) {
  deck& from = deck_of(templates);
  if (from.left == 0) from.left = from.cards.size();
  const std::size_t first = random_.below(from.left);
  for (std::size_t i = 0; i < from.left; ++i) {
    const std::size_t at = (first + i) % from.left;
    std::string text = fill(from.cards[at]);
    if (text.size() > room || !written_.insert(text).second) continue;
    put_away(from, at);
    return text;
  }
  return std::nullopt;
}

std::string_view writer::one_of(phrase_list phrases) { return draw(deck_of(phrases)); }

std::string_view writer::put_away(deck& from, std::size_t at) {
  --from.left;
  std::swap(from.cards[at], from.cards[from.left]);
  return from.cards[from.left];
}

std::string_view writer::draw(deck& from) {
  const bool anew = from.left == 0;
  if (anew) from.left = from.cards.size();
  // The last card of the round before lies in front: it must not come twice in a row ("audit trails and audit trails").
  const std::size_t at = anew && from.left > 1 ? 1 + random_.below(from.left - 1) : random_.below(from.left);
  return put_away(from, at);
}

writer::deck& writer::deck_of(phrase_list phrases) {
  deck& found = decks_[phrases.data()];
  if (found.cards.empty()) found.cards.assign(phrases.begin(), phrases.end());
  return found;
}

writer::quotation writer::next_quotation() {
  if (work_.findings.empty()) return {};
  const finding& from = work_.findings[findings_used_++ % work_.findings.size()];
  quotation result;
  if (!from.author.empty()) result.author = from.author;
  result.words = from.words[random_.below(from.words.size())];
  return result;
}

std::string writer::fill(std::string_view text) {
  quotation quoted;
  if (text.find("{k}") != std::string_view::npos) quoted = next_quotation();
  std::string result;
  while (!text.empty()) {
    const std::size_t open = std::min(text.find('{'), text.size());
    result += text.substr(0, open);
    text.remove_prefix(open);
    if (text.empty()) break;
    const std::size_t close = text.find('}');
    result += word_for(text.substr(1, close - 1), quoted);
    text.remove_prefix(close + 1);
  }
  if (result.front() >= 'a' && result.front() <= 'z') result.front() = static_cast<char>(result.front() - 'a' + 'A');
  return result;
}

std::string writer::word_for(std::string_view blank, const quotation& quoted) {
  if (blank == "s") return work_.subject;
  if (blank == "k") return std::string{quoted.words};
  if (blank == "who") return std::string{quoted.author};
  if (blank == "a") {
    const std::string_view aspect = draw(aspects_);
    return std::string{aspect != quoted.words ? aspect : draw(aspects_)};
  }
  if (blank == "actor") return std::string{one_of(phrases::actors)};
  if (blank == "act") return std::string{one_of(phrases::acts)};
  if (blank == "gain") return std::string{one_of(phrases::gains)};
  if (blank == "risk") return std::string{one_of(phrases::risks)};
  if (blank == "place") return std::string{one_of(phrases::places)};
  if (blank == "m") return std::string{one_of(phrases::methods)};
  if (blank == "p") return std::to_string(12 + random_.below(77));
  assert(blank == "n" && "a template with a blank that has no words");
  return std::to_string(3 + random_.below(38));
}

}  // namespace model_server::detail
