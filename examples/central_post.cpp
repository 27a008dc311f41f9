// SPDX-License-Identifier: MIT
// The hub alone, without a server: agents publish, readers subscribe, and nothing is lost when it closes. In simulated time.
//     ./central_post
#include <felix/agent/central_post.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/observe/usage.hpp>

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

felix::task<void> research(felix::central_post& post, std::string name, std::chrono::milliseconds pace) {
  for (int i = 1; i <= 3; ++i) {
    co_await felix::sleep_for(pace);
    felix::post_message found{.from = name, .role = "research", .text = fmt::format("fact {} of {}", i, name)};
    co_await post.publish(std::move(found));
  }
}

felix::task<void> criticise(felix::central_post& post) {
  co_await felix::sleep_for(250ms);
  felix::post_message doubt{.from = "critic_001",
                            .role = "critic",
                            .type = felix::message_type::error_report,
                            .urgency = felix::request_priority::urgent,  // goes before all that wait
                            .text = "fact 1 is wrong"};
  co_await post.publish(std::move(doubt));
}

felix::task<void> listen(std::string who, felix::subscription messages) {
  while (auto message = co_await messages.next()) {  // to the end: the post is closed, and all was read
    fmt::print("{:<8} {}: {}\n", who, message->from.name(), message->text);
    co_await felix::sleep_for(50ms);
  }
}

}  // namespace

int main() {
  felix::simulated_loop loop;
  felix::central_post post{{.processors = 2}};
  for (const char* name : {"research_001", "research_002", "critic_001"}) post.register_agent(name);
  loop.run(felix::with_nursery([&](felix::nursery& all) -> felix::task<void> {
    all.spawn(post.process());
    all.spawn(listen("analyst", post.subscribe({.role = felix::role_id{"research"}})));
    all.spawn(listen("editor", post.subscribe({.types = {felix::message_type::error_report}})));
    co_await felix::with_nursery([&](felix::nursery& work) -> felix::task<void> {
      work.spawn(research(post, "research_001", 100ms));
      work.spawn(research(post, "research_002", 150ms));
      work.spawn(criticise(post));
      co_return;
    });
    post.close();  // what is queued is still processed and delivered
  }));
  fmt::print("{}\n", post.stats());
}
