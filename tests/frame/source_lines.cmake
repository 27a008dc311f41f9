# SPDX-License-Identifier: MIT
# A text file as a CMake list of lines, empty ones included. What CMake lists cannot hold as it is (semicolons, square
# brackets, backslashes) becomes a control character, the same everywhere; shown_line() undoes that for messages.
string(ASCII 1 felix_semicolon)
string(ASCII 2 felix_open)
string(ASCII 3 felix_close)
string(ASCII 4 felix_backslash)

function(source_lines path result)
  file(READ "${path}" text)
  string(REPLACE "\r\n" "\n" text "${text}")
  string(REPLACE ";" "${felix_semicolon}" text "${text}")
  string(REPLACE "[" "${felix_open}" text "${text}")
  string(REPLACE "]" "${felix_close}" text "${text}")
  string(REPLACE "\\" "${felix_backslash}" text "${text}")
  string(REGEX REPLACE "[ \t]+\n" "\n" text "${text}\n")
  string(REGEX REPLACE "\n$" "" text "${text}")
  string(REPLACE "\n" ";" text "${text}")
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

function(shown_line line result)
  string(REPLACE "${felix_semicolon}" ";" line "${line}")
  string(REPLACE "${felix_open}" "[" line "${line}")
  string(REPLACE "${felix_close}" "]" line "${line}")
  string(REPLACE "${felix_backslash}" "\\" line "${line}")
  set(${result} "${line}" PARENT_SCOPE)
endfunction()

# Messages are kept and printed at the end, one a line; message(FATAL_ERROR) would wrap them.
function(complain text)
  set_property(GLOBAL APPEND_STRING PROPERTY felix_complaints "${text}\n")
endfunction()

function(finish_check name)
  get_property(complaints GLOBAL PROPERTY felix_complaints)
  if(complaints)
    message("${complaints}")
    message(FATAL_ERROR "${name}: see the lines above")
  endif()
  message("${name}: all is well")
endfunction()
