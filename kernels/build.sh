#!/usr/bin/env bash
# build.sh -- compiles the kernels for real GPUs into one fatbin
#
#   kernels/build.sh OUT.fatbin [WORK_FOLDER]
#   kernels/build.sh --ladder OUT.fatbin FILE.cu...      other files the same way, for sm_80 and sm_90a only
#   kernels/build.sh --present                           prints the architectures of the GPUs that are here; nothing where there is none, or one that it does not know
#   kernels/build.sh --table README.md                   writes the compiler's registers, shared memory and spills of every kernel for sm_80 and
#                                                        sm_90a, and the instructions of the bit products, between the marks in README.md
#
# Code for sm_75, 80, 86, 89 and 90a, and PTX of compute_90 for what comes later, or for those of them that ONEBIT_ARCHS names, such as "80 90a"; warnings are errors. Compiled again only when a kernel, a
# header, the flags or nvcc changed; a bit product without its instruction ends the build. Without nvcc nothing is made, and the exit code is 0: the CPU and the emulated device need no fatbin.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
all=(75 80 86 89 90a)
ladder=() archs=("${all[@]}")
if [ -n "${ONEBIT_ARCHS:-}" ]; then
  read -ra archs <<<"${ONEBIT_ARCHS//,/ }"
  for arch in "${archs[@]}"; do
    [[ " ${all[*]} " == *" $arch "* ]] || { echo "kernels/build.sh: ONEBIT_ARCHS is '$ONEBIT_ARCHS'; it must name some of ${all[*]}" >&2; exit 2; }
  done
fi
table=
case ${1:-} in
  --present)
    archs=()
    for capability in $(timeout 10 nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u); do
      arch=${capability/./}
      [ "$arch" != 90 ] || arch=90a
      [[ " ${all[*]} " == *" $arch "* ]] || exit 0
      archs+=("$arch")
    done
    echo "${archs[*]:-}"
    exit 0 ;;
  --ladder) ladder=("${@:3}") archs=(80 90a); set -- "${2:-}" ;;
  --table) table=${2:?build.sh: name the README to write into}; set -- "$here/../target/kernels/table.fatbin" ;;
esac
out=${1:?build.sh: name the fatbin to make}
work=${2:-$here/../target/kernels}
nvcc=${NVCC:-}
for candidate in "$(command -v nvcc || true)" "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"; do
  if [ -z "$nvcc" ] && [ -x "$candidate" ]; then nvcc=$candidate; fi
done
if [ -z "$nvcc" ] || [ "$nvcc" = none ]; then
  echo "kernels/build.sh: nvcc is not installed, or NVCC is none, so this build has no GPU kernels; --device cpu and cuda-emulated work. Install CUDA's nvcc 12.0 or newer and run mvn package again." >&2
  rm -f "$out"
  exit 0
fi
mkdir -p "$work" "$(dirname "$out")"
exec 9>"$work/lock"
flock 9
# one translation unit links all kernels, so that the driver loads a single image
flags=(-std=c++17 -O3 -Werror all-warnings --fatbin)
for arch in "${archs[@]}"; do
  ptx=$arch
  [ "$arch" != 86 ] || ptx=80   # no kernel asks for more than sm_80 has below sm_89: compiled once for both, which saves a tenth of the time
  flags+=(-gencode "arch=compute_$ptx,code=sm_$arch")
done
[ ${#ladder[@]} -gt 0 ] || [ ${#archs[@]} -lt ${#all[@]} ] || flags+=(-gencode "arch=compute_90,code=compute_90")
if [ ${#ladder[@]} -gt 0 ]; then
  { for f in "${ladder[@]}"; do echo "#include \"$(realpath "$f")\""; done; } >"$work/ladder.cu"
  "$nvcc" "${flags[@]}" --threads 2 -o "$out" "$work/ladder.cu"
  exit 0
fi
{ for f in "$here"/*.cu; do echo "#include \"$f\""; done; } >"$work/all.cu"
plain=(-std=c++17 -O3 -Werror all-warnings)
rm -rf "$work/kept"; trap 'rm -rf "$work/kept"' EXIT   # what nvcc makes on the way

instructions() { # architecture: the one-bit instructions of each entry of the bit products, as PTX has them; the build keeps it
  local ptx="$work/kept/all.compute_$1.ptx"
  [ -e "$ptx" ] || "$nvcc" "${plain[@]}" --ptx -arch="compute_$1" -o "$ptx" "$work/all.cu"
  # a function that the compiler left by itself counts for the entries that call it
  awk 'function add(to, i) { if (index(seen[to], i) == 0) seen[to] = seen[to] (seen[to] == "" ? "" : ", ") i }
      /\.entry /{ e = $0; sub(/.*\.entry /, "", e); sub(/\(.*/, "", e); seen[e] = calls[e] = "" }
      /^\.func/{ e = $NF; sub(/\(.*/, "", e) }
      /mma\.sync.*\.b1/{ i = $1; sub(/\.row.*b1\.s32/, "", i); add(e, i) }
      /^[ \t]*_Z[A-Za-z0-9_]+,? *$/{ c = $1; sub(/,/, "", c); if (e in calls) calls[e] = calls[e] " " c }
      END { for (e in calls) {
        n = split(calls[e], called, " ")
        for (k = 1; k <= n; k++) { m = split(seen[called[k]], own, ", "); for (j = 1; j <= m; j++) add(e, own[j]) }
        if (e ~ /^(bit_counts|xnor|unit_product)/ && e !~ /_grad_|_bulk$|_tiles$/) print e "\t" seen[e] } }' "$ptx" | sort
}

if [ -n "$table" ]; then
  mkdir "$work/kept"
  for arch in 80 90a; do
    "$nvcc" "${plain[@]}" --resource-usage -cubin -arch="sm_$arch" -o "$work/table.cubin" "$work/all.cu" >"$work/usage.$arch" 2>&1
  done
  instructions 80 >"$work/instructions.80"
  instructions 75 >"$work/instructions.75"
  {
    echo "Registers per thread, static shared memory and spilled bytes of every entry, by $("$nvcc" --version | sed -n 's/.*release \([0-9.]*\), V\(.*\)/nvcc \2/p'):"
    echo
    echo "| Entry | sm_80 registers | sm_80 shared | sm_80 spilled | sm_90a registers | sm_90a shared | sm_90a spilled |"
    echo "|---|---|---|---|---|---|---|"
    awk '/Compiling entry function/{ e = $0; sub(/.*function ./, "", e); sub(/. for.*/, "", e); a = $0 ~ /sm_80/ ? 0 : 3; known[e] = 1 }
      /spill stores/{ spilled[e, a] += $5 + $9 }   # of the functions that it calls, too
      /Used [0-9]+ registers/{ r = $0; sub(/.*Used /, "", r); registers[e, a] = r + 0; m = 0; if (match($0, /[0-9]+ bytes smem/)) m = substr($0, RSTART) + 0; shared[e, a] = m }
      END { for (e in known) printf "| `%s` | %d | %d | %d | %d | %d | %d |\n", e, registers[e, 0], shared[e, 0], spilled[e, 0], registers[e, 3], shared[e, 3], spilled[e, 3] }' \
      "$work/usage.80" "$work/usage.90a" | sort
    echo
    echo "The bit products take dynamic shared memory besides (\`CudaBitOps.room\`). Their one-bit instructions, read from the PTX of each architecture:"
    echo
    echo "| Entry | PTX for sm_75 | PTX for sm_80 to sm_90a |"
    echo "|---|---|---|"
    join -t "$(printf '\t')" "$work/instructions.75" "$work/instructions.80" | awk -F '\t' '{ printf "| `%s` | %s | %s |\n", $1, $2 == "" ? "none" : $2, $3 == "" ? "none" : $3 }'
  } >"$work/table.md"
  awk -v file="$work/table.md" '/<!-- end of the compiler.s table -->/{ off = 0 } !off { print } /<!-- the compiler.s table -->/{ while ((getline line < file) > 0) print line; off = 1 }' "$table" >"$work/readme.md"
  cmp -s "$work/readme.md" "$table" || cp "$work/readme.md" "$table"
  exit 0
fi

sum=$( { "$nvcc" --version; printf '%s\n' "${flags[@]}"; cat "$here"/*.cu "$here"/*.cuh; } | sha256sum | cut -d' ' -f1)
if [ -e "$work/$sum.fatbin" ]; then
  cmp -s "$work/$sum.fatbin" "$out" || cp "$work/$sum.fatbin" "$out"
  exit 0
fi
mkdir "$work/kept"
"$nvcc" "${flags[@]}" --threads 2 --keep --keep-dir "$work/kept" -o "$work/part.fatbin" "$work/all.cu"
for arch in 75 80; do
  [[ " ${archs[*]} " == *" $arch "* ]] || continue
  wrong=$(instructions $arch | awk -F '\t' -v arch=$arch '/^(xnor|unit_product)/ && !/filters/ {
      want = $1 ~ /_popc(_bf16)?$/ ? "" : $1 ~ /_xor(_bf16)?$/ ? (arch == 75 ? "mma.sync.aligned.m8n8k128.xor.popc" : "") : (arch == 75 ? "" : "mma.sync.aligned.m16n8k256.and.popc, mma.sync.aligned.m16n8k128.and.popc")
      if ($2 != want) print "kernels/build.sh: " $1 " for sm_" arch " has the one-bit instructions \"" $2 "\"; wanted \"" want "\"" }')
  [ -z "$wrong" ] || { echo "$wrong" >&2; exit 1; }
done
rm -f "$work"/*[0-9a-f].fatbin
mv "$work/part.fatbin" "$work/$sum.fatbin"
cp "$work/$sum.fatbin" "$out"
echo "kernels/build.sh: $(stat -c %s "$out") bytes of kernels for sm_${archs[*]}$([ ${#archs[@]} -lt ${#all[@]} ] || echo ' and PTX')" >&2
