// SPDX-License-Identifier: MIT
#include "questions.hpp"
void questions::other_languages(bench::suite&, const bench::server&) {}
