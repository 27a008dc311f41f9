// SPDX-License-Identifier: MIT
// llm: what a limit remembers of the requests that it has sent and not seen end.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace felix::inline v1::detail {

/// In the order of sending. `T` has the number of its request as `request`.
/// Cost: linear in how many there are to remove one, logarithmic to find one; allocates when there are more than ever.
template <class T>
class requests_in_flight {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }
  [[nodiscard]] auto begin() noexcept { return open_.begin(); }
  [[nodiscard]] auto end() noexcept { return open_.end(); }

  void add(T sent) {
    assert((open_.empty() || open_.back().request < sent.request) && "felix::limit_policy: numbers go up");
    open_.push_back(std::move(sent));
  }
  /// Null for a request that is not there.
  [[nodiscard]] T* find(std::uint64_t request) noexcept {
    const auto found = std::lower_bound(open_.begin(), open_.end(), request,
                                        [](const T& open, std::uint64_t number) { return open.request < number; });
    return found != open_.end() && found->request == request ? &*found : nullptr;
  }
  std::optional<T> take(std::uint64_t request) noexcept {
    T* const found = find(request);
    if (found == nullptr) return std::nullopt;
    std::optional<T> taken{std::move(*found)};
    open_.erase(open_.begin() + (found - open_.data()));
    return taken;
  }

 private:
  std::vector<T> open_;
};

}  // namespace felix::inline v1::detail
