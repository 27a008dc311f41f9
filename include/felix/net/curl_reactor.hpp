// SPDX-License-Identifier: MIT
// net: the reactor of `event_loop`, chosen by platform.
#pragma once

#if defined(__linux__) && !defined(FELIX_POLL_REACTOR)
#include <felix/net/detail/epoll_reactor.hpp>
#else
#include <felix/net/detail/poll_reactor.hpp>
#endif

namespace felix::inline v1 {

#if defined(__linux__) && !defined(FELIX_POLL_REACTOR)
using curl_reactor = detail::epoll_reactor;
#else
using curl_reactor = detail::poll_reactor;  // FELIX_POLL_REACTOR: for tests of it on Linux; then in the whole program
#endif

}  // namespace felix::inline v1
