// SPDX-License-Identifier: MIT
// model_server: a listening TCP socket, with errors that say where and why.
#pragma once

#include "model_server/slots.hpp"  // descriptor

#include <cstdint>
#include <string>

namespace model_server::detail {

/// Port 0: a free one. Throws: std::system_error.
[[nodiscard]] descriptor listen_on(const std::string& host, std::uint16_t port);

[[nodiscard]] std::uint16_t port_of(const descriptor& listening);

/// "127.0.0.1:8080" as it stands in a URL: an IPv6 address in brackets, this machine for an address that means all.
[[nodiscard]] std::string authority(const std::string& host, std::uint16_t port);

}  // namespace model_server::detail
