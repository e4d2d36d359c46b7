#!/usr/bin/env bash
# build.sh -- compiles the kernels for real GPUs into one fatbin
#
#   kernels/build.sh OUT.fatbin [WORK_FOLDER]
#   kernels/build.sh --ladder OUT.fatbin FILE.cu...      other files the same way, for sm_80 and sm_90a only
#
# Code for sm_75, 80, 86, 89 and 90a, and PTX of compute_90 for what comes later; warnings are errors. Compiled again only when a kernel, a
# header, the flags or nvcc changed. Without nvcc nothing is made, and the exit code is 0: the CPU and the emulated device need no fatbin.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ladder=() archs=(75 80 86 89 90a)
if [ "${1:-}" = --ladder ]; then ladder=("${@:3}") archs=(80 90a); set -- "${2:-}"; fi
out=${1:?build.sh: name the fatbin to make}
work=${2:-$here/../target/kernels}
nvcc=${NVCC:-}
for candidate in "$(command -v nvcc || true)" "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"; do
  if [ -z "$nvcc" ] && [ -x "$candidate" ]; then nvcc=$candidate; fi
done
if [ -z "$nvcc" ]; then
  echo "kernels/build.sh: nvcc is not installed, so this build has no GPU kernels; --device cpu and cuda-emulated work. Install CUDA's nvcc 12.0 or newer and run mvn package again." >&2
  rm -f "$out"
  exit 0
fi
mkdir -p "$work" "$(dirname "$out")"
exec 9>"$work/lock"
flock 9
# one translation unit links all kernels, so that the driver loads a single image
flags=(-std=c++17 -O3 -Werror all-warnings --fatbin)
for arch in "${archs[@]}"; do flags+=(-gencode "arch=compute_$arch,code=sm_$arch"); done
[ ${#ladder[@]} -gt 0 ] || flags+=(-gencode "arch=compute_90,code=compute_90")
if [ ${#ladder[@]} -gt 0 ]; then
  { for f in "${ladder[@]}"; do echo "#include \"$(realpath "$f")\""; done; } >"$work/ladder.cu"
  "$nvcc" "${flags[@]}" --threads 2 -o "$out" "$work/ladder.cu"
  exit 0
fi
sum=$( { "$nvcc" --version; printf '%s\n' "${flags[@]}"; cat "$here"/*.cu "$here"/*.cuh; } | sha256sum | cut -d' ' -f1)
if [ -e "$work/$sum.fatbin" ]; then
  cmp -s "$work/$sum.fatbin" "$out" || cp "$work/$sum.fatbin" "$out"
  exit 0
fi
{ for f in "$here"/*.cu; do echo "#include \"$f\""; done; } >"$work/all.cu"
"$nvcc" "${flags[@]}" --threads 2 -o "$work/part.fatbin" "$work/all.cu"
rm -f "$work"/*[0-9a-f].fatbin
mv "$work/part.fatbin" "$work/$sum.fatbin"
cp "$work/$sum.fatbin" "$out"
echo "kernels/build.sh: $(stat -c %s "$out") bytes of kernels for sm_75, 80, 86, 89, 90a and PTX" >&2
