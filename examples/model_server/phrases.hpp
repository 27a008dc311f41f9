// SPDX-License-Identifier: MIT
// model_server: the sentences and words that the simulated model's texts are made of.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace model_server::detail {

using phrase_list = std::span<const std::string_view>;

/// Templates; the kind of each is told by what may stand in it:
///     {s} the subject, which may be singular or plural, so that no verb depends on it; {a} an aspect of the subject;
///     {actor} people, plural; {act} something one can do, "testing with real users"; {gain}, {risk}, {place}, {m} a
///     method; {p} a percentage, {n} a small number; {k} words of somebody's finding and {who} its author.
namespace phrases {

extern const phrase_list facts, facts_on_findings, short_facts;
extern const phrase_list insights, implications, insights_on_findings, short_insights;
extern const phrase_list issues, corrections, issues_on_findings, short_issues;
extern const phrase_list titles, introductions, conclusions, on_findings, short_sentences;
extern const phrase_list summary_points, summary_on_findings;

/// A part of a longer text: what it may be called, and what it says.
struct theme {
  phrase_list headings;
  phrase_list sentences;
};
extern const std::span<const theme> themes;  ///< in the order in which they stand in a text

extern const phrase_list actors, acts, gains, risks, places, methods;
extern const phrase_list general_aspects;

/// The aspects that an agent of this focus sees first; those for everybody if the focus is none that we know.
[[nodiscard]] phrase_list aspects_of(std::string_view focus) noexcept;

/// All of them, whatever the focus.
[[nodiscard]] std::span<const phrase_list> all_aspects() noexcept;

}  // namespace phrases
}  // namespace model_server::detail
