// SPDX-License-Identifier: MIT
// agent: what others found, cut to what a prompt can afford.
#include <felix/agent/findings.hpp>

#include <felix/utf8.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using felix::findings_text;
using felix::post_message;

namespace {

post_message found(std::string_view agent, std::string text, double confidence = 0.5,
                   std::string_view role = "research") {
  post_message made;
  made.from = agent;
  made.role = role;
  made.text = std::move(text);
  made.confidence = confidence;
  return made;
}

/// In their order.
std::vector<post_message> published(std::vector<post_message> messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) messages[i].order = i;
  return messages;
}

const auto all = [](const post_message&) { return true; };

}  // namespace

TEST_CASE("findings: the newest of each agent, the most confident first", "[agent][findings]") {
  const auto messages = published({found("research_001", "Old.", 0.9), found("research_002", "Wide.", 0.3),
                                   found("analysis_001", "Deep.", 0.7, "analysis"), found("research_001", "New.", 0.6),
                                   found("critic_001", "", 1.0, "critic")});
  CHECK(findings_text(messages, 1'000, all) == "- [analysis_001] Deep.\n- [research_001] New.\n- [research_002] Wide.");
  CHECK(findings_text(messages, 1'000, [](const post_message& m) { return m.role == "research"; }) ==
        "- [research_001] New.\n- [research_002] Wide.");
  CHECK(findings_text(messages, 1'000, [](const post_message& m) { return m.order < 3; }) ==
        "- [research_001] Old.\n- [analysis_001] Deep.\n- [research_002] Wide.");
  CHECK(findings_text(messages, 1'000, [](const post_message&) { return false; }).empty());
  CHECK(findings_text({}, 1'000, all).empty());
  // Room for so many that say something.
  CHECK(findings_text(messages, 100, all) == "- [analysis_001] Deep.");
  CHECK(findings_text(messages, 160, all) == "- [analysis_001] Deep.\n- [research_001] New.");
}

TEST_CASE("findings: of equal confidence the newer is first, then by name", "[agent][findings]") {
  auto messages = published({found("b", "One."), found("a", "Two."), found("c", "Three.")});
  CHECK(findings_text(messages, 1'000, all) == "- [c] Three.\n- [a] Two.\n- [b] One.");
  for (auto& message : messages) message.order = 0;
  CHECK(findings_text(messages, 1'000, all) == "- [a] Two.\n- [b] One.\n- [c] Three.");
}

TEST_CASE("findings: share the room, and what one does not need goes to the next", "[agent][findings]") {
  const std::string text = "First sentence here. Second sentence here. Third sentence here. Fourth sentence here.";
  const auto even = published({found("a", text), found("b", text)});
  CHECK(findings_text(even, 200, all) ==
        "- [b] " + text + "\n- [a] " + text);  // 86 bytes each and their heads: both fit
  CHECK(findings_text(even, 160, all) ==
        "- [b] First sentence here. Second sentence here. Third sentence here.\n"
        "- [a] First sentence here. Second sentence here. Third sentence here.");
  const auto uneven = published({found("a", text), found("b", "Short.")});
  CHECK(findings_text(uneven, 160, all) == "- [b] Short.\n- [a] " + text);
  for (const std::size_t little : {12U, 79U, 80U}) CHECK(findings_text(uneven, little, all) == "- [b] Short.");
  CHECK(findings_text(uneven, 11, all) == "- [b] Sh…");
  CHECK(findings_text(uneven, 6, all).empty());
}

TEST_CASE("findings: are cut to whole sentences, however short, and to words only inside the first",
          "[agent][findings][D14]") {
  const auto messages =
      published({found("a", "It is so. The rest of it is a sentence that is far too long to be quoted.")});
  for (std::size_t limit = 15; limit < 70; ++limit) CHECK(findings_text(messages, limit, all) == "- [a] It is so.");
  CHECK(findings_text(messages, 14, all) == "- [a] It is…");
}

TEST_CASE("findings: a thousand agents of many messages are read once", "[agent][findings]") {
  std::vector<post_message> messages;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 1'000; ++i)
      messages.push_back(found("agent_" + std::to_string(i), "Round " + std::to_string(round) + ".", i / 1'000.0));
  }
  int looks = 0;
  const auto counted = [&](const post_message&) {
    ++looks;
    return true;
  };
  CHECK(findings_text(published(messages), 160, counted) == "- [agent_999] Round 4.\n- [agent_998] Round 4.");
  CHECK(looks == 5'000);
}

TEST_CASE("findings: keep any limit from 0 to 2,000 bytes", "[agent][findings]") {
  std::string sentences;
  std::string letters;
  for (int i = 0; i < 40; ++i) sentences += "A sentence of some length, number " + std::to_string(i) + ". ";
  for (int i = 0; i < 100; ++i) letters += "中é😀 ";
  const std::vector<std::string> surest_first{"research_004", "analysis_001", "research_003", "research_002",
                                              "research_001"};
  const auto messages =
      published({found("research_001", sentences, 0.1), found("analysis_001", std::string(700, 'x'), 0.8),
                 found("research_002", "Short.", 0.2), found("research_003", letters, 0.3),
                 found("research_004", sentences, 0.9)});
  std::size_t lines_before = 0;
  for (std::size_t limit = 0; limit <= 2'000; ++limit) {
    CAPTURE(limit);
    const std::string text = findings_text(messages, limit, all);
    REQUIRE(text.size() <= limit);
    std::size_t lines = 0;
    for (std::size_t at = 0; at < text.size(); ++lines) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string head = "- [" + surest_first.at(lines) + "] ";
      REQUIRE(text.substr(at, head.size()) == head);
      REQUIRE(end - at > head.size());
      at = end + 1;
    }
    REQUIRE(text.find("\n\n") == std::string::npos);
    REQUIRE(!text.ends_with('\n'));
    for (std::size_t at = 0; at < text.size();) {
      const auto next = felix::code_point_at(text, at);
      REQUIRE(next.valid);
      at += next.bytes;
    }
    REQUIRE(lines >= std::min<std::size_t>(5, limit / 80));
    REQUIRE(lines >= lines_before);
    lines_before = lines;
  }
  CHECK(lines_before == 5);
}
