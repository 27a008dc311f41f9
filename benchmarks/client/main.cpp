// SPDX-License-Identifier: MIT
// What does a request to a language model cost, beside libcurl used directly and the clients of other languages?
#include "questions.hpp"

#include <curl/curl.h>
#include <fmt/core.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) try {
  bench::suite suite{
      argc,
      argv,
      "client",
      "What a request costs with felix's client, beside raw libcurl and, where they are installed, Python's\n"
      "httpx and aiohttp, Node's openai and Go's net/http, in turns, against a server of its own. About four\n"
      "minutes, with --quick one. A missed goal is reported and does not change the exit status.",
      {.repetitions = 15, .quick_repetitions = 5, .seconds = 0.3, .quick_seconds = 0.15}};
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const bench::server server;
  suite.headline("server: " + server.description());
  questions::memory(suite, server);  // first: its processes inherit the heap
  questions::connections(suite, server);
  questions::answers(suite, server);
  questions::latency(suite, server);
  questions::streams(suite);
  questions::events(suite);
  questions::escape(suite);
  questions::other_languages(suite, server);
  return suite.finish();
} catch (const std::exception& failure) {
  fmt::print(stderr, "client: {}\n", failure.what());
  return 1;
}
