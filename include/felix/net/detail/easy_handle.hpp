// SPDX-License-Identifier: MIT
// net: an easy handle of libcurl, with the options that every request of felix has.
#pragma once

#include <felix/error.hpp>
#include <felix/net/http.hpp>

#include <curl/curl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// Used again for request after request: an option is set again only where it changes.
/// Threads: one at a time, and only the loop's while it is in the multi handle.
class easy_handle {
 public:
  easy_handle() : handle_{curl_easy_init()} {
    if (!handle_) throw error{errc::io, "http: libcurl cannot make a handle; out of memory?"};
    set(CURLOPT_NOSIGNAL, 1L);
    limit_protocols(CURLOPT_PROTOCOLS_STR);
    limit_protocols(CURLOPT_REDIR_PROTOCOLS_STR);
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_MAXREDIRS, 0L);
    set(CURLOPT_UNRESTRICTED_AUTH, 0L);
    set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_HTTP09_ALLOWED, 0L);
    // In clear HTTP/1.1 only: libcurl 7.88 cannot reuse an h2 connection made by prior knowledge. Over TLS by ALPN.
    set_nothrow(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));  // 1.1 where it cannot do 2
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_USERAGENT, "felix");
    // Do not wait for a thread that still looks a host name up when the request is stopped: that can take seconds.
    set(CURLOPT_QUICK_EXIT, 1L);
  }
  easy_handle(easy_handle&&) = delete;

  [[nodiscard]] CURL* get() const noexcept { return handle_.get(); }

  /// What is sent, where, and how. `request` lives as long as the transfer.
  void apply(const http_request& request) {
    apply(request.connection());
    apply_url(request);
    set(CURLOPT_HTTPHEADER, request.header_lines());
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.timeouts().connect.count()));
    if (const auto& body = request.body()) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
      set(CURLOPT_POSTFIELDS, body->data());
    } else {
      set(CURLOPT_HTTPGET, 1L);
    }
  }

  template <class Value>
  CURLcode set_nothrow(CURLoption option, Value value) noexcept {
    return curl_easy_setopt(get(), option, value);
  }
  template <class Value>
  void set(CURLoption option, Value value) {
    const CURLcode outcome = set_nothrow(option, value);
    // NETRC and TLS options are refused by a libcurl that was built without them, and are then not needed.
    if (outcome != CURLE_OK && outcome != CURLE_NOT_BUILT_IN && outcome != CURLE_UNKNOWN_OPTION)
      throw error{errc::io, std::string{"http: libcurl refused an option: "} + curl_easy_strerror(outcome)};
  }
  template <class Value>
  [[nodiscard]] Value get_info(CURLINFO which) const noexcept {
    Value value{};
    curl_easy_getinfo(get(), which, &value);
    return value;
  }

 private:
  /// A libcurl without TLS refuses a list that has https in it, and would then know no limit.
  void limit_protocols(CURLoption option) {
    if (set_nothrow(option, "http,https") != CURLE_OK) set(option, "http");
  }
  void apply(const http_connection& how) {
    if (connection_ && *connection_ == how) return;
    connection_.reset();
    set(CURLOPT_MAXAGE_CONN, static_cast<long>(how.reuse_idle_up_to.count()));
    set(CURLOPT_NOPROXY, how.no_proxy ? "*" : static_cast<const char*>(nullptr));
    const bool of_the_system = how.ca_file.empty();
    // Null would mean none at all, not what libcurl was built with: on many systems a file and a folder, trusted both.
    trust(of_the_system ? get_info<const char*>(CURLINFO_CAINFO) : how.ca_file.c_str(),
          of_the_system ? get_info<const char*>(CURLINFO_CAPATH) : nullptr);
    connection_ = how;
  }
  void trust(const char* file, const char* folder) {
    set(CURLOPT_CAINFO, file);
    set(CURLOPT_CAPATH, folder);
    set(CURLOPT_PROXY_CAINFO, file);
    set(CURLOPT_PROXY_CAPATH, folder);
  }

  void apply_url(const http_request& request) {
    if (url_ == request.parsed_url()) return;
    set(CURLOPT_CURLU, request.parsed_url()->parsed());
    url_ = request.parsed_url();
  }

  struct clean_up {
    void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
  };

  std::shared_ptr<const http_url> url_;  // outlives the handle, which is set up so
  std::unique_ptr<CURL, clean_up> handle_;
  std::optional<http_connection> connection_;  // the same
};

}  // namespace detail
}  // namespace felix::inline v1
