// SPDX-License-Identifier: MIT
// core: a result is a value or an exception, for values, references, void and what can only be moved.
#include <felix/result.hpp>

#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

using felix::result;

namespace {

template <class T>
result<T> failed(const char* message) {
  return result<T>::failure(std::make_exception_ptr(std::runtime_error{message}));
}

// What value() throws, or "" when it gives a value.
template <class R>
std::string thrown_by(R&& outcome) {
  try {
    static_cast<void>(std::forward<R>(outcome).value());
  } catch (const std::runtime_error& failure) {
    return failure.what();
  }
  return "";
}

}  // namespace

static_assert(std::is_same_v<decltype(std::declval<result<std::string>&>().value()), std::string&>);
static_assert(std::is_same_v<decltype(std::declval<const result<std::string>&>().value()), const std::string&>);
static_assert(std::is_same_v<decltype(std::declval<result<std::string>>().value()), std::string&&>);
static_assert(std::is_same_v<decltype(*std::declval<result<std::string>>()), std::string&&>);
static_assert(std::is_same_v<decltype(std::declval<result<int&>>().value()), int&>);
static_assert(std::is_same_v<decltype(std::declval<const result<int&>&>().value()), int&>);
static_assert(std::is_same_v<decltype(std::declval<result<void>>().value()), void>);
static_assert(std::is_same_v<decltype(std::declval<const result<std::string>&>().operator->()), const std::string*>);
static_assert(!std::is_default_constructible_v<result<int>> && std::is_default_constructible_v<result<void>>);
static_assert(!std::is_convertible_v<result<int>, bool>, "result<bool> would be tested for its value by mistake");
static_assert(!std::is_constructible_v<result<int&>, int>, "a reference needs something to refer to");
static_assert(!std::is_copy_constructible_v<result<std::unique_ptr<int>>>);
static_assert(std::is_move_constructible_v<result<std::unique_ptr<int>>>);

TEST_CASE("result: a value is there in every form", "[core][result]") {
  result<std::string> found = "river";
  REQUIRE(found);
  CHECK(found.has_value());
  CHECK(found.value() == "river");
  CHECK(*found == "river");
  CHECK(found->size() == 5);
  CHECK(found.message().empty());
  CHECK(found.error() == nullptr);
  found->push_back('s');
  *found += '!';
  const auto& seen = found;
  CHECK(*seen == "rivers!");
  CHECK(seen.value() == "rivers!");
  CHECK(seen->front() == 'r');
  const std::string taken = std::move(found).value();
  CHECK(taken == "rivers!");
}

TEST_CASE("result: a failure is thrown by value() alone", "[core][result]") {
  result<std::string> lost = failed<std::string>("gone");
  CHECK_FALSE(lost);
  CHECK_FALSE(lost.has_value());
  CHECK(lost.message() == "gone");
  CHECK(lost.error() != nullptr);
  CHECK(thrown_by(lost) == "gone");
  CHECK(thrown_by(std::as_const(lost)) == "gone");
  CHECK(thrown_by(std::move(lost)) == "gone");
  const auto odd = result<int>::failure(std::make_exception_ptr(42));
  CHECK(odd.message() == "an exception that is not a std::exception");
  CHECK_THROWS_AS(odd.value(), int);
}

TEST_CASE("result<void>: success has nothing to give, failure throws", "[core][result]") {
  const result<void> done;
  REQUIRE(done);
  CHECK_NOTHROW(done.value());
  CHECK(done.error() == nullptr);
  const result<void> lost = failed<void>("gone");
  CHECK_FALSE(lost);
  CHECK_THROWS_AS(lost.value(), std::runtime_error);
  CHECK(lost.message() == "gone");
}

TEST_CASE("result<T&>: refers to the object itself", "[core][result]") {
  int counted = 1;
  result<int&> reference = counted;
  reference.value() = 2;
  CHECK(counted == 2);
  *std::as_const(reference) = 3;  // shallow, as a pointer is
  CHECK(counted == 3);
  CHECK(&*reference == &counted);
  std::string text = "a";
  const result<std::string&> named = text;
  named->push_back('b');
  CHECK(text == "ab");
  CHECK(thrown_by(failed<int&>("gone")) == "gone");
}

TEST_CASE("result: what can only be moved is moved in and out", "[core][result]") {
  result<std::unique_ptr<int>> made = std::make_unique<int>(7);
  const int* const address = made->get();
  result<std::unique_ptr<int>> handed_on = std::move(made);
  const std::unique_ptr<int> kept = std::move(handed_on).value();
  CHECK(kept.get() == address);
  CHECK(*kept == 7);
}

TEST_CASE("result: a copy is a value of its own, and keeps the failure", "[core][result]") {
  result<std::string> original = "a";
  result<std::string> copy = original;
  copy->push_back('b');
  CHECK(*original == "a");
  CHECK(*copy == "ab");
  original = failed<std::string>("gone");
  copy = original;
  CHECK(copy.message() == "gone");
  CHECK(copy.error() == original.error());
}

TEST_CASE("result: a value that is an exception_ptr, or a result, is no failure", "[core][result]") {
  const result<std::exception_ptr> held{std::make_exception_ptr(std::runtime_error{"kept"})};
  CHECK(held);
  CHECK(held.message().empty());
  const result<result<int>> nested{result<int>{3}};
  REQUIRE(nested);
  CHECK(**nested == 3);
  const result<result<int>> inner_failed{failed<int>("inside")};
  REQUIRE(inner_failed);
  CHECK(inner_failed->message() == "inside");
}
