// SPDX-License-Identifier: MIT
#include <felix/llm/embedding_request.hpp>

#include <felix/llm/codec.hpp>
#include <felix/llm/openai_model.hpp>
#include "model_server/model_server.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <string>

using felix::embedding_request;
namespace codec = felix::codec;

TEST_CASE("embedding_request: writes what servers take", "[llm][embeddings]") {
  CHECK(embedding_request{}.text("a\"").text("b").body("m") ==
        R"({"model":"m","input":["a\"","b"],"encoding_format":"float"})");
  CHECK(embedding_request{{"a"}}.model("other").dimensions(8).body("m") ==
        R"({"model":"other","input":["a"],"dimensions":8,"encoding_format":"float"})");
  CHECK_THROWS_AS(embedding_request{}.body("m"), felix::error);
  CHECK_THROWS_AS(embedding_request{}.text("").body("m"), felix::error);
  CHECK_THROWS_AS(embedding_request{}.dimensions(0), felix::error);
}

TEST_CASE("embedding_request: vectors come as numbers or as base64, in any order", "[llm][embeddings]") {
  const auto numbers = codec::decode_embeddings(
      R"({"model":"e","data":[{"index":1,"embedding":[0.5,-1]},{"index":0,"embedding":[1,0]}],"usage":{"prompt_tokens":3,"total_tokens":3}})",
      "s", 2);
  CHECK(numbers.vectors == std::vector<std::vector<float>>{{1.0F, 0.0F}, {0.5F, -1.0F}});
  CHECK(numbers.model == "e");
  CHECK(numbers.usage.prompt_tokens == 3);
  CHECK_FALSE(numbers.usage.estimated);
  const auto bytes = codec::decode_embeddings(R"({"data":[{"embedding":"AAAAPwAAgL8="}]})", "s", 1);
  CHECK(bytes.vectors == std::vector<std::vector<float>>{{0.5F, -1.0F}});
  CHECK(bytes.usage.estimated);
}

TEST_CASE("embedding_request: what is no vector is an error", "[llm][embeddings]") {
  for (const char* body :
       {"", "{}", R"({"data":[]})", R"({"data":[{"embedding":[]}]})", R"({"data":[{"embedding":["x"]}]})",
        R"({"data":[{"embedding":"AAA="}]})", R"({"data":[{"embedding":"AADAfw=="}]})",
        R"({"data":[{"embedding":null}]})", R"({"data":[{"index":1,"embedding":[1]}]})",
        R"({"data":[{"index":0,"embedding":[1e300]}]})"}) {
    CAPTURE(body);
    CHECK_THROWS_AS(codec::decode_embeddings(body, "s", 1), felix::error);
  }
}

TEST_CASE("embedding_request: over a socket", "[llm][embeddings]") {
  model_server::server server;
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .dialect = felix::dialects::llama_cpp}};
  const auto got = loop.run(llm.embeddings(embedding_request{}.text("a cat").text("a dog").text("a cat")));
  REQUIRE(got.vectors.size() == 3);
  CHECK(got.vectors[0] == got.vectors[2]);
  CHECK(got.vectors[0] != got.vectors[1]);
  double norm = 0;
  for (const float value : got.vectors[0]) norm += static_cast<double>(value) * static_cast<double>(value);
  CHECK(std::abs(norm - 1) < 1e-3);
  CHECK(loop.run(llm.count_tokens("eight by")) == 2);
  CHECK(loop.run(llm.health()) == felix::server_health::ready);
  CHECK_FALSE(loop.run(llm.models()).empty());
  felix::openai_model plain{loop, {.base_url = server.url()}};
  CHECK_THROWS_AS(loop.run(plain.count_tokens("x")), felix::error);
  server.stop();
  CHECK(loop.run(llm.health()) == felix::server_health::unreachable);
}
