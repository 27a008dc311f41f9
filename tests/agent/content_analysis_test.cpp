// SPDX-License-Identifier: MIT
// agent: what the words of a team's findings tell.
#include <felix/agent/content_analysis.hpp>

#include "support/catch.hpp"

#include <string_view>
#include <vector>

using Catch::Matchers::WithinRel;

namespace {

felix::content_analysis analysed(std::vector<std::string_view> texts) { return felix::analyse_content(texts); }

}  // namespace

TEST_CASE("analyse_content: contradictions are whole words", "[agent][content_analysis][D42]") {
  // The original looks for substrings: "but" in "attribute", "wrong" in "wrongly", "false" in "falsehood".
  CHECK(analysed({"Each attribute contributes to the distribution; a falsehood, wrongly put."}).contradictions == 0);
  CHECK(analysed({"Cheap, but slow."}).contradictions == 1);
  CHECK(analysed({"However, the studies conflict; on the contrary, one is not accurate and contradicts itself."})
            .contradictions == 5);
  CHECK(analysed({"It is not", "accurate"}).contradictions == 0);  // of two texts
}

TEST_CASE("analyse_content: gaps", "[agent][content_analysis]") {
  const auto text =
      GENERATE(as<std::string_view>{}, "We need more data.", "It lacks more details", "insufficient evidence",
               "A gap in the record", "Missing coverage!", "The cause is unknown");
  CAPTURE(text);
  CHECK(analysed({text}).gaps == 1);
  CHECK(analysed({"We need data. No gap: information."}).gaps == 0);
}

TEST_CASE("analyse_content: complexity grows by a tenth, quality falls by a fifth", "[agent][content_analysis]") {
  const auto plain = analysed({"Bread is baked."});
  CHECK(plain.complexity == 0);
  CHECK(plain.quality == 1);
  CHECK_FALSE(plain.is_complex());
  CHECK_FALSE(plain.is_poor());

  const auto three = analysed({"A complex, intricate matter with multiple factors"});
  CHECK_THAT(three.complexity, WithinRel(0.3, 1e-12));
  CHECK_FALSE(three.is_complex());  // high is more than that
  CHECK(analysed({"A complex, intricate, confusing matter of multiple factors"}).is_complex());
  CHECK(analysed({"It requires further analysis"}).complexity > 0);
  CHECK(analysed({"complex complex complex complex complex complex complex complex complex complex complex"})
            .complexity == 1);

  CHECK_THAT(analysed({"A draft analysis"}).quality, WithinRel(0.8, 1e-12));
  CHECK_FALSE(analysed({"A draft analysis"}).is_poor());
  CHECK(analysed({"A draft analysis that needs improvement"}).is_poor());
  CHECK(analysed({"low quality, low quality, low quality, poor quality, limited scope, limited scope"}).quality == 0);
}

TEST_CASE("analyse_content: depth is how many kinds of reasoning there are", "[agent][content_analysis]") {
  CHECK(analysed({"because because because because"}).depth == 0.125);
  const auto two = analysed({"Because the data indicates it"});
  CHECK(two.depth == 0.25);
  CHECK(two.is_shallow());
  const auto three = analysed({"Because the data indicates it, therefore"});
  CHECK(three.depth == 0.375);
  CHECK_FALSE(three.is_shallow());
  CHECK(analysed({"because therefore analysis shows data indicates research suggests evidence supports conclusion "
                  "findings methodology approach framework"})
            .depth == 1);
}

TEST_CASE("analyse_content: who speaks of one domain only misses the others", "[agent][content_analysis]") {
  using names = std::vector<std::string_view>;
  CHECK(analysed({"The market and its customers"}).missing_domains ==
        names{"technical", "scientific", "creative", "analytical"});
  CHECK(analysed({"The market for software"}).missing_domains.empty());
  CHECK(analysed({"Bread is baked."}).missing_domains.empty());  // of none
}

TEST_CASE("analyse_content: the last ten texts, and none say nothing", "[agent][content_analysis]") {
  // The original reads a key that no message has: it finds "insufficient analysis" whatever was said.
  std::vector<std::string_view> texts{"but"};
  for (int i = 0; i < 9; ++i) texts.emplace_back("bread");
  CHECK(analysed(texts).contradictions == 1);
  texts.emplace_back("therefore");
  CHECK(analysed(texts).contradictions == 0);
  CHECK(analysed(texts).depth == 0.125);
  CHECK(analysed({}).quality == 1);
  CHECK(analysed({}).gaps == 0);
}
