# SPDX-License-Identifier: MIT
# cmake -P: plants one violation in a copy of the tree and requires that the check reports it. A rule that can no longer
# complain fails here. CHECK is the script, ROOT the tree, WORK the copy's place, FILE the planted file, CONTENT its lines
# joined by "|" (appended to a file that is there; none: the file is removed), EXPECTED a regex for the complaint.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
foreach(entry IN ITEMS include examples tests/frame/consumer README.md .gitignore)
  if(EXISTS "${ROOT}/${entry}")
    cmake_path(GET entry PARENT_PATH folder)
    file(COPY "${ROOT}/${entry}" DESTINATION "${WORK}/${folder}")
  endif()
endforeach()

function(run_check result output)
  execute_process(COMMAND "${CMAKE_COMMAND}" "-DROOT=${WORK}" -P "${CHECK}" RESULT_VARIABLE status
                  OUTPUT_VARIABLE printed ERROR_VARIABLE printed)
  set(${result} "${status}" PARENT_SCOPE)
  set(${output} "${printed}" PARENT_SCOPE)
endfunction()

run_check(status before)
if(before MATCHES "${EXPECTED}")
  message(FATAL_ERROR "the complaint \"${EXPECTED}\" is there before anything was planted:\n${before}")
endif()

string(REPLACE "|" "\n" content "${CONTENT}")
if(content STREQUAL "")
  file(REMOVE "${WORK}/${FILE}")
else()
  file(APPEND "${WORK}/${FILE}" "${content}\n")
endif()
run_check(status after)
if(status EQUAL 0)
  message(FATAL_ERROR "the check accepts ${FILE}:\n${content}")
elseif(NOT after MATCHES "${EXPECTED}")
  message(FATAL_ERROR "the check does not say \"${EXPECTED}\" of ${FILE}:\n${content}\nbut\n${after}")
endif()
