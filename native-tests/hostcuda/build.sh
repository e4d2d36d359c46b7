#!/usr/bin/env bash
# build.sh -- compiles the emulated device and the kernels it runs
#
#   build.sh [--variant normal|checked|asan|contracted] [--out FOLDER] [--kernels FILE.cu...]
#
# Gives in FOLDER (default target/hostcuda/VARIANT of the repository): libcuda.so.1, libcublas.so.12, libcublasLt.so.12, libcudnn.so.8, libnccl.so.2,
# libonebit_kernels_host.so with every kernels/*.cu (or the files named after --kernels) and onebit_kernels_host.module, the image for
# cuModuleLoadData. normal is -O2; checked looks at every memory access of a kernel; asan is AddressSanitizer and UBSan throughout; contracted rounds
# a product and what it is added to once, as nvcc does, so that it tells which tests pass on a host alone.
# Only what is older than its sources is compiled again. Every process that opens the emulated device comes here first: with nothing to compile the
# script starts next to no process, and takes a tenth of a second.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
variant=normal out= name=onebit_kernels_host
kernels=()
while [ $# -gt 0 ]; do
  case $1 in
    --variant) variant=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --name) name=$2; shift 2 ;;
    --kernels) shift; while [ $# -gt 0 ] && [[ $1 != --* ]]; do kernels+=("$(realpath "$1")"); shift; done ;;
    *) echo "build.sh: unknown option $1; known are --variant, --out, --name, --kernels" >&2; exit 2 ;;
  esac
done
if [ ${#kernels[@]} -eq 0 ]; then for f in "$root"/kernels/*.cu; do [ -e "$f" ] && kernels+=("$f"); done; fi
if [ ${#kernels[@]} -gt 1 ]; then mapfile -t kernels <<<"$(ls -S -- "${kernels[@]}")"; fi   # the longest first, so that no core waits for it at the end
out=${out:-$root/target/hostcuda/$variant}
cxx=${CXX:-g++}
if ! command -v "$cxx" >/dev/null; then echo "build.sh: no C++ compiler: $cxx is not installed; the emulated device needs g++ 12 or newer" >&2; exit 3; fi
common=(-std=c++17 -g1 -fPIC -march=x86-64-v3 -ffp-contract=off -Wall -Wextra -Wno-attributes)
case $variant in
  normal) device=(-O2 -g0); emulator=(-O2) ;;
  contracted) device=(-O2 -g0 -ffp-contract=fast -D__HOSTCUDA_CONTRACTED__=1); emulator=(-O2) ;;
  checked) device=(-O2 -fsanitize=kernel-address --param asan-instrumentation-with-call-threshold=0 --param asan-stack=0 --param asan-globals=0 -D__HOSTCUDA_CHECKED__=1); emulator=(-O2 -D__HOSTCUDA_CHECKED__=1) ;;
  asan) device=(-O1 -fsanitize=address,undefined -fsanitize-recover=address -fno-omit-frame-pointer); emulator=("${device[@]}" -fno-tree-loop-distribute-patterns) ;;
  *) echo "build.sh: variant is $variant; it must be normal, checked, asan or contracted" >&2; exit 2 ;;
esac
mkdir -p "$out/obj"
exec 9>"$out/obj/lock"
flock 9

fresh() { # target source...: true when the target is newer than all sources
  local target=$1; shift
  [ -e "$target" ] || return 1
  local s
  for s in "$@"; do [ "$s" -nt "$target" ] && return 1; done
  return 0
}
headers=("$here"/*.h "$here"/include/*.h "$here/build.sh")
running=0
ended() { wait -n || { echo "build.sh: compilation failed" >&2; exit 1; }; running=$((running - 1)); }
wait_all() { while [ $running -gt 0 ]; do ended; done; }
throttle() { while [ $running -ge "$(nproc)" ]; do ended; done; running=$((running + 1)); }
object() { # source: compiles one file of the emulator
  local name=${1##*/}
  local o="$out/obj/${name%.cpp}.o"
  objects+=("$o")
  fresh "$o" "$1" "${headers[@]}" && return
  throttle
  "$cxx" "${common[@]}" "${emulator[@]}" -I "$here/include" -c "$1" -o "$o.tmp.o" && mv "$o.tmp.o" "$o" &
}
stubs() { # symbol list, code, module: one entry per name that says "not emulated" and returns the code
  local s="$out/obj/$3_stubs.s"
  awk -v code="$2" -v lib="$3" 'BEGIN { print ".text" }
    { print ".weak " $1 "\n.type " $1 ",@function\n" $1 ":\n leaq .L" NR "(%rip), %rdi\n movl $" code ", %esi\n jmp hostcuda_not_emulated@PLT\n.section .rodata\n.L" NR ": .string \"" $1 "\"\n.text" }
    END { print ".section .note.GNU-stack,\"\",@progbits" }' "$1" >"$s"
  "$cxx" -c "$s" -o "$out/obj/$3_stubs.o"
}
link() { # target flags...
  local t=$1; shift
  "$cxx" -shared "${emulator[@]}" -o "$t.tmp" "$@" && mv "$t.tmp" "$t"
}

if [ ${#kernels[@]} -gt 0 ]; then
  scan="$out/obj/scan_kernels"
  fresh "$scan" "$here/scan_kernels.cpp" || "$cxx" -std=c++17 -O1 -o "$scan" "$here/scan_kernels.cpp"
  module="$out/lib$name.so"
  kernelObjects=() lists=()
  compile() { # source, object base
    "$cxx" "${common[@]}" "${device[@]}" -fno-extern-tls-init -fno-gnu-unique -x c++ -E -I "$here/include" -include "$here/cuda_runtime_emulation.h" -MMD -MF "$2.d" -MT x "$1" -o "$2.pre.ii"
    "$scan" "$2.pre.ii" "$2.ii" "$2.dyn.tmp" "$variant"
    # -Wno: g++ loses sight of shared arrays in lambdas and of loops that ask a row ahead; nvcc warns of such things, and takes warnings as errors
    "$cxx" "${common[@]}" "${device[@]}" -ffunction-sections -Wno-unknown-pragmas -Wno-unused-function -Wno-sign-compare -Wno-unused-but-set-variable -Wno-maybe-uninitialized -fno-extern-tls-init -fno-gnu-unique -c "$2.ii" -o "$2.tmp.o"
    mv "$2.dyn.tmp" "$2.dyn"
    mv "$2.tmp.o" "$2.o"
  }
  for k in "${kernels[@]}"; do
    o=${k##*/} o="$out/obj/$name.${o%.cu}"
    kernelObjects+=("$o.o"); lists+=("$o.dyn")
    deps=("$k")
    if [ -e "$o.d" ]; then
      deps=()
      for d in $(<"$o.d"); do
        case $d in   # objects copied from another tree are as old as this tree's sources, not as that one's
          x: | \\) continue ;;
          "$root"/*) ;;
          */kernels/*) d=$root/kernels/${d##*/kernels/} ;;
          */native-tests/*) d=$root/native-tests/${d##*/native-tests/} ;;
        esac
        if [ -e "$d" ]; then deps+=("$d"); else deps=("$here/build.sh" "$k"); rm -f "$o.o"; break; fi
      done
    fi
    fresh "$o.o" "${deps[@]}" "$scan" "$here/build.sh" && continue
    throttle
    compile "$k" "$o" &
  done
fi

objects=()
sources=(engine bulk memory counters module driver streams stubs)
[ "$variant" = checked ] && sources+=(checked)
[ "$variant" = asan ] && sources+=(asan)
for s in "${sources[@]}"; do object "$here/$s.cpp"; done
cudaObjects=("${objects[@]}")
objects=(); for s in "$here"/cublas.cpp; do [ -e "$s" ] && object "$s"; done; cublasObjects=("${objects[@]}")
objects=(); for s in "$here"/cudnn*.cpp; do [ -e "$s" ] && object "$s"; done; cudnnObjects=("${objects[@]}")
objects=(); object "$here/nccl.cpp"; ncclObjects=("${objects[@]}")
wait_all
cuda="$out/libcuda.so.1"
if ! fresh "$cuda" "${cudaObjects[@]}" "$here/symbols/libcuda.txt"; then
  stubs "$here/symbols/libcuda.txt" 801 libcuda
  link "$cuda" -Wl,-soname,libcuda.so.1 -Wl,-z,defs "${cudaObjects[@]}" "$out/obj/libcuda_stubs.o" -ldl -lpthread
  ln -sf libcuda.so.1 "$out/libcuda.so"
fi
library() { # file, symbol version, list, status, objects...
  local file=$1 node=$2 list=$3 status=$4; shift 4
  fresh "$out/$file" "$@" "$cuda" ${list:+"$list"} && return
  printf '%s { global: cu*; nccl*; local: *; };\n' "$node" >"$out/obj/$node.map"
  local extra=()
  if [ -n "$list" ]; then stubs "$list" "$status" "$node"; extra=("$out/obj/${node}_stubs.o"); fi
  link "$out/$file" -Wl,-soname,"$file" -Wl,--version-script="$out/obj/$node.map" -Wl,-z,defs "$@" "${extra[@]}" "$cuda" -Wl,-rpath,'$ORIGIN' -lpthread
}
[ ${#cublasObjects[@]} -gt 0 ] && library libcublas.so.12 libcublas.so.12 "$here/symbols/libcublas.txt" 15 "${cublasObjects[@]}"
[ ${#cublasObjects[@]} -gt 0 ] && library libcublasLt.so.12 libcublasLt.so.12 "" 0
[ ${#cudnnObjects[@]} -gt 0 ] && library libcudnn.so.8 libcudnn.so.8 "$here/symbols/libcudnn.txt" 9 "${cudnnObjects[@]}"
library libnccl.so.2 libnccl.so.2 "" 0 "${ncclObjects[@]}"

if [ ${#kernels[@]} -gt 0 ]; then
  printf '%s\n' "${kernelObjects[@]}" >"$out/obj/$name.list.new"
  cmp -s "$out/obj/$name.list.new" "$out/obj/$name.list" || { mv "$out/obj/$name.list.new" "$out/obj/$name.list"; rm -f "$module"; }
  if ! fresh "$module" "${kernelObjects[@]}" "$here/module_entry.cpp" "$cuda"; then
    names=$(sort -u "${lists[@]}")
    { echo '#include "module_entry.cpp"'
      for n in $names; do echo "__attribute__((aligned(1024))) __thread char $n[hostcuda::kDynamicRoom];"; done
      echo "extern \"C\" const char* hostcuda_module_dynamic() { return \" $(echo $names) \"; }"; } >"$out/obj/$name.entry.cpp"
    "$cxx" "${common[@]}" "${emulator[@]}" -I "$here" -c "$out/obj/$name.entry.cpp" -o "$out/obj/$name.entry.o"
    "$cxx" -shared "${emulator[@]}" -Wl,-Bsymbolic -Wl,--emit-relocs -Wl,-z,defs -o "$module.tmp" "${kernelObjects[@]}" "$out/obj/$name.entry.o" "$cuda" -lm
    mv "$module.tmp" "$module"
  fi
  # another process may read the image at this moment: it is left alone or replaced whole
  image="$out/$name.module"
  printf 'hostcuda module\n%s\n\0' "$module" >"$image.tmp"
  if cmp -s "$image.tmp" "$image"; then rm "$image.tmp"; else mv "$image.tmp" "$image"; fi
fi
