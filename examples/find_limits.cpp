// SPDX-License-Identifier: MIT
// A server that nobody has described: which one it is, how many requests it takes at once, what it lets through in a
// minute, and what all that came to. Start one first (LM Studio, llama.cpp, vLLM, or this repository's model_server).
//     ./find_limits [BASE_URL [REQUESTS]]
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

felix::task<felix::server_info> identify(felix::event_loop& loop, std::string url) {
  felix::openai_model server{loop, {.base_url = std::move(url)}};
  co_return co_await server.identify();
}

felix::task<void> ask_all(felix::client& llm, int requests) {
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 1; i <= requests; ++i)
    asked.push_back(
        llm.complete(felix::chat_request{}.user(fmt::format("Name a river, number {}.", i)).max_tokens(40)));
  co_await felix::when_all(std::move(asked));
}

int main(int argc, char** argv) try {
  const std::string url = argc > 1 ? argv[1] : "http://localhost:1234/v1";
  const int requests = argc > 2 ? std::clamp(std::atoi(argv[2]), 1, 10'000) : 40;
  felix::event_loop loop;
  const felix::server_info server = loop.run(identify(loop, url));
  fmt::print("{}: {}, {}\n", url, server.dialect.name,
             server.slots > 0 ? fmt::format("says that it has {} slots", server.slots) : "does not say its slots");

  const felix::gradient_limit finds_slots{{.initial = server.slots,  // 0: unknown
                                           .max = std::max<std::size_t>(64, server.slots)}};
  felix::client llm{loop,
                    {.base_url = url, .dialect = server.dialect, .limit_by = felix::limit{finds_slots}, .rate = {{}}}};
  loop.run(ask_all(llm, requests));
  const felix::client_usage usage = llm.usage_stats();
  fmt::print("{} requests at once\n{}\n", usage.slots.limit, usage);
  if (usage.rate.requests.learned) fmt::print("{:.0f} requests a minute\n", usage.rate.requests.per_minute);
  if (usage.rate.tokens.learned) fmt::print("{:.0f} tokens a minute\n", usage.rate.tokens.per_minute);
} catch (const felix::error& failure) {
  fmt::print(stderr, "{}\n", failure.what());
  return 1;
}
