// SPDX-License-Identifier: MIT
// tests: what the raw clients of the benchmarks read out of an answer: as much as felix does.
#include "../../../benchmarks/peers/chat_readers.hpp"  // first: this file proves that the header needs no other before it

#include "support/catch.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string_view>

namespace {

constexpr std::string_view answer = R"({"choices":[{"message":{"role":"assistant","content":"a river\n"}}]})";

constexpr std::string_view stream =
    ": a comment\n\n"
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"a ri\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"ver\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: [DONE]\n\n";

template <class Reader>
void read(Reader& reader, std::string_view bytes, std::size_t piece) {
  reader.begin();
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) reader.write(bytes.substr(0, piece));
}

}  // namespace

TEST_CASE("chat_readers: the text of a whole answer, again and again", "[benchmarks]") {
  peers::json_reader reader;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, answer.size()}) {
    read(reader, answer, piece);
    CHECK(reader.end() == 8);  // a river, and the line end
  }
}

TEST_CASE("chat_readers: what is no answer is an error", "[benchmarks]") {
  peers::json_reader reader;
  for (const std::string_view wrong :
       {"", "{}", R"({"choices":[]})", R"({"choices":[{"message":{"content":null}}]})"}) {
    CAPTURE(wrong);
    read(reader, wrong, 100);
    CHECK_THROWS_AS(reader.end(), std::runtime_error);
  }
}

TEST_CASE("chat_readers: the text of a stream, however it is cut", "[benchmarks]") {
  peers::sse_reader reader;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{50}, stream.size()}) {
    CAPTURE(piece);
    read(reader, stream, piece);
    CHECK(reader.end() == 7);  // a river
    CHECK(reader.chunks() == 4);
  }
}

TEST_CASE("chat_readers: an event that is no chunk is an error", "[benchmarks]") {
  peers::sse_reader reader;
  reader.begin();
  CHECK_THROWS_AS(reader.write("data: {\"error\":\"overloaded\"}\n"), std::runtime_error);
}
