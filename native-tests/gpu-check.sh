#!/usr/bin/env bash
# gpu-check.sh -- proves the kernels on the GPU of this machine: contract tests, recorded steps, compute-sanitizer; one table, exit code 0 or 1
#
#   native-tests/gpu-check.sh [GOLDEN_FOLDER]          default ../shared/golden
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
golden=$(realpath -m "${1:-../shared/golden}")
command -v nvidia-smi >/dev/null && nvidia-smi -L | grep -q GPU || { echo "gpu-check.sh: no GPU here (nvidia-smi -L lists none); --device cuda-emulated needs none" >&2; exit 1; }
logs=target/gpu-check
mkdir -p "$logs"
table=() failed=0
check() { # name, command...
  local name=$1 begin=$SECONDS result=PASS
  shift
  "$@" >"$logs/$name.log" 2>&1 || { result=FAIL; failed=1; }
  table+=("$(printf '%-40s %s %5ds' "$name" "$result" $((SECONDS - begin)))")
  echo "${table[-1]}"
}
check build mvn -B -q -DskipTests package
export ONEBIT_NO_BUILD=1
check contract-tests mvn -B -q test -Donebit.test.gpu=true \
  '-Dtest=PointOpsTest,NormOpsTest,PoolOpsTest,LossOpsTest,OptimOpsTest,Binarize*Test,RotationTest,BitOpsTest,ConvOpsTest'
for file in "$golden"/*.safetensors; do
  name=$(basename "$file" .safetensors)
  check "check-step-$name" ./onebit check-step "$file" --recipe "$name" --device cuda
done
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    check "$tool" compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 9 \
      ./onebit check-step "$golden/bmxnet-lenet-mnist.safetensors" --recipe bmxnet-lenet-mnist --device cuda
  done
else
  echo "compute-sanitizer is not installed: memcheck, racecheck, initcheck and synccheck were left out" >&2
fi
printf '\n%s\n' "GPU check of $(git rev-parse --short HEAD), $(date -u +%F), $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1)"
printf '%s\n' "${table[@]}"
exit $failed
