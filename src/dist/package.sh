#!/usr/bin/env bash
# package.sh -- makes the self-contained folder for Linux on x86-64, and its archive
#
#   src/dist/package.sh VERSION CONSOLE.jar        run by mvn -Pdist package, when jar, libraries and test classes are there
#
# Gives target/dist/onebit-VERSION-linux-x86_64/ with bin/onebit, its own Java runtime, the libraries without OpenBLAS, and check/ for GPU
# hosts; and the same as .tar.xz, refused above 60 MiB.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
version=$1 console=$2
name="onebit-$version-linux-x86_64"
out="$root/target/dist/$name"
most=$((60 << 20))
[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || { echo "package.sh: the package is for Linux on x86-64; this is $(uname -s) on $(uname -m)" >&2; exit 1; }

find_jlink() {
  local home
  for home in "${ONEBIT_JAVA_HOME:-}" "${JAVA_HOME:-}" "${JDK_HOME:-}" /usr/lib/jvm/* /usr/java/* /opt/java/* /opt/*jdk* "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/*; do
    if [ -x "$home/bin/jlink" ] && grep -q '^JAVA_VERSION="25' "$home/release" 2>/dev/null; then echo "$home"; return; fi
  done
  echo "package.sh: no JDK 25 with jlink found; set JAVA_HOME to one" >&2
  exit 1
}
jdk=$(find_jlink)
rm -rf "$out" "$out.tar.xz"
mkdir -p "$out/bin" "$out/lib" "$out/check"

modules=java.base,java.desktop,java.logging,java.management,java.naming,java.net.http,java.sql,java.xml,jdk.incubator.vector,jdk.management,jdk.unsupported,jdk.zipfs
"$jdk/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --output "$out/runtime" 2>&1 | { grep -v '^WARNING: Using incubator' || true; }

# jars without compression of their own, so that the archive's works over all of them, and without JCuda's run-time compilers, which nothing calls
store() { # from to
  local folder; folder=$(mktemp -d)
  (cd "$folder" && "$jdk/bin/jar" --extract --file "$1" && rm -f lib/libJNvPTXCompiler-* lib/libJNvrtc-* && if [ -f META-INF/MANIFEST.MF ]; then
    mv META-INF/MANIFEST.MF "$folder.manifest" && "$jdk/bin/jar" --create --no-compress --file "$2" --manifest "$folder.manifest" . && rm "$folder.manifest"
  else "$jdk/bin/jar" --create --no-compress --no-manifest --file "$2" .; fi)
  rm -r "$folder"
}
for jar in "$root"/target/lib/*.jar "$root/target/onebit-$version.jar"; do
  case $(basename "$jar") in openblas-*) continue ;; esac
  store "$jar" "$out/lib/$(basename "$jar")"
done

# the launcher of the source tree: its share of memory, its locale and its exec, with this runtime and these libraries
{
  echo '#!/usr/bin/env bash'
  echo '# Starts Onebit with the Java runtime beside it.'
  echo 'set -euo pipefail'
  echo 'home=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)'
  sed -n '/^# short-lived/,/^}/p; /^# file names/,/^esac/p; /^exec /,$p' "$root/onebit" | sed 's|"$java_home/bin/java"|"$home/runtime/bin/java"|; s|-cp "$jar:$home/target/lib/\*|-cp "$home/lib/*|'
} >"$out/bin/onebit"
chmod +x "$out/bin/onebit"
grep -q '^exec "$home/runtime/bin/java" .*' "$out/bin/onebit" && grep -q -- '-cp "$home/lib/\*[^"]*" onebit.cli.Main' "$out/bin/onebit" ||
  { echo "package.sh: ./onebit no longer ends with its exec of java -cp ... onebit.cli.Main; its launcher cannot be made" >&2; exit 1; }

cp "$root/LICENSE" "$out/"
sed "s/@VERSION@/$version/" "$root/src/dist/README.md" >"$out/README.md"

# what a GPU host needs to check itself
cp "$root/native-tests/gpu-check.sh" "$root/native-tests/README.md" "$out/check/"
mkdir "$out/check/peers"
cp "$root"/native-tests/peers/*.py "$out/check/peers/"
"$jdk/bin/jar" --create --no-compress --file "$out/check/onebit-tests.jar" -C "$root/target/test-classes" .
store "$console" "$out/check/junit-platform-console-standalone.jar"
git -C "$root" rev-parse HEAD >"$out/check/COMMIT" 2>/dev/null || echo unknown >"$out/check/COMMIT"
[ -z "$(git -C "$root" status --porcelain --untracked-files=no 2>/dev/null)" ] || sed -i 's/$/ with changes/' "$out/check/COMMIT"
if [ -f "$root/target/classes/onebit/kernels.fatbin" ]; then cp "$root/target/classes/onebit/kernels.fatbin" "$out/check/"
else echo "package.sh: nvcc is not installed, so this package has no GPU kernels" >&2; fi
if command -v "${CXX:-g++}" >/dev/null; then
  "$root/native-tests/run.sh" build "$root/target/native-tests/kernel_tests"
  cp "$root/target/native-tests/kernel_tests" "$out/check/"
else echo "package.sh: g++ is not installed, so this package has no C++ kernel tests" >&2; fi

tar -C "$root/target/dist" --sort=name --owner=0 --group=0 --numeric-owner -cf - "$name" | xz -T0 -6 >"$out.tar.xz"
size=$(stat -c %s "$out.tar.xz")
echo "package.sh: $out.tar.xz, $((size >> 20)) MiB"
[ "$size" -le "$most" ] || { echo "package.sh: the archive has $size bytes; the limit is $most" >&2; exit 1; }
