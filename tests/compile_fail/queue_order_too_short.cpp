// SPDX-License-Identifier: MIT
// Three lower levels cannot each have one pop in two.
// EXPECT: its Order serves fewer levels
#include <felix/queue/priority_queue.hpp>

#ifdef FELIX_WRONG
felix::priority_queue<int, 4, felix::aging_order<1>> queue{1};
#else
felix::priority_queue<int, 4, felix::aging_order<2>> queue{1};
#endif
