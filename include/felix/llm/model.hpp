// SPDX-License-Identifier: MIT
// llm: what answers a chat request.
#pragma once

#include <felix/async/async_generator.hpp>
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

/// Refers to a model of any type, and is one. The model outlives it; a temporary is rejected.
class model_ref {
 public:
  template <model M>
    requires(!std::same_as<std::remove_cv_t<M>, model_ref>)
  model_ref(M& referred) noexcept
      : object_{const_cast<void*>(static_cast<const volatile void*>(std::addressof(referred)))},
        complete_{&call<M>},
        stream_{&open<M>},
        run_here_{&run<M>} {}

  task<chat_response> complete(chat_request request) { return complete_(object_, std::move(request)); }
  /// Of a model that cannot stream, the whole answer is one delta.
  chat_stream stream(chat_request request) { return stream_(object_, std::move(request)); }
  /// Runs `work` on the model's own loop, where it has one that is this thread's and idle (a client's, see there). False, and
  /// nothing was begun: it has none.
  [[nodiscard]] bool run_here(task<void>& work) { return run_here_(object_, work); }

 private:
  template <class M>
  static task<chat_response> call(void* object, chat_request request) {
    return static_cast<M*>(object)->complete(std::move(request));
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

  template <class M>
  static bool run(void* object, task<void>& work) {
    if constexpr (requires(M& referred) {
                    { referred.run_here(work) } -> std::same_as<bool>;
                  }) {
      return static_cast<M*>(object)->run_here(work);
    } else {
      return false;
    }
  }

  void* object_;
  task<chat_response> (*complete_)(void*, chat_request);
  chat_stream (*stream_)(void*, chat_request);
  bool (*run_here_)(void*, task<void>&);
};

static_assert(streaming_model<model_ref>);

}  // namespace felix::inline v1
