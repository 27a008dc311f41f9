// SPDX-License-Identifier: MIT
// benchmarks: clients that read streams: libcurl and simdjson used directly, and felix.
#pragma once

#include "felix_client.hpp"
#include "load.hpp"
#include "stream_server.hpp"

#include "peers/chat_readers.hpp"
#include "peers/curl_engine.hpp"

#include <felix/async/task.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/net/event_loop.hpp>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

/// A whole stream was read, and all of it.
inline void stream_read(load& measured, std::chrono::nanoseconds latency, std::size_t text) {
  if (text != stream_server::text_bytes) throw std::runtime_error{"a stream without all of its text"};
  measured.answered(latency, text, stream_server::chunks);
}

/// An sse_reader that tells the server how far it is.
class telling_sse_reader : public peers::sse_reader {
 public:
  explicit telling_sse_reader(text_read& told) : told_{&told} {}
  void write(std::string_view bytes) {
    const std::size_t before = end();
    peers::sse_reader::write(bytes);
    told_->add(end() - before);
  }

 private:
  text_read* told_;  // not a reference: readers are copied
};

class raw_streams {
 public:
  raw_streams(const stream_server& server, std::size_t chunks_a_write, std::size_t streams)
      : engine_{{.url = server.base_url(chunks_a_write) + "/chat/completions",
                 .body = chat::streamed_request(),
                 .slots = streams,
                 .removal = peers::epoll_removal::lazy},
                telling_sse_reader{server.read()}} {}

  request_turn run(std::chrono::duration<double> length) {
    return measure(length, [this](load& measured, time_point until) {
      engine_.run(until, [&](auto latency, std::size_t text) { stream_read(measured, latency, text); });
    });
  }

 private:
  peers::curl_engine<telling_sse_reader> engine_;
};

/// `Model` is the whole client, or the part of it that talks to the server.
template <class Model>
class felix_streams {
 public:
  template <class Options>
  felix_streams(const stream_server& server, Options options, std::size_t streams)
      : told_{server.read()}, streams_{streams}, llm_{loop_, std::move(options)} {}

  request_turn run(std::chrono::duration<double> length) {
    return measure(length, [this](load& measured, time_point until) { loop_.run(read_all(measured, until)); });
  }

 private:
  felix::task<> read_all(load& measured, time_point until) {
    std::vector<felix::task<>> readers;
    for (std::size_t i = 0; i < streams_; ++i) readers.push_back(read(measured, until));
    co_await felix::when_all(std::move(readers));
  }
  felix::task<> read(load& measured, time_point until) {
    do {
      const auto begun = std::chrono::steady_clock::now();
      felix::chat_stream stream = llm_.stream(felix_client::request());
      while (const auto delta = co_await stream.next()) told_.add(delta->text().size());
      stream_read(measured, std::chrono::steady_clock::now() - begun, stream.response().text().size());
    } while (std::chrono::steady_clock::now() < until);
  }

  text_read& told_;
  std::size_t streams_;
  felix::event_loop loop_;
  Model llm_;
};

}  // namespace bench
