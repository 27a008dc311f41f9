// SPDX-License-Identifier: MIT
#include <felix/llm/detail/shared_value.hpp>

#include "support/catch.hpp"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using felix::detail::shared_value;

TEST_CASE("shared_value: copies share until one is changed", "[llm][shared_value]") {
  shared_value<std::string> first;
  CHECK(first.get().empty());
  first.own() = "one";
  const shared_value<std::string> second{first};
  CHECK(&second.get() == &first.get());
  first.own() += " and more";
  CHECK(first.get() == "one and more");
  CHECK(second.get() == "one");
  const std::string* const alone = &first.get();
  first.own() += "!";
  CHECK(&first.get() == alone);  // nobody shares it: no copy
}

TEST_CASE("shared_value: moved from, it is empty, and assigned to itself the same", "[llm][shared_value]") {
  shared_value<std::vector<int>> first;
  first.own() = {1, 2};
  shared_value<std::vector<int>> second{std::move(first)};
  CHECK(first.get().empty());  // NOLINT(bugprone-use-after-move)
  first = second;
  const auto& same = first;
  first = same;
  CHECK(first.get() == std::vector<int>{1, 2});
  second = shared_value<std::vector<int>>{};
  CHECK(second.get().empty());
  CHECK(first.get() == std::vector<int>{1, 2});
}

TEST_CASE("shared_value: the last owner destroys it, once", "[llm][shared_value]") {
  const auto counted = std::make_shared<int>(1);
  {
    shared_value<std::shared_ptr<int>> first;
    first.own() = counted;
    const shared_value<std::shared_ptr<int>> second{first};
    const shared_value<std::shared_ptr<int>> third{second};
    CHECK(counted.use_count() == 2);
    first.own().reset();
    CHECK(counted.use_count() == 2);
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("shared_value: threads change their copies without seeing one another", "[llm][shared_value]") {
  shared_value<std::string> pattern;
  pattern.own() = "x";
  std::vector<std::thread> threads;
  std::vector<std::size_t> lengths(4);
  for (std::size_t t = 0; t < lengths.size(); ++t) {
    threads.emplace_back([&lengths, t, mine = pattern]() mutable {
      for (int i = 0; i < 1'000; ++i) {
        const shared_value<std::string> kept{mine};
        mine.own() += 'y';
        lengths[t] += kept.get().size();
      }
      lengths[t] = mine.get().size();
    });
  }
  pattern.own() += "z";
  for (std::thread& each : threads) each.join();
  CHECK(pattern.get() == "xz");
  CHECK(lengths == std::vector<std::size_t>(4, 1'001));
}
