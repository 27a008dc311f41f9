// SPDX-License-Identifier: MIT
// Two lower levels with one pop in two each would leave none to the first.
// EXPECT: its Order serves fewer levels
#include <felix/queue/priority_queue.hpp>

#ifdef FELIX_WRONG
felix::priority_queue<int, 3, felix::aging_order<1>> queue{1};
#else
felix::priority_queue<int, 3, felix::aging_order<2>> queue{1};
#endif
