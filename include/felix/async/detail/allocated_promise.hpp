// SPDX-License-Identifier: MIT
// async: frames from an allocator that the coroutine's caller passes.
#pragma once

#include <coroutine>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace felix::inline v1 {

template <class T>
class task;

namespace detail {

template <class T>
class task_promise;

/// `Promise`, with its frame from a copy of the allocator, which is kept behind the frame. It adds no member: a handle to
/// it can be seen as one to `Promise`, which its owner does. `Object` is what the coroutine is a member of, or void.
/// One for each signature, and not inlined, because g++ 12 warns when it sees a template, or what is inside, not to match.
template <class Promise, class Allocator, class Object, class... Args>
class allocated_promise : public Promise {
  class no_object {};
  using object = std::conditional_t<std::is_void_v<Object>, no_object, Object>;
  struct alignas(std::max_align_t) unit {
    std::byte bytes[alignof(std::max_align_t)];
  };
  using unit_allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<unit>;
  using traits = std::allocator_traits<unit_allocator>;

 public:
  [[gnu::noinline]] static void* operator new(std::size_t bytes, std::allocator_arg_t, const Allocator& allocator,
                                              const Args&...) {
    return allocate(bytes, unit_allocator{allocator});
  }
  /// A member function passes its object first, and so does a lambda.
  [[gnu::noinline]] static void* operator new(std::size_t bytes, const object&, std::allocator_arg_t,
                                              const Allocator& allocator, const Args&...) {
    return allocate(bytes, unit_allocator{allocator});
  }
  [[gnu::noinline]] static void operator delete(void* frame, std::size_t bytes) noexcept {
    static_assert(sizeof(allocated_promise) == sizeof(Promise) && alignof(allocated_promise) == alignof(Promise));
    auto* const stored = std::launder(reinterpret_cast<unit_allocator*>(static_cast<unit*>(frame) + units(bytes)));
    unit_allocator allocator{std::move(*stored)};
    stored->~unit_allocator();
    traits::deallocate(allocator, static_cast<typename traits::pointer>(static_cast<unit*>(frame)),
                       units(bytes) + units(sizeof(unit_allocator)));
  }

 private:
  static std::size_t units(std::size_t bytes) noexcept { return (bytes + sizeof(unit) - 1) / sizeof(unit); }
  static void* allocate(std::size_t bytes, unit_allocator allocator) {
    static_assert(alignof(unit_allocator) <= alignof(unit));
    unit* const frame = std::to_address(traits::allocate(allocator, units(bytes) + units(sizeof(unit_allocator))));
    ::new (static_cast<void*>(frame + units(bytes))) unit_allocator{std::move(allocator)};
    return frame;
  }
};

}  // namespace detail
}  // namespace felix::inline v1

/// A task whose first parameters are std::allocator_arg and an allocator has its frame from that allocator.
template <class T, class Allocator, class... Args>
struct std::coroutine_traits<felix::task<T>, std::allocator_arg_t, Allocator, Args...> {
  using promise_type =
      felix::detail::allocated_promise<felix::detail::task_promise<T>, std::remove_cvref_t<Allocator>, void, Args...>;
};
template <class T, class Object, class Allocator, class... Args>
struct std::coroutine_traits<felix::task<T>, Object, std::allocator_arg_t, Allocator, Args...> {
  using promise_type =
      felix::detail::allocated_promise<felix::detail::task_promise<T>, std::remove_cvref_t<Allocator>, Object, Args...>;
};
