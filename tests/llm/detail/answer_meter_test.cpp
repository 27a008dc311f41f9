// SPDX-License-Identifier: MIT
#include <felix/llm/detail/answer_meter.hpp>

#include "support/catch.hpp"

#include <limits>
#include <string>

using felix::chat_delta;
using felix::token_count;
using felix::token_usage;
using felix::detail::answer_meter;

namespace {

answer_meter after(token_count most, int deltas, const std::string& each) {
  answer_meter meter{most};
  for (int i = 0; i < deltas; ++i) meter.add(chat_delta{}.text(each));
  return meter;
}
token_usage usage(token_count prompt, token_count answer) {
  return {.prompt_tokens = prompt, .completion_tokens = answer, .total_tokens = prompt + answer};
}

}  // namespace

TEST_CASE("answer_meter: a delta is a token, and one more than was paid for is over", "[llm][answer_meter]") {
  CHECK(after(3, 3, " word").seen() == 3);
  CHECK_FALSE(after(3, 3, " word").is_over());
  CHECK(after(3, 4, " word").is_over());
  CHECK_FALSE(after(10, 10, " incomprehensib").is_over());  // long words are honest
}

TEST_CASE("answer_meter: reasoning, refusals and the arguments of tool calls are counted too", "[llm][answer_meter]") {
  answer_meter meter{1};
  const std::string ten_tokens(160, 'x');
  meter.add(chat_delta{}.reasoning(ten_tokens));
  meter.add(chat_delta{}.refusal(ten_tokens));
  meter.add(chat_delta{}.add({.index = 0, .name = ten_tokens, .arguments = ten_tokens}));
  CHECK(meter.believed({}, 0).completion_tokens == 40);
}

TEST_CASE("answer_meter: of deltas with several tokens the bytes count, four a token", "[llm][answer_meter]") {
  const answer_meter meter = after(20, 2, std::string(44, 'x'));
  CHECK(meter.seen() == 22);
  CHECK(meter.is_over());
  CHECK(after(22, 2, std::string(44, 'x')).seen() == 22);
  CHECK_FALSE(after(22, 2, std::string(44, 'x')).is_over());
}

TEST_CASE("answer_meter: an answer that comes whole is not over by its bytes", "[llm][answer_meter]") {
  CHECK_FALSE(after(20, 1, std::string(500, 'x')).is_over());
}

TEST_CASE("answer_meter: what the server says in between counts, and estimates do not", "[llm][answer_meter]") {
  answer_meter meter = after(100, 2, std::string(200, 'x'));
  CHECK(meter.seen() == 100);
  meter.server_says({.completion_tokens = 500, .estimated = true});
  CHECK(meter.seen() == 100);
  meter.server_says(usage(10, 60));  // 60 tokens in 400 bytes: it knows better
  CHECK(meter.seen() == 60);
  meter.server_says(usage(10, 30));
  CHECK(meter.seen() == 60);
  meter.server_says(usage(10, 101));
  CHECK(meter.is_over());
}

TEST_CASE("answer_meter: a report below what was seen is not believed, nor what else it says", "[llm][answer_meter]") {
  const auto estimated = [](token_count prompt, token_count answer) {
    token_usage guess = usage(prompt, answer);
    guess.estimated = true;
    return guess;
  };
  const answer_meter meter = after(100, 50, " word");
  CHECK(meter.believed(usage(100, 50), 400) == usage(100, 50));
  CHECK(meter.believed(usage(100, 70), 400) == usage(100, 70));
  CHECK(meter.believed(usage(25, 50), 400) == usage(25, 50));
  CHECK(meter.believed(usage(100, 49), 400) == estimated(100, 50));
  CHECK(meter.believed(usage(24, 50), 400) == estimated(25, 50));
  CHECK(after(100, 1, std::string(1'600, 'x')).believed(usage(10, 99), 16) == estimated(10, 100));
  CHECK(meter.believed({.prompt_tokens = 10, .completion_tokens = 50, .total_tokens = 5}, 16).total_tokens == 60);
  CHECK(meter.believed({.prompt_tokens = 10, .completion_tokens = 50, .total_tokens = 90}, 16).total_tokens == 90);
  CHECK(meter.believed({.estimated = true}, 16).estimated);
  const token_count most = std::numeric_limits<token_count>::max();
  CHECK(meter.believed({.prompt_tokens = most, .completion_tokens = most}, 16).total_tokens == most);
}
