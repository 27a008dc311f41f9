// SPDX-License-Identifier: MIT
// model_server: the sentences. {s} may be singular or plural: it stands behind a preposition, or where no verb is bent.
#include "model_server/phrases.hpp"

namespace model_server::detail::phrases {

namespace {

using sv = std::string_view;

constexpr sv fact_texts[] = {
    "A {m} in {place} linked {act} to {gain} in {p} percent of all cases",
    "Among {actor}, {p} percent named {a} as the main obstacle in {s}",
    "The debate about {s} shifted after {n} teams had reported {risk} within one year",
    "A {m} of {n} projects on {s} found that {act} came before {gain}",
    "{actor} who kept track of {a} reported {gain}, while the others saw {risk}",
    "Early data on {s} covers {n} sites; however, only a few of them recorded {a}",
    "Spending on {a} rose by {p} percent in {place}, because {actor} had asked for it",
    "An archive of {n} interviews about {s} mentions {a} more often than {a}",
    "Two studies disagree about {a}: one suggests {gain}, the other {risk}",
    "In {place}, {act} cut reports of {risk} by {p} percent",
    "The longest record of {s} spans {n} years and gives particular weight to {a}",
    "A specific example is {place}, where {actor} combined {a} with {act}",
    "Evidence on {a} is thin: only {n} of the papers on {s} touch on the point",
    "{actor} describe {s} in terms of {a}, and rarely in terms of {a}",
    "A {m} with {n} participants indicates that trust in {s} grows with {a}",
    "Reviewers counted {n} definitions of {s}, which differ in how they treat {a}",
    "For {actor}, the first contact with {s} came through {act}, {p} percent say",
    "A detailed {m} traces {risk} back to neglect of {a} in {p} percent of the incidents",
};
constexpr sv fact_on_finding_texts[] = {
    "Following up on {k} ({who}): a {m} in {place} points the same way",
    "The note on {k} by {who} agrees with {n} later reports from {actor}",
    "Unlike {who}, a {m} in {place} connects {k} with {risk} rather than with {gain}",
    "Beyond {k}, which {who} covered, {actor} also report on {a}",
    "On {k} (see {who}), {n} further cases are known, most of them from {place}",
};
constexpr sv short_fact_texts[] = {
    "Little is known about {a} so far", "Open question: who pays for {a} over time",
    "Most counts leave out {a}",        "Figures on {a} differ by region",
    "{actor} ask for more {m} data",    "Reports of {gain} outnumber those of {risk}",
};

constexpr sv insight_texts[] = {
    "The strongest pattern in {s} is the link between {a} and {gain}",
    "Results on {s} fall into two groups: those that invest in {a}, and those that accept {risk}",
    "{a} and {a} pull in different directions, which explains why reports on {s} disagree",
    "The data says more about {a} than about {a}, so that a conclusion on the latter would be early",
    "Cases with {gain} have one thing in common: {act}",
    "What looks like progress in {s} is partly a matter of {a}",
    "The evidence on {a} is contradictory, because {actor} and {actor} measure different things",
    "Ranked by effect, attention to {a} comes first, attention to {a} second",
    "The costs of {s} are highest where {risk} and {a} meet",
    "One category is missing altogether: nobody has studied {a} together with {act}",
    "Success with {s} depends less on {a} than on {act}",
    "{actor} and {actor} ask the same question about {s}, but in different words",
};
constexpr sv implication_texts[] = {
    "This suggests {act} as a first step",
    "Therefore the synthesis should treat {a} as a condition, not as a detail",
    "For {actor}, the implication is {gain}",
    "It follows that {risk} can be seen early, if somebody looks",
    "The link is plausible, because {act} brings {a} into view",
    "However, the sample is small, and {actor} are hardly part of it",
    "Moreover, the same order appears in the records from {place}",
    "Consider this a working hypothesis until {actor} confirm it",
    "Left alone, it leads to {risk}",
    "The next {m} should look at {a} in particular",
};
constexpr sv insight_on_finding_texts[] = {
    "What {who} says about {k}, set beside {a}, forms the clearest pattern so far",
    "The finding on {k} from {who} gains weight, because it agrees with what {actor} report",
    "Between {k} ({who}) and {a} there is a gap that nobody has filled yet",
    "If {who} is right about {k}, then {act} matters more for {s} than assumed",
    "Taken with {act}, the point on {k} ({who}) ranks first by importance",
};
constexpr sv short_insight_texts[] = {
    "{a} and {risk} rarely meet",     "Without {a}, results vary widely", "{act} costs little and explains much",
    "Data on {a} is the largest gap", "Timing matters less than {a}",     "{actor} are the group to watch",
};

constexpr sv issue_texts[] = {
    "The claim about {a} rests on a single {m}",
    "The text treats {s} as one thing, although {actor} and {actor} mean different things by it",
    "No number is given for {risk}, so the reader can't weigh it against {gain}",
    "{a} and {a} are used as if they were the same",
    "The step from {act} to {gain} is asserted, not shown",
    "Older data is mixed with newer data without a word about {a}",
    "The view of {actor} is missing, and with it the question of {a}",
    "That \"everyone agrees\" isn't evidence; {actor} do not",
    "The example from {place} is too particular to carry a general statement about {s}",
    "It's unclear whether {risk} came before or after {act}",
    "The discussion of {s} stops at {gain} and never returns to {a}",
    "Cause and effect are confused: {act} may follow from {gain}, not lead to it",
};
constexpr sv correction_texts[] = {
    "Correction: cite a second, independent {m}, or weaken the wording",
    "Correction: define the term once, and keep to it",
    "Correction: state the range and the year of the data",
    "Correction: add one sentence on {a}",
    "Correction: separate what was measured from what was inferred",
    "Correction: say for whom it holds, and name {actor} as an exception",
    "Correction: replace the adjective by a figure",
    "Correction: move the point on {a} forward, because the conclusion depends on it",
    "Correction: ask {actor} to check the claim",
    "Correction: drop the sentence, since nothing else relies on it",
    "Correction: give one specific example from {place}",
    "Correction: mention {risk} in the same paragraph",
};
constexpr sv issue_on_finding_texts[] = {
    "The point on {k} by {who} is stated without a limit",
    "What {who} says about {k} and what is said about {a} contradict each other",
    "The finding of {who} on {k} leaves out {actor}",
    "The remark on {k} ({who}) is plausible for {place}, but not shown for {s} in general",
    "The source that {who} gives for {k} is a {m}, and its detail is lost in the summary",
};
constexpr sv short_issue_texts[] = {
    "A date is missing for {a}",      "The term \"{a}\" is never defined", "{actor} aren't mentioned",
    "{act} is praised, not compared", "The {m} has no control group",      "Nothing is said about {risk}",
};

constexpr sv title_texts[] = {
    "{s}: What Changes and What Stays",
    "Making Sense of {s}",
    "{s} in Practice",
    "A Clear Look at {s}",
    "{s}, Without the Hype",
    "{s}: A Field Guide for the Undecided",
    "What We Know About {s}",
    "{s}: First Things First",
    "Getting {s} Right",
};
constexpr sv introduction_texts[] = {
    "Few subjects are discussed as often, and as loosely, as {s}.",
    "This text asks what is known about {s}, what is not, and what to do next.",
    "Interest in {s} has grown faster than the evidence, and it's worth telling one from the other.",
    "Anyone who looks into {s} soon meets the same question: what to do about {a}.",
    "The short answer on {s}: {act} helps, and {risk} can be avoided.",
    "Behind the headlines about {s} there is a quieter story about {a}.",
    "What follows is a summary of research and analysis for readers who have ten minutes and a decision to make.",
    "None of this requires genius; most of it comes down to {act}.",
    "Ask {actor} about {s}, and the conversation turns to {a} within a minute.",
};

constexpr sv why_headings[] = {"Why It Matters", "What Is at Stake", "The Case for Attention"};
constexpr sv why_texts[] = {
    "The stakes are practical: where work on {s} fails, people pay with {risk}.",
    "{actor} feel the effects first, because they live with {a} every day.",
    "Done with care, work on {s} brings {gain}, and the benefit is widely shared.",
    "Ten years ago, {s} could be left to specialists; today, {actor} have to decide.",
    "The cost of waiting is easy to overlook, since nobody keeps count of {risk}.",
    "What is new isn't the question, but the number of people who depend on the answer.",
    "For {actor}, the difference between a good and a poor start shows in {gain}.",
};
constexpr sv how_headings[] = {"How It Works", "The Moving Parts", "A Look Inside"};
constexpr sv how_texts[] = {
    "It helps to see {s} as a chain that begins with {a} and ends with {gain}.",
    "Three parts matter most: {a}, {a}, and the people who connect the two.",
    "In practice, {act} and {act} go hand in hand.",
    "The method is simple to state and hard to keep up: {act}, again and again.",
    "Consider a typical week in {place}: most of the effort goes into {a}.",
    "Each part can be tested on its own, which is why {actor} often begin there.",
    "A closer look at {a} shows in detail where time is lost.",
};
constexpr sv evidence_headings[] = {"What the Evidence Says", "What the Research Shows", "Reading the Evidence"};
constexpr sv evidence_texts[] = {
    "The research points in one direction: {act} is followed by {gain} more often than not.",
    "However, most of the data comes from {place}, and such results don't always travel.",
    "The evidence on {a} is solid; on {a}, it is still thin.",
    "Where {actor} compared notes, they found {gain} and, less often, {risk}.",
    "A careful analysis separates what was measured from what was hoped for.",
    "The studies of {s} differ in method, but they suggest the same order of steps.",
    "A recent {m} among {actor} indicates how much depends on {a}.",
};
constexpr sv wrong_headings[] = {"Where It Goes Wrong", "Common Mistakes", "The Weak Spots"};
constexpr sv wrong_texts[] = {
    "The usual failure isn't dramatic; it looks like {risk}, month after month.",
    "Projects on {s} tend to stumble over {a}, because nobody was asked to look after that part.",
    "A plan without {a} is a wish, and wishes end in {risk}.",
    "Shortcuts around {a} save a week and cost a year.",
    "Warnings from {actor} arrive early, but they're often filed away.",
    "It is tempting to blame the tools, yet the cause is more often a lack of {a}.",
    "Even {actor} underestimate {risk} when the first results look good.",
};
constexpr sv practice_headings[] = {"Lessons from Practice", "What Practitioners Do", "People and Habits"};
constexpr sv practice_texts[] = {
    "{actor} who succeed share a habit: {act}.",
    "In {place}, a small group began with {act} and let the results speak.",
    "Nobody does this alone: {actor} bring experience, {actor} bring doubt, and both are needed.",
    "The best teams treat {a} as part of the job, not as an extra.",
    "For example, {act} takes an hour a week and prevents {risk}.",
    "Skill matters for {s}, but so does permission to say that something isn't working.",
    "Much of the craft is quiet: {act}, {act}, and patience.",
};
constexpr sv cost_headings[] = {"Costs and Trade-offs", "The Price of Getting It Right", "Weighing the Options"};
constexpr sv cost_texts[] = {
    "Every option has a price, and attention to {a} is paid for in time.",
    "The choice is rarely between good and bad; it's between {gain} now and {gain} later.",
    "For {actor}, a modest budget spent on {act} goes further than a large one spent late.",
    "Some costs of {s} can be planned, in particular those for {a}; others, such as {risk}, cannot.",
    "Cheap solutions exist, but they move the burden to {actor}.",
    "A fair comparison counts the years of upkeep, not only the first invoice.",
    "Whoever saves on {a} should say so, because the bill arrives in the form of {risk}.",
};
constexpr sv next_headings[] = {"What to Do Next", "Practical Steps", "A Way Forward"};
constexpr sv next_texts[] = {
    "Start with one step that can be finished this month: {act}.",
    "Next, agree on how to notice {risk}, and on who will say so.",
    "Then review {a} together with {actor}, and write down what was decided.",
    "Keep what works, stop what does not, and tell others about both.",
    "If only one thing can be done, {act} is the best candidate.",
    "Those responsible for {s} should publish a short report each year, failures included.",
    "Give {actor} a say before the plan is final, and a date on which it will be reviewed.",
};

constexpr sv on_finding_texts[] = {
    "The team's findings on {k} fit this picture and make it more specific.",
    "One finding deserves particular attention: the role of {k}.",
    "This is the place to return to {k}, since that changes what {actor} can expect.",
    "The work on {k} shows what {act} looks like in detail.",
    "Seen together, {k} and {a} explain much of what {actor} report.",
    "The question of {k} runs through all of this, and it shouldn't be left to chance.",
    "It was right to ask about {k}; without an answer, {risk} would go unnoticed.",
    "Earlier research on {k} makes the case stronger, although it doesn't settle it.",
};
constexpr sv conclusion_texts[] = {
    "In conclusion, {s} will reward patience more than enthusiasm.",
    "The conclusion is modest and useful: begin with {act}, watch for {risk}, and keep {a} in view.",
    "What remains open is how {s} will look once {actor} have had their say.",
    "The evidence won't decide for us, but it shows where to begin.",
    "Those who take {a} seriously today will find {gain} easier to reach tomorrow.",
    "With {act}, the next step is small; without it, the same debate will return in a year.",
    "That is a smaller promise than most talk about {s} makes, and a better one.",
};
constexpr sv short_texts[] = {
    "The details matter.",           "It can be learned.",          "Small steps count.",
    "Few regret the effort.",        "That is worth remembering.",  "The first step is {act}.",
    "Much depends on {a}.",          "{actor} know this well.",     "Nothing replaces {act}.",
    "The price of delay is {risk}.", "Honesty about {risk} helps.",
};

constexpr sv summary_point_texts[] = {
    "**Main point:** work on {s} pays off where {act} comes first.",
    "**Evidence:** {actor} report {gain} more often than {risk}.",
    "**Main concern:** {risk}, in particular where nobody looks after {a}.",
    "**Recommendation:** begin with {act}, and review {a} after a year.",
    "**Cost:** modest, if {actor} take part from the start.",
    "**Open question:** how much {s} will depend on {a}.",
    "**Limits:** most data comes from {place}, so the figures don't apply everywhere.",
};
constexpr sv summary_on_finding_texts[] = {
    "**From the findings:** look at {k} as closely as at {a}.",
    "**Confirmed by the team:** the role of {k}.",
};

constexpr theme theme_table[] = {
    {why_headings, why_texts},     {how_headings, how_texts},           {evidence_headings, evidence_texts},
    {wrong_headings, wrong_texts}, {practice_headings, practice_texts}, {cost_headings, cost_texts},
    {next_headings, next_texts},
};
}  // namespace

constinit const phrase_list facts = fact_texts, facts_on_findings = fact_on_finding_texts,
                            short_facts = short_fact_texts;
constinit const phrase_list insights = insight_texts, implications = implication_texts,
                            insights_on_findings = insight_on_finding_texts, short_insights = short_insight_texts;
constinit const phrase_list issues = issue_texts, corrections = correction_texts,
                            issues_on_findings = issue_on_finding_texts, short_issues = short_issue_texts;
constinit const phrase_list titles = title_texts, introductions = introduction_texts, conclusions = conclusion_texts,
                            on_findings = on_finding_texts, short_sentences = short_texts;
constinit const phrase_list summary_points = summary_point_texts, summary_on_findings = summary_on_finding_texts;
constinit const std::span<const theme> themes = theme_table;

}  // namespace model_server::detail::phrases
