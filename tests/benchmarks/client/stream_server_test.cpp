// SPDX-License-Identifier: MIT
// tests: the streams that the clients of the benchmarks read: all of the text, and no chunk before the others were read.
#include "../../../benchmarks/client/stream_server.hpp"  // first: this file proves that it needs no other before it

#include "../../../benchmarks/peers/chat_readers.hpp"
#include "../../../benchmarks/peers/curl_engine.hpp"

#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <string_view>

using bench::stream_server;

namespace {

struct progress {
  bench::text_read& told;
  bool tells = true;
  std::size_t text = 0;
};

class telling_reader : public peers::sse_reader {
 public:
  explicit telling_reader(progress& to) : to_{&to} {}
  void write(std::string_view bytes) {
    const std::size_t before = end();
    peers::sse_reader::write(bytes);
    to_->text += end() - before;
    if (to_->tells) to_->told.add(end() - before);
  }

 private:
  progress* to_;
};

using engine = peers::curl_engine<telling_reader>;

peers::curl_engine_options options(const stream_server& server, std::size_t at_once, std::size_t streams) {
  return {.url = server.base_url(at_once) + "/chat/completions",
          .body = chat::streamed_request(),
          .slots = streams,
          .removal = peers::epoll_removal::lazy};
}

}  // namespace

TEST_CASE("stream_server: each stream brings all of the text, over the connections that are open", "[benchmarks]") {
  constexpr std::size_t streams = 3;
  const stream_server server;
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{7}, std::size_t{32}}) {
    CAPTURE(at_once);
    progress all{server.read()};
    engine raw{options(server, at_once, streams), telling_reader{all}};
    std::size_t whole = 0;
    for (int round = 0; round < 2; ++round) {
      raw.run(engine::clock::now(), [&](std::chrono::nanoseconds, std::size_t text) {
        whole += text == stream_server::text_bytes ? 1U : 0U;
      });
    }
    CHECK(whole == 2 * streams);
    CHECK(all.text == 2 * streams * stream_server::text_bytes);
  }
}

TEST_CASE("stream_server: no more chunks come before those that came were read", "[benchmarks]") {
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{7}}) {
    CAPTURE(at_once);
    const stream_server server;
    progress all{server.read(), false};
    engine raw{options(server, at_once, 1), telling_reader{all}};
    const std::size_t round = at_once * chat::chunk_text.size();
    raw.start_all();
    while (all.text < round) raw.drive(engine::clock::now() + std::chrono::milliseconds{1});
    raw.drive(engine::clock::now() + std::chrono::milliseconds{20});
    CHECK(all.text == round);
    all.told.add(all.text);
    while (all.text < 2 * round) raw.drive(engine::clock::now() + std::chrono::milliseconds{1});
    CHECK(all.text == 2 * round);
  }
}
