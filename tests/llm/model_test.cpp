// SPDX-License-Identifier: MIT
#include <felix/llm/model.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <type_traits>

namespace {

struct not_a_model {
  int complete(felix::chat_request) { return 0; }
};

template <felix::model Inner>
struct polite {  // a layer in ten lines
  Inner inner;
  felix::task<felix::chat_response> complete(felix::chat_request r) {
    co_return co_await inner.complete(std::move(r.system("Be polite.")));
  }
};

}  // namespace

static_assert(felix::model<felix::model_ref> && felix::model<polite<felix::model_ref>>);
static_assert(!felix::model<not_a_model> && !felix::model<int>);
static_assert(std::is_convertible_v<felix::scripted_model&, felix::model_ref>);
static_assert(!std::is_constructible_v<felix::model_ref, felix::scripted_model>, "a temporary would dangle");

TEST_CASE("model_ref: passes requests on to what it refers to", "[llm][model]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("polite").reply("of course");
  polite<felix::model_ref> kind{script};
  felix::model_ref ref{kind};
  felix::model_ref copy = ref;
  CHECK(loop.run(copy.complete(felix::chat_request{}.user("x"))).text() == "of course");
}

namespace {

struct with_inner {
  felix::model_ref kept;
  [[nodiscard]] const felix::model_ref& inner() const { return kept; }
  felix::task<felix::chat_response> complete(felix::chat_request r) { return kept.complete(std::move(r)); }
};
struct elsewhere : with_inner {
  felix::scheduler& own;
  [[nodiscard]] felix::scheduler& loop() const { return own; }
};
struct silent {
  felix::task<felix::chat_response> complete(felix::chat_request) { co_return "ok"; }
};

}  // namespace

TEST_CASE("model_ref: knows where its model lives, through layers, if these say so", "[llm][model]") {
  felix::simulated_loop loop, other;
  felix::scripted_model script{loop};
  CHECK(felix::model_ref{script}.loop() == &loop);
  felix::model_ref ref{script};
  with_inner layer{ref}, second{layer};
  CHECK(felix::model_ref{second}.loop() == &loop);
  const elsewhere moved{{second}, other};
  CHECK(felix::loop_of(moved) == &other);
  polite<felix::model_ref> in_a_member{script};
  CHECK(felix::model_ref{in_a_member}.loop() == &loop);
  silent nowhere;
  CHECK(felix::model_ref{nowhere}.loop() == nullptr);
}
