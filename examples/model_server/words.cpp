// SPDX-License-Identifier: MIT
// model_server: the words that stand in the sentences of phrases.cpp.
#include "model_server/phrases.hpp"

namespace model_server::detail::phrases {

namespace {

using sv = std::string_view;

constexpr sv actor_words[] = {
    "small teams",      "public agencies",         "field engineers",   "independent reviewers",
    "first-time users", "experienced operators",   "teachers",          "city planners",
    "hospital staff",   "open-source maintainers", "product managers",  "volunteer groups",
    "insurers",         "regional labs",           "local journalists", "apprentices"};
constexpr sv act_words[] = {"writing decisions down",
                            "testing with real users",
                            "starting small",
                            "measuring before and after",
                            "asking outsiders for review",
                            "publishing negative results",
                            "rehearsing the bad day",
                            "naming one owner",
                            "setting a date to stop",
                            "keeping a manual fallback",
                            "comparing two options",
                            "training newcomers early",
                            "listening to complaints",
                            "checking the oldest data"};
constexpr sv gain_words[] = {"fewer surprises",   "faster recovery",     "lower costs",         "clearer decisions",
                             "steadier progress", "better coordination", "wider participation", "simpler maintenance",
                             "calmer operations", "more honest reports", "shorter delays",      "stronger trust"};
constexpr sv risk_words[] = {"rushed launches",   "silent failures", "overconfidence", "rising costs",
                             "unclear ownership", "lost context",    "brittle fixes",  "uneven access",
                             "outdated numbers",  "slow neglect",    "false alarms",   "missed deadlines"};
constexpr sv place_words[] = {"a mid-sized city",    "two coastal regions",   "a university hospital",
                              "a logistics company", "a rural cooperative",   "an open-source project",
                              "a national agency",   "three public schools",  "a mountain village",
                              "a port authority",    "a small research group"};
constexpr sv method_words[] = {"field study", "survey",          "pilot",       "case comparison",
                               "log review",  "follow-up study", "replication", "cost review"};

constexpr sv general_words[] = {"everyday use",   "public trust",       "clear goals",        "shared standards",
                                "good timing",    "honest reporting",   "local knowledge",    "early feedback",
                                "plain language", "long-term upkeep",   "hidden assumptions", "legal duties",
                                "changing needs", "realistic schedules"};
constexpr sv technical_words[] = {"failure modes",   "measurement error", "interface design", "test coverage",
                                  "load limits",     "data quality",      "audit trails",     "rollback plans",
                                  "monitoring gaps", "latency budgets",   "safety margins",   "version drift"};
constexpr sv creative_words[] = {"unexpected metaphors", "borrowed ideas",    "playful prototypes",
                                 "personal stories",     "visual thinking",   "beginner questions",
                                 "paper sketches",       "role reversal",     "open workshops",
                                 "happy accidents",      "distant analogies", "surprising contrasts"};
constexpr sv critical_words[] = {"selection effects",  "untested claims", "missing baselines", "conflicts of interest",
                                 "survivor stories",   "weak controls",   "vague definitions", "short time frames",
                                 "circular arguments", "quiet exceptions"};
constexpr sv completeness_words[] = {
    "missing voices",    "neglected regions",  "unanswered objections", "forgotten precedents", "side effects",
    "smaller providers", "older alternatives", "second opinions",       "rare cases",           "follow-up costs"};

constexpr phrase_list aspect_table[] = {general_words, technical_words, creative_words, critical_words,
                                        completeness_words};

}  // namespace

constinit const phrase_list actors = actor_words, acts = act_words, gains = gain_words, risks = risk_words,
                            places = place_words, methods = method_words, general_aspects = general_words;

phrase_list aspects_of(std::string_view focus) noexcept {
  if (focus.starts_with("technical")) return technical_words;
  if (focus.starts_with("creative")) return creative_words;
  if (focus.starts_with("critical") || focus.starts_with("accuracy")) return critical_words;
  if (focus.starts_with("complete")) return completeness_words;
  return general_words;
}

std::span<const phrase_list> all_aspects() noexcept { return aspect_table; }

}  // namespace model_server::detail::phrases
