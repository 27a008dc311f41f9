// SPDX-License-Identifier: MIT
// core: every kind has its own name, and every status its kind.
#include <felix/error_kind.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

using felix::error_kind;
using felix::error_kind_of_status;

static_assert(felix::to_string(error_kind::timeout_first_token) == "timeout_first_token");
static_assert(static_cast<std::size_t>(error_kind::queue_full) + 1 == felix::error_kind_count);

TEST_CASE("error_kind: each has a name of its own, and what is none has none of theirs", "[core][error_kind]") {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < felix::error_kind_count; ++i) {
    const std::string_view name = to_string(static_cast<error_kind>(i));
    CHECK(name != "unknown");
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos);
    names.insert(name);
  }
  CHECK(names.size() == felix::error_kind_count);
  CHECK(to_string(static_cast<error_kind>(felix::error_kind_count)) == "unknown");
}

TEST_CASE("error_kind: what a status alone says", "[core][error_kind]") {
  struct row {
    int status;
    error_kind kind;
  };
  const auto [status, kind] = GENERATE(values<row>({{0, error_kind::other},
                                                    {200, error_kind::other},
                                                    {299, error_kind::other},
                                                    {300, error_kind::redirect},
                                                    {399, error_kind::redirect},
                                                    {400, error_kind::bad_request},
                                                    {401, error_kind::authentication},
                                                    {402, error_kind::quota_exhausted},
                                                    {403, error_kind::permission},
                                                    {404, error_kind::not_found},
                                                    {405, error_kind::not_found},
                                                    {407, error_kind::permission},
                                                    {408, error_kind::server_error},
                                                    {409, error_kind::server_error},
                                                    {413, error_kind::bad_request},
                                                    {425, error_kind::server_error},
                                                    {429, error_kind::rate_limited},
                                                    {499, error_kind::bad_request},
                                                    {500, error_kind::server_error},
                                                    {501, error_kind::not_found},
                                                    {502, error_kind::server_error},
                                                    {503, error_kind::overloaded},
                                                    {529, error_kind::overloaded},
                                                    {599, error_kind::server_error},
                                                    {600, error_kind::other}}));
  CAPTURE(status);
  CHECK(error_kind_of_status(status) == kind);
}
