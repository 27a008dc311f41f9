// SPDX-License-Identifier: MIT
// Every awaitable function, called as a user would write it, with temporaries. g++ 12 destroys some of them twice; with
// the types that felix takes it must not. The asan preset runs this with g++; CONTRIBUTING.md says what has to be named
// first.
#include <felix/felix.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// A text that notices when it is destroyed twice, or was copied byte by byte.
class witness {
 public:
  explicit witness(std::size_t size) : text_(size, 'w'), self_{this} { ++alive; }
  witness(const witness& other) : text_{other.text_}, self_{this} {
    broken += other.self_ != &other;
    ++alive;
  }
  witness(witness&& other) noexcept : text_{std::move(other.text_)}, self_{this} {
    broken += other.self_ != &other;
    ++alive;
  }
  witness& operator=(witness other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  ~witness() {
    broken += self_ != this;
    self_ = nullptr;
    --alive;
  }
  [[nodiscard]] std::size_t size() const {
    broken += self_ != this;
    return text_.size();
  }
  static inline int alive = 0, broken = 0;

 private:
  std::string text_;
  const witness* volatile self_;
};

/// None is left when the test ends, and none was broken.
class all_gone {
 public:
  all_gone() { witness::alive = witness::broken = 0; }
  all_gone(all_gone&&) = delete;
  ~all_gone() {
    CHECK(witness::alive == 0);
    CHECK(witness::broken == 0);
  }
};

using felix::task;

task<std::size_t> length(std::string text) { co_return text.size(); }
task<std::size_t> length_of_view(std::string_view text) { co_return text.size(); }
task<std::size_t> length_of_reference(const std::string& text) {
  co_await felix::sleep_for(1ms);
  co_return text.size();
}
task<std::size_t> sum(std::vector<int> numbers) {
  co_await felix::sleep_for(1ms);
  std::size_t all = 0;
  for (const int each : numbers) all += static_cast<std::size_t>(each);
  co_return all;
}
task<std::size_t> size(witness one) {
  co_await felix::sleep_for(1ms);
  co_return one.size();
}
task<witness> give(std::size_t size) {
  co_await felix::sleep_for(1ms);
  co_return witness{size};
}
task<std::size_t> both(witness one, std::size_t other) { co_return one.size() + other; }
task<std::size_t> fails(witness one) {
  co_await felix::sleep_for(1ms);
  throw std::runtime_error{std::to_string(one.size())};
}
task<std::vector<std::string>> list(std::size_t count) {
  co_return std::vector<std::string>(count, std::string(40, 'l'));
}
task<std::unique_ptr<witness>> owned(std::unique_ptr<witness> one) { co_return one; }
task<std::size_t> optional_length(std::optional<std::string> text) { co_return text.value_or("").size(); }
task<std::size_t> apply(std::function<std::size_t(std::size_t)> to, std::size_t value) { co_return to(value); }
std::vector<task<std::size_t>> several(std::size_t count) {
  std::vector<task<std::size_t>> work;
  for (std::size_t i = 0; i < count; ++i) work.push_back(size(witness{i}));
  return work;
}

template <class... T>
constexpr bool no_aggregates = (!std::is_aggregate_v<T> && ...);

/// What an awaitable function gives, and the awaiter inside.
template <class... A>
constexpr bool awaited_are_no_aggregates =
    no_aggregates<std::remove_cvref_t<A>...> && no_aggregates<std::remove_cvref_t<felix::detail::awaiter_of_t<A>>...>;

static_assert(awaited_are_no_aggregates<
              task<void>, task<int>, task<int&>, task<witness>, felix::event&, felix::semaphore::awaiter,
              felix::priority_semaphore::awaiter, felix::mutex::awaiter, decltype(felix::sleep_for(1s)),
              decltype(felix::sleep_until({})), decltype(felix::this_task::yield()), decltype(felix::this_task::now()),
              decltype(felix::this_task::stop_token()), decltype(felix::this_task::scheduler()),
              decltype(std::declval<felix::scheduler&>().schedule()), decltype(felix::as_result(give(1))),
              decltype(felix::when_all()), decltype(felix::when_all(give(1), give(1))),
              decltype(felix::when_all(several(1))), decltype(felix::when_any(give(1), list(1))),
              decltype(felix::when_any(several(1))), decltype(felix::timeout(1s, give(1)))>);
static_assert(no_aggregates<felix::when_any_result<int>, felix::result<int>, felix::result<void>,
                            felix::mutex::scoped_lock, felix::priority_semaphore::permit, felix::stop_token,
                            felix::stop_source, felix::nursery, felix::posted_call, felix::work_item>);
static_assert(no_aggregates<felix::secret, felix::base_url, felix::http_request, felix::http_response>);
static_assert(no_aggregates<felix::chat_request, felix::chat_response, felix::model_ref, felix::limit>);
static_assert(no_aggregates<felix::agent_task, felix::contribution, felix::team, felix::session_result>);
static_assert(no_aggregates<felix::ledger::reservation, felix::ledger::set_aside, felix::agent_id, felix::role_id>);

}  // namespace

TEST_CASE("natural forms: a task with temporaries of every kind", "[async][natural_forms]") {
  const all_gone at_the_end;
  const auto body = []() -> task<std::vector<std::size_t>> {
    std::vector<std::size_t> n;
    n.push_back(co_await length(std::string(100, 'x')));
    n.push_back(co_await length("a literal"));
    n.push_back(co_await length(std::string(50, 'y') + std::to_string(co_await length(std::string(60, 'z')))));
    n.push_back(co_await length_of_view(std::string(100, 'x')));
    n.push_back(co_await length_of_reference(std::string(100, 'x')));
    n.push_back(co_await sum(std::vector<int>(50, 1)));
    n.push_back(co_await size(witness{10}));
    n.push_back(co_await both(witness{1}, co_await size(witness{2})));
    n.push_back(co_await both(co_await give(3), co_await both(co_await give(4), (co_await give(5)).size())));
    n.push_back((co_await owned(std::make_unique<witness>(6)))->size());
    n.push_back(co_await optional_length(std::string(70, 'o')));
    n.push_back(co_await optional_length(std::nullopt));
    co_return n;
  };
  felix::simulated_loop loop;
  CHECK(loop.run(body()) == std::vector<std::size_t>{100, 9, 52, 100, 100, 50, 10, 3, 12, 6, 70, 0});
}

TEST_CASE("natural forms: in conditions, loops and returns", "[async][natural_forms]") {
  const all_gone at_the_end;
  const auto body = []() -> task<std::string> {
    const auto returns = [](std::size_t n) -> task<witness> { co_return co_await give(n); };
    const auto returns_too = [](std::size_t n) -> task<std::size_t> { co_return (co_await give(n)).size() + 1; };
    std::string log;
    if (co_await length(std::string(100, 'x')) == 100) log += "if ";
    if (const auto one = co_await give(5); one.size() == 5) log += "init ";
    if (const auto maybe = co_await felix::as_result(give(5))) log += std::to_string(maybe->size()) + " ";
    if (co_await size(witness{1}) == 1 && co_await size(witness{2}) == 2 && !(co_await size(witness{3}) == 0))
      log += "and ";
    std::size_t turns = 0;
    while (co_await size(witness{turns}) < 3) ++turns;
    for (std::size_t i = co_await size(witness{0}); i < co_await size(witness{2}); ++i) ++turns;
    do ++turns;
    while (co_await size(witness{turns}) < 7);
    log += std::to_string(turns) + " ";
    for (const auto& each : co_await list(co_await size(witness{3}))) log += std::to_string(each.size());
    switch (co_await size(witness{4})) {
      case 4: log += " switch"; break;
      default: log += "?";
    }
    const std::size_t number = turns > 0 ? co_await size(witness{8}) : co_await size(witness{9});
    log += " " + std::to_string(number + (co_await returns(10)).size() + co_await returns_too(11));
    co_return log;
  };
  felix::simulated_loop loop;
  CHECK(loop.run(body()) == "if init 5 and 7 404040 switch 30");
}

TEST_CASE("natural forms: objects built from what was awaited", "[async][natural_forms]") {
  const all_gone at_the_end;
  const auto body = []() -> task<std::size_t> {
    const auto on_heap = std::make_unique<witness>(co_await give(1));
    const std::pair two{co_await give(2), co_await give(3)};
    std::vector<witness> many;
    many.push_back(co_await give(4));
    many.emplace_back(co_await size(witness{5}));
    std::map<std::string, std::size_t> by_name;
    by_name["six"] = co_await size(witness{6});
    by_name.emplace(std::to_string(co_await size(witness{7})), co_await size(witness{7}));
    witness assigned = co_await give(100);
    assigned = co_await give(8);
    auto named = give(9);
    const witness ninth = co_await std::move(named);
    const witness& extended = co_await give(10);
    co_return on_heap->size() + two.first.size() + two.second.size() + many[0].size() + many[1].size() +
        by_name["six"] + by_name["7"] + assigned.size() + ninth.size() + extended.size();
  };
  felix::simulated_loop loop;
  CHECK(loop.run(body()) == 55);
}

TEST_CASE("natural forms: when_all, when_any, timeout and as_result of calls with temporaries",
          "[async][natural_forms]") {
  const all_gone at_the_end;
  const auto body = []() -> task<std::vector<std::size_t>> {
    std::vector<std::size_t> n;
    auto [a, b, c] = co_await felix::when_all(length(std::string(100, 'x')), sum(std::vector<int>(50, 1)), give(7));
    for (const std::size_t each : {a, b, c.size()}) n.push_back(each);
    n.push_back(std::get<1>(co_await felix::when_all(give(1), give(8))).size());
    auto [index, value] = co_await felix::when_any(felix::as_task(felix::sleep_for(1h)), give(9));
    n.push_back(std::get<1>(value).size() + index);
    n.push_back((co_await felix::when_any(give(1), give(1))).value.size());
    n.push_back(co_await felix::timeout(1s, length(std::string(100, 'x'))));
    n.push_back((co_await felix::timeout(1s, give(11))).size());
    n.push_back((co_await felix::as_result(give(12)))->size());
    n.push_back((co_await felix::as_result(fails(witness{13}))).message().size());
    auto [inner, outer] = co_await felix::when_all(felix::timeout(1s, felix::when_any(give(14), give(100))),
                                                   felix::as_result(felix::when_all(give(15), give(16))));
    n.push_back(inner.value.size());
    n.push_back(std::get<0>(*outer).size());
    n.push_back((co_await felix::when_all(several(17)))[16]);
    n.push_back((co_await felix::when_any(several(18))).index);
    for (const std::size_t each : co_await felix::when_all(several(3))) n.push_back(each);
    co_return n;
  };
  felix::simulated_loop loop;
  CHECK(loop.run(body()) == std::vector<std::size_t>{100, 50, 7, 8, 10, 1, 100, 11, 12, 2, 14, 15, 16, 0, 0, 1, 2});
}

TEST_CASE("natural forms: what throws or is stopped half way ends each temporary once", "[async][natural_forms]") {
  const all_gone at_the_end;
  const auto body = []() -> task<std::string> {
    std::string log;
    try {
      static_cast<void>(co_await both(witness{1}, co_await fails(witness{2})));
    } catch (const std::runtime_error& error) {
      log += error.what();
    }
    try {
      static_cast<void>(co_await both(co_await give(1), co_await felix::timeout(0s, size(witness{2}))));
    } catch (const felix::timed_out&) {
      log += " late";
    }
    try {
      static_cast<void>(co_await felix::when_all(give(1), fails(witness{33}), size(witness{3})));
    } catch (const std::runtime_error& error) {
      log += std::string{" "} + error.what();
    }
    co_return log;
  };
  felix::simulated_loop loop;
  CHECK(loop.run(body()) == "2 late 33");

  felix::stop_source stop;
  int cancelled = 0;
  loop.spawn(
      both(witness{1}, 2), [kept = witness{3}, &cancelled](felix::result<std::size_t> r) { cancelled += !r; },
      stop.get_token());
  loop.spawn(
      felix::when_all(size(witness{1}), felix::timeout(1h, give(2)), felix::as_result(give(3))),
      [kept = witness{3}, &cancelled](const auto& r) { cancelled += !r; }, stop.get_token());
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
}

TEST_CASE("natural forms: nurseries and lambdas", "[async][natural_forms]") {
  const all_gone at_the_end;
  const auto body = []() -> task<std::size_t> {
    std::size_t n = 0;
    const auto add = [](witness one, std::size_t& to) -> task<void> {
      co_await felix::sleep_for(1ms);
      to += one.size();
    };
    // What is captured by reference may stand in the call; what is captured by value is named first.
    co_await felix::with_nursery([&](felix::nursery& scope) -> task<void> {
      for (std::size_t i = 1; i <= 3; ++i) scope.spawn(add(witness{i}, n));
      scope.spawn(felix::timeout(1s, add(witness{4}, n)));
      scope.spawn(felix::when_all(add(witness{5}, n), give(100)));
      co_await add(witness{6}, n);
    });
    const auto keeps = [kept = witness{7}, &n](felix::nursery&) -> task<void> {
      n += kept.size();
      co_return;
    };
    co_await felix::with_nursery(keeps);
    const auto twice = [factor = std::make_shared<std::size_t>(2)](std::size_t of) { return *factor * of; };
    n += co_await apply(twice, co_await apply(twice, 1));
    n += co_await apply([](std::size_t of) { return of; }, 1);
    n += co_await [](witness one) -> task<std::size_t> { co_return one.size(); }(witness{2});
    co_return n;
  };
  felix::simulated_loop loop;
  CHECK(loop.run(body()) == 28 + 4 + 1 + 2);
}

TEST_CASE("natural forms: locks, permits, events and the task itself", "[async][natural_forms]") {
  const all_gone at_the_end;
  const auto body = []() -> task<std::string> {
    felix::mutex mutex;
    felix::priority_semaphore slots{2};
    felix::semaphore places{3};
    felix::event set;
    set.set();
    std::string log;
    {
      const auto lock = co_await mutex.lock();
      const auto [permit, other] =
          co_await felix::when_all(slots.acquire(), felix::timeout(1s, slots.acquire(felix::request_priority::high)));
      co_await places.acquire();
      co_await felix::when_all(set, places.acquire(), felix::sleep_for(1s));
      log += std::to_string(slots.in_use()) + std::to_string(places.available());
    }
    if (const auto again = co_await mutex.lock(); mutex.is_locked()) log += " held";
    if (!mutex.is_locked()) log += " free";
    const auto began = co_await felix::this_task::now();
    co_await felix::sleep_until((co_await felix::this_task::now()) + 2s);
    log += " " + std::to_string((co_await felix::this_task::now() - began) / 1s);
    co_await (co_await felix::this_task::scheduler())->schedule();
    if (!(co_await felix::this_task::stop_token()).stop_requested()) log += " on";
    co_await felix::this_task::yield();
    co_return log;
  };
  felix::simulated_loop loop;
  CHECK(loop.run(body()) == "21 held free 2 on");
}

TEST_CASE("natural forms: from plain code", "[async][natural_forms]") {
  const all_gone at_the_end;
  CHECK(felix::sync_wait(size(witness{1})) == 1);
  CHECK(felix::sync_wait(felix::timeout(1h, give(2))).size() == 2);
  CHECK(std::get<1>(felix::sync_wait(felix::when_all(give(3), give(4)))).size() == 4);
  felix::simulated_loop loop;
  CHECK(loop.run(felix::when_any(several(2))).index < 2);
  std::size_t got = 0;
  loop.spawn(give(5), [&got, kept = witness{6}](felix::result<witness> r) { got = r->size() + kept.size(); });
  loop.run(felix::sleep_for(1s));
  CHECK(got == 11);
}

TEST_CASE("natural forms: models, agents and sessions", "[async][natural_forms]") {
  using felix::chat_request;
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("Because of data, e.g. 42.").after(10ms);
  auto llm = felix::model_ref{script} | felix::limit{2};
  const auto body = [](felix::model_ref model) -> task<std::size_t> {
    std::size_t n = 0;
    const auto answer = co_await model.complete(
        chat_request{}.system(std::string(200, 's')).user("Name " + std::string(100, 'a')).max_tokens(50));
    n += answer.text().size();
    n += (co_await model.complete(
              chat_request{}
                  .user(answer.text())
                  .assistant((co_await model.complete(chat_request{}.user(std::string(50, 'u')))).text())))
             .text()
             .size();
    auto [quick, slow] = co_await felix::when_all(
        felix::timeout(1s, model.complete(chat_request{}.user(std::string(50, 'q')))),
        felix::as_result(felix::timeout(1ms, model.complete(chat_request{}.user(std::string(50, 's'))))));
    n += quick.text().size() + slow.message().size();
    felix::agent critic{model, felix::roles::critic, {.focus = std::string(50, 'f')}};
    const auto found = co_await critic.process(
        felix::agent_task{std::string(100, 't')}.at(0.5).findings(std::string(100, 'f')).max_tokens(100));
    n += found.text.size() + (co_await critic("a literal")).text.size();
    auto [one, two] = co_await felix::when_all(critic(std::string(100, '1')), critic(felix::agent_task{"2"}.at(1)));
    co_return n + one.text.size() + two.text.size();
  };
  CHECK(loop.run(body(llm)) == 3 * 25 + std::string{"timeout: not done within 0.001 s"}.size() + 4 * 25);

  const auto whole = [](felix::model_ref model) -> task<std::size_t> {
    felix::strict_budget budget;
    felix::session session{model, felix::teams::simple(), budget};
    const auto text_of = [](felix::session_result result) -> task<std::size_t> { co_return result.final_text.size(); };
    co_return co_await text_of(co_await session.run("Write about " + std::string(50, 't')));
  };
  CHECK(loop.run(whole(llm)) > 0);

  const auto posts = []() -> task<std::uint64_t> {
    felix::central_post post{{.max_agents = 2}};
    felix::contribution found;
    found.agent = felix::agent_id{"critic"};
    found.text = std::string(100, 'x');
    post.register_agent(found.agent);
    co_await felix::with_nursery([&](felix::nursery& scope) -> task<void> {
      scope.spawn(post.process());
      co_await post.publish(found, 0);
      co_await post.publish(felix::contribution{found}, 1);
      co_await post.processed();
      post.close();
    });
    co_return post.stats().processed;
  };
  CHECK(loop.run(posts()) == 2);
}

TEST_CASE("natural forms: requests over a socket", "[async][natural_forms]") {
  felix::test::fault_server server{[](const felix::test::request& request) {
    return request.method == "POST" ? felix::test::chat(std::string(30, 'c'), 1, 2) : felix::test::http(200, "[]");
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::client llm{loop, {.base_url = server.url()}};
  const auto body = [](felix::http_client& over, felix::client& model, std::string url) -> task<std::size_t> {
    const auto size_of = [](felix::http_response response) -> task<std::size_t> { co_return response.body.size(); };
    std::size_t n = (co_await over.send(felix::http_request{url + "/" + std::string(50, 'p')})).body.size();
    n += co_await size_of(co_await over.send(felix::http_request{url}.header("x-long", std::string(50, 'h'))));
    n += (co_await felix::timeout(1h, model.complete(felix::chat_request{}.user(std::string(50, 'u'))))).text().size();
    co_return n;
  };
  CHECK(loop.run(body(http, llm, server.url())) == 2 + 2 + 30);
}
