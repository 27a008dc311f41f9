// SPDX-License-Identifier: MIT
// llm: a picture in a message.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/base64.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace felix::inline v1 {

/// A picture that a message shows to the model: its bytes, or where the server finds it.
///     chat_request{}.user("What is this?", image::from_file("cat.png"))
class image {
 public:
  /// At most 20 MiB of PNG, JPEG, GIF or WebP, sent along in base64.
  /// Throws error (io) for a file that cannot be read, and error (invalid_argument) for one that is no such picture.
  [[nodiscard]] static image from_file(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rb"), &std::fclose};
    if (!file) throw error{std::error_code{errno, std::generic_category()}, "image: \"" + path + "\" cannot be opened"};
    std::string bytes;
    std::array<char, 16384> block;
    while (const std::size_t count = std::fread(block.data(), 1, block.size(), file.get())) {
      bytes.append(block.data(), count);
      if (bytes.size() > most_bytes) break;
    }
    if (std::ferror(file.get()) != 0)
      throw error{std::error_code{errno, std::generic_category()}, "image: \"" + path + "\" cannot be read"};
    return from_bytes(bytes, path);
  }

  /// The same from memory. `name` is for the error.
  [[nodiscard]] static image from_bytes(std::string_view bytes, std::string_view name = "the bytes given") {
    const std::string_view type = media_type_of(bytes);
    if (type.empty())
      throw error{errc::invalid_argument,
                  "image: " + std::string{name} + " is neither PNG, JPEG, GIF nor WebP; convert it to one of these"};
    if (bytes.size() > most_bytes)
      throw error{errc::invalid_argument, "image: " + std::string{name} + " has more than 20 MiB; make it smaller"};
    return image{"data:" + std::string{type} + ";base64," + detail::to_base64(bytes)};
  }

  /// An http, https or data URL. Not every server fetches one: Ollama takes data URLs only.
  /// Throws error (invalid_argument) for another scheme: a file URL would name a file of the server's.
  [[nodiscard]] static image from_url(std::string url) {
    for (const std::string_view scheme : {"https://", "http://", "data:"}) {
      if (url.starts_with(scheme)) return image{std::move(url)};
    }
    throw error{errc::invalid_argument, "image: the URL is neither http, https nor data; for a file use from_file"};
  }

  [[nodiscard]] const std::string& url() const noexcept { return url_; }

 private:
  static constexpr std::size_t most_bytes = std::size_t{20} << 20U;

  explicit image(std::string url) : url_{std::move(url)} {}
  static std::string_view media_type_of(std::string_view bytes) noexcept {
    if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return "image/png";
    if (bytes.starts_with("\xFF\xD8\xFF")) return "image/jpeg";
    if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return "image/gif";
    if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "image/webp";
    return {};
  }

  std::string url_;
};

}  // namespace felix::inline v1
