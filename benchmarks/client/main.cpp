// SPDX-License-Identifier: MIT
// What do a request to a language model and a chunk of its answer cost, beside libcurl used directly and other clients?
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
      "What a request, and a chunk of a streamed answer, cost with felix's client, beside raw libcurl and, where\n"
      "they are installed, Python's httpx and aiohttp, Node's openai and Go's net/http, in turns, against a server\n"
      "of its own; and how fast events are read and text is escaped. About five minutes, with --quick one. A\n"
      "missed goal is reported and does not change the exit status.",
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
