// SPDX-License-Identifier: MIT
// A company's budget, in tokens and in money, and within it one for each of two departments that share a model. What does
// not fit at the moment waits; what never can is refused before it is sent.
//     ./budget_scopes [BASE_URL [MODEL]]
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <string>
#include <utility>
#include <vector>

felix::task<void> ask(felix::model auto& llm, std::string question, felix::token_count most,
                      felix::request_priority priority = felix::request_priority::normal) {
  try {
    auto request = felix::chat_request{}.user(question).max_tokens(most).priority(priority);
    const auto answer = co_await llm.complete(std::move(request));
    fmt::print("{} {}\n", question, answer.usage());  // says so where a part of it had to be estimated
  } catch (const felix::budget_exceeded& refused) {
    fmt::print("{} {}\n", question, refused.what());
  }
}

void print(const felix::scope_status& scope) {
  fmt::print("{}: {} of {} tokens", scope.name, scope.tokens.settled, scope.tokens.cap);
  if (const auto& cost = scope.nano_cost)
    fmt::print(", ${} of ${}", felix::money::of_nano_units(cost->settled).text(),
               felix::money::of_nano_units(cost->cap).text());
  fmt::print("\n");
}

int main(int argc, char** argv) try {
  const std::string url = argc > 1 ? argv[1] : "http://localhost:1234/v1";
  const std::string model = argc > 2 ? argv[2] : "local-model";
  const auto prices = felix::price_table::parse(
      "gpt-4o-mini  0.15 0.60 0.075  # dollars per million tokens: prompt, answer, cached prompt\n"
      "local-model  0.02 0.08        # the electricity\n");
  const auto price = prices.find(model);
  if (!price) throw felix::error{felix::errc::invalid_argument, "no price for " + model + "; add it to the table"};

  felix::event_loop loop;
  felix::client llm{loop, {.base_url = url, .model = model}};

  felix::budget_scope company{"company", {.tokens = 20'000, .nano_cost = felix::money{"0.01"}.nano_units()}};
  felix::strict_budget support{{.session_cap_tokens = 2'000, .within = &company}};
  felix::strict_budget archive{{.session_cap_tokens = 800, .within = &company}};

  auto for_support = felix::model_ref{llm} | felix::charge{support, {.role = "support", .price = price}};
  auto for_archive =
      felix::model_ref{llm} |
      felix::charge{archive,
                    {.role = "archive", .waits = true, .estimator = felix::calibrated_estimator{}, .price = price}};

  std::vector<felix::task<void>> asked;
  asked.push_back(ask(for_support, "How do I reset my password?", 80));
  asked.push_back(ask(for_support, "Where is my parcel?", 80));
  for (int year = 1901; year <= 1904; ++year)  // in the worst case three fit side by side: the last one waits
    asked.push_back(ask(for_archive, fmt::format("Summarise the letter of {}.", year), 60));
  asked.push_back(ask(for_archive, "Who wrote them?", 60, felix::request_priority::high));  // goes before the last one
  asked.push_back(ask(for_archive, "Write a history of the town.", 1'500));  // more than there ever is: refused
  loop.run(felix::when_all(std::move(asked)));

  fmt::print("\nsupport: {}\narchive: {}\n", support.system_status(), archive.system_status());
  print(company.status());
} catch (const felix::error& failure) {
  fmt::print(stderr, "budget_scopes: {}\n", failure.what());
  return 1;
}
