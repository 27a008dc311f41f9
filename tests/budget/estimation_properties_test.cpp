// SPDX-License-Identifier: MIT
// budget: what holds of every estimator, by seed: no tokenizer is above the bound, no plan is above it either, a server
// that counts more does so once, and a stated confidence is true.
#include <felix/budget/any_estimator.hpp>
#include <felix/budget/calibrated_estimator.hpp>
#include <felix/budget/counted_estimator.hpp>
#include <felix/budget/estimator.hpp>
#include <felix/budget/prompt_bound.hpp>

#include <felix/random.hpp>
#include "support/catch.hpp"
#include "support/tokenizers.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using felix::any_estimator;
using felix::prompt_size;
using felix::seeded_random;
using felix::token_count;
using felix::test::as_sent;
using felix::test::byte_level_tokens;
using felix::test::in_nfc;
using felix::test::random_text;
using felix::test::sentence_piece_tokens;

namespace {

constexpr felix::server_key here = 1;

/// A server: a tokenizer, and a template with so many tokens a message and once.
struct server {
  int tokenizer = 0;  // 0 byte-level, 1 the same after NFC, 2 SentencePiece
  std::size_t longest = 1;
  token_count per_message = 5, once = 3;

  [[nodiscard]] token_count tokens(std::string_view text) const {
    const std::string sent = as_sent(text);
    if (tokenizer == 2) return sentence_piece_tokens(sent);
    return byte_level_tokens(tokenizer == 1 ? in_nfc(sent) : sent, longest, 7);
  }
  [[nodiscard]] token_count prompt(const std::vector<std::string>& messages) const {
    token_count sum = once;
    for (const auto& text : messages) sum += tokens(text) + per_message;
    return sum;
  }
};

server random_server(seeded_random& random) {
  return {.tokenizer = static_cast<int>(random.next() % 3),
          .longest = 1 + random.next() % 6,
          .per_message = static_cast<token_count>(3 + random.next() % 4),
          .once = static_cast<token_count>(random.next() % 60)};
}

std::vector<std::string> random_messages(seeded_random& random, std::size_t pieces) {
  std::vector<std::string> messages(1 + random.next() % 4);
  for (auto& text : messages) text = random_text(random, pieces);
  return messages;
}

prompt_size size_of(const std::vector<std::string>& messages) {
  prompt_size size;
  for (const auto& text : messages) size.add(text);
  return size;
}

std::vector<any_estimator> all_estimators() {
  constexpr auto always = felix::template_allowance::always;
  return {felix::prompt_bound{},          felix::prompt_bound{always},
          felix::prompt_estimator{},      felix::prompt_estimator{felix::prompt_bound{always}},
          felix::calibrated_estimator{},  felix::calibrated_estimator{felix::prompt_bound{always}},
          felix::counted_estimator{here}, felix::counted_estimator{here, felix::calibrated_estimator{}}};
}

}  // namespace

TEST_CASE("estimators: no tokenizer makes more of a text than its bound", "[budget][estimation]") {
  for (std::uint64_t seed = 0; seed < 5'000; ++seed) {
    seeded_random random{seed};
    const std::string text = random_text(random, 40);
    const token_count bound = felix::text_token_bound(text);
    const std::string sent = as_sent(text);
    const bool holds = static_cast<token_count>(sent.size()) <= bound &&
                       static_cast<token_count>(in_nfc(sent).size()) <= bound && sentence_piece_tokens(sent) <= bound;
    if (!holds) FAIL("seed " << seed);
  }
  SUCCEED();
}

TEST_CASE("estimators: a bound that always allows for the template is never wrong", "[budget][estimation]") {
  constexpr auto always = felix::template_allowance::always;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    seeded_random random{seed};
    const server asked = random_server(random);
    std::vector<any_estimator> estimators{felix::prompt_bound{always},
                                          felix::prompt_estimator{felix::prompt_bound{always}},
                                          felix::calibrated_estimator{felix::prompt_bound{always}}};
    for (int request = 0; request < 30; ++request) {
      const auto messages = random_messages(random, random.next() % 40);
      const auto size = size_of(messages);
      const token_count tokens = asked.prompt(messages);
      for (auto& estimator : estimators) {
        if (estimator.at_most(size) < tokens) FAIL("seed " << seed << ", request " << request);
        estimator.learn(size, tokens);
        if (estimator.one_at_a_time()) FAIL("seed " << seed << ", request " << request);
      }
    }
  }
  SUCCEED();
}

TEST_CASE("estimators: the first requests to a server fit, whichever estimator it is", "[budget][estimation]") {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    seeded_random random{seed};
    const server asked = random_server(random);
    const auto messages = random_messages(random, 40);
    for (const auto& estimator : all_estimators())
      if (estimator.at_most(size_of(messages)) < asked.prompt(messages)) FAIL("seed " << seed);
  }
  SUCCEED();
}

TEST_CASE("estimators: plans are within the bound, and what was seen fits from then on", "[budget][estimation]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    seeded_random random{seed};
    for (auto& estimator : all_estimators()) {
      for (int request = 0; request < 20; ++request) {
        auto size = size_of(random_messages(random, 20));
        if (random.next() % 4 == 0) size.images = static_cast<int>(random.next() % 3);
        if (random.next() % 2 == 0)
          size.counted = {
              .tokens = static_cast<token_count>(random.next() % 500),
              .of = random.next() % 2 == 0 ? felix::prompt_count::scope::whole : felix::prompt_count::scope::texts,
              .by = random.next() % 3};
        // From none to a hundred times as many tokens as bytes.
        const auto tokens =
            static_cast<token_count>(random.next() % (2 + 100 * static_cast<std::uint64_t>(size.bytes)));
        estimator.learn(size, tokens >> (random.next() % 8));
        const auto seen = static_cast<token_count>(random.next() % (2 + 3 * static_cast<std::uint64_t>(size.bytes)));
        estimator.learn(size, seen);
        const bool teaches = size.bytes > 0 || size.images > 0;
        if (teaches && estimator.at_most(size) < seen) FAIL("seed " << seed << ", request " << request);
        if (estimator.planned(size) > estimator.at_most(size)) FAIL("seed " << seed << ", request " << request);
        if (estimator.planned(size) < 0) FAIL("seed " << seed << ", request " << request);
      }
    }
  }
  SUCCEED();
}

TEST_CASE("estimators: a tokenizer that is worse than the bound is above it once", "[budget][estimation]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    seeded_random random{seed};
    const double per_byte = random.uniform(1.5, 8);  // give or take a tenth
    for (auto& estimator : all_estimators()) {
      int above = 0;
      int since = 0;
      for (int request = 0; request < 60; ++request) {
        const auto bytes = static_cast<token_count>(400 + random.next() % 4'000);
        const prompt_size size{.bytes = bytes, .text_bound = bytes + 2, .messages = 2};
        const auto tokens =
            10 + static_cast<token_count>(static_cast<double>(bytes) * per_byte * random.uniform(0.9, 1.1));
        const bool is_above = tokens > estimator.at_most(size);
        above += is_above ? 1 : 0;
        since = is_above ? 0 : since + 1;
        estimator.learn(size, tokens);
        if (estimator.one_at_a_time() != (above > 0 && since < 8)) FAIL("seed " << seed << ", request " << request);
      }
      if (above != 1) FAIL("seed " << seed << ": " << above << " above");
    }
  }
  SUCCEED();
}

TEST_CASE("estimators: copies that learn the same in the same order say the same", "[budget][estimation]") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    seeded_random random{seed};
    const server asked = random_server(random);
    std::vector<std::pair<prompt_size, token_count>> answers;
    for (int request = 0; request < 100; ++request) {
      const auto messages = random_messages(random, 30);
      answers.emplace_back(size_of(messages), asked.prompt(messages));
    }
    for (const auto& fresh : all_estimators()) {
      // The one sees each answer at once, the other eight later, as a window lets it: at every place they agree.
      any_estimator at_once = fresh, later = fresh;
      std::vector<any_estimator> then;
      for (std::size_t i = 0; i < answers.size(); ++i) {
        then.push_back(at_once);
        at_once.learn(answers[i].first, answers[i].second);
        if (i < 8) continue;
        later.learn(answers[i - 8].first, answers[i - 8].second);
        const auto& size = answers[i].first;
        if (later.planned(size) != then[i - 7].planned(size) || later.at_most(size) != then[i - 7].at_most(size))
          FAIL("seed " << seed << ", answer " << i);
      }
    }
  }
  SUCCEED();
}

TEST_CASE("calibrated_estimator: one in a hundred prompts is above its plan, of each kind of text",
          "[budget][estimation]") {
  felix::calibrated_estimator estimator;
  seeded_random random{2026};
  const auto varied = [&](double mean) {  // about normal, a twelfth of the mean as its deviation
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += random.uniform(-0.5, 0.5);
    return mean * (1 + sum / 12);
  };
  int stated = 0, above = 0;
  token_count planned = 0, counted = 0;
  for (int request = 0; request < 20'000; ++request) {
    // A tenth of another script, a tenth of code: in one ratio they would be above far more often.
    const auto bytes = static_cast<token_count>(500 + random.next() % 3'000);
    prompt_size size{.bytes = bytes, .text_bound = bytes + 2, .messages = 2};
    double mean = 0.23;
    if (const auto kind = random.next() % 10; kind == 0) {
      size.symbol_bytes = bytes / 4;
      mean = 0.38;
    } else if (kind == 1) {
      size.non_ascii_bytes = bytes;
      mean = 0.55;
    }
    const token_count tokens = 11 + static_cast<token_count>(static_cast<double>(bytes) * varied(mean));
    if (estimator.confidence(size).share == 0.99) {
      ++stated;
      above += tokens > estimator.planned(size) ? 1 : 0;
      planned += estimator.planned(size);
      counted += tokens;
    }
    estimator.learn(size, tokens);
  }
  CHECK(stated > 19'900);
  CHECK(above <= stated / 80);   // 1 %, and a little for chance
  CHECK(above >= stated / 140);  // no more cautious than it says
  CHECK(static_cast<double>(planned) < 1.35 * static_cast<double>(counted));
}
