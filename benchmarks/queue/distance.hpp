// SPDX-License-Identifier: MIT
// How far are the two processors from each other? On shared hosts that changes all the time, and with it every figure of
// two threads.
#pragma once

namespace contenders {

/// Nanoseconds for a cache line to get from the first processor to the second, if nobody comes between. Takes less than
/// half a millisecond.
double one_way();

}  // namespace contenders
