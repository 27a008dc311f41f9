// SPDX-License-Identifier: MIT
// budget: any estimator as one type, chosen at run time.
#pragma once

#include <felix/budget/estimation.hpp>
#include <felix/budget/estimator.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/usage.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>

namespace felix::inline v1 {

/// An estimator of any type; prompt_estimator if none is given.
///     felix::any_estimator estimator = felix::calibrated_estimator{};
/// Copies learn on their own. A moved-from one may only be assigned to or destroyed. Cost: one allocation a copy.
class any_estimator {
 public:
  any_estimator() : any_estimator{prompt_estimator{}} {}
  template <class E>
    requires(!std::same_as<E, any_estimator>) && estimation_policy<E>
  any_estimator(E given) : is_{std::make_unique<held<E>>(std::move(given))} {}
  any_estimator(const any_estimator& other) : is_{other.is_->copy()} {}
  any_estimator(any_estimator&&) noexcept = default;
  any_estimator& operator=(any_estimator other) noexcept {
    is_.swap(other.is_);
    return *this;
  }
  ~any_estimator() = default;

  [[nodiscard]] token_count planned(const prompt_size& size) const noexcept { return is_->planned(size); }
  [[nodiscard]] token_count at_most(const prompt_size& size) const noexcept { return is_->at_most(size); }
  void learn(const prompt_size& size, token_count prompt_tokens) noexcept { is_->learn(size, prompt_tokens); }
  [[nodiscard]] estimate_confidence confidence(const prompt_size& size) const noexcept { return is_->confidence(size); }
  [[nodiscard]] bool one_at_a_time() const noexcept { return is_->one_at_a_time(); }
  [[nodiscard]] std::int64_t answers_seen() const noexcept { return is_->answers_seen(); }

 private:
  struct estimator {
    virtual ~estimator() = default;
    [[nodiscard]] virtual std::unique_ptr<estimator> copy() const = 0;
    [[nodiscard]] virtual token_count planned(const prompt_size&) const noexcept = 0;
    [[nodiscard]] virtual token_count at_most(const prompt_size&) const noexcept = 0;
    virtual void learn(const prompt_size&, token_count) noexcept = 0;
    [[nodiscard]] virtual estimate_confidence confidence(const prompt_size&) const noexcept = 0;
    [[nodiscard]] virtual bool one_at_a_time() const noexcept = 0;
    [[nodiscard]] virtual std::int64_t answers_seen() const noexcept = 0;
  };
  template <class E>
  struct held final : estimator {
    explicit held(E given) : is{std::move(given)} {}
    [[nodiscard]] std::unique_ptr<estimator> copy() const override { return std::make_unique<held>(is); }
    [[nodiscard]] token_count planned(const prompt_size& size) const noexcept override { return is.planned(size); }
    [[nodiscard]] token_count at_most(const prompt_size& size) const noexcept override { return is.at_most(size); }
    void learn(const prompt_size& size, token_count tokens) noexcept override { is.learn(size, tokens); }
    [[nodiscard]] estimate_confidence confidence(const prompt_size& size) const noexcept override {
      return is.confidence(size);
    }
    [[nodiscard]] bool one_at_a_time() const noexcept override { return is.one_at_a_time(); }
    [[nodiscard]] std::int64_t answers_seen() const noexcept override { return is.answers_seen(); }
    E is;
  };

  std::unique_ptr<estimator> is_;
};

static_assert(estimation_policy<any_estimator>);

}  // namespace felix::inline v1
