// SPDX-License-Identifier: MIT
// net: an HTTP request and its answer, as values.
#pragma once

#include <felix/error.hpp>
#include <felix/net/detail/curl_library.hpp>
#include <felix/net/secret.hpp>
#include <felix/net/url.hpp>

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

/// Time limits of one request, a contract: each is kept whatever the server does, as long as somebody drives the loop.
/// Zero or less is refused: a request without a limit can wait for ever. More than 24 days count as 24 days, the most that libcurl can count everywhere. The
/// last three begin with the sending.
struct http_timeouts {
  std::chrono::milliseconds connect{std::chrono::seconds{5}};
  /// Between two pieces of content of a stream. What is no content (comments, pings, empty deltas) does not count; nor
  /// does the time that the reader takes.
  std::chrono::milliseconds between_tokens{std::chrono::seconds{60}};
  /// Of a stream, until the status line. A whole answer begins when it is complete, and has only the total.
  std::chrono::milliseconds first_byte{std::chrono::seconds{120}};
  std::chrono::milliseconds first_token{std::chrono::seconds{120}};  ///< of a stream, until its first content
  std::chrono::milliseconds total{std::chrono::seconds{600}};
};

/// How the connection is made. Requests with the same one can share connections.
struct http_connection {
  /// How long a connection may lie idle and still be used again. Servers close idle ones after 5 s (llama.cpp) or more.
  std::chrono::seconds reuse_idle_up_to{4};
  /// Never through the proxy that the environment names: for servers on this machine.
  bool no_proxy = false;
  /// A PEM file of the certificates that are trusted instead of the system's. Empty: the system's.
  std::string ca_file = {};

  friend bool operator==(const http_connection&, const http_connection&) = default;
};

namespace detail {

/// Header lines as libcurl wants them. Never changed once it is shared.
class header_lines {
 public:
  header_lines() = default;
  header_lines(const header_lines& other) : header_lines{} {
    for (const curl_slist* each = other.first_; each != nullptr; each = each->next) add(each->data);
  }
  header_lines& operator=(const header_lines&) = delete;
  ~header_lines() {
    for (curl_slist* each = first_; each != nullptr; each = each->next) {  // one of them may hold a key
      volatile char* const bytes = each->data;
      for (std::size_t i = 0; bytes[i] != 0; ++i) bytes[i] = 0;
    }
    curl_slist_free_all(first_);
  }

  void add(const char* line) {
    curl_slist* const longer = curl_slist_append(first_, line);
    if (longer == nullptr) throw error{errc::io, "http: out of memory"};
    first_ = longer;
  }
  [[nodiscard]] curl_slist* first() const noexcept { return first_; }

 private:
  curl_slist* first_ = nullptr;
};

/// A URL, taken apart once and not in each request: a sixth of what libcurl does for one. Never changed once it is shared.
class http_url {
 public:
  /// Throws error (invalid_argument) for what is none.
  explicit http_url(std::string text) : text_{std::move(text)} {
    initialise_curl();
    parsed_.reset(curl_url());
    if (!parsed_) throw error{errc::io, "http: out of memory"};
    if (curl_url_set(parsed_.get(), CURLUPART_URL, text_.c_str(), 0) != CURLUE_OK)
      throw error{errc::invalid_argument,
                  "http: " + quoted_origin(text_) + "is no URL; use for example http://localhost:1234/v1/models"};
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  /// For libcurl, which only reads it.
  [[nodiscard]] CURLU* parsed() const noexcept { return parsed_.get(); }
  [[nodiscard]] std::string origin() const {
    const std::size_t authority = text_.find("://") + 3;  // libcurl accepts none without
    const std::string with_user = text_.substr(0, text_.find_first_of("/?#", authority));
    const std::size_t at = with_user.rfind('@');
    return at == std::string::npos ? with_user : with_user.substr(0, authority) + with_user.substr(at + 1);
  }

 private:
  struct clean_up {
    void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
  };
  std::string text_;
  std::unique_ptr<CURLU, clean_up> parsed_;
};

[[nodiscard]] constexpr char to_lower(char c) noexcept {
  return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace detail

/// What is sent. Built fluently; each setter returns the request. Copies share their URL and their headers, so that a
/// request that is kept as a pattern costs little to copy.
class http_request {
 public:
  /// Throws error (invalid_argument) for what is no URL.
  explicit http_request(std::string url) : url_{std::make_shared<const detail::http_url>(std::move(url))} {}

  /// Makes it a POST.
  http_request& body(std::string bytes) {
    body_ = std::move(bytes);
    return *this;
  }
  /// Throws error (invalid_argument) for a byte that would end the header line: it could smuggle in another header; and
  /// for a name that is none (RFC 9110 §5.6.2).
  http_request& header(std::string_view name, std::string_view value) {
    constexpr std::string_view token = "!#$%&'*+-.^_`|~";
    const auto is_token = [&](char c) {
      return ('0' <= c && c <= '9') || ('a' <= detail::to_lower(c) && detail::to_lower(c) <= 'z') ||
             token.find(c) != std::string_view::npos;
    };
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_token))
      throw error{errc::invalid_argument,
                  "http: \"" + printable(name) + "\" is no name of a header; use letters, digits and hyphens"};
    for (const char c : value) {
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
        throw error{errc::invalid_argument,
                    "http: the value of header \"" + printable(name) + "\" has a control character; remove it"};
    }
    return add_line(name, value.empty() ? ";" : ": ", value);
  }
  /// Authorization by a key (RFC 6750 §2.1). Its copies are overwritten when the last request that has it is destroyed;
  /// libcurl's are not.
  http_request& bearer(const secret& key) { return add_line("Authorization", ": Bearer ", key.reveal()); }
  http_request& timeouts(http_timeouts limits) {
    for (auto* const limit :
         {&limits.connect, &limits.between_tokens, &limits.first_byte, &limits.first_token, &limits.total}) {
      if (limit->count() <= 0)
        throw error{errc::invalid_option, "http: a time limit of zero or less; give milliseconds above 0"};
      *limit = std::min<std::chrono::milliseconds>(*limit, std::chrono::hours{24 * 24});
    }
    timeouts_ = limits;
    return *this;
  }
  http_request& connection(http_connection how) {
    connection_ = std::make_shared<const http_connection>(std::move(how));
    return *this;
  }
  /// A longer body is an error. Counted after decoding, as it arrives.
  http_request& max_response_bytes(std::size_t bytes) {
    max_response_bytes_ = bytes;
    return *this;
  }

  /// A connection that was kept may die just as the request goes out on it. Then it is sent once more, on a new one. So
  /// asked, it is not, and fails as error_kind::transport_stale: for who pays for each time that it is sent.
  http_request& at_most_once() {
    is_at_most_once_ = true;
    return *this;
  }

  [[nodiscard]] const std::string& url() const noexcept { return url_->text(); }
  [[nodiscard]] const std::optional<std::string>& body() const noexcept { return body_; }
  [[nodiscard]] const http_timeouts& timeouts() const noexcept { return timeouts_; }
  [[nodiscard]] const http_connection& connection() const noexcept { return *connection_; }
  [[nodiscard]] std::size_t max_response_bytes() const noexcept { return max_response_bytes_; }
  [[nodiscard]] bool is_at_most_once() const noexcept { return is_at_most_once_; }
  /// Scheme, host and port: a user, a path or a query may hold what nobody should read in a log.
  [[nodiscard]] std::string origin() const { return url_->origin(); }

  // For libcurl; valid as long as a copy of the request.
  [[nodiscard]] curl_slist* header_lines() const noexcept { return headers_->first(); }
  [[nodiscard]] const std::shared_ptr<const detail::http_url>& parsed_url() const noexcept { return url_; }

 private:
  http_request& add_line(std::string_view name, std::string_view between, std::string_view value) {
    auto longer = std::make_shared<detail::header_lines>(*headers_);
    std::string line;
    line.reserve(name.size() + between.size() + value.size());  // a string that grows leaves parts of the key behind
    line.append(name).append(between).append(value);
    longer->add(line.c_str());
    detail::wipe(line);
    headers_ = std::move(longer);
    return *this;
  }
  static std::string printable(std::string_view text) {
    std::string copy{text};
    std::replace_if(
        copy.begin(), copy.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return copy;
  }
  static std::shared_ptr<const detail::header_lines> first_lines() {
    auto lines = std::make_shared<detail::header_lines>();
    lines->add("Expect:");  // libcurl would wait a second for a 100 before a large body
    return lines;
  }
  static const std::shared_ptr<const http_connection>& ordinary() {
    static const auto connection = std::make_shared<const http_connection>();
    return connection;
  }

  std::shared_ptr<const detail::http_url> url_;
  std::optional<std::string> body_;  // empty: GET
  std::shared_ptr<const detail::header_lines> headers_ = first_lines();
  std::shared_ptr<const http_connection> connection_ = ordinary();
  http_timeouts timeouts_;
  std::size_t max_response_bytes_ = std::size_t{16} << 20U;
  bool is_at_most_once_ = false;
};

/// The status and the headers of an answer.
class http_head {
 public:
  http_head() = default;

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] bool is_ok() const noexcept { return status_ >= 200 && status_ < 300; }
  /// The first of that name (in lower case), without the space around it; or empty.
  /// Cost: linear in the header.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept {
    std::string_view rest{lines_};
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(line.size() + 1);
      if (line.size() > name.size() && line[name.size()] == ':' &&
          std::equal(name.begin(), name.end(), line.begin(),
                     [](char wanted, char sent) { return wanted == detail::to_lower(sent); }))
        return trimmed(line.substr(name.size() + 1));
    }
    return {};
  }

  /// Whether there is one whose name begins so (in lower case).
  /// Cost: linear in the header, and less than header() for a name that few begin like.
  [[nodiscard]] bool has_name_with(std::string_view beginning) const noexcept {
    for (std::size_t at = 0; at < lines_.size(); at = lines_.find('\n', at) + 1) {
      if (lines_.size() - at > beginning.size() &&
          std::equal(beginning.begin(), beginning.end(), lines_.begin() + static_cast<std::ptrdiff_t>(at),
                     [](char wanted, char sent) { return wanted == detail::to_lower(sent); }))
        return true;
    }
    return false;
  }

  /// A line as libcurl hands it out, the status line too. An interim (1xx) answer is forgotten when the next one begins.
  void add_line(std::string_view line) {
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {
      lines_.clear();
      status_ = status_of(line);
      return;
    }
    if (line.find(':') == std::string_view::npos) return;
    lines_.append(line);
    lines_ += '\n';
  }
  void clear() noexcept {
    lines_.clear();
    status_ = 0;
  }

 private:
  static std::string_view trimmed(std::string_view value) noexcept {
    const auto space = [](char c) { return c == ' ' || c == '\t'; };
    while (!value.empty() && space(value.front())) value.remove_prefix(1);
    while (!value.empty() && space(value.back())) value.remove_suffix(1);
    return value;
  }
  static int status_of(std::string_view line) noexcept {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.size() < space + 4) return 0;
    int status = 0;
    for (const char digit : line.substr(space + 1, 3)) {
      if (digit < '0' || digit > '9') return 0;
      status = 10 * status + (digit - '0');
    }
    return status;
  }

  int status_ = 0;
  std::string lines_;  // each ends with \n
};

/// Where the time of a request went, since it was sent.
struct http_timing {
  std::chrono::nanoseconds first_byte{0};  ///< until the header was there
  std::chrono::nanoseconds total{0};       ///< until the end
};

/// The connections of a client at one moment.
struct http_usage {
  std::size_t in_use = 0;    ///< requests that are on the wire, or about to be
  std::size_t idle = 0;      ///< open, and waiting to be used again
  std::uint64_t opened = 0;  ///< so far, attempts too: a host with two addresses may be tried at both
};

/// A whole answer, whatever its status.
struct http_response {
  http_response() = default;  // declared: g++ 12 destroys a temporary aggregate of a co_await twice

  http_head head = {};
  std::string body = {};
  http_timing timing = {};
  bool reused_connection = false;

  [[nodiscard]] int status() const noexcept { return head.status(); }
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept { return head.header(name); }
};

}  // namespace felix::inline v1
