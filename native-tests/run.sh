#!/usr/bin/env bash
# run.sh -- builds the kernel tests and runs them
#
#   native-tests/run.sh [normal|checked|asan|contracted...]   on the emulated device, in both orders of threads; the first three variants when none is named
#   native-tests/run.sh gpu [IMAGE.fatbin]         on the GPU
#   native-tests/run.sh sanitize [IMAGE.fatbin]    on the GPU under compute-sanitizer
#   native-tests/run.sh device [IMAGE.fatbin]      both, the second where compute-sanitizer is installed
#   native-tests/run.sh build PROGRAM              only makes the program, which runs on both
#   native-tests/run.sh ladder [VARIANT...]        the rungs of ladder/ on the emulated device (normal when none is named)
#   native-tests/run.sh perf                       the rungs of ladder/ on the GPU: tested, then timed
#
# Exit code 0: all passed; 3: g++, nvcc or compute-sanitizer is missing where it is needed, nothing was run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
cxx=${CXX:-g++}
command -v "$cxx" >/dev/null || { echo "native-tests/run.sh: g++ is not installed; the kernel tests need g++ 10 or newer" >&2; exit 3; }

build() { # program, flags...: compiles the sources that are newer than their objects
  local program=$1 objects="$1.objects" f o; shift
  mkdir -p "$objects"
  for f in "${sources[@]}"; do
    o="$objects/$(basename "$f" .cpp).o"
    if [ -e "$o" ] && [ ! "$f" -nt "$o" ] && [ ! "$here/kernel_test.h" -nt "$o" ] && [ ! "$here/run.sh" -nt "$o" ]; then continue; fi
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    rm -f "$o"
    { "$cxx" -std=c++17 -O1 ${debug-} -Wall -Wextra -ffp-contract=off -I "$here" -I "$here/hostcuda/include" "$@" -c "$f" -o "$o.part" && mv "$o.part" "$o"; } &
  done
  while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n; done
  "$cxx" "$@" -o "$program.part" "$objects"/*.o -ldl
  mv "$program.part" "$program"
}

sources=("$here"/*.cpp)
ladder() { # the sources and kernels of ladder/ instead of the tests of kernels/
  sources=("$here/kernel_test.cpp" "$here"/ladder/*.cpp)
  name=onebit_ladder tests=ladder_tests extra=(--name onebit_ladder --kernels "$here"/ladder/*.cu)
}
name=onebit_kernels_host tests=kernel_tests extra=()

emulated() { # variant
  local out="$root/target/hostcuda/$1" program="$root/target/native-tests/$tests" flags=(-static-libstdc++ -static-libgcc) environment=() order debug=
  "$here/hostcuda/build.sh" --variant "$1" --out "$out" "${extra[@]}"
  if [ "$1" = asan ]; then
    program="$program-asan" debug=-g1   # AddressSanitizer tells the lines
    flags=(-fsanitize=address,undefined)
    environment=(ASAN_OPTIONS=halt_on_error=1:detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1)
  fi
  build "$program" "${flags[@]}"
  for order in forward reverse; do
    env "${environment[@]}" HOSTCUDA_ORDER=$order "$program" "$out/$name.module" --driver "$out/libcuda.so.1"
  done
}

gpu() { # image
  image=${1:-$root/target/classes/onebit/kernels.fatbin} program="$root/target/native-tests/kernel_tests"
  "$root/kernels/build.sh" "$image"
  [ -e "$image" ] || exit 3
  build "$program" -static-libstdc++ -static-libgcc
}

sanitize() {
  local tool which
  for tool in memcheck racecheck initcheck synccheck; do
    for which in --without --only; do   # apart: these kernels may not start under a tool, and then end their program
      compute-sanitizer --tool "$tool" --error-exitcode 99 "$program" "$image" $([ "$tool" = initcheck ] && echo --no-poison) "$which" warpgroups
    done
  done
}

perf() {
  local program="$root/target/native-tests/ladder_tests" image="$root/target/native-tests/ladder.fatbin"
  "$root/kernels/build.sh" --ladder "$image" "$here"/ladder/*.cu
  [ -e "$image" ] || exit 3
  build "$program" -static-libstdc++ -static-libgcc
  "$program" "$image"
  "$program" "$image" --perf
}

[ $# -gt 0 ] || set -- normal checked asan
case $1 in
  gpu) gpu "${2:-}"; "$program" "$image" ;;
  sanitize)
    command -v compute-sanitizer >/dev/null || { echo "native-tests/run.sh: compute-sanitizer is not installed; it comes with the CUDA toolkit" >&2; exit 3; }
    gpu "${2:-}"; sanitize ;;
  device)
    gpu "${2:-}"; "$program" "$image"
    if command -v compute-sanitizer >/dev/null; then sanitize; else echo "native-tests/run.sh: compute-sanitizer is not installed; the tests ran without it" >&2; fi ;;
  ladder) shift; ladder; [ $# -gt 0 ] || set -- normal; for variant in "$@"; do emulated "$variant"; done ;;
  perf) ladder; perf ;;
  build) build "${2:?run.sh: name the program to build}" -static-libstdc++ -static-libgcc ;;
  *) for variant in "$@"; do emulated "$variant"; done ;;
esac
