#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Plants bugs, one line each, and fails when a test does not notice one.
#     tests/mutants/run.sh                 all lists
#     tests/mutants/run.sh queue           the lists of a layer
#     tests/mutants/run.sh queue/slot_ring one list
#     tests/mutants/run.sh --check         plants nothing: only looks whether each old text stands exactly once
# A list is tests/mutants/<layer>/<header>.mutants. Empty lines and lines that begin with # are skipped. It begins with
#     header: include/felix/queue/detail/slot_ring.hpp
#     test:   tests/queue/interleaving_test.cpp [interleaving]      a file, and which of its tests; may be repeated
#     with:   FELIX_QUEUE_ROUNDS=6000     an environment variable for the tests; may be missing
# and has for each bug
#     mutant: why this would be wrong
#     - the old text, which stands exactly once in the header
#     + the new text
#     test:   ...                                                   for this bug only, instead of those above
# A bug counts as noticed when a test fails, ends by a signal, or does not end in 2 minutes, or when a static_assert
# fails. One that does not compile for another reason is a mistake in the list.
set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit 2

readonly cxx=${CXX:-g++}
readonly work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
killed=0
survived=()
checks_only=0
checked=0
if [[ ${1-} == --check ]]; then
  checks_only=1
  shift
fi
main=$work/catch_main.o

broken() {
  echo "mutants: $*" >&2
  exit 2
}

# The libraries that felix and its tests need, as far as pkg-config knows them here.
flags=(-std=c++20 -O1 -g0 -pthread -Itests)
read -ra libraries < <(pkg-config --cflags --libs catch2 fmt libcurl simdjson 2>/dev/null || true)

prepare() {
  [[ -e $main ]] && return
  printf '#define CATCH_CONFIG_MAIN\n#include <catch2/catch.hpp>\n' >"$work/catch_main.cpp"
  if "$cxx" "${flags[@]}" -c "$work/catch_main.cpp" -o "$main" 2>/dev/null; then
    libraries+=("$main")
  else
    libraries+=(-lCatch2Main -lCatch2)  # 3 brings its own
    : >"$main"
  fi
  local source
  for source in tests/support/*.cpp; do
    "$cxx" "${flags[@]}" -Iinclude -c "$source" -o "$work/$(basename "$source" .cpp).o" || broken "$source does not compile"
    support+=("$work/$(basename "$source" .cpp).o")
  done
  ar rcs "$work/support.a" "${support[@]}"
}

# run_test <include folder> <test file> <filter>: 0 when the tests pass, 1 when not, 3 when they do not compile.
run_test() {
  "$cxx" "${flags[@]}" "-I$1" "$2" "$work/support.a" "${libraries[@]}" -o "$work/test" >"$work/log" 2>&1 || {
    grep -qE 'static assertion failed|static_assert failed' "$work/log" && return 1
    return 3
  }
  { env "${environment[@]}" timeout 120 "$work/test" "$3" --abort >"$work/log" 2>&1; } 2>/dev/null && return 0
  return 1
}

# judge <why> <old> <new> <test>...
judge() {
  local why=$1 old=$2 new=$3 one status begun=$SECONDS
  shift 3
  if ((checks_only)); then
    checked=$((checked + 1))
    OLD=$old perl -0ne 'exit(1 != (() = /\Q$ENV{OLD}\E/g))' "$header" && return
    survived+=("$name: $why")
    printf 'MISPLACED %-28s %s\n' "$name" "$why"
    return
  fi
  rm -rf -- "$work/include"
  cp -r include "$work/include"
  OLD=$old NEW=$new perl -0pi -e '
    my $n = () = /\Q$ENV{OLD}\E/g;
    die "\"$ENV{OLD}\" stands there $n times\n" if $n != 1;
    s/\Q$ENV{OLD}\E/$ENV{NEW}/' "$work/$header" || broken "$list: $header: see above"
  for one in "$@"; do
    run_test "$work/include" "${one%% *}" "${one#* }"
    status=$?
    if ((status == 3)); then
      cat "$work/log" >&2
      broken "$list: \"$why\" does not compile"
    elif ((status == 1)); then
      killed=$((killed + 1))
      printf 'noticed   %-28s %s (%d s)\n' "$name" "$why" $((SECONDS - begun))
      return
    fi
  done
  survived+=("$name: $why")
  printf 'SURVIVED  %-28s %s\n' "$name" "$why"
}

run_list() {
  environment=()
  list=$1 name=${1#tests/mutants/} name=${name%.mutants} header=
  local tests=() own=() why='' old='' new='' line one
  while IFS= read -r line || [[ -n $line ]]; do
    case $line in
      '' | '#'*) ;;
      header:*) header=$(sed 's/^header: *//' <<<"$line") ;;
      test:*)
        one=$(sed 's/^test: *//' <<<"$line")
        [[ $one == *' '* ]] || broken "$list: \"$one\" does not say which of its tests; use for example [$(basename "$name")]"
        if [[ -n $why ]]; then own+=("$one"); else tests+=("$one"); fi
        ;;
      with:*) environment+=("$(sed 's/^with: *//' <<<"$line")") ;;
      mutant:*)
        [[ -n $why ]] && judge "$why" "$old" "$new" "${own[@]:-${tests[@]}}"
        why=$(sed 's/^mutant: *//' <<<"$line") old='' new='' own=()
        ;;
      '- '*) old+=${old:+$'\n'}${line:2} ;;
      '+ '* | '+') new+=${new:+$'\n'}${line:2} ;;
      *) broken "$list: what is \"$line\"?" ;;
    esac
  done <"$list"
  [[ -n $why ]] && judge "$why" "$old" "$new" "${own[@]:-${tests[@]}}"
  return 0
}

support=()
environment=()
lists=()
for wanted in "${@:-}"; do
  found=0
  while IFS= read -r file; do
    [[ $file == tests/mutants/$wanted* ]] || continue
    lists+=("$file")
    found=1
  done < <(find tests/mutants -name '*.mutants' | sort)
  ((found)) || broken "no list begins with tests/mutants/$wanted"
done
((checks_only)) || prepare
for list in "${lists[@]}"; do run_list "$list"; done
if ((checks_only)); then
  printf '%d planted bugs, %d of them misplaced\n' "$checked" "${#survived[@]}"
  ((${#survived[@]} == 0))
  exit
fi
printf '\n%d noticed, %d survived\n' "$killed" "${#survived[@]}"
((${#survived[@]} == 0))
