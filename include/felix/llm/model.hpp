// SPDX-License-Identifier: MIT
// llm: what answers a chat request.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/task.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// Anything with `task<chat_response> complete(chat_request)`: a server, a script, or a layer around another model.
/// Take the request by value, not by reference: the task starts when the argument of the call is gone. Report the usage
/// that the answer has cost; a layer that answers by itself (a cache) repeats that of the answer it kept.
template <class M>
concept model = requires(M& m, chat_request request) {
  { m.complete(std::move(request)) } -> std::same_as<task<chat_response>>;
};

/// A model that can also be read while it answers: `chat_stream stream(chat_request)`. A layer has it exactly when what
/// it wraps has it.
template <class M>
concept streaming_model = model<M> && requires(M& m, chat_request request) {
  { m.stream(std::move(request)) } -> std::same_as<chat_stream>;
};

/// The whole answer of a stream.
/// Throws: what the stream throws.
template <std::same_as<chat_stream> Stream>  // for what http_client.hpp says of coroutines
[[nodiscard]] task<chat_response> collect(Stream stream) {
  for (;;) {
    const std::optional<chat_delta> delta = co_await stream.next();  // named: g++ 12 miscompiles the shorter form
    if (!delta) break;
  }
  co_return std::move(stream.whole()->response());
}

/// A model or a layer says where it lives by `scheduler& loop() const`; a layer without leaves that to its `inner()`, or `inner`.
template <class M>
[[nodiscard]] scheduler* loop_of(const M& asked) noexcept {
  if constexpr (requires {
                  { asked.loop() } -> std::convertible_to<scheduler&>;
                }) {
    return std::addressof(static_cast<scheduler&>(asked.loop()));
  } else if constexpr (requires {
                         { asked.loop() } -> std::convertible_to<scheduler*>;
                       }) {
    return asked.loop();
  } else if constexpr (requires { asked.inner(); }) {
    return loop_of(asked.inner());
  } else if constexpr (requires { asked.inner; }) {
    return loop_of(asked.inner);
  } else {
    return nullptr;
  }
}

/// Refers to a model of any type, and is one. The model outlives it; a temporary is rejected.
class model_ref {
 public:
  template <model M>
    requires(!std::same_as<std::remove_cv_t<M>, model_ref>)
  model_ref(M& referred) noexcept
      : object_{const_cast<void*>(static_cast<const volatile void*>(std::addressof(referred)))},
        complete_{&call<M>},
        stream_{&open<M>},
        loop_{&home<M>} {}

  task<chat_response> complete(chat_request request) { return complete_(object_, std::move(request)); }
  /// Of a model that cannot stream, the whole answer is one delta.
  chat_stream stream(chat_request request) { return stream_(object_, std::move(request)); }
  /// Where the model's requests go on; null when it does not say. For plain code that waits: sync_wait(loop, work).
  [[nodiscard]] scheduler* loop() const noexcept { return loop_(object_); }

 private:
  template <class M>
  static task<chat_response> call(void* object, chat_request request) {
    return static_cast<M*>(object)->complete(std::move(request));
  }

  template <class M>
  static scheduler* home(const void* object) noexcept {
    return loop_of(*static_cast<const M*>(object));
  }

  template <class M>
  static chat_stream open(void* object, chat_request request) {
    M& referred = *static_cast<M*>(object);
    if constexpr (streaming_model<M>) {
      return referred.stream(std::move(request));
    } else {
      auto whole = std::make_shared<chat_stream::answer>();
      return {at_once(referred, std::move(request), whole), whole};
    }
  }
  template <class M>
  static async_generator<chat_delta> at_once(M& referred, chat_request request,
                                             std::shared_ptr<chat_stream::answer> whole) {
    whole->response() = co_await referred.complete(std::move(request));
    for (std::size_t i = 0; i < whole->response().choices().size(); ++i) {
      chat_delta delta = as_delta(whole->response().choices()[i], i);
      if (!delta.empty()) co_yield std::move(delta);
    }
  }

  void* object_;
  task<chat_response> (*complete_)(void*, chat_request);
  chat_stream (*stream_)(void*, chat_request);
  scheduler* (*loop_)(const void*);
};

static_assert(streaming_model<model_ref>);

}  // namespace felix::inline v1
