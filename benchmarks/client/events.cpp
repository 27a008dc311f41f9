// SPDX-License-Identifier: MIT
// How fast are the events of a streamed answer taken apart and their JSON read, with no network? All bytes of the stream
// count: field names, JSON and line ends. The stream has 2,000 events, of which each brings a word, of 270 bytes or so.
#include "peers/chat_readers.hpp"
#include "questions.hpp"

#include <felix/llm/chat_response.hpp>
#include <felix/llm/detail/chunk_reader.hpp>
#include <felix/net/sse.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int events = 2'000;

/// As a server of today sends it.
std::string recorded() {
  const std::vector<std::string> words{
      " The", " first",  " is", " that",  " an",  " invented", " reference",     " to", " a", " patient",
      "'s",   " record", ",",   "\\n\\n", " one", " who",      " \\\"signs\\\"", " it", "."};
  const std::string before =
      R"(data: {"id":"chatcmpl-B7kXq2mZpRt4YwEo9sVnLc3HdGf8","object":"chat.completion.chunk","created":1733420160,)"
      R"("model":"local-model-8b-instruct","system_fingerprint":"fp_72ed7ab54c","choices":[{"index":0,"delta":)";
  std::string stream = before + R"({"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" + "\n\n";
  for (std::size_t i = 0; i < events; ++i)
    stream +=
        before + R"({"content":")" + words[i % words.size()] + R"("},"logprobs":null,"finish_reason":null}]})" + "\n\n";
  return stream + before + R"({},"logprobs":null,"finish_reason":"stop"}]})" + "\n\ndata: [DONE]\n\n";
}

std::size_t read_with_felix(std::string_view stream, std::size_t piece) {
  felix::chat_response answer;
  felix::codec::chunk_reader chunks{answer, "http://localhost:8080"};
  felix::sse_parser parser;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    parser.feed(stream.substr(at, piece));
    while (const auto event = parser.next_as_sent()) {
      if (event->data == "[DONE]") continue;
      auto& deltas = chunks.read(event->data, true);
      benchmark::DoNotOptimize(deltas.data());
    }
  }
  return answer.text().size();
}

std::size_t read_with_simdjson(std::string_view stream, std::size_t piece) {
  peers::sse_reader reader;
  reader.begin();
  for (std::size_t at = 0; at < stream.size(); at += piece) reader.write(stream.substr(at, piece));
  return reader.end();
}

}  // namespace

void questions::events(bench::suite& suite) {
  if (!suite.asks("events")) return;
  std::string stream = recorded();
  stream.reserve(stream.size() + felix::sse_parser::padding);  // what may be read behind an event lies there
  const std::size_t text = read_with_simdjson(stream, stream.size());
  const auto reading = [&](auto read, std::size_t piece) {
    return [&stream, text, read, piece](benchmark::State& state) {
      for (auto _ : state) {
        if (read(stream, piece) != text) throw std::runtime_error{"events: not all of the text"};
      }
      state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(stream.size()));
    };
  };
  const auto taken = suite.measure("events", {{"felix_1400", reading(read_with_felix, 1400)},
                                              {"felix_1", reading(read_with_felix, 1)},
                                              {"simdjson_1400", reading(read_with_simdjson, 1400)},
                                              {"simdjson_1", reading(read_with_simdjson, 1)}});
  suite.note("an item is a byte of the stream; its events have " + std::to_string(stream.size() / ::events) + " bytes");
  const auto goal = [&](const char* of, const std::string& pieces, double least) {
    suite.goal("events and their JSON, in pieces of " + pieces, bench::at_least{least}, "GB/s",
               bench::scaled(taken.items_per_second(of).value(), 1e-9));
  };
  goal("felix_1400", "1,400 bytes", 1.2);
  goal("felix_1", "a byte", 0.3);
}
