# SPDX-License-Identifier: MIT
# Where every package comes from, and what to install when it is not there. Debian 12's versions are the oldest that work.
include_guard(GLOBAL)

# It brought CURLOPT_PROTOCOLS_STR, without which redirects and schemes cannot be fenced in.
set(FELIX_CURL_VERSION 7.85)

# find_package(<name> ...) with a message that names the remedy. A macro, because find modules set variables for the
# caller.
macro(felix_find_package name debian_package upstream)
  find_package(${name} ${ARGN} QUIET)
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "felix needs ${upstream}, and CMake did not find it (or only a version that is too old).\n"
                        "  Debian, Ubuntu:  apt-get install ${debian_package}\n"
                        "  elsewhere:       install ${upstream}, and add its prefix to CMAKE_PREFIX_PATH")
  endif()
endmacro()

macro(felix_find_library_dependencies)
  felix_find_package(CURL libcurl4-openssl-dev "libcurl (${FELIX_CURL_VERSION} or newer)" ${FELIX_CURL_VERSION})
  felix_find_package(simdjson libsimdjson-dev "simdjson (3.0 or newer)" CONFIG)
  felix_find_package(fmt libfmt-dev "fmt (9.1 or newer)" CONFIG)
  felix_find_package(Threads libc6-dev "a threads library")
endmacro()

macro(felix_find_example_dependencies)
  felix_find_package(nlohmann_json nlohmann-json3-dev "nlohmann-json (3.11 or newer)" CONFIG)
  felix_find_package(CLI11 libcli11-dev "CLI11 (2.1 or newer)" CONFIG)
  felix_find_package(PkgConfig pkg-config "pkg-config")
  pkg_check_modules(felix_microhttpd QUIET IMPORTED_TARGET GLOBAL libmicrohttpd)
  if(NOT felix_microhttpd_FOUND)
    message(FATAL_ERROR "felix's examples need libmicrohttpd, and pkg-config did not find it.\n"
                        "  Debian, Ubuntu:  apt-get install libmicrohttpd-dev\n"
                        "  elsewhere:       install libmicrohttpd, and add the folder of its .pc file to PKG_CONFIG_PATH")
  endif()
endmacro()

# None is needed: without Google Benchmark those benchmarks are not built that measure single operations, without Boost's
# headers or oneTBB they have one peer less.
macro(felix_find_benchmark_dependencies)
  find_package(benchmark CONFIG QUIET)
  if(NOT benchmark_FOUND)
    message(STATUS "Google Benchmark was not found (Debian, Ubuntu: libbenchmark-dev): some benchmarks are not built")
  endif()
  find_path(FELIX_BOOST_INCLUDE_DIR boost/asio.hpp DOC "Where Boost's headers are: Asio and Lockfree, peers of the benchmarks")
  mark_as_advanced(FELIX_BOOST_INCLUDE_DIR)
  find_package(TBB CONFIG QUIET)
endmacro()

# Catch2 2.13 and 3 differ in their include names only as far as we are concerned: tests/support/catch.hpp chooses.
macro(felix_find_test_dependencies)
  felix_find_package(Catch2 catch2 "Catch2 (2.13 or 3)" CONFIG)
  if(Catch2_VERSION VERSION_LESS 2.13.9 OR NOT TARGET Catch2::Catch2WithMain)
    message(FATAL_ERROR "felix's tests need a Catch2 with the target Catch2::Catch2WithMain (2.13.9 or newer); "
                        "${Catch2_DIR} has version ${Catch2_VERSION}")
  endif()
endmacro()
