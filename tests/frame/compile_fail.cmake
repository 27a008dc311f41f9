# SPDX-License-Identifier: MIT
# cmake -P: compiles SOURCE as it is (WRONG off: it has to compile) or with FELIX_WRONG defined (WRONG on: it must not, and
# the compiler's output has to match the regex of each line `// EXPECT: ...` of the file). FLAGS is a script that sets
# `command`, the compiler and its flags; OBJECT is where the output goes.
cmake_minimum_required(VERSION 3.25)
include("${FLAGS}")
if(WRONG)
  list(APPEND command -DFELIX_WRONG)
endif()
execute_process(COMMAND ${command} -c "${SOURCE}" -o "${OBJECT}" RESULT_VARIABLE status OUTPUT_VARIABLE output
                ERROR_VARIABLE output)
if(NOT WRONG)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${SOURCE} does not compile without FELIX_WRONG either:\n${output}")
  endif()
  return()
endif()

if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles with FELIX_WRONG")
endif()
file(STRINGS "${SOURCE}" expectations REGEX "^// EXPECT: " ENCODING UTF-8)
if(NOT expectations)
  message(FATAL_ERROR "${SOURCE} says in no line `// EXPECT: <regex>` what the compiler has to say")
endif()
foreach(expectation IN LISTS expectations)
  string(REGEX REPLACE "^// EXPECT: +" "" expectation "${expectation}")
  if(NOT output MATCHES "${expectation}")
    message(FATAL_ERROR "${SOURCE}: the compiler does not say \"${expectation}\" but\n${output}")
  endif()
endforeach()
