// SPDX-License-Identifier: MIT
// What does a chunk of a streamed answer cost, when each comes alone, as from a model, and when several come at once?
#include "questions.hpp"
#include "stream_readers.hpp"
#include "stream_server.hpp"

#include <felix/llm/client.hpp>
#include <felix/llm/openai_model.hpp>

#include <cstddef>
#include <string>

void questions::streams(bench::suite& suite) {
  constexpr std::size_t open = 4;
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{32}}) {
    const std::string question = "streams/" + std::to_string(at_once) + "_at_once";
    if (!suite.asks(question)) continue;
    const bench::stream_server server;
    const std::string url = server.base_url(at_once);
    bench::raw_streams raw{server, at_once, open};
    bench::felix_streams<felix::openai_model> model{server, felix::openai_options{.base_url = url}, open};
    bench::felix_streams<felix::client> client{
        server, felix::client_options{.base_url = url, .max_concurrent_requests = open}, open};
    const auto taken = suite.take_turns(question,
                                        "4 streams of 2,000 chunks, " + std::to_string(at_once) +
                                            " in a write; CPU time of the client a chunk; p50, p99: of an answer",
                                        {{"curl_and_simdjson", [&](auto length) { return raw.run(length); }},
                                         {"felix_openai_model", [&](auto length) { return model.run(length); }},
                                         {"felix", [&](auto length) { return client.run(length); }}},
                                        1, "chunk");
    suite.goal(question + ", CPU, felix / curl_and_simdjson", bench::at_most{1.3}, "times",
               taken.cpu.ratio("felix", "curl_and_simdjson"));
  }
}
