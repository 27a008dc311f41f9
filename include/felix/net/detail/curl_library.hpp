// SPDX-License-Identifier: MIT
// net: libcurl as a whole.
#pragma once

#include <felix/error.hpp>

#include <curl/curl.h>

#include <string>

namespace felix::inline v1 {
namespace detail {

/// libcurl wants one global initialisation, before any other use, by one thread.
inline void initialise_curl() {
  static const CURLcode outcome = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (outcome != CURLE_OK)
    throw error{errc::io, std::string{"libcurl cannot be initialised: "} + curl_easy_strerror(outcome)};
}

}  // namespace detail
}  // namespace felix::inline v1
