# SPDX-License-Identifier: MIT
# cmake -P: builds and runs consumer/ against felix, in one of these ways:
#   WAY=find_package   an installed felix that was moved after the installation
#   WAY=pkg-config     the same, without CMake
#   WAY=hosts          examples/hosts in the place of consumer/, against an installed felix
#   WAY=subdirectory   felix's source tree, as add_subdirectory and FetchContent use it
# SOURCE and BINARY are felix's folders, WORK is ours; CXX, LAUNCHER, GENERATOR and EXPECTED (the output) come from
# CMakeLists.txt.
cmake_minimum_required(VERSION 3.25)
set(warnings "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Werror")
set(consumer "${SOURCE}/tests/frame/consumer")
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(install_and_move)
  run("${CMAKE_COMMAND}" --install "${BINARY}" --prefix "${WORK}/installed")
  file(RENAME "${WORK}/installed" "${WORK}/moved")
  file(GLOB_RECURSE files "${WORK}/moved/*.cmake" "${WORK}/moved/*.pc")
  foreach(file IN LISTS files)
    file(READ "${file}" text)
    foreach(path IN ITEMS "${WORK}" "${SOURCE}" "${BINARY}")
      string(FIND "${text}" "${path}" at)
      if(NOT at EQUAL -1)
        message(FATAL_ERROR "${file} names ${path}: the installed tree cannot be moved")
      endif()
    endforeach()
  endforeach()
endfunction()

function(build_with_cmake)
  run("${CMAKE_COMMAND}" -S "${consumer}" -B "${WORK}/build" -G "${GENERATOR}" -DCMAKE_BUILD_TYPE=Debug
      "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" "-DCONSUMER_WARNINGS=${warnings}"
      -DCMAKE_EXPORT_COMPILE_COMMANDS=ON ${ARGN})
  file(READ "${WORK}/build/compile_commands.json" commands)
  if(NOT WAY STREQUAL "hosts" AND commands MATCHES "-isystem [^ ]*(${WORK}|${SOURCE})/")
    message(FATAL_ERROR "felix's headers are system headers here, so that this test sees none of their warnings")
  endif()
  run("${CMAKE_COMMAND}" --build "${WORK}/build" --parallel 2)
endfunction()

if(WAY STREQUAL "find_package")
  install_and_move()
  build_with_cmake("-DCMAKE_PREFIX_PATH=${WORK}/moved" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
  set(program "${WORK}/build/consumer")
elseif(WAY STREQUAL "subdirectory")
  build_with_cmake("-DCONSUMER_FELIX=${SOURCE}")
  set(program "${WORK}/build/consumer")
elseif(WAY STREQUAL "pkg-config")
  install_and_move()
  find_program(PKG_CONFIG NAMES pkg-config pkgconf REQUIRED)
  file(GLOB_RECURSE pc_file "${WORK}/moved/*/felix.pc")
  cmake_path(GET pc_file PARENT_PATH pc_dir)
  set(ENV{PKG_CONFIG_PATH} "${pc_dir}:$ENV{PKG_CONFIG_PATH}")
  execute_process(COMMAND "${PKG_CONFIG}" --cflags felix OUTPUT_VARIABLE cflags COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND "${PKG_CONFIG}" --libs felix OUTPUT_VARIABLE libs COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "-std=c++20 ${warnings} ${cflags}")
  separate_arguments(libs UNIX_COMMAND "${libs}")
  set(program "${WORK}/consumer")
  foreach(unit IN ITEMS main other)
    run(${LAUNCHER} "${CXX}" ${flags} -c "${consumer}/${unit}.cpp" -o "${WORK}/${unit}.o")
  endforeach()
  run("${CXX}" "${WORK}/main.o" "${WORK}/other.o" -o "${program}" ${libs})
elseif(WAY STREQUAL "hosts")
  # examples/hosts, as whoever copies it builds it; it wants a server to run, so that it is only built here.
  install_and_move()
  set(consumer "${SOURCE}/examples/hosts")
  build_with_cmake("-DCMAKE_PREFIX_PATH=${WORK}/moved" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
  return()
else()
  message(FATAL_ERROR "WAY is \"${WAY}\"; give find_package, pkg-config, subdirectory or hosts")
endif()

execute_process(COMMAND "${program}" OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
if(NOT output STREQUAL "${EXPECTED}\n")
  message(FATAL_ERROR "the consumer printed \"${output}\" instead of \"${EXPECTED}\"")
endif()
