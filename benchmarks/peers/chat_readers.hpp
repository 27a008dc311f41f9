// SPDX-License-Identifier: MIT
// benchmarks: the text of a chat completion with simdjson alone, in one piece and streamed.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace peers {

namespace detail {
/// One for the thread: its buffers are used again.
inline simdjson::dom::parser& parser() {
  thread_local simdjson::dom::parser shared;
  return shared;
}
}  // namespace detail

/// Keeps the body, and parses it at its end.
class json_reader {
 public:
  void begin() { body_.clear(); }
  void write(std::string_view bytes) { body_.append(bytes); }
  std::size_t end() {
    body_.reserve(body_.size() + simdjson::SIMDJSON_PADDING);  // so that it is not copied
    std::string_view text;
    if (detail::parser().parse(body_.data(), body_.size(), false)["choices"].at(0)["message"]["content"].get(text) !=
        simdjson::SUCCESS)
      throw std::runtime_error{"raw curl: the answer is no chat completion"};
    text_.assign(text);
    return text_.size();
  }

 private:
  std::string body_, text_;
};

/// Splits server-sent events at line ends, and parses the data of each: what suffices for a server that is known to send
/// `data: {...}` lines, and neither comments nor data of several lines.
class sse_reader {
 public:
  void begin() {
    pending_.clear();
    text_.clear();
    chunks_ = 0;
  }
  void write(std::string_view bytes) {
    pending_.append(bytes);
    std::size_t at = 0;
    for (;;) {
      const void* const found = std::memchr(pending_.data() + at, '\n', pending_.size() - at);
      if (found == nullptr) break;
      const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - pending_.data());
      take_line(std::string_view{pending_}.substr(at, end - at));
      at = end + 1;
    }
    pending_.erase(0, at);
  }
  std::size_t end() const noexcept { return text_.size(); }
  [[nodiscard]] std::size_t chunks() const noexcept { return chunks_; }

 private:
  void take_line(std::string_view line) {
    constexpr std::string_view field = "data: ";
    if (line.substr(0, field.size()) != field) return;
    const std::string_view data = line.substr(field.size());
    if (data == "[DONE]") return;
    ++chunks_;
    simdjson::dom::element delta;
    if (detail::parser().parse(data.data(), data.size())["choices"].at(0)["delta"].get(delta) != simdjson::SUCCESS)
      throw std::runtime_error{"raw curl: an event is no chunk of a chat completion"};
    std::string_view text;
    if (delta["content"].get(text) == simdjson::SUCCESS) text_.append(text);
  }

  std::string pending_, text_;
  std::size_t chunks_ = 0;
};

}  // namespace peers
