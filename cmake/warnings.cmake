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
