// SPDX-License-Identifier: MIT
// Only a model can be limited: complete(chat_request) returns task<chat_response>.
// EXPECT: no match for|invalid operands
#include <felix/llm/limited.hpp>

struct oracle {
#ifdef FELIX_WRONG
  int complete(felix::chat_request) { return 42; }
#else
  felix::task<felix::chat_response> complete(felix::chat_request) { co_return felix::chat_response{"42"}; }
#endif
};

auto wise() { return oracle{} | felix::limit{4}; }
