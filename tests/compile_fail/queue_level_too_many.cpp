// SPDX-License-Identifier: MIT
// A queue has at most 64 levels.
// EXPECT: map deadlines or costs to them with key_levels.hpp
#include <felix/queue/priority_queue.hpp>

#ifdef FELIX_WRONG
felix::priority_queue<int, 65> queue{1};
#else
felix::priority_queue<int, 64> queue{1};
#endif
