// SPDX-License-Identifier: MIT
// budget: which code points can make a UTF-8 text longer when a tokenizer brings it into the normal form NFC.
#pragma once

#include <algorithm>
#include <array>

namespace felix::inline v1 {
namespace detail {

struct code_point_range {
  char32_t first;
  char32_t last;
};

/// The code points that NFC replaces by more bytes, at most three times as many: their decompositions are excluded from
/// composition. The same 92 in Unicode 14 and in Unicode 17.
inline constexpr std::array nfc_growing{
    code_point_range{0x0344, 0x0344}, code_point_range{0x0958, 0x095F},   code_point_range{0x09DC, 0x09DD},
    code_point_range{0x09DF, 0x09DF}, code_point_range{0x0A33, 0x0A33},   code_point_range{0x0A36, 0x0A36},
    code_point_range{0x0A59, 0x0A5B}, code_point_range{0x0A5E, 0x0A5E},   code_point_range{0x0B5C, 0x0B5D},
    code_point_range{0x0F43, 0x0F43}, code_point_range{0x0F4D, 0x0F4D},   code_point_range{0x0F52, 0x0F52},
    code_point_range{0x0F57, 0x0F57}, code_point_range{0x0F5C, 0x0F5C},   code_point_range{0x0F69, 0x0F69},
    code_point_range{0x0F73, 0x0F73}, code_point_range{0x0F75, 0x0F76},   code_point_range{0x0F78, 0x0F78},
    code_point_range{0x0F81, 0x0F81}, code_point_range{0x0F93, 0x0F93},   code_point_range{0x0F9D, 0x0F9D},
    code_point_range{0x0FA2, 0x0FA2}, code_point_range{0x0FA7, 0x0FA7},   code_point_range{0x0FAC, 0x0FAC},
    code_point_range{0x0FB9, 0x0FB9}, code_point_range{0x2ADC, 0x2ADC},   code_point_range{0xFA6C, 0xFA6C},
    code_point_range{0xFACF, 0xFAD1}, code_point_range{0xFAD5, 0xFAD7},   code_point_range{0xFB1D, 0xFB1D},
    code_point_range{0xFB1F, 0xFB1F}, code_point_range{0xFB2A, 0xFB36},   code_point_range{0xFB38, 0xFB3C},
    code_point_range{0xFB3E, 0xFB3E}, code_point_range{0xFB40, 0xFB41},   code_point_range{0xFB43, 0xFB44},
    code_point_range{0xFB46, 0xFB4E}, code_point_range{0x1D15E, 0x1D164}, code_point_range{0x1D1BB, 0x1D1C0}};

/// The marks that can take a composed letter apart: ò with a dot below becomes ọ with a grave, 5 bytes instead of 4,
/// because the mark with the lower combining class composes first. Alone, or on an ASCII letter, they add nothing.
inline constexpr std::array nfc_splitting{code_point_range{0x031B, 0x031B}, code_point_range{0x0323, 0x0328},
                                          code_point_range{0x032D, 0x032E}, code_point_range{0x0330, 0x0331}};

/// The most bytes that one letter gains when it is taken apart, by any number of marks: the fully decomposed form of all
/// letters to which it can happen is at most this much longer. ǖ with a dot below, 4 bytes, becomes ụ̈̄, 7 bytes.
inline constexpr int nfc_splitting_growth = 3;

template <class Ranges>
constexpr bool covers(const Ranges& ranges, char32_t code_point) noexcept {
  const auto range =
      std::lower_bound(ranges.begin(), ranges.end(), code_point,
                       [](const code_point_range& r, char32_t wanted) noexcept { return r.last < wanted; });
  return range != ranges.end() && range->first <= code_point;
}

template <class Ranges>
constexpr int size_of_sorted(const Ranges& ranges) noexcept {  // 0 when they are not in order
  int size = 0;
  char32_t before = 0;
  for (const auto& range : ranges) {
    if (range.first <= before || range.last < range.first) return 0;
    size += static_cast<int>(range.last - range.first) + 1;
    before = range.last;
  }
  return size;
}

static_assert(size_of_sorted(nfc_growing) == 92);
static_assert(size_of_sorted(nfc_splitting) == 11);

}  // namespace detail
}  // namespace felix::inline v1
