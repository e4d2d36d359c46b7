#!/usr/bin/env bash
# run.sh [normal|checked|asan...] -- builds the emulated device and proves it; all three variants when none is named
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
[ $# -gt 0 ] || set -- normal checked asan
for variant in "$@"; do
  out="$root/target/hostcuda/$variant"
  "$here/../build.sh" --variant "$variant" --out "$out" --name hostcuda_test_kernels --kernels "$here"/*.cu
  flags=(-O1); environment=()
  if [ "$variant" = asan ]; then flags+=(-fsanitize=address,undefined); environment=(ASAN_OPTIONS=halt_on_error=0:detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1); fi
  for t in "$here"/*_test.cpp; do
    program="$out/obj/$(basename "$t" .cpp)"
    if [ ! -e "$program" ] || [ "$t" -nt "$program" ] || [ "$out/libcuda.so.1" -nt "$program" ]; then
      g++ -std=c++17 -g -DHOSTCUDA=1 "${flags[@]}" -Wall -Wextra -I "$here/../include" -o "$program" "$t" "$out/libcuda.so.1" -Wl,-rpath,"$out"
    fi
    for order in forward reverse; do env "${environment[@]}" HOSTCUDA_ORDER=$order "$program" "$out/hostcuda_test_kernels.module" "$variant"; done
  done
done
