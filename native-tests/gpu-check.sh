#!/usr/bin/env bash
# gpu-check.sh -- proves Onebit on the GPU of this machine and, asked for, measures it; one table at the end
#
#   gpu-check.sh [--out REPORT.md] [--golden DIR] [--photos DIR] [--perf] [--compile-mode MODE] [--only PARTS] [--device N] [--minutes M] [--emulated]
#
#   --out       write the table as Markdown, with the ends of the logs of what failed, and all logs whole into REPORT.log
#   --golden    a folder of recorded steps, each file named by its recipe; each is replayed in float32
#   --photos    training images (datasets/imagenet): the real loader feeds ResNet-18's steps, beside the same steps on one batch that lies on the GPU
#   --perf      also the benchmarks at full size and the PyTorch programs of peers/; what matters most for the goals runs first
#   --compile-mode  what torch.compile gets in peers/step.py (default: default); max-autotune takes minutes a network, so give --minutes too
#   --only      some parts: doctor,contracts,kernels,sanitizer,golden,bench,peers (peers only with --perf)
#   --device    which GPU (default the first); --minutes: for everything together (default 8); --emulated: the same on the emulated device, to test this script
#
# Runs from the source tree (native-tests/) and from the self-contained package (check/). Goes on after a part that failed.
# Exit code 0: no part failed, and what the table calls left out, not run or cut short says why; 1: a part failed; 2: wrong words; 3: no GPU.
set -uo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
out= golden= photos= perf= emulated= index= mode= minutes=8 only=doctor,contracts,kernels,sanitizer,golden,bench,peers
words="$*"
need() { [ $# -ge 2 ] || { echo "gpu-check.sh: $1 wants a value" >&2; exit 2; }; }
while [ $# -gt 0 ]; do
  case $1 in
    --out) need "$@"; out=$(realpath -m "$2"); shift 2 ;;
    --golden) need "$@"; golden=$(realpath -m "$2"); shift 2 ;;
    --photos) need "$@"; photos=$(realpath -m "$2"); shift 2 ;;
    --only) need "$@"; only=$2; shift 2 ;;
    --device) need "$@"; index=$2; shift 2 ;;
    --minutes) need "$@"; minutes=$2; shift 2 ;;
    --compile-mode) need "$@"; mode=$2; shift 2 ;;
    --perf) perf=yes; shift ;;
    --emulated) emulated=yes; shift ;;
    -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "gpu-check.sh: $1 is not known; gpu-check.sh --help says what is" >&2; exit 2 ;;
  esac
done
[[ $mode =~ ^[a-z-]*$ ]] || { echo "gpu-check.sh: --compile-mode wants one of torch.compile's, such as max-autotune, got $mode" >&2; exit 2; }
[[ $minutes =~ ^[0-9]+$ && $index =~ ^[0-9]*$ ]] || { echo "gpu-check.sh: --minutes and --device want whole numbers, got $minutes and $index" >&2; exit 2; }
for p in ${only//,/ }; do
  case $p in doctor | contracts | kernels | sanitizer | golden | bench | peers) ;; *) echo "gpu-check.sh: --only $p is not known; parts are doctor, contracts, kernels, sanitizer, golden, bench, peers" >&2; exit 2 ;; esac
done
[ -z "$golden" ] || [ -d "$golden" ] || { echo "gpu-check.sh: --golden $golden is not a folder" >&2; exit 2; }
[ -z "$photos" ] || [ -d "$photos" ] || { echo "gpu-check.sh: --photos $photos is not a folder" >&2; exit 2; }

# where the program is: the package, or the source tree
if [ -x "$here/../bin/onebit" ]; then
  layout=package root=$(cd "$here/.." && pwd) onebit="$root/bin/onebit" commit=$(cat "$here/COMMIT" 2>/dev/null || echo unknown)
else
  layout=source root=$(cd "$here/.." && pwd) onebit="$root/onebit" commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
  [ -z "$(git -C "$root" status --porcelain --untracked-files=no 2>/dev/null)" ] || commit="$commit with changes"
fi
tree=$root   # the source tree that the emulated device is built from
if [ "$layout" = package ] && [ -d native-tests/hostcuda ]; then tree=$(pwd); fi
python=${PYTHON:-python3}
logs=$(mktemp -d "${TMPDIR:-/tmp}/gpu-check.XXXXXX")

# libraries that the loader may not know: the driver's folder on some hosts, and the CUDA libraries of pip's packages
if [[ $(ldconfig -p 2>/dev/null) != *libcuda.so.1* ]]; then
  for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib /usr/lib/wsl/lib /usr/lib/x86_64-linux-gnu /usr/lib64; do
    if [ -e "$folder/libcuda.so.1" ]; then export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"; break; fi
  done
fi
if [ -z "$emulated" ] && [ -z "${ONEBIT_CUDA_LIBS:-}" ] && command -v "$python" >/dev/null; then
  found=$("$python" -c 'import glob, sys
print(":".join(sorted({f for p in sys.path if p for f in glob.glob(p + "/nvidia/*/lib") if glob.glob(f + "/*.so.*")})))' 2>/dev/null)
  if [ -n "$found" ]; then export ONEBIT_CUDA_LIBS="$found"; export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$found"; fi
fi

if [ -n "$emulated" ]; then
  gpu="the emulated device (a test device, not a GPU)" driver=none device=cuda-emulated
else
  command -v nvidia-smi >/dev/null && [[ $(nvidia-smi -L 2>/dev/null) == *GPU* ]] || { echo "gpu-check.sh: no GPU here (nvidia-smi -L lists none); --emulated needs none" >&2; exit 3; }
  [ -z "$index" ] || export CUDA_VISIBLE_DEVICES=$index   # everything below sees this GPU as its first
  index=${index:-$(nvidia-smi -L | sed -n '1s/GPU \([0-9]*\):.*/\1/p')}
  gpu=$(nvidia-smi -i "$index" --query-gpu=name,memory.total,compute_cap --format=csv,noheader) || exit 3
  driver=$(nvidia-smi -i "$index" --query-gpu=driver_version --format=csv,noheader)
  device=cuda
fi
echo "$gpu; driver $driver; commit $commit; $layout $root"
end=$((SECONDS + 60 * minutes)) failed=0 short=0 status=pass rows=() bad=() child= running=

date=$(date -u '+%Y-%m-%d %H:%M UTC')
table() {
  echo "# GPU check, $date"
  echo
  echo "- device: $gpu"
  echo "- driver: $driver"
  echo "- commit: $commit ($layout)"
  echo "- command: gpu-check.sh $words"
  echo
  echo "| What | Result | Time | Status |"
  echo "|---|---|---|---|"
  printf '%s\n' "${rows[@]}"
  local b
  for b in ${bad[@]+"${bad[@]}"}; do
    if grep -q -E "$found" "${b#*:}"; then
      printf '\n## The first that %s found\n\n```\n' "${b%%:*}"
      grep -m 1 -A 11 -E "$found" "${b#*:}" | cut -c1-300
      echo '```'
    fi
    printf '\n## The end of %s\n\n```\n' "${b%%:*}"
    tail -n 40 "${b#*:}" | cut -c1-300
    echo '```'
  done
}
report() {
  [ -n "$out" ] || return 0
  table >"$out.part" && mv "$out.part" "$out" && return 0   # whole at every moment
  echo "gpu-check.sh: $out cannot be written" >&2
  out= failed=1
}
whole=${out:+${out%.md}.log}   # all logs, each behind its name
keep() { # title, file: adds it to that
  [ -n "$whole" ] && [ -e "$2" ] || return 0
  { printf '==== %s\n\n' "$1"; cat "$2"; echo; } >>"$whole" && return 0
  echo "gpu-check.sh: $whole cannot be written" >&2
  whole= failed=1
}
now=${out:+${out%.md}.running.log}   # the log of the part that runs, until it has ended: there also where this script is ended by force
if [ -n "$out" ]; then
  mkdir -p "$(dirname "$out")"
  rm -f "$whole"
  { : >"$now"; } 2>/dev/null && rm "$now" || now=
fi
found='^=+ (Invalid|Program hit|Error:|Warning:|Uninitialized|Barrier error|Misaligned)'   # how compute-sanitizer begins to tell something
row() { # what, result, seconds, status; the report has it at once, whoever ends this script later
  rows+=("| $1 | ${2//|/\/} | $3 | $4 |")
  printf '%-44s %-5s %5s  %s\n' "$1" "$4" "$3" "$2"
  report
}
stopped() { # a signal from outside: ends what runs, and says what is known
  trap - TERM INT HUP
  if [ -n "$child" ]; then kill "$child" 2>/dev/null; bad+=("$running"); keep "${running%%:*}, stopped from outside" "${running#*:}"; fi
  row "gpu-check.sh itself" "stopped from outside after $SECONDS s" - FAIL
  echo
  table
  [ -z "$whole" ] || rm -f "$now"
  exit 1
}
trap stopped TERM INT HUP
left_out() { row "$1" "$2" - "left out"; }
wanted() { case ",$only," in *",$1,"*) return 0 ;; *) return 1 ;; esac; }

log_of() { echo "$logs/${1//[^A-Za-z0-9.-]/_}.log"; }   # name of a part
part() { # name, seconds, summary of a log, command...: runs it within its time and what is left of the whole; status says what became of it
  local name=$1 limit=$2 own=$2 summary=$3 begin=$SECONDS code=0 log left=$((end - SECONDS))
  log=$(log_of "$1")
  shift 3
  if [ "$left" -lt 5 ]; then
    status="not run" short=$((short + 1))
    row "$name" "no time left of the $minutes minutes" - "$status"
    return 1
  fi
  [ "$limit" -le "$left" ] || limit=$left
  timeout -k 10 "$limit" "$@" >"${now:-$log}" 2>&1 </dev/null &
  child=$! running="$name:${now:-$log}"
  wait "$child" || code=$?
  child= running=
  [ -z "$now" ] || mv "$now" "$log"
  keep "$name: $*" "$log"
  local result; result=$($summary "$log" | tail -n 1 | tr -d '\r' | cut -c1-300)
  if [ "$code" = 0 ]; then status=pass; row "$name" "$result" "$((SECONDS - begin)) s" "$status"; return 0; fi
  if [ "$limit" -lt "$own" ] && { [ "$code" = 124 ] || { [ "$code" = 137 ] && [ $((SECONDS - begin)) -ge "$limit" ]; }; }; then
    status="cut short" short=$((short + 1))
    row "$name" "no time left of the $minutes minutes after $limit of its $own s; $result" "$((SECONDS - begin)) s" "$status"
    return 1
  fi
  [ "$code" != 124 ] && [ "$code" != 137 ] || result="stopped after $limit s; $result"
  status=FAIL
  row "$name" "exit code $code; $result" "$((SECONDS - begin)) s" "$status"
  failed=1 bad+=("$name:$log")
  return 1
}
last_line() { grep -v '^[[:space:]]*$' "$1"; }
tests_line() { # JUnit's or Maven's count
  local n; n=$(sed -n 's/^\[ *\([0-9]*\) tests \(successful\|failed\|aborted\) *\]$/\1 \2/p' "$1" | paste -sd, | sed 's/,/, /g')
  if [ -n "$n" ]; then echo "$n"; else grep -E 'Tests run:.*Fail' "$1" || last_line "$1"; fi
}
maven_line() { grep -E 'BUILD (SUCCESS|FAILURE)|^\[ERROR\]' "$1" | head -n 1; }
sanitizer_line() { # the count, and the first thing found
  local first; first=$(grep -m 1 -A 2 -E "$found" "$1" | sed 's/^=* *//' | paste -sd' ')
  { grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$1" || last_line "$1"; } | sed "s|\$|${first:+; first: ${first//[|&]/ }}|"
}
device_line() { grep -iE '^(device )?cuda' "$1" | head -n 1 | tr -s ' '; }
feed_line() { grep -E 'on the device .* from the loader' "$1" | sed 's/^ */images\/s /' | grep . || last_line "$1"; }
scale_line() { grep -E '^ *[0-9]+ .*%$' "$1" | awk '{ print "a step alone " $2 " s, with NCCL " $3 " s, its calls alone " $4 " s" }' | grep . || last_line "$1"; }
step_line() { # of a profile, what its steps in a row came to
  grep '^step in sum: ' "$1" | sed 's/^step in sum: //' | grep . || grep -E 'images/s' "$1" || last_line "$1"
}

doctor() { part "doctor" 60 device_line "$onebit" doctor; }

contracts() {
  local select=(--select-package onebit.ops --exclude-package onebit.ops.cpu --exclude-package onebit.ops.cuda) classes='onebit.ops.*Test'
  [ -z "$emulated" ] || select=(--select-class onebit.ops.BitOpsTest --select-class onebit.ops.PointOpsTest) classes='BitOpsTest,PointOpsTest'
  local backends=(-Donebit.test.backends="$device")
  if [ "$layout" = package ]; then
    part "contract tests of every op" 200 tests_line env -C "$tree" "$root/runtime/bin/java" --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED \
      -Xmx8g "${backends[@]}" -Donebit.home="$tree" -cp "$root/lib/*:$here/onebit-tests.jar:$here/junit-platform-console-standalone.jar" \
      org.junit.platform.console.ConsoleLauncher execute "${select[@]}" --details=summary --fail-if-no-tests --disable-banner
  else
    part "contract tests of every op" 200 tests_line mvn -B -Dstyle.color=never -f "$root/pom.xml" test "${backends[@]}" "-Dtest=$classes"
  fi
}

# the C++ tests of the kernels: made here, or carried by the package
program=$here/kernel_tests image=$here/kernels.fatbin kernels=()
build_tests() {
  [ ${#kernels[@]} = 0 ] || return 0
  if [ "$layout" = source ]; then
    program="$root/target/native-tests/kernel_tests" image="$root/target/classes/onebit/kernels.fatbin"
    part "build of the C++ tests" 240 last_line "$here/run.sh" build "$program"
  fi
  kernels=("$program" "$image")
  if [ -n "$emulated" ]; then
    part "build of the emulated device" 240 last_line "$tree/native-tests/hostcuda/build.sh"
    kernels=("$program" "$tree/target/hostcuda/normal/onebit_kernels_host.module" --driver "$tree/target/hostcuda/normal/libcuda.so.1")
  fi
}
kernels() {
  build_tests
  if [ ! -x "$program" ] && [ "$layout" = package ]; then left_out "C++ tests of the kernels" "this package was made without g++"; return; fi
  [ -x "$program" ] || { left_out "C++ tests of the kernels" "they were not built"; return; }
  local limit=60
  [ -z "$emulated" ] || limit=240
  part "C++ tests of the kernels" "$limit" last_line "${kernels[@]}" --without warpgroups
  part "C++ tests of products on warpgroups" 60 last_line "${kernels[@]}" --only warpgroups   # apart: one that waits for ever takes no other with it
}

# the rungs of the bit products; a package has no source to make them from
rungs() {
  [ "$layout" = source ] || return 0
  if [ -n "$emulated" ]; then part "rungs of the bit products (not timed)" 240 last_line "$here/run.sh" ladder normal
  elif [ -n "$perf" ]; then
    part "rungs of the bit products" 240 last_line "$here/run.sh" perf
    while IFS= read -r line; do row "${line%%  median*}" "median${line#*  median}" - "$status"; done < <(grep '  median ' "$(log_of "rungs of the bit products")" 2>/dev/null)
  fi
}

golden() {
  local file recipe
  if [ -z "$golden" ]; then left_out "recorded steps" "no --golden DIR given"; return; fi
  for file in "$golden"/*.safetensors; do
    [ -e "$file" ] || { row "recorded steps" "no .safetensors in $golden" 0 FAIL; failed=1; break; }
    recipe=$(basename "$file" .safetensors)
    part "recorded step $recipe" 90 last_line env -C "$tree" "$onebit" check-step "$file" --recipe "$recipe" --device "$device" --precision fp32
    [ -z "$emulated" ] || break
  done
}

gemm_line() { step_line "$1"; }
conv_line() { step_line "$1"; }
bench() { # name, seconds, arguments...
  local name=$1 limit=$2
  shift 2
  part "$name" "$limit" "$2_line" env -C "$tree" "$onebit" "$@" --device "$device"
}
squeezed() { local words; read -ra words <<<"$1"; echo "${words[*]}"; }   # one blank between words, none around them
profile() { # kernels or -, name, seconds, arguments...: a step with --profile, one row of what its steps in a row came to, and where asked for, one for its plan and each kernel that takes a fiftieth or more
  local all=$1 name=$2 line
  bench "$name" "$3" bench step "${@:4}" --profile
  [ "$all" = kernels ] || return 0
  while IFS= read -r line; do row "$name: ${line%%:*}" "${line#*: }" - "$status"; done < <(grep '^a step by the plan' "$(log_of "$name")" 2>/dev/null)
  while IFS= read -r line; do row "$name: kernel ${line%%  *}" "$(squeezed "${line#*  }")" - "$status"; done < <(
    awk '/^kernel /{ on = 1; next } on && $NF ~ /^[0-9]+$/ && $(NF - 2) >= 2 { print $0 " (count, ms, %, GB, GB/s)" }' "$(log_of "$name")" 2>/dev/null)
}
pairs() { # name of a part of bench gemm or conv, word before each of its lines: a row of each
  local line
  while IFS= read -r line; do row "$2 $(squeezed "${line%% binary *}")" "binary $(squeezed "${line#* binary }")" - "$status"; done < <(grep -E ' binary .* times$' "$(log_of "$1")" 2>/dev/null | grep -v '^all seven')
  while IFS= read -r line; do row "$2 ${line%%:*}" "${line#*: }" - "$status"; done < <(grep '^all seven' "$(log_of "$1")" 2>/dev/null)
}
small=(--set data.name=folder --set data.channels=3 --set data.classes=1000 --set 'data.mean=[0.5,0.5,0.5]' --set 'data.std=[0.25,0.25,0.25]'
  --set data.batch=2 --rounds 1 --warmup 3 --steps 1)
resnet=(adabin-resnet18-imagenet --steps 20) of="ResNet-18 224, batch 256"
tuned() {
  profile kernels "step $of, tuned" 150 "${resnet[@]}" --set train.deterministic=false --tuning "$logs/tuning.jsonl"
  keep "tuning.jsonl: what was measured and chosen" "$logs/tuning.jsonl"
}
products() {
  bench "bench conv, seven shapes, batch 256" 120 bench conv
  pairs "bench conv, seven shapes, batch 256" conv
  bench "bench gemm 4096 and 8192" 90 bench gemm
  pairs "bench gemm 4096 and 8192" gemm
}
cifar() {
  profile - "step ResNet-20 CIFAR, batch 128" 90 adabin-resnet20-cifar10 --steps 20
  profile - "step ResNet-18 CIFAR, batch 128" 90 adabin-resnet18-cifar10 --steps 20
}
others() { # steps that no goal is judged by
  if [[ ${gpu##*, } =~ ^(8\.9|9\.[0-9]|[1-9][0-9]+\.[0-9])$ ]]; then profile - "step $of, float8 gradients" 120 "${resnet[@]}" --set train.gradients=float8
  else left_out "step $of, float8 gradients" "float8 needs compute capability 8.9, this GPU has ${gpu##*, }"; fi
  profile kernels "step SSD300, batch 32" 90 adabin-ssd300-voc --steps 10
}
system() { # what is no kernel: loader and NCCL
  local said; said=$(log_of doctor)
  [ -z "$photos" ] || bench "loader and step, ResNet-18 224, batch 256" 150 bench feed adabin-resnet18-imagenet --data "$photos" --steps 20
  [ -e "$said" ] || [ $((end - SECONDS)) -lt 5 ] || timeout 60 "$onebit" doctor >"$said" 2>/dev/null
  if grep -q "NCCL: missing" "$said" 2>/dev/null; then left_out "NCCL with one rank" "libnccl.so.2 was not found"
  else bench "NCCL with one rank, ResNet-20, batch 128" 60 bench scale adabin-resnet20-cifar10 --procs 1 --batch 128 --steps 10; fi
}
small_benches() { # what every check runs
  if [ -n "$emulated" ]; then
    bench "bench step (not timed)" 120 bench step adabin-resnet20-cifar10 --set data.batch=2 --steps 1 --warmup 0
    bench "bench gemm (not timed)" 60 bench gemm
    bench "bench conv (not timed)" 60 bench conv
    bench "NCCL with one rank (not timed)" 60 bench scale default --procs 1 --batch 2 --steps 1 --warmup 3
    [ -z "$photos" ] || bench "loader and step (not timed)" 120 bench feed default --data "$photos" "${small[@]}"
  else
    bench "step ResNet-20 CIFAR, batch 128, each waited for" 90 bench step adabin-resnet20-cifar10 --steps 20
    system
  fi
}

find_torch() { timeout 120 "$python" -c 'import torch' >/dev/null 2>&1; }
torch= finding=
peers() { # name...
  local peer arguments limit what result
  if [ -z "$torch" ]; then
    if [ -n "$finding" ]; then wait "$finding"; else find_torch; fi && torch=yes || torch=no
  fi
  for peer in "$@"; do
    if [ "$torch" = no ]; then left_out "peers/$peer.py" "$python has no PyTorch"; continue; fi
    arguments=() limit=90
    [ -z "$emulated" ] || arguments=(--device cpu --quick)
    if [ "$peer" = step ]; then limit=270; fi
    if [ "$peer" = step ] && [ -n "$mode" ]; then arguments+=(--compile-mode "$mode") limit=1200; fi
    part "peers/$peer.py" "$limit" last_line "$python" "$here/peers/$peer.py" "${arguments[@]}"
    while IFS=$'\t' read -r _ what result; do row "$what" "$result" - "$status"; done < <(grep -P '^ROW\t' "$(log_of "peers/$peer.py")" 2>/dev/null)
  done
}

sanitizer() {
  build_tests
  local tool what
  tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer /opt/nvidia/compute-sanitizer/compute-sanitizer 2>/dev/null | head -n 1)
  if [ -n "$emulated" ]; then left_out "compute-sanitizer" "it needs a GPU; native-tests/run.sh checked and asan look for the same here"
  elif [ -z "$tool" ]; then left_out "compute-sanitizer" "not installed"
  elif [ ! -x "$program" ]; then left_out "compute-sanitizer" "there is no program of the C++ tests"
  else
    sanitize() { # tool's tool, tests..., seconds
      local extra=()
      [ "$1" != initcheck ] || extra=(--no-poison)
      part "$1 of $2" "$3" sanitizer_line "$tool" --tool "$1" --error-exitcode 99 "${kernels[@]}" "${extra[@]}" "${@:4}"
    }
    # products on warpgroups apart: their kernels take nearly all registers of a multiprocessor, and the tools' instructions take some more
    for what in memcheck initcheck synccheck; do sanitize "$what" "the C++ tests" 90 --without warpgroups; done
    for what in memcheck initcheck synccheck racecheck; do sanitize "$what" "products on warpgroups" 60 --only warpgroups; done
    sanitize racecheck "the C++ tests" 300 --without warpgroups   # the slowest last
  fi
}

run() { ! wanted "$1" || "${@:2}"; }   # part, function...
if [ "$layout" = source ] && [ -n "$only" ]; then
  # code for the GPUs that are here, as ./onebit has it: that for all takes longer than the rest may
  [ -n "${ONEBIT_ARCHS:-}" ] || ONEBIT_ARCHS=$("$root/kernels/build.sh" --present)
  export ONEBIT_ARCHS
  part "build" 300 maven_line mvn -B -Dstyle.color=never -f "$root/pom.xml" -DskipTests package || true
  export ONEBIT_NO_BUILD=1
fi
if [ -n "$perf" ] && wanted peers; then find_torch & finding=$!; fi   # meanwhile, for a first import takes long
run doctor doctor
if [ -n "$perf" ] && [ -z "$emulated" ]; then   # in the order of what the goals are judged by, for time may end
  run kernels kernels
  run bench products
  run peers peers gemm conv
  run bench tuned
  run bench profile kernels "step $of, defaults" 120 "${resnet[@]}"
  run bench profile - "step $of, compact" 120 "${resnet[@]}" --set train.memory=compact
  run peers peers step
  run bench system
  run bench cifar
  run golden golden
  run contracts contracts
  run bench others
  run kernels rungs
else
  run contracts contracts
  run kernels kernels
  run kernels rungs
  run golden golden
  run bench small_benches
  [ -z "$perf" ] || run peers peers step conv gemm
fi
run sanitizer sanitizer   # last, because it is the slowest and tells the least that is new once the rest passes

echo
table
report
[ "$short" = 0 ] || echo "no time left of the $minutes minutes: $short parts not run or cut short; --minutes and --only give them theirs"
[ -z "$whole" ] || echo "logs: $whole"
if [ -n "$whole" ] || { [ "$failed" = 0 ] && [ -z "$perf" ]; }; then rm -rf "$logs"; else echo "logs: $logs"; fi
exit $failed
