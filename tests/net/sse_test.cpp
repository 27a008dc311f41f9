// SPDX-License-Identifier: MIT
#include <felix/net/sse.hpp>

#include "support/allocation_count.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::literals;
using Catch::Matchers::ContainsSubstring;

namespace {

struct seen_event {
  std::string type, data, id;
  friend bool operator==(const seen_event&, const seen_event&) = default;
  friend std::ostream& operator<<(std::ostream& out, const seen_event& e) {
    return out << e.type << '|' << e.data << '|' << e.id;
  }
};

/// All that a stream can tell.
struct seen {
  std::vector<seen_event> events{};
  bool comment = false;
  std::optional<std::chrono::milliseconds> retry{};
  std::string last_id{};
  friend bool operator==(const seen&, const seen&) = default;
};

// Each piece lies in memory of its own size, which is gone as soon as it may be: a sanitizer sees every byte too far.
seen parsed(const std::vector<std::string_view>& pieces, felix::sse_options options = {}) {
  felix::sse_parser parser{options};
  seen all;
  unsigned char sum = 0;
  const auto note = [&](const felix::sse_event& event, std::string_view piece) {
    all.events.push_back({std::string{event.type}, std::string{event.data}, std::string{event.id}});
    const bool inside = event.data.data() >= piece.data() && event.data.data() <= piece.data() + piece.size();
    if (event.in_fed_bytes != inside) FAIL("in_fed_bytes is " << event.in_fed_bytes);
    for (std::size_t i = 0; !event.in_fed_bytes && i < felix::sse_parser::padding; ++i)
      sum = static_cast<unsigned char>(sum + static_cast<unsigned char>(event.data.data()[event.data.size() + i]));
  };
  for (std::string_view piece : pieces) {
    auto bytes = std::make_unique<char[]>(piece.size());
    std::copy(piece.begin(), piece.end(), bytes.get());
    parser.feed({bytes.get(), piece.size()});
    while (const auto event = parser.next()) note(*event, {bytes.get(), piece.size()});
    if (parser.next()) FAIL("nothing, and then an event");
  }
  if (const auto event = parser.finish()) note(*event, {});
  all.comment = parser.take_comment();
  all.retry = parser.retry();
  all.last_id = parser.last_event_id();
  CAPTURE(sum);
  return all;
}

std::vector<std::string_view> cut(std::string_view text, std::size_t piece) {
  std::vector<std::string_view> pieces;
  for (std::size_t at = 0; at < text.size(); at += piece) pieces.push_back(text.substr(at, piece));
  return pieces;
}

std::string replaced(std::string_view text) {
  std::string valid;
  for (std::size_t at = 0; at < text.size();) {
    const auto next = felix::code_point_at(text, at);
    valid += next.valid ? std::string{text.substr(at, next.bytes)} : "\xEF\xBF\xBD";
    at += next.bytes;
  }
  return valid;
}

/// The HTML standard's steps, one after the other, on the whole stream; and what felix adds to them.
seen by_the_standard(std::string_view stream) {
  seen all;
  std::string data, type, id;
  bool has_data = false;
  const auto field = [&](std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    const bool failed = name == "error" && (value.starts_with('{') || value.starts_with('"'));
    if (failed) type = "error";
    if (name == "event") type = replaced(value);
    if (name == "data" || failed) data.append(value).append("\n"), has_data = true;
    if (name == "id" && value.find('\0') == std::string_view::npos) id = replaced(value);
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (name == "retry" && !value.empty() && std::all_of(value.begin(), value.end(), digit) && value.size() < 19)
      all.retry = std::chrono::milliseconds{std::stoll(std::string{value})};
  };
  const auto dispatch = [&] {
    all.last_id = id;
    if (has_data) {
      data.pop_back();
      all.events.push_back({type.empty() ? "message" : type, replaced(data), id});
    }
    data.clear(), type.clear(), has_data = false;
  };
  if (stream.starts_with("\xEF\xBB\xBF")) stream.remove_prefix(3);
  std::string line;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (stream[i] != '\r' && stream[i] != '\n') {
      line += stream[i];
      continue;
    }
    if (stream[i] == '\r' && stream.substr(i + 1).starts_with('\n')) ++i;
    if (line.empty()) {
      dispatch();
    } else if (line[0] == ':') {
      all.comment = true;
    } else {
      field(line);
    }
    line.clear();
  }
  if (!has_data && (line == "data: [DONE]" || line == "data:[DONE]")) field(line);
  if (data == "[DONE]\n") dispatch();
  return all;
}

std::string with_line_ends(std::string_view text, std::string_view end) {
  std::string changed;
  for (char c : text) c == '\n' ? changed += end : changed += c;
  return changed;
}

/// The same, however the stream is cut: at every place once, and into pieces of every small size.
void check_cuts(const std::string& stream) {
  const seen whole = parsed({stream});
  if (whole != by_the_standard(stream)) {
    CHECK(whole.events == by_the_standard(stream).events);
    FAIL("the whole is not by the standard");
  }
  for (std::size_t at = 0; at <= stream.size(); ++at) {
    const std::string_view all{stream};
    if (parsed({all.substr(0, at), all.substr(at)}) != whole) FAIL("cut at " << at << " of " << stream.size());
  }
  for (std::size_t piece = 1; piece <= 20; ++piece)
    if (parsed(cut(stream, piece)) != whole) FAIL("in pieces of " << piece);
}

std::vector<seen_event> events_of(std::string_view stream) { return parsed({stream}).events; }
std::vector<seen_event> messages(std::initializer_list<std::string> data) {
  std::vector<seen_event> all;
  for (const auto& one : data) all.push_back({"message", one, ""});
  return all;
}

std::string code_of(felix::sse_parser& parser) {
  try {
    while (parser.next()) continue;
  } catch (const felix::error& failure) {
    CHECK(failure.code() == felix::errc::protocol);
    CHECK(failure.cost() == felix::request_cost::unknown);
    return failure.what();
  }
  return "";
}

}  // namespace

TEST_CASE("sse: the vectors of the web platform tests", "[net][sse]") {
  const auto bom = "\xEF\xBB\xBF"s;
  CHECK(events_of(bom + "data:1\n\n" + bom + "data:2\n\ndata:3\n\n") == messages({"1", "3"}));  // format-bom
  CHECK(events_of(bom + bom + "data:1\n\ndata:2\n\ndata:3\n\n") == messages({"2", "3"}));       // format-bom-2
  CHECK(events_of("data:1\r:\0\n:\r\ndata:2\n:"s + std::string(2'048, 'x') + "\rdata:3\n:data:fail\r:" +
                  std::string(2'048, 'x') + "\ndata:4\n\n") == messages({"1\n2\n3\n4"}));    // format-comments
  CHECK(events_of("data:\n\ndata\ndata\n\ndata:test\n\n") == messages({"", "\n", "test"}));  // format-field-data
  CHECK(events_of("data:test\n\ndata:test2") == messages({"test"}));                         // data before the end
  CHECK(events_of("event: \ndata:data\n\n") == messages({"data"}));                          // format-field-event-empty
  CHECK(events_of("event:test\ndata:x\n\ndata:x\n\n") ==
        std::vector<seen_event>{{"test", "x", ""}, {"message", "x", ""}});  // format-field-event
  CHECK(events_of("data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\n\n") ==
        messages({"test\n"}));  // format-field-parsing, -unknown
  CHECK(events_of("data:\0\n data:2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\n"
                  "data:4\n\n"s) == messages({"\0\n1\n3\n\n4"s}));                         // format-field-parsing
  CHECK(events_of("data:\ttest\rdata: \ndata:test\n\n") == messages({"\ttest\n\ntest"}));  // format-leading-space
  CHECK(events_of("data:test\r\ndata\ndata:test\r\n\r\n") == messages({"test\n\ntest"}));  // format-newlines
  CHECK(events_of("data:test\n\n\n\n") == messages({"test"}));
  CHECK(events_of("data:ok…\n\n") == messages({"ok…"}));  // format-utf-8
  CHECK(events_of("data\n\n") == messages({""}));
  CHECK(events_of("data: [\"a\"]\n\n:\n\n\n\n") == messages({"[\"a\"]"}));
}

TEST_CASE("sse: the id is taken over at a blank line, even without an event", "[net][sse]") {
  CHECK(events_of("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n") ==
        std::vector<seen_event>{{"message", "a", "1"}, {"message", "b", "1"}, {"message", "c", ""}});
  CHECK(parsed({"id: 7\n\n"}).last_id == "7");
  CHECK(parsed({"id: 7\n"}).last_id.empty());
  CHECK(parsed({"id: 7\n\nid: 8\0\n\n"sv}).last_id == "7");                     // ignored: it contains NUL
  const seen ends = parsed({"retry:1000\ndata:test1\n\nid:test\ndata:test2"});  // format-field-id-3 of a kind
  CHECK(ends.events == messages({"test1"}));
  CHECK(ends.last_id.empty());
  CHECK(ends.retry == 1'000ms);
}

TEST_CASE("sse: retry is digits and nothing else", "[net][sse]") {
  CHECK(parsed({"retry:3000\n"}).retry == 3'000ms);
  CHECK(parsed({"retry: 0\n"}).retry == 0ms);
  for (const char* odd : {"retry:1000x\n", "retry\n", "retry:\n", "retry:-1\n", "retry:+1\n", "retry: 1 \n",
                          "retry:1.5\n", "retry:99999999999999999999\n", "Retry:1\n"})
    CHECK_FALSE(parsed({odd}).retry);
  CHECK(parsed({"retry:5\nretry:x\n"}).retry == 5ms);
}

TEST_CASE("sse: a comment is told once, when its line has ended", "[net][sse]") {
  felix::sse_parser parser;
  CHECK_FALSE(parser.take_comment());
  parser.feed(": OPENROUTER PROC");
  CHECK_FALSE(parser.next());
  CHECK_FALSE(parser.take_comment());
  parser.feed("ESSING\n\n");
  CHECK_FALSE(parser.next());
  CHECK(parser.take_comment());
  CHECK_FALSE(parser.take_comment());
}

TEST_CASE("sse: error fields with JSON are events of the type error", "[net][sse]") {
  const auto failed = [](std::string data) { return std::vector<seen_event>{{"error", std::move(data), ""}}; };
  CHECK(events_of("error: {\"code\":500}\n\n") == failed("{\"code\":500}"));  // llama.cpp before September 2025
  CHECK(events_of("error:\"text\"\n\n") == failed("\"text\""));
  CHECK(events_of("event: error\ndata: {}\n\n") == failed("{}"));  // LM Studio
  CHECK(events_of("event: x\nerror: {}\n\n") == failed("{}"));
  CHECK(events_of("error: no\nerrors: {}\nerror\n\n").empty());
  CHECK(events_of("error: {}\n\ndata: a\n\n").at(1) == seen_event{"message", "a", ""});
}

TEST_CASE("sse: of what is not ended, only [DONE] is given", "[net][sse]") {
  for (const char* end : {"data: [DONE]", "data:[DONE]", "data: [DONE]\n", "data: [DONE]\r", "data: [DONE]\r\n",
                          "\xEF\xBB\xBF"
                          "data: [DONE]",
                          "data: x\n\ndata: [DONE]", ": c\ndata: [DONE]", "data: [DONE]\nid: 5",
                          "data: [DONE]\ndata: [DONE]", "data: [DONE]\nda", "data: [DONE]\n\n"}) {
    CAPTURE(end);
    const seen all = parsed({end});
    REQUIRE_FALSE(all.events.empty());
    CHECK(all.events.back() == seen_event{"message", "[DONE]", ""});
    CHECK(all.last_id.empty());
    check_cuts(end);
  }
  for (const char* end :
       {"data: [DONE", "data: [DONE] ", "data: x\ndata: [DONE]", "data: x\ndata: [DONE]\n", "data: [DONE]\ndata: x\n",
        "data: x", "data: x\n", "id: [DONE]", "[DONE]", ": [DONE]", "xdata: [DONE]", "event: [DONE]"}) {
    CAPTURE(end);
    CHECK(parsed({end}).events.empty());
    check_cuts(end);
  }
}

TEST_CASE("sse: after the end another stream begins", "[net][sse]") {
  const std::string ends[]{"event: lost\nid: lost\ndata: lost",
                           "event: lost\nid: lost\ndata: lost\n",
                           "data: x\n\n\r",
                           "event: lost\n\xEF",
                           "",
                           "data: [DONE]",
                           "data: [DONE]\nda",
                           "event: x\ndata: [DONE]\r"};
  for (const auto& end : ends) {
    CAPTURE(end);
    felix::sse_parser parser;
    const auto bytes = "retry: 7\nid: 1\n\n" + end;
    parser.feed(bytes);
    while (parser.next()) continue;
    static_cast<void>(parser.finish());
    CHECK_FALSE(parser.finish());
    parser.feed(
        "\n\xEF\xBB\xBF"
        "data: no\n\n");  // the LF is no half of a CRLF, so this mark is not at the begin
    CHECK_FALSE(parser.next());
    static_cast<void>(parser.finish());
    parser.feed(
        "\xEF\xBB\xBF"
        "data: a\n\n");
    const auto event = parser.next();
    REQUIRE(event);
    CHECK(event->type == "message");
    CHECK(event->data == "a");
    CHECK(event->id == "1");
    CHECK(parser.last_event_id() == "1");
    CHECK(parser.retry() == 7ms);

    parser.feed(end);
    while (parser.next()) continue;
    static_cast<void>(parser.finish());
    std::size_t events = 0;
    const std::string_view next_stream{"data: b\n\n"};
    for (std::string_view byte : cut(next_stream, 1)) {
      parser.feed(byte);
      for (; const auto more = parser.next(); ++events) CHECK(more->data == "b");
    }
    CHECK(events == 1);
  }
}

TEST_CASE("sse: the same events however the stream is cut, with LF, CR and CRLF", "[net][sse]") {
  const auto end = GENERATE(as<std::string>{}, "\n", "\r", "\r\n");
  for (std::string_view stream :
       {"\xEF\xBB\xBF"
        "data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n"sv,
        "\xEF\xBB\xBF\n\xEF\xBB\xBF"
        "data: x\n\ndata: y\n\n"sv,
        ": comment\n\nevent: delta\nid: 17\ndata: one\ndata: two\ndata:\ndata\ndata: five\n\ndata: z\n\n\n\n"sv,
        "data\n\ndata\ndata\n\n:\n\ndata:\n\n"sv,
        "data:  two spaces \n\nevent:e\ndata: f\nevent:\n\nretry: 10\nretry: x\n\nid: a\0b\nid: c\n\n"sv,
        "data: Zürich 東京 🙂\nevent: grüße\nid: 🙂\n\n"sv,
        "data: bad \xFF\xC3 and cut \xE6\x9D\ndata: \xA0\xF0\x9F\x99\n\nid: \xFF\nevent: \xC0\ndata: x\n\n"sv,
        "data: x\nnonsense\nfield: value\ndata : y\nerror: {\"message\":\"m\"}\n\ndata: z\n\n"sv, "data: unfinished"sv,
        "data: x\nevent: y"sv, "\n\n\n"sv, ""sv}) {
    const auto changed = with_line_ends(stream, end);
    CAPTURE(changed);
    check_cuts(changed);
  }
  check_cuts("data: a\r\rdata: b\n\ndata: c\r\n\r\ndata: d\r\n\rdata: e\n\r\ndata: f\r\n\n\rdata: g\n");
}

TEST_CASE("sse: a byte order mark in three pieces", "[net][sse]") {
  CHECK(parsed({"\xEF", "\xBB", "\xBF", "data: a\n\n"}).events == messages({"a"}));
  CHECK(parsed({"\xEF", "\xBB", "",
                "\xBF"
                "data: a\n\n"})
            .events == messages({"a"}));
  CHECK(parsed({"\xEF", "\xBB", "data: a\n\n"}).events.empty());  // half a mark is the begin of a name
}

TEST_CASE("sse: a character cut in two survives, and bytes that are none are replaced per field", "[net][sse]") {
  CHECK(parsed({"data: \xE6\x9D", "\xB1\n\n"}).events == messages({"東"}));
  CHECK(events_of("data: \xE6\x9D\ndata: \xB1\n\n") ==
        messages({"\xEF\xBF\xBD\xEF\xBF\xBD\n\xEF\xBF\xBD"}));  // two lines, no character
  CHECK(events_of("data: a\xFFz\n\ndata: ok\n\n") == messages({"a\xEF\xBF\xBDz", "ok"}));
  CHECK(events_of("event: \xFF\nid: \xC3\ndata: x\n\n") ==
        std::vector<seen_event>{{"\xEF\xBF\xBD", "x", "\xEF\xBF\xBD"}});
}

TEST_CASE("sse: a reader that asks for it gets the data as it was sent", "[net][sse]") {
  const std::string stream = "event: \xFF\ndata: a\xFFz\n\ndata: \xE6\x9D\ndata: \xB1\n\ndata: b\xFF\n\n";
  felix::sse_parser parser;
  parser.feed(stream);
  const auto first = parser.next_as_sent();
  REQUIRE(first);
  CHECK(first->data == "a\xFFz");
  CHECK(first->in_fed_bytes);
  CHECK(first->type == "\xEF\xBF\xBD");
  const auto second = parser.next_as_sent();
  REQUIRE(second);
  CHECK(second->data == "\xE6\x9D\n\xB1");
  CHECK_FALSE(second->in_fed_bytes);
  const auto third = parser.next();
  REQUIRE(third);
  CHECK(third->data == "b\xEF\xBF\xBD");
  CHECK_FALSE(parser.next_as_sent());
}

TEST_CASE("sse: data that is one line in the fed bytes is not copied", "[net][sse]") {
  const std::string stream =
      "data: {\"a\":1}\n\nid: 1\r\nevent: e\r\ndata:{\"b\":2}\r\n\r\ndata: x\ndata: y\n\ndata: \xFF\n\n";
  felix::sse_parser parser;
  parser.feed(stream);
  const auto first = parser.next();
  REQUIRE(first);
  CHECK(first->data.data() == stream.data() + 6);
  CHECK(first->in_fed_bytes);
  const auto second = parser.next();
  REQUIRE(second);
  CHECK(second->data.data() == stream.data() + stream.find("{\"b"));
  CHECK(second->in_fed_bytes);
  for (const char* assembled : {"x\ny", "\xEF\xBF\xBD"}) {
    const auto event = parser.next();
    REQUIRE(event);
    CHECK(event->data == assembled);
    CHECK_FALSE(event->in_fed_bytes);
  }
  CHECK_FALSE(parser.next());

  parser.feed("data: z\n");  // its blank line comes in the next piece: by then these bytes may be gone
  CHECK_FALSE(parser.next());
  parser.feed("\ndata: 1\n\n");
  const auto kept = parser.next();
  REQUIRE(kept);
  CHECK(kept->data == "z");
  CHECK_FALSE(kept->in_fed_bytes);
  const auto after = parser.next();
  REQUIRE(after);
  CHECK(after->data == "1");
  CHECK(after->in_fed_bytes);
}

TEST_CASE("sse: 64 bytes behind data that is kept can be read, however long it is", "[net][sse]") {
  for (std::size_t at_end : {0U, 1U}) {  // the cut is before the line's end, or behind it
    std::string stream;
    for (std::size_t length = 1; length <= 1'500; ++length) stream += "data: " + std::string(length, 'x') + "\n\n";
    std::vector<std::string_view> pieces;
    for (std::size_t begin = 0, end = 0; begin != stream.size(); begin = end) {
      end = std::min(stream.find('\n', begin + 2), stream.size() - at_end) + at_end;
      pieces.push_back(std::string_view{stream}.substr(begin, end - begin));
    }
    CHECK(parsed(pieces).events.size() == 1'500);  // parsed() reads them
  }
}

TEST_CASE("sse: the buffer is used again", "[net][sse]") {
  const std::string stream =
      "event: delta\ndata: " + std::string(300, 'x') + "\ndata: \xFF" + std::string(300, 'y') + "\n\n";
  const auto pieces = cut(stream, 7);
  felix::sse_parser parser;
  const auto run = [&] {
    std::size_t events = 0;
    for (std::string_view piece : pieces) {
      parser.feed(piece);
      while (parser.next()) ++events;
    }
    return events;
  };
  CHECK(run() == 1);
  const felix::test::allocation_count since;
  CHECK(run() == 1);
  CHECK(since.calls() == 0);
}

TEST_CASE("sse: a line may be as long as the bound, and no byte longer", "[net][sse]") {
  const std::size_t most = 100;
  const auto piece = GENERATE(as<std::size_t>{}, 1, 2, 7, 16, 17, 99, 100, 101, 1'000);
  const auto end = GENERATE(as<std::string>{}, "\n", "\r\n");
  const auto name = GENERATE(as<std::string>{}, "data:", ":", "id:", "nonsense");
  CAPTURE(piece, end, name);
  const auto line = name + std::string(most - name.size(), 'x');
  const auto fed_until_error = [&](const std::string& stream) {
    felix::sse_parser parser{{.max_line = most}};
    std::string said;
    std::size_t fed = 0;
    for (std::string_view part : cut(stream, piece)) {
      parser.feed(part);
      fed += part.size();
      said = code_of(parser);
      if (!said.empty()) break;
    }
    return std::pair{said, fed};
  };
  const auto two = line + end + line + end + end;
  CHECK(fed_until_error(two).first.empty());
  const auto [said, fed] = fed_until_error(line + end + line + "x" + end + end);
  CHECK_THAT(said, ContainsSubstring("100 bytes in one line") && ContainsSubstring("max_line"));
  CHECK(fed <= 2 * most + end.size() + piece);  // not only at the line's end
}

TEST_CASE("sse: an event may have as much data as the bound, and no byte more", "[net][sse]") {
  const auto piece = GENERATE(as<std::size_t>{}, 1, 3, 10, 1'000);
  CAPTURE(piece);
  const auto said = [&](const std::string& stream) {
    felix::sse_parser parser{{.max_event = 11}};
    for (std::string_view part : cut(stream, piece)) {
      parser.feed(part);
      if (const auto message = code_of(parser); !message.empty()) return message;
    }
    return ""s;
  };
  CHECK(said("data: 12345\ndata: 12345\n\ndata: 12345678901\n\n").empty());
  CHECK_THAT(said("data: 12345\ndata: 123456\n\n"), ContainsSubstring("11 bytes in one event"));
  CHECK_THAT(said("data: 123456789012\n\n"), ContainsSubstring("max_event"));
  CHECK_FALSE(said("data: 12345678901\ndata\n\n").empty());  // the LF between lines counts
  CHECK(said("data: 12345\n\ndata: 1234567\n\n").empty());
}

TEST_CASE("sse: the bounds are 1 MiB and 8 MiB unless said otherwise, and none if they are huge", "[net][sse]") {
  constexpr std::size_t mib = std::size_t{1} << 20U;
  const auto fails = [](const std::string& stream, felix::sse_options options = {}) {
    felix::sse_parser parser{options};
    for (std::string_view part : cut(stream, 65'536)) {
      parser.feed(part);
      if (!code_of(parser).empty()) return true;
    }
    return false;
  };
  CHECK_FALSE(fails("data:" + std::string(mib - 5, 'x') + "\n\n"));
  CHECK(fails("data:" + std::string(mib - 4, 'x')));
  std::string event;
  for (int i = 0; i < 16; ++i) event += "data:" + std::string(mib / 2 - 1, 'x') + "\n";
  CHECK_FALSE(fails(event + "\n"));  // 8 MiB − 1
  CHECK_FALSE(fails(event + "data\n\n"));
  CHECK(fails(event + "data\ndata\n\n"));
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  CHECK_FALSE(fails(event + "data\ndata:" + std::string(2 * mib, 'x') + "\n\n", {.max_line = none, .max_event = none}));
}

TEST_CASE("sse: once a bound was exceeded nothing comes but the error, until the stream is ended", "[net][sse]") {
  const auto begin =
      GENERATE(as<std::string>{}, "data: 123456789012\n", "data: 12345678901234567890", "data: [DONE]\ndata: 12345\n",
               "data: 1\ndata: 1234567890", "data: [DONE]\n:12345678901234567890");
  const auto piece = GENERATE(as<std::size_t>{}, 1, 5, 100);
  CAPTURE(begin, piece);
  felix::sse_parser parser{{.max_line = 20, .max_event = 10}};
  const auto stream = begin + "\n\ndata: a\n\n" + begin;
  std::string said;
  for (std::string_view part : cut(stream, piece)) {
    parser.feed(part);
    const auto now = code_of(parser);
    if (!said.empty() && now != said) FAIL("after " << said << ": " << now);
    said = now;
  }
  CHECK_FALSE(said.empty());
  CHECK_FALSE(parser.finish());
  parser.feed(
      "\xEF\xBB\xBF"
      "data: a\n\n");
  const auto event = parser.next();
  REQUIRE(event);
  CHECK(event->data == "a");
}

TEST_CASE("sse: random streams in random pieces, against the standard's steps", "[net][sse]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{40}));
  constexpr std::array words{"data"sv,
                             "data: "sv,
                             "data:"sv,
                             "event: "sv,
                             "id: "sv,
                             "retry: "sv,
                             "error: "sv,
                             ":"sv,
                             " "sv,
                             "\n"sv,
                             "\n"sv,
                             "\n\n"sv,
                             "\r"sv,
                             "\r\n"sv,
                             "\r\n\r\n"sv,
                             "{\"a\":1}"sv,
                             "[DONE]"sv,
                             "123"sv,
                             "\xEF\xBB\xBF"sv,
                             "\xEF"sv,
                             "\xFF"sv,
                             "é"sv,
                             "\xA9"sv,
                             "🙂"sv,
                             "\0"sv,
                             "a rather long text that does not end before the next piece comes"sv};
  felix::seeded_random random{seed};
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random.next() % n); };
  for (int round = 0; round < 100; ++round) {
    std::string stream;
    for (std::size_t i = below(60); i > 0; --i) stream += words[below(words.size())];
    std::vector<std::string_view> pieces;
    const std::size_t longest = 1 + below(50);
    for (std::string_view left = stream; !left.empty();) {
      pieces.push_back(left.substr(0, below(longest + 1)));
      left.remove_prefix(pieces.back().size());
    }
    if (parsed(pieces) != by_the_standard(stream)) {
      CAPTURE(seed, round, stream);
      CHECK(parsed(pieces).events == by_the_standard(stream).events);
      CHECK(parsed(pieces).last_id == by_the_standard(stream).last_id);
      CHECK(parsed(pieces).comment == by_the_standard(stream).comment);
      FAIL("not by the standard");
    }
  }
}

TEST_CASE("sse: what real servers streamed, cut at every byte", "[net][sse][samples]") {
  const auto name = GENERATE(as<std::string>{}, "llamacpp-2026/chat-stream.http", "llamacpp-2026/chat-stream-n2.http",
                             "llamacpp-2026/chat-stream-usage.http", "llamacpp-2026/completion-native-stream.http",
                             "aimock/hello-stream-usage.http", "aimock/tool-stream.http", "aimock/unicode-stream.http",
                             "aimock/slow-stream.http", "nginx/echo-stream.http");
  const auto bytes = felix::test::sample(name);
  if (!bytes) {
    WARN("skipped: FELIX_TEST_SAMPLES does not name the folder of recorded answers");
    return;
  }
  std::string stream;  // without the frames of chunked transfer coding (RFC 9112, 7.1)
  for (std::size_t at = bytes->find("\r\n\r\n") + 4;;) {
    std::size_t digits = 0;
    const std::size_t size = std::stoul(bytes->substr(at), &digits, 16);
    if (size == 0) break;
    stream += bytes->substr(at + digits + 2, size);
    at += digits + 2 + size + 2;
  }
  const auto events = events_of(stream);
  REQUIRE(events.size() >= 4);
  for (const auto& event : events) {
    CHECK(event.type == "message");
    CHECK((event.data == "[DONE]" || (event.data.front() == '{' && event.data.back() == '}')));
  }
  CHECK(parsed({stream}).comment == (name == "nginx/echo-stream.http"));
  for (const char* end : {"\n", "\r", "\r\n"}) {
    const auto changed = with_line_ends(stream, end);
    CHECK(events_of(changed) == events);
    check_cuts(changed);
  }
}
