// SPDX-License-Identifier: MIT
// llm: texts that are to become vectors.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/json_text.hpp>

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// What is to be embedded. A value, built fluently, as chat_request is.
///     auto vectors = co_await llm.embeddings(felix::embedding_request{}.text("a cat").text("a dog"));
class embedding_request {
 public:
  embedding_request() = default;
  explicit embedding_request(std::vector<std::string> texts) : texts_{std::move(texts)} {}

  embedding_request& text(std::string added) & {
    texts_.push_back(std::move(added));
    return *this;
  }
  embedding_request text(std::string added) && { return std::move(text(std::move(added))); }
  /// Overrides the model of the client: mostly another one than for chat.
  embedding_request& model(std::string name) & {
    model_ = std::move(name);
    return *this;
  }
  embedding_request model(std::string name) && { return std::move(model(std::move(name))); }
  /// Shorter vectors, where the model can. At least 1.
  embedding_request& dimensions(int count) & {
    if (count < 1) throw error{errc::invalid_argument, "embedding_request: dimensions below 1; use at least 1"};
    dimensions_ = count;
    return *this;
  }
  embedding_request dimensions(int count) && { return std::move(dimensions(count)); }

  [[nodiscard]] const std::vector<std::string>& texts() const noexcept { return texts_; }

  /// The JSON that servers take. Asks for numbers: not every server knows base64.
  /// Throws error (invalid_argument) for no texts, or an empty one, which no server accepts.
  [[nodiscard]] std::string body(std::string_view default_model) const {
    if (texts_.empty()) throw error{errc::invalid_argument, "embedding_request: there is no text; add one with text()"};
    std::string json = R"({"model":)";
    append_json_string(json, model_.empty() ? default_model : std::string_view{model_});
    json += R"(,"input":[)";
    for (const std::string& each : texts_) {
      if (each.empty()) throw error{errc::invalid_argument, "embedding_request: an empty text; leave it out"};
      if (json.back() != '[') json += ',';
      append_json_string(json, each);
    }
    json += ']';
    if (dimensions_) fmt::format_to(std::back_inserter(json), R"(,"dimensions":{})", *dimensions_);
    json += R"(,"encoding_format":"float"})";
    return json;
  }

 private:
  std::vector<std::string> texts_;
  std::string model_;
  std::optional<int> dimensions_;
};

}  // namespace felix::inline v1
