// SPDX-License-Identifier: MIT
// benchmarks: Boost.Asio's awaitable, where its headers are found and support the compiler's coroutines.
#pragma once

#include <benchmark/benchmark.h>

#if defined(FELIX_BENCHMARKS_HAVE_BOOST)
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#endif

namespace peers {

#if defined(FELIX_BENCHMARKS_HAVE_BOOST) && defined(BOOST_ASIO_HAS_CO_AWAIT)

[[gnu::noinline]] inline boost::asio::awaitable<int> asio_ready(int value) { co_return value; }

inline boost::asio::awaitable<void> asio_await_ready(benchmark::State& state) {
  int sum = 0;
  for (auto _ : state) {
    sum += co_await asio_ready(1);
    benchmark::DoNotOptimize(sum);
  }
}

inline void asio_ready_task(benchmark::State& state) {
  boost::asio::io_context context{1};
  boost::asio::co_spawn(context, asio_await_ready(state), boost::asio::detached);
  context.run();
  state.SetItemsProcessed(state.iterations());
}

inline constexpr const char* asio_is_absent = nullptr;  // it is there

#else

inline void asio_ready_task(benchmark::State&) {}  // not measured

#if defined(FELIX_BENCHMARKS_HAVE_BOOST)
inline constexpr const char* asio_is_absent =
    "Boost.Asio is absent: this version of it does not know this compiler's coroutines";
#else
inline constexpr const char* asio_is_absent = "Boost.Asio is absent: its headers were not found (Debian: libboost-dev)";
#endif

#endif

}  // namespace peers
