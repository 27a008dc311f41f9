// SPDX-License-Identifier: MIT
// benchmarks: what is asked and answered, the same for all: a short conversation, and a paragraph.
#pragma once

#include <string>
#include <string_view>

namespace chat {

inline constexpr std::string_view system =
    "You are a careful analyst in a small team. Weigh what the others have found, name what is uncertain, and answer "
    "in "
    "plain prose without lists.";
inline constexpr std::string_view user =
    "Topic: the safety of language models in hospitals. So far the team has found that such models draft letters well, "
    "that they invent references when asked for sources, and that nurses trust a fluent answer more than a hesitant "
    "one. What follows for a hospital that wants to begin with a trial of three months? Give the two risks that matter "
    "most, and for each a measure that can be taken before the trial begins.";
inline constexpr int max_tokens = 256;

/// The two as a request.
inline constexpr std::string_view request =
    R"({"model":"local-model","messages":[{"role":"system","content":"You are a careful analyst in a small team. Weigh )"
    R"(what the others have found, name what is uncertain, and answer in plain prose without lists."},{"role":"user",)"
    R"("content":"Topic: the safety of language models in hospitals. So far the team has found that such models draft )"
    R"(letters well, that they invent references when asked for sources, and that nurses trust a fluent answer more )"
    R"(than a hesitant one. What follows for a hospital that wants to begin with a trial of three months? Give the two )"
    R"(risks that matter most, and for each a measure that can be taken before the trial begins."}],"max_tokens":256,)"
    R"("temperature":0.7,"stream":false})";

/// What nginx answers. It stands between single quotes in its configuration: no quote, no backslash, no dollar sign.
inline constexpr std::string_view answer =
    R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"local-model","choices":[{"index":0,)"
    R"("message":{"role":"assistant","content":"Two risks stand out. The first is that an invented reference reaches a )"
    R"(patient record, because a fluent letter is signed without being read; before the trial begins, every draft should )"
    R"(carry a mark that only a named person can remove after checking each source. The second is that staff come to )"
    R"(rely on the tone of an answer instead of its content, most of all at night, when nobody is there to ask; a short )"
    R"(course with wrong but fluent examples, held on each ward, shows what that looks like and costs an hour. Both )"
    R"(measures can be counted, so the trial can tell whether they work."},"logprobs":null,"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":128,"completion_tokens":132,"total_tokens":260}})";

/// The same request for a streamed answer.
inline std::string streamed_request() {
  std::string text{request};
  constexpr std::string_view whole = R"("stream":false)", streamed = R"("stream":true)";
  return text.replace(text.find(whole), whole.size(), streamed);
}

/// The data of an event of a streamed answer: of each, and of the one that ends it.
inline constexpr std::string_view chunk_text = " reference";
inline constexpr std::string_view chunk =
    R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"local-model","choices":[{)"
    R"("index":0,"delta":{"content":" reference"},"logprobs":null,"finish_reason":null}]})";
inline constexpr std::string_view last_chunk =
    R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"local-model","choices":[{)"
    R"("index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":128,"completion_tokens":2000,"total_tokens":2128}})";

}  // namespace chat
