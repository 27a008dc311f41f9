// SPDX-License-Identifier: MIT
#include <felix/llm/image.hpp>

#include "support/catch.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

using Catch::Matchers::ContainsSubstring;
using felix::image;

static const std::string png = std::string{"\x89PNG\r\n\x1a\n"} + "rest";

TEST_CASE("image: bytes become a data URL of their kind", "[llm][image]") {
  CHECK(image::from_bytes(png).url() == "data:image/png;base64,iVBORw0KGgpyZXN0");
  CHECK_THAT(image::from_bytes("\xFF\xD8\xFF\xE0").url(), ContainsSubstring("data:image/jpeg;base64,"));
  CHECK_THAT(image::from_bytes("GIF89a...").url(), ContainsSubstring("data:image/gif;base64,"));
  CHECK_THAT(image::from_bytes("RIFFsizeWEBPVP8 ").url(), ContainsSubstring("data:image/webp;base64,"));
}

TEST_CASE("image: what is no picture is refused, and says what would be one", "[llm][image]") {
  for (const char* bytes : {"", "text", "RIFFsizeWAVEfmt "}) {
    CHECK_THROWS_WITH(image::from_bytes(bytes, "notes.txt"),
                      ContainsSubstring("notes.txt") && ContainsSubstring("PNG"));
  }
  CHECK_THROWS_WITH(image::from_bytes(png + std::string(std::size_t{21} << 20U, 'x')), ContainsSubstring("20 MiB"));
}

TEST_CASE("image: files and URLs", "[llm][image]") {
  const auto path = std::filesystem::temp_directory_path() / "felix_image_test.png";
  std::ofstream{path, std::ios::binary} << png;
  CHECK(image::from_file(path.string()).url() == image::from_bytes(png).url());
  std::filesystem::remove(path);
  CHECK_THROWS_WITH(image::from_file(path.string()), ContainsSubstring("cannot be opened"));
  CHECK_THROWS_AS(image::from_file("/"), felix::error);
  CHECK(image::from_url("https://example.org/cat.png").url() == "https://example.org/cat.png");
  for (const char* url : {"file:///etc/passwd", "ftp://x/y", "cat.png", ""})
    CHECK_THROWS_AS(image::from_url(url), felix::error);
}
