// SPDX-License-Identifier: MIT
// llm: what answers a chat request.
#pragma once

#include <felix/async/task.hpp>
#include <felix/llm/chat.hpp>

#include <concepts>
#include <memory>
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

/// Refers to a model of any type, and is one. The model outlives it; a temporary is rejected.
class model_ref {
 public:
  template <model M>
    requires(!std::same_as<std::remove_cv_t<M>, model_ref>)
  model_ref(M& referred) noexcept
      : object_{const_cast<void*>(static_cast<const volatile void*>(std::addressof(referred)))}, complete_{&call<M>} {}

  task<chat_response> complete(chat_request request) { return complete_(object_, std::move(request)); }

 private:
  template <class M>
  static task<chat_response> call(void* object, chat_request request) {
    return static_cast<M*>(object)->complete(std::move(request));
  }

  void* object_;
  task<chat_response> (*complete_)(void*, chat_request);
};

static_assert(model<model_ref>);

}  // namespace felix::inline v1
