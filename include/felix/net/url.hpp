// SPDX-License-Identifier: MIT
// net: a base URL, taken apart and put together by libcurl's own parser.
#pragma once

#include <felix/error.hpp>
#include <felix/net/detail/curl_library.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// Of what should have been a URL, the scheme and the host, in quotes and with a space behind; empty where they may hold a
/// key or a password, which must reach no log.
[[nodiscard]] inline std::string quoted_origin(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || text.find('@') != std::string_view::npos) return {};
  const std::string_view origin = text.substr(0, text.find_first_of("/?#", scheme + 3));
  const auto is_plain = [](char c) {
    return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') ||
           std::string_view{":/.-_[]"}.find(c) != std::string_view::npos;
  };
  if (!std::all_of(origin.begin(), origin.end(), is_plain)) return {};
  return '"' + std::string{origin} + "\" ";
}

/// Whether a connection to that host, as libcurl writes it, ends at this machine.
[[nodiscard]] inline bool is_this_machine(std::string host) {
  for (char& c : host) c = 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (host.ends_with('.')) host.pop_back();
  if (host == "localhost" || host.ends_with(".localhost")) return true;  // RFC 6761 §6.3
  const auto is_here = [](const unsigned char* v4) {
    return v4[0] == 127 || std::all_of(v4, v4 + 4, [](unsigned char byte) { return byte == 0; });
  };
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) return is_here(bytes.data());
  if (!host.starts_with('[') || !host.ends_with(']')) return false;
  if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), bytes.data()) != 1) return false;
  const auto zeros = std::find_if(bytes.begin(), bytes.end(), [](unsigned char byte) { return byte != 0; });
  const auto before = zeros - bytes.begin();
  if (before == 10 && bytes[10] == 0xff && bytes[11] == 0xff) return is_here(bytes.data() + 12);  // an IPv4 address
  return before == 16 || (before == 15 && bytes[15] == 1);                                        // :: and ::1
}

}  // namespace detail

/// An http or https URL that paths are appended to.
///     base_url url{"http://localhost:1234/v1/"};
///     url.with_path("/models");            // http://localhost:1234/v1/models
///     url.outside_v1("/health");           // http://localhost:1234/health
class base_url {
 public:
  /// Throws error (invalid_option) for anything that is not an http(s) URL, and for one with user, query or fragment.
  explicit base_url(const std::string& text) {
    detail::initialise_curl();
    const std::unique_ptr<CURLU, void (*)(CURLU*)> parsed{curl_url(), &curl_url_cleanup};
    if (!parsed) throw error{errc::io, "base_url: out of memory"};
    if (text.find("://") == std::string::npos) throw refused(text, "does not begin with http:// or https://");
    if (const CURLUcode why = curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(), 0); why != CURLUE_OK)
      throw refused(text, std::string{"is not a URL ("} + curl_url_strerror(why) + ")");
    const auto part = [&](CURLUPart which) {
      char* value = nullptr;
      std::string copy;
      if (curl_url_get(parsed.get(), which, &value, 0) == CURLUE_OK) copy = value;
      curl_free(value);
      return copy;
    };
    scheme_ = part(CURLUPART_SCHEME);
    if (scheme_ != "http" && scheme_ != "https") throw refused(text, "is neither http nor https");
    if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty())
      throw error{errc::invalid_option, "base_url: has a user name or password; pass the key as api_key"};
    if (!part(CURLUPART_QUERY).empty() || !part(CURLUPART_FRAGMENT).empty())
      throw error{errc::invalid_option, "base_url: has a query or a fragment; a path is all that may follow the host"};
    const std::string host = part(CURLUPART_HOST);
    is_loopback_ = detail::is_this_machine(host);
    const std::string port = part(CURLUPART_PORT);
    origin_ = scheme_ + "://" + host + (port.empty() ? "" : ":" + port);
    path_ = part(CURLUPART_PATH);
    while (!path_.empty() && path_.back() == '/') path_.pop_back();
  }

  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  [[nodiscard]] std::string text() const { return origin_ + path_; }
  [[nodiscard]] std::string with_path(std::string_view path) const { return origin_ + path_ + std::string{path}; }
  /// On the URL without one final /v1 segment: for endpoints that are not OpenAI's.
  [[nodiscard]] std::string outside_v1(std::string_view path) const {
    const std::string_view all{path_};
    return origin_ + std::string{all.ends_with("/v1") ? all.substr(0, all.size() - 3) : all} + std::string{path};
  }
  [[nodiscard]] bool is_https() const noexcept { return scheme_ == "https"; }
  /// Whether the host is this machine by its name or number.
  [[nodiscard]] bool is_loopback() const noexcept { return is_loopback_; }

 private:
  static error refused(const std::string& text, std::string_view why) {
    return {errc::invalid_option, "base_url: " + detail::quoted_origin(text) + std::string{why} +
                                      "; use for example http://localhost:1234/v1"};
  }

  std::string scheme_, origin_, path_;
  bool is_loopback_ = false;
};

}  // namespace felix::inline v1
