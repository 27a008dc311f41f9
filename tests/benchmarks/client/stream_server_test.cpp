// SPDX-License-Identifier: MIT
// tests: the streams that the clients of the benchmarks read: all of the text, and no chunk before the others were read.
#include "../../../benchmarks/client/stream_server.hpp"  // first: this file proves that it needs no other before it

#include "../../../benchmarks/peers/chat_readers.hpp"
#include "../../../benchmarks/peers/curl_engine.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string_view>

using bench::stream_server;

namespace {

constexpr std::size_t streams = 3;

/// Tells the server how far it is, and notes how many chunks came before it did.
class telling_reader : public peers::sse_reader {
 public:
  telling_reader(bench::text_read& told, std::size_t& most_untold) : told_{&told}, most_untold_{&most_untold} {}
  void write(std::string_view bytes) {
    const std::size_t before = end();
    peers::sse_reader::write(bytes);
    const std::size_t text = end() - before;
    *most_untold_ = std::max(*most_untold_, text / chat::chunk_text.size());
    told_->add(text);
  }

 private:
  bench::text_read* told_;
  std::size_t* most_untold_;
};

}  // namespace

TEST_CASE("stream_server: each stream brings all of the text, in as many chunks at once as are asked for",
          "[benchmarks]") {
  const stream_server server;
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{7}, std::size_t{32}}) {
    CAPTURE(at_once);
    std::size_t most_untold = 0, whole = 0, answers = 0;
    peers::curl_engine<telling_reader> raw{{.url = server.base_url(at_once) + "/chat/completions",
                                            .body = chat::streamed_request(),
                                            .slots = streams,
                                            .removal = peers::epoll_removal::lazy},
                                           telling_reader{server.read(), most_untold}};
    for (int round = 0; round < 2; ++round) {  // over the connections of the first
      raw.run(std::chrono::steady_clock::now(), [&](std::chrono::nanoseconds, std::size_t text) {
        ++answers;
        whole += text == stream_server::text_bytes ? 1U : 0U;
      });
    }
    CHECK(answers == 2 * streams);
    CHECK(whole == answers);
    CHECK(most_untold >= 1);
    CHECK(most_untold <= at_once);
  }
}
