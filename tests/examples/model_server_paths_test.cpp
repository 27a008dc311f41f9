// SPDX-License-Identifier: MIT
// examples: the model server's other paths, embeddings, tokens and props; and its key.
#include "model_server/model_server.hpp"

#include "examples/model_server_socket.hpp"
#include "model_server/simulated_model.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using felix::test::bees;
using felix::test::chat;
using felix::test::get;
using felix::test::http_socket;
using felix::test::post;
using model_server::count_tokens;
using model_server::server;
using nlohmann::json;

namespace {

const model_server::options fast{.speed = 1000};
constexpr int prompt = 3 + 4 + 4;

std::string message_of(const felix::test::http_bytes& got) { return got.content()["error"]["message"]; }

}  // namespace

TEST_CASE("model_server paths: embeddings are unit vectors of the text", "[examples][model_server][paths]") {
  const server server{fast};
  const auto vectors = [&](const json& more) {
    std::vector<std::vector<double>> found;
    const json answer = post(server, "/v1/embeddings", more).content();
    for (const json& each : answer["data"]) found.push_back(each["embedding"]);
    return found;
  };
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b.at(i);
    return sum;
  };
  const json texts = {"The dance of the bees", "A dance of bees", "Quarterly interest rates"};
  const auto three = vectors({{"input", texts}, {"model", "any"}});
  REQUIRE(three.size() == 3);
  for (const auto& each : three) {
    CHECK(each.size() == 64);
    CHECK(std::abs(dot(each, each) - 1) < 1e-5);
  }
  CHECK(dot(three[0], three[1]) > dot(three[0], three[2]) + 0.2);
  CHECK(vectors({{"input", texts[1]}}).at(0) == three[1]);
  const auto shorter = vectors({{"input", texts[1]}, {"dimensions", 8}}).at(0);
  CHECK(shorter.size() == 8);
  CHECK(std::abs(dot(shorter, shorter) - 1) < 1e-5);

  const json answer = post(server, "/v1/embeddings", {{"input", texts}}).content();
  const int tokens = 6 + 4 + 6;
  CHECK(answer["object"] == "list");
  CHECK(answer["data"][2]["index"] == 2);
  CHECK(answer["data"][2]["object"] == "embedding");
  CHECK(answer["usage"] == json{{"prompt_tokens", tokens}, {"total_tokens", tokens}});
  CHECK(server.snapshot().embedding_tokens == 2 * tokens + 4 + 4);
  CHECK(server.snapshot().total_tokens == 0);
}

TEST_CASE("model_server paths: embeddings in base64 are the same numbers", "[examples][model_server][paths]") {
  const server server{fast};
  const std::size_t dimensions = GENERATE(1U, 2U, 3U, 64U);  // all remainders of the bytes by three
  json asked = {{"input", "bees"}, {"dimensions", dimensions}};
  const std::vector<float> numbers = post(server, "/v1/embeddings", asked).content()["data"][0]["embedding"];
  asked["encoding_format"] = "base64";
  const std::string text = post(server, "/v1/embeddings", asked).content()["data"][0]["embedding"];
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<unsigned> bytes;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size() && text[i] != '='; ++i) {
    bits = bits << 6U | static_cast<std::uint32_t>(alphabet.find(text[i]));
    if (i % 4 != 0) bytes.push_back(bits >> (6 - 2 * (i % 4)) & 0xFFU);
  }
  CHECK(text.size() % 4 == 0);
  REQUIRE(bytes.size() == 4 * dimensions);
  for (std::size_t i = 0; i < dimensions; ++i) {
    const auto word = bytes[4 * i] | bytes[4 * i + 1] << 8U | bytes[4 * i + 2] << 16U | bytes[4 * i + 3] << 24U;
    CHECK(std::bit_cast<float>(word) == numbers[i]);
  }
}

TEST_CASE("model_server paths: wrong embeddings and tokens", "[examples][model_server][paths]") {
  struct row {
    std::string path, body, param;
  };
  const auto [path, body, param] = GENERATE(values<row>({
      {"/v1/embeddings", "{}", "input"},
      {"/v1/embeddings", R"({"input":[]})", "input"},
      {"/v1/embeddings", R"({"input":""})", "input"},
      {"/v1/embeddings", R"({"input":["a",1]})", "input[1]"},
      {"/v1/embeddings", R"({"input":"a","dimensions":65})", "dimensions"},
      {"/v1/embeddings", R"({"input":"a","dimensions":0})", "dimensions"},
      {"/v1/embeddings", R"({"input":"a","encoding_format":"hex"})", "encoding_format"},
      {"/tokenize", R"({})", "content"},
      {"/tokenize", R"({"content":1})", "content"},
  }));
  CAPTURE(path, body);
  const server server{fast};
  const auto got = post(server, path, json::parse(body));
  CHECK(got.status() == 400);
  CHECK(got.content()["error"]["param"] == param);
  CHECK(http_socket{server, "POST", path, "["}.read_to_end().status() == 400);
}

TEST_CASE("model_server paths: tokenize counts as usage does", "[examples][model_server][paths]") {
  const server server{fast};
  const json tokens = post(server, "/tokenize", {{"content", "bees bees \xE9\x87\x8F"}}).content()["tokens"];
  CHECK(tokens.size() == static_cast<std::size_t>(count_tokens("bees bees \xE9\x87\x8F")));
  CHECK(tokens[0].is_number_unsigned());
  CHECK(tokens[0] != tokens[1]);
  CHECK(post(server, "/tokenize", {{"content", "bees"}}).content()["tokens"][0] == tokens[0]);
  CHECK(post(server, "/tokenize", {{"content", ""}}).content()["tokens"] == json::array());
}

TEST_CASE("model_server paths: props tell slots and context, which bounds prompts", "[examples][model_server][paths]") {
  const server server{{.slots = 7, .speed = 1000, .context_tokens = prompt}};
  const json props = get(server, "/props").content();
  CHECK(props["total_slots"] == 7);
  CHECK(props["n_ctx"] == prompt);
  CHECK(props["default_generation_settings"]["n_ctx"] == prompt);
  CHECK(chat(server).status() == 200);
  const auto refused = chat(server, {{"messages", {{{"role", "user"}, {"content", "Write about bees!"}}}}});
  CHECK(refused.status() == 400);
  CHECK(refused.content()["error"]["type"] == "exceed_context_size_error");
  CHECK(refused.content()["error"]["n_prompt_tokens"] == prompt + 1);
  CHECK(refused.content()["error"]["n_ctx"] == prompt);
  CHECK_THROWS_WITH((model_server::server{{.context_tokens = 0}}), ContainsSubstring("context_tokens"));
  CHECK_THAT(message_of(get(server, "/nowhere")),
             ContainsSubstring("GET /props") && ContainsSubstring("POST /tokenize"));
}

TEST_CASE("model_server paths: with a key, all but health needs it", "[examples][model_server][paths]") {
  const server server{{.speed = 1000, .api_key = "sk-1"}};
  const auto wrong = GENERATE(as<std::string>{}, "", "Authorization: Bearer sk-2\r\n", "Authorization: sk-1\r\n",
                              "Authorization: Bearer sk-1x\r\n");
  for (const char* path : {"/v1/models", "/props", "/stats", "/nowhere"}) {
    const auto got = get(server, path, wrong);
    CHECK(got.status() == 401);
    CHECK(got.content()["error"]["code"] == "invalid_api_key");
    CHECK(got.header("WWW-Authenticate") == "Bearer");
  }
  CHECK(post(server, "/v1/chat/completions", bees(), wrong).status() == 401);
  CHECK(get(server, "/health", wrong).status() == 200);
  const std::string right = "Authorization: Bearer sk-1\r\n";
  CHECK(get(server, "/v1/models", right).status() == 200);
  CHECK(post(server, "/v1/chat/completions", bees(), right).status() == 200);
}
