#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh checkout to a running program, or to tested sources. See --help. A second run finds its work done.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
topic=("Write about AI safety" --strict-mode)

usage() {
  cat <<'END'
bash cmake/quickstart.sh [ARGUMENT...]    install what is missing, build blog_writer and run it with the arguments
                                          (without any: "Write about AI safety" --strict-mode)
bash cmake/quickstart.sh test [PRESET]    install what is missing, build everything and run the tests
                                          (debug; or release, asan, tsan, clang, tsan-clang)
bash cmake/quickstart.sh races [NUMBER]   install what is missing, and race stops against completions (1,000,000 times)
                                          under ThreadSanitizer, compiled by g++ and by clang
bash cmake/quickstart.sh --help           this text
END
}

say() { printf 'quickstart: %s\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }

# What is needed, a line each: Debian package, the tool that makes it unnecessary or -, other packages that do, the name
# elsewhere.
needed() {  # needed run|test PRESET
  cat <<'END'
g++                   g++         -                          a C++20 compiler
cmake                 cmake       -                          CMake 3.25
ninja-build           ninja       -                          Ninja
pkg-config            pkg-config  pkgconf                    pkg-config
libcurl4-openssl-dev  -           libcurl4-gnutls-dev        libcurl
libsimdjson-dev       -           -                          simdjson
libfmt-dev            -           -                          fmt
libmicrohttpd-dev     -           -                          libmicrohttpd
nlohmann-json3-dev    -           -                          nlohmann-json
libcli11-dev          -           -                          CLI11
END
  if [[ $1 == test ]]; then
    echo 'catch2                -           -                          Catch2'
    echo 'libbenchmark-dev      -           -                          Google Benchmark'
    echo 'libboost-dev          -           -                          the headers of Boost'
    echo 'libtbb-dev            -           -                          oneTBB'
    # Debian starts a web server on port 80 as soon as nginx is installed, where there is somebody to start it: there it
    # is left to the user, and the benchmark of the client makes do without.
    if [[ ! -d /run/systemd/system ]]; then
      echo 'nginx-light           -           nginx                      nginx'
      echo 'libnginx-mod-http-echo -          -                          its echo module'
    fi
  fi
  if [[ $2 == *clang ]]; then
    echo 'clang-19              clang++-19  -                          clang 19 (as clang++-19)'
    echo 'libclang-rt-19-dev    -           -                          its run-time libraries'
  fi
}

installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

install_missing() {  # install_missing run|test PRESET
  local package tool other name missing=()
  while read -r package tool other name; do
    { [[ $tool != - ]] && have "$tool"; } || installed "$package" || { [[ $other != - ]] && installed "$other"; } ||
      missing+=("$package")
  done < <(needed "$@")
  ((${#missing[@]})) || return 0

  local as_root=()
  if ((EUID != 0)); then
    have sudo || fail "neither root nor sudo; as root, run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  "${apt[@]}" update || { say "apt-get update failed, once more"; sleep 5; "${apt[@]}" update; } ||
    say "apt-get update failed twice; trying with the package lists that are here"
  "${apt[@]}" install --no-install-recommends -y "${missing[@]}" >/dev/null ||
    fail "apt-get could not install them; as root, run: apt-get install ${missing[*]}"
}

name_needed() {  # name_needed run|test PRESET
  local package tool other name
  while read -r package tool other name; do printf '  %s\n' "$name"; done < <(needed "$@")
}

# Without apt-get we install nothing: missing tools are named here, missing libraries by CMake.
find_tools() {  # find_tools run|test PRESET
  local package tool other name missing=()
  while read -r package tool other name; do
    [[ $tool == - ]] || have "$tool" || have "$other" || { [[ $tool == g++ ]] && have c++; } || missing+=("$name")
  done < <(needed "$@")
  ((${#missing[@]})) || return 0
  local list
  list=$(printf ', %s' "${missing[@]}")
  say "there is no apt-get here, and not found: ${list:2}. Please install by hand:" >&2
  name_needed "$@" >&2
  exit 1
}

set_up() {  # set_up run|test PRESET
  if have apt-get && have dpkg-query; then install_missing "$@"; else find_tools "$@"; fi

  # Who only wants the program needs no Catch2; tests that were configured once stay.
  local folder=$root/build/$2 tests=OFF
  asked_for() { grep -qs "^FELIX_BUILD_TESTS:BOOL=$1\$" "$folder/CMakeCache.txt"; }
  if [[ $1 == test ]] || asked_for ON; then tests=ON; fi
  # Ninja configures again by itself when a CMakeLists.txt changes, but it does not know the presets.
  if asked_for $tests && [[ -e $folder/build.ninja && ! CMakePresets.json -nt $folder/build.ninja ]]; then return; fi
  say "configuring build/$2"
  mkdir -p "$folder"
  if ! cmake --preset "$2" "-DFELIX_BUILD_TESTS=$tests" >"$folder/configure.log" 2>&1; then
    cat "$folder/configure.log" >&2
    say "CMake could not configure build/$2; needed are:" >&2
    name_needed "$@" >&2
    exit 1
  fi
}

# ThreadSanitizer of g++ 12 cannot place its shadow memory when addresses are randomised by more than 28 bits. The tests
# are listed while they are built, so this holds for the build too.
under_preset() {  # under_preset PRESET COMMAND...
  local preset=$1 bits=0
  shift
  if [[ $preset == tsan* && -r /proc/sys/vm/mmap_rnd_bits ]]; then bits=$(</proc/sys/vm/mmap_rnd_bits); fi
  if ((bits > 28)) && setarch "$(uname -m)" -R true 2>/dev/null; then
    setarch "$(uname -m)" -R "$@"
  else
    "$@"
  fi
}

case ${1-} in
  --help | -h)
    usage
    ;;
  test)
    preset=${2:-debug}
    (($# <= 2)) || fail "test takes one preset, not: ${*:2}"
    [[ $preset =~ ^(debug|release|asan|tsan|clang|tsan-clang)$ ]] ||
      fail "there is no preset \"$preset\"; choose debug, release, asan, tsan, clang or tsan-clang"
    cd -- "$root"
    set_up test "$preset"
    say "building build/$preset"
    under_preset "$preset" cmake --build --preset "$preset"
    say "testing build/$preset"
    under_preset "$preset" ctest --preset "$preset"
    ;;
  races)
    number=${2:-1000000}
    (($# <= 2)) || fail "races takes one number, not: ${*:2}"
    [[ $number =~ ^[1-9][0-9]*$ ]] || fail "\"$number\" is no number of races"
    cd -- "$root"
    for preset in tsan tsan-clang; do
      set_up test "$preset"
      say "building build/$preset"
      under_preset "$preset" cmake --build --preset "$preset" --target felix_async_tests
      say "racing in build/$preset, $number times"
      begun=$SECONDS
      FELIX_TEST_RACES=$number TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
        under_preset "$preset" "build/$preset/tests/felix_async_tests" '[stop_race]'
      say "build/$preset took $((SECONDS - begun)) s"
    done
    ;;
  *)
    (($#)) || set -- "${topic[@]}"
    (
      cd -- "$root"
      set_up run release
      say "building blog_writer"
      cmake --build --preset release --target blog_writer
    )
    say "running blog_writer$(printf ' %q' "$@")"
    exec "$root/build/release/examples/blog_writer" "$@"
    ;;
esac
