// SPDX-License-Identifier: MIT
// benchmarks: libcurl used directly, as a client that takes turns.
#pragma once

#include "chat.hpp"
#include "load.hpp"

#include "peers/chat_readers.hpp"
#include "peers/curl_engine.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace bench {

class raw_client {
 public:
  using engine_type = peers::curl_engine<peers::json_reader>;

  raw_client(const std::string& base_url, std::size_t slots, peers::epoll_removal removal)
      : engine_{{.url = base_url + "/chat/completions",
                 .body = std::string{chat::request},
                 .slots = slots,
                 .removal = removal}} {}

  request_turn run(std::chrono::duration<double> length) {
    return measure(length, [this](load& measured, time_point until) {
      engine_.run(until, [&](auto latency, std::size_t text) { measured.answered(latency, text); });
    });
  }
  [[nodiscard]] engine_type& engine() noexcept { return engine_; }

 private:
  engine_type engine_;
};

}  // namespace bench
