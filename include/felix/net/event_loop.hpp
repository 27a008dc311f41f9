// SPDX-License-Identifier: MIT
// net: the loop for programs: real time, and libcurl for the network.
#pragma once

#include <felix/async/basic_event_loop.hpp>
#include <felix/net/curl_reactor.hpp>

namespace felix::inline v1 {

/// A loop whose tasks can talk HTTP. See basic_event_loop.
///     felix::event_loop loop;
///     felix::client llm{loop};
///     auto answer = loop.run(llm.complete(felix::chat_request{}.user("Why is the sky blue?")));
/// Nothing goes on while nobody drives it with run() or poll(), not even the time limits of requests.
using event_loop = basic_event_loop<curl_reactor, steady_clock_source>;

}  // namespace felix::inline v1
