# SPDX-License-Identifier: MIT
# What our own code is compiled with. The presets make each of them an error
# (CMAKE_COMPILE_WARNING_AS_ERROR); users of felix choose for themselves.
set(FELIX_WARNINGS
    -Wall
    -Wextra
    -Wpedantic
    -Wconversion
    -Wsign-conversion
    -Wshadow
    -Wold-style-cast)

# With a sanitizer g++ takes its checks for paths on which a variable stays unset (its manual says so under -fsanitize).
if(CMAKE_CXX_FLAGS_DEBUG MATCHES "-fsanitize" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND FELIX_WARNINGS -Wno-maybe-uninitialized)
endif()
