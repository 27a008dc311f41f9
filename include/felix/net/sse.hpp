// SPDX-License-Identifier: MIT
// net: events out of a text/event-stream, in whatever pieces it comes.
#pragma once

#include <felix/error.hpp>
#include <felix/utf8.hpp>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace felix::inline v1 {

/// One event. The views are valid until the next call of feed(), next() or finish().
struct sse_event {
  std::string_view type = {};  ///< "message" where the server names none
  std::string_view data = {};  ///< its data lines, joined by LF
  std::string_view id = {};    ///< the last one that the stream gave, or empty
  /// Whether `data` lies in the bytes given to feed(), so that what may be read behind them may be read behind it. Else
  /// it lies in the parser, which has sse_parser::padding readable bytes behind it.
  bool in_fed_bytes = false;
};

/// What a server may send at most. One that exceeds a bound sends no events, or means harm.
struct sse_options {
  std::size_t max_line = std::size_t{1} << 20U;   ///< bytes, without the line's end
  std::size_t max_event = std::size_t{8} << 20U;  ///< bytes of data
};

/// An incremental parser of server-sent events.
///     parser.feed(bytes);                                       // any piece of the stream
///     while (const auto event = parser.next()) use(event->data);
///     ...                                                       // and after the last piece
///     if (const auto event = parser.finish()) use(event->data);
/// The text of an event is valid UTF-8 (but see next_as_sent): a byte that is no part of a code point becomes U+FFFD,
/// wherever the pieces were cut. Its data is a view into the fed bytes when it is one line that lies in them whole,
/// valid, and ended by what lies in them too; else it is put together in a buffer, which is used again. Two things go
/// beyond the standard, as model servers need them: a line `error: {…}` or `error: "…"` makes the event one of the type
/// "error" with that data (llama.cpp before September 2025), and finish() gives a `data: [DONE]` that lacks its blank
/// line.
/// Threads: none of its own; the owner guards it.
/// Throws:  next() throws error (protocol) when a bound is exceeded, and then every time until finish() is called.
/// Cost:    a byte is searched for line ends once, and copied once if its line does not lie whole in one piece. The
///          buffer stays as large as the largest event that it held.
/// See:     the HTML standard, 9.2.6 "Interpreting an event stream".
class sse_parser {
 public:
  static constexpr std::size_t padding = 64;  ///< what simdjson reads beyond a text (SIMDJSON_PADDING)

  explicit sse_parser(sse_options options = {}) noexcept : options_{options} {}

  /// The next piece of the stream. The bytes stay where they are until next() has given nothing.
  void feed(std::string_view bytes) noexcept {
    assert(at_ == fed_.size() && "felix::sse_parser: call next() until it gives nothing before you feed more");
    fed_ = bytes;
    at_ = after_lf_ = after_cr_ = 0;
  }

  /// The next whole event. Nothing: feed more.
  [[nodiscard]] std::optional<sse_event> next() {
    std::optional<sse_event> event = next_as_sent();
    if (event) make_valid(*event);
    return event;
  }
  /// The same, but its data may be no UTF-8: for readers that find that out themselves, as JSON parsers do.
  [[nodiscard]] std::optional<sse_event> next_as_sent() {
    if (keep_few()) return std::nullopt;
    return advance();
  }

  /// At the end of the stream: a last `data: [DONE]` whose blank line or line end is missing. Any other event that is not
  /// whole is dropped. The next feed() begins another stream, which inherits last_event_id() and retry() only.
  [[nodiscard]] std::optional<sse_event> finish() {
    assert(at_ == fed_.size() && "felix::sse_parser: call next() until it gives nothing before you finish");
    if (given_) begin_event();
    const std::string_view line = without_mark(kept(line_at_, used_));
    if (!has_data_ && line.starts_with("data:") && value_after(line, 4) == "[DONE]") add_data(value_after(line, 4));
    used_ = line_at_;
    first_line_ = true;
    after_carriage_return_ = false;
    if (std::exchange(exceeded_, bound::none) == bound::none && has_data_ && data() == "[DONE]" && end_event())
      return dispatched();
    begin_event();
    id_ = last_id_;
    return std::nullopt;
  }

  /// Whether a comment line has ended since this was last asked. Servers send them to say that they are still there.
  [[nodiscard]] bool take_comment() noexcept { return std::exchange(comment_, false); }
  /// How long the server wants clients to wait before they connect again, if it said so.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry() const noexcept { return retry_; }
  /// What a client that connects again sends as Last-Event-ID.
  [[nodiscard]] std::string_view last_event_id() const noexcept { return last_id_; }

 private:
  enum class bound : unsigned char { none, line, event };

  // A few bytes in the middle of a line, as quick as can be. False: not that, and nothing was done.
  bool keep_few() noexcept {
    const std::size_t at = at_, used = used_, few = fed_.size() - at;  // a store of a char could change members
    if (few > 16 || used == line_at_ || used + few > room_) return false;
    const char* from = fed_.data() + at;
    char* to = kept_.data() + used;
    for (std::size_t i = 0; i < few; ++i) {
      const char byte = from[i];
      if (byte == '\n' || byte == '\r') return false;
      to[i] = byte;
    }
    used_ = used + few;
    at_ = at + few;
    return true;
  }

  [[gnu::noinline]] std::optional<sse_event> advance() {
    if (exceeded_ != bound::none) throw over(exceeded_);
    if (given_) begin_event();
    while (at_ != fed_.size()) {
      if (std::exchange(after_carriage_return_, false) && fed_[at_] == '\n') {
        ++at_;
        continue;
      }
      const std::size_t end = line_end();
      const std::string_view piece = fed_.substr(at_, end - at_);
      if (piece.size() > options_.max_line - (used_ - line_at_)) throw over(bound::line);
      if (end == fed_.size()) {
        keep_data();
        keep(piece);
        room_ = line_at_ + std::min(options_.max_line, kept_.size() - padding - line_at_);
        at_ = end;
        return std::nullopt;
      }
      at_ = end + 1;
      after_carriage_return_ = fed_[end] == '\r';
      if (used_ != line_at_) keep(piece);
      if (take_line(used_ == line_at_ ? piece : kept(line_at_, used_))) return dispatched();
    }
    keep_data();
    return std::nullopt;
  }

  // Where the line at at_ ends: at the first CR or LF, or with the fed bytes. Each of the two is looked for once: a place
  // that lies ahead stays true.
  [[nodiscard]] std::size_t line_end() noexcept {
    if (after_lf_ <= at_) after_lf_ = after_next('\n');
    if (after_cr_ <= at_) after_cr_ = after_next('\r');
    return std::min(after_lf_, after_cr_) - 1;
  }
  [[nodiscard]] std::size_t after_next(char wanted) const noexcept {  // size() + 1: there is none
    if (fed_[at_] == wanted) return at_ + 1;
    const void* found = std::memchr(fed_.data() + at_, wanted, fed_.size() - at_);
    const auto* place = static_cast<const char*>(found);
    return (place == nullptr ? fed_.size() : static_cast<std::size_t>(place - fed_.data())) + 1;
  }

  // A line without its end, in the fed bytes or the last one of kept_. True: it was blank, and there is an event.
  bool take_line(std::string_view line) {
    line = without_mark(line);
    if (line.starts_with("data:")) [[likely]] {
      add_data(value_after(line, 4));
      return false;
    }
    if (!line.empty()) take_field(line);
    used_ = line_at_;
    return line.empty() && end_event();
  }

  std::string_view without_mark(std::string_view line) noexcept {
    return line.substr(std::exchange(first_line_, false) && line.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  }

  void take_field(std::string_view line) {
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = value_after(line, colon);
    if (colon == 0) {
      comment_ = true;
    } else if (name == "data") {
      add_data(value);
    } else if (name == "event") {
      assign(type_, value);
    } else if (name == "id") {
      if (value.find('\0') == std::string_view::npos) assign(id_, value);
    } else if (name == "retry") {
      take_retry(value);
    } else if (name == "error" && (value.starts_with('{') || value.starts_with('"'))) {
      type_ = "error";
      add_data(value);
    }
  }

  void take_retry(std::string_view value) noexcept {
    std::int64_t milliseconds = 0;
    const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), milliseconds);
    if (failed == std::errc{} && end == value.data() + value.size() && value.front() != '-')
      retry_ = std::chrono::milliseconds{milliseconds};
  }

  static std::string_view value_after(std::string_view line, std::size_t name) noexcept {
    if (name == line.size()) return line.substr(name);
    return line.substr(name + (line.substr(name + 1).starts_with(' ') ? 2 : 1));
  }
  static void assign(std::string& field, std::string_view value) {
    field.clear();
    append_valid_utf8(field, value);
  }

  void add_data(std::string_view value) {
    const bool line_is_kept = used_ != line_at_;
    const std::size_t before = has_data_ ? data().size() + 1 : 0;
    if (before > options_.max_event || value.size() > options_.max_event - before) throw over(bound::event);
    if (!has_data_ && !line_is_kept) {
      fed_data_ = value;
    } else if (!has_data_) {  // the data is what it is in the middle of kept_, so nothing moves
      data_at_ = static_cast<std::size_t>(value.data() - kept_.data());
      data_is_kept_ = true;
    } else if (line_is_kept) {  // behind data that is kept as well, since the line did not begin in these bytes
      kept_[line_at_] = '\n';
      std::memmove(kept_.data() + line_at_ + 1, value.data(), value.size());
      used_ = line_at_ + 1 + value.size();
    } else {
      keep_data();
      keep("\n");
      keep(value);
    }
    has_data_ = true;
    line_at_ = used_;
  }

  [[nodiscard]] std::string_view data() const noexcept { return data_is_kept_ ? kept(data_at_, line_at_) : fed_data_; }

  // What lies in the fed bytes must not be needed when they are gone.
  void keep_data() {
    if (!has_data_ || data_is_kept_) return;
    data_at_ = used_;
    keep(fed_data_);
    line_at_ = used_;
    data_is_kept_ = true;
  }
  void keep(std::string_view bytes) {
    if (bytes.size() + padding > kept_.size() - used_)
      kept_.resize(std::max(2 * kept_.size(), used_ + bytes.size() + padding + 512));
    std::memcpy(kept_.data() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
  }
  [[nodiscard]] std::string_view kept(std::size_t begin, std::size_t end) const noexcept {
    return {kept_.data() + begin, end - begin};
  }

  [[nodiscard]] bool end_event() {
    if (last_id_ != id_) last_id_ = id_;
    if (!has_data_) type_.clear();
    return has_data_;
  }
  [[nodiscard]] sse_event dispatched() {
    given_ = true;
    return {.type = type_.empty() ? "message" : std::string_view{type_},
            .data = data(),
            .id = last_id_,
            .in_fed_bytes = !data_is_kept_};
  }
  void make_valid(sse_event& event) {
    if (valid_utf8_end(event.data) == event.data.size()) [[likely]]
      return;
    repaired_.clear();
    append_valid_utf8(repaired_, event.data);
    const std::size_t size = repaired_.size();
    repaired_.append(padding, '\0');
    event.data = std::string_view{repaired_}.substr(0, size);
    event.in_fed_bytes = false;
  }
  void begin_event() noexcept {
    given_ = has_data_ = data_is_kept_ = false;
    fed_data_ = {};
    used_ = line_at_ = 0;
    type_.clear();
  }

  error over(bound which) {
    exceeded_ = which;
    at_ = fed_.size();
    room_ = 0;  // so that each next() comes to advance()
    const bool line = which == bound::line;
    return {errc::protocol,
            "server-sent events: more than " + std::to_string(line ? options_.max_line : options_.max_event) +
                " bytes in one " + (line ? "line" : "event") +
                "; is this an event stream? If the server means it, raise sse_options::" +
                (line ? "max_line" : "max_event"),
            request_cost::unknown};
  }

  sse_options options_;

  std::string_view fed_;                // the piece at hand
  std::size_t at_ = 0;                  // where in it we are
  std::size_t after_lf_ = 0;            // behind its next LF from at_ on, if that is known: else not above at_
  std::size_t after_cr_ = 0;            // the same for CR
  bool after_carriage_return_ = false;  // an LF that comes now belongs to the line before
  bool first_line_ = true;              // it may begin with a byte order mark

  // kept_ has padding bytes behind used_, and is as long as its capacity in use. In it: the event's data, if it is kept,
  // from data_at_ to line_at_, then from line_at_ to used_ the line whose end has not come yet.
  std::string kept_;
  std::size_t data_at_ = 0, line_at_ = 0, used_ = 0;
  std::size_t room_ = 0;  // while a line is kept: up to here it may grow, for its bound and for kept_

  std::string_view fed_data_;  // the data, if it is one line in the fed bytes
  bool has_data_ = false, data_is_kept_ = false;
  bool given_ = false;               // the event was handed out: the next call begins another
  std::string type_, id_, last_id_;  // last_id_ is the id_ of the last blank line
  std::string repaired_;             // data that was not UTF-8

  bound exceeded_ = bound::none;
  bool comment_ = false;
  std::optional<std::chrono::milliseconds> retry_;
};

}  // namespace felix::inline v1
