// SPDX-License-Identifier: MIT
#include <felix/net/detail/curl_library.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <thread>
#include <vector>

TEST_CASE("curl_library: any number of threads may be the first", "[net][curl_library]") {
  std::atomic<int> made{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      felix::detail::initialise_curl();
      CURL* const easy = curl_easy_init();
      made += easy != nullptr;
      curl_easy_cleanup(easy);
    });
  for (auto& each : threads) each.join();
  CHECK(made == 4);
}
