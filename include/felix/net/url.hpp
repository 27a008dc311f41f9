// SPDX-License-Identifier: MIT
// net: a base URL, taken apart and put together by libcurl's own parser.
#pragma once

#include <felix/error.hpp>
#include <felix/net/detail/curl_library.hpp>

#include <curl/curl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

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
    if (curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) throw refused(text, "is not a URL");
    const auto part = [&](CURLUPart which) {
      char* value = nullptr;
      std::string copy;
      if (curl_url_get(parsed.get(), which, &value, 0) == CURLUE_OK) copy = value;
      curl_free(value);
      return copy;
    };
    scheme_ = part(CURLUPART_SCHEME);
    if (scheme_ != "http" && scheme_ != "https") throw refused(text, "is neither http nor https");
    // The URL itself is left out of these: what stands before the @ may be a password.
    if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty())
      throw error{errc::invalid_option, "base_url: has a user name or password; pass the key as api_key"};
    if (!part(CURLUPART_QUERY).empty() || !part(CURLUPART_FRAGMENT).empty())
      throw error{errc::invalid_option, "base_url: has a query or a fragment; a path is all that may follow the host"};
    host_ = part(CURLUPART_HOST);
    const std::string port = part(CURLUPART_PORT);
    origin_ = scheme_ + "://" + host_ + (port.empty() ? "" : ":" + port);
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
  [[nodiscard]] bool is_loopback() const noexcept {
    return host_ == "localhost" || host_.ends_with(".localhost") || host_.starts_with("127.") || host_ == "[::1]";
  }

 private:
  static error refused(const std::string& text, std::string_view why) {
    return {errc::invalid_option,
            "base_url: \"" + text + "\" " + std::string{why} + "; use for example http://localhost:1234/v1"};
  }

  std::string scheme_, host_, origin_, path_;
};

}  // namespace felix::inline v1
