package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLibrariesTest {
  private static final String DRIVER = "libJCudaDriver-12.6.0-linux-x86_64.so";
  private static final List<Path> NO_KERNELS = List.of(Path.of("native-tests/hostcuda/test/test_kernels.cu"));

  @TempDir Path temporary;

  @AfterEach
  void forgetCache() {
    System.clearProperty("onebit.cache");
  }

  private Path prepareIn(Path cache, CudaLibraries found) throws IOException {
    System.setProperty("onebit.cache", cache.toString());
    return NativeLibraries.prepare(found);
  }

  private CudaLibraries none() {
    return CudaLibraries.in(temporary.resolve("nothing here"));
  }

  private static byte[] onClassPath(String name) throws IOException {
    try (var in = JCudaDriver.class.getResourceAsStream("/lib/" + name)) {
      return in.readAllBytes();
    }
  }

  @Test
  void theFolderIsPrivateAndHoldsTheLibrariesOfTheClassPath() throws IOException {
    Path folder = prepareIn(temporary.resolve("cache"), none());
    assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
    assertTrue(folder.getFileName().toString().matches("[0-9a-f]{64}"));
    assertArrayEquals(onClassPath(DRIVER), Files.readAllBytes(folder.resolve(DRIVER)));
    byte[] cudnn = onClassPath("libJCudnn-11.7.0-linux-x86_64.so");
    assertArrayEquals(cudnn, Files.readAllBytes(folder.resolve("libJCudnn-12.6.0-linux-x86_64.so")));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(5, files.count());   // nothing temporary stays
    }
    assertEquals(folder, prepareIn(temporary.resolve("cache"), none()));
  }

  @Test
  void aPlantedOrDamagedFileIsReplaced() throws IOException {
    Path folder = prepareIn(temporary.resolve("cache"), none());
    byte[] bytes = Files.readAllBytes(folder.resolve(DRIVER));
    bytes[bytes.length / 2] ^= 1;
    Files.write(folder.resolve(DRIVER), bytes);
    Path elsewhere = Files.writeString(temporary.resolve("planted.so"), "planted");
    Path cublas = folder.resolve("libJCublas2-12.6.0-linux-x86_64.so");
    Files.delete(cublas);
    Files.createSymbolicLink(cublas, elsewhere);
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
    prepareIn(temporary.resolve("cache"), none());
    assertArrayEquals(onClassPath(DRIVER), Files.readAllBytes(folder.resolve(DRIVER)));
    assertFalse(Files.isSymbolicLink(cublas));
    assertArrayEquals(onClassPath(cublas.getFileName().toString()), Files.readAllBytes(cublas));
    assertEquals("planted", Files.readString(elsewhere));
    assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
  }

  @Test
  void aLinkInPlaceOfTheFolderIsRefused() throws IOException {
    Path folder = prepareIn(temporary.resolve("cache"), none());
    Path target = Files.createDirectory(temporary.resolve("someone else's"));
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
    Files.createSymbolicLink(folder, target);
    IOException refusal = assertThrows(IOException.class, () -> prepareIn(temporary.resolve("cache"), none()));
    assertTrue(refusal.getMessage().contains("is not a folder"), refusal.getMessage());
    assertTrue(Files.isSymbolicLink(folder) && Files.exists(folder, LinkOption.NOFOLLOW_LINKS));
  }

  /** Eight of them once; -Donebit.test.starts=16 -Donebit.test.rounds=50 asks for more. */
  @Test
  void jvmsStartingAtOnceOnACleanCacheAllLoadAndIgnoreWhatLiesInTheTemporaryFolder() throws Exception {
    Path device = EmulatedDevice.build("normal", "emulated_device_test", NO_KERNELS);
    Path planted = Files.createDirectory(temporary.resolve("tmp"));
    for (String library : List.of("JCudaDriver", "JCublas2", "JCudnn")) {
      Files.writeString(planted.resolve("lib" + library + "-12.6.0-linux-x86_64.so"), "planted");
    }
    for (int round = 0; round < Integer.getInteger("onebit.test.rounds", 1); round++) {
      List<Process> running = new ArrayList<>();
      for (int i = 0; i < Integer.getInteger("onebit.test.starts", 8); i++) {
        running.add(probe(temporary.resolve("clean" + round), List.of("-Djava.io.tmpdir=" + planted), device.toString()));
      }
      for (Process process : running) {
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        assertTrue(output.contains("driver 0 cublas 120600 cudnn 8907 notes []"), output);
      }
    }
  }

  @Test
  void aJvmStartedWithTheFolderOnItsLibraryPathLoadsFromThere() throws Exception {
    Path device = EmulatedDevice.build("normal", "emulated_device_test", NO_KERNELS);
    Path folder = prepareIn(temporary.resolve("cache"), CudaLibraries.in(device));
    Path empty = Files.createDirectory(temporary.resolve("tmp"));
    Process process = probe(temporary.resolve("cache"), List.of("-Djava.library.path=" + folder, "-Djava.io.tmpdir=" + empty), device.toString(), "on-library-path");
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    assertTrue(output.contains("driver 0"), output);
    try (Stream<Path> files = Files.list(empty)) {
      assertEquals(List.of(), files.filter(f -> f.toString().endsWith(".so")).toList());   // JCuda unpacked nothing itself
    }
  }

  @Test
  void relabelledBindingsLoadBesideCudnn9AndCublas13() throws Exception {
    Path device = EmulatedDevice.build("normal", "emulated_device_test", NO_KERNELS);
    Path folder = Files.createDirectory(temporary.resolve("cuda13"));
    Files.createSymbolicLink(folder.resolve("libcuda.so.1"), device.resolve("libcuda.so.1"));
    library(folder, "libcublasLt.so.13", "int cublasLtUnused(void) { return 0; }");
    library(folder, "libcublas.so.13", "int cublasGetVersion_v2(void* h, int* v) { *v = 130100; return 0; }");
    library(folder, "libcudnn.so.9", "unsigned long cudnnGetVersion(void) { return 92400; }");
    CudaLibraries found = CudaLibraries.in(folder);
    assertEquals(13, found.cublasVersion());
    assertEquals(9, found.cudnnVersion());
    Process process = probe(temporary.resolve("cache"), List.of(), folder.toString());
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    assertTrue(output.contains("driver 0 cublas 130100 cudnn 92400"), output);
    assertTrue(output.contains("JCudnn was relabelled from libcudnn.so.8 to libcudnn.so.9"), output);
  }

  @Test
  void aDriverThatShowsTooFewDevicesIsRefusedInOneSentence() throws Exception {
    String driver = temporary.resolve("libcuda.so.1").toString(), missing = temporary.resolve("none.so").toString();
    assertEquals("no CUDA driver: " + missing + " cannot be loaded; install the NVIDIA driver, or compute on the CPU", CudaDoctor.refusal(missing, 1));
    library(temporary, "libcuda.so.1", "int cuInit(unsigned f) { return 0; } int cuDeviceGetCount(int* n) { *n = 2; return 0; }");
    assertNull(CudaDoctor.refusal(driver, 2));
    assertEquals("the CUDA driver shows 2 devices; `nvidia-smi -L` lists all, and CUDA_VISIBLE_DEVICES may hide some", CudaDoctor.refusal(driver, 3));
  }

  @Test
  void theHashIsTheOneOfTheAbi() throws IOException {
    assertEquals(0x09691a75, ElfLabels.hash("GLIBC_2.2.5"));   // as readelf and every glibc object have it
    byte[] cudnn = onClassPath("libJCudnn-11.7.0-linux-x86_64.so");
    assertThrows(IllegalArgumentException.class, () -> ElfLabels.relabel(cudnn, "libcudnn.so.8", "libcudnn.so.10"));
    assertThrows(IllegalArgumentException.class, () -> ElfLabels.relabel(cudnn, "libcublas.so.12", "libcublas.so.13"));
    assertThrows(IllegalArgumentException.class, () -> ElfLabels.relabel(new byte[100], "libcudnn.so.8", "libcudnn.so.9"));
    assertArrayEquals(cudnn, ElfLabels.relabel(ElfLabels.relabel(cudnn, "libcudnn.so.8", "libcudnn.so.9"), "libcudnn.so.9", "libcudnn.so.8"));
  }

  @Test
  void theSearchFollowsTheNamedFolderThenTheLoaderPathThenTheToolkitThenPip() throws IOException {
    Path root = temporary.resolve("root");
    Path home = temporary.resolve("home");
    Path pip = touch(home.resolve(".local/lib/python3.12/site-packages/nvidia/cudnn/lib/libcudnn.so.9"));
    assertEquals(Optional.of(pip), CudaLibraries.search(Map.of(), home, root).cudnn());
    Path toolkit = touch(root.resolve("usr/local/cuda/lib64/libcudnn.so.8"));
    assertEquals(Optional.of(toolkit), CudaLibraries.search(Map.of(), home, root).cudnn());
    Path loader = touch(temporary.resolve("loader/libcudnn.so.9"));
    Map<String, String> environment = Map.of("LD_LIBRARY_PATH", loader.getParent().toString());
    assertEquals(Optional.of(loader), CudaLibraries.search(environment, home, root).cudnn());
    Path named = touch(temporary.resolve("named/libcudnn.so.8"));
    touch(temporary.resolve("named/libcudnn.so.9"));
    CudaLibraries found = CudaLibraries.search(Map.of("LD_LIBRARY_PATH", loader.getParent().toString(), "ONEBIT_CUDA_LIBS", named.getParent().toString()), home, root);
    assertEquals(Optional.of(named), found.cudnn());
    assertEquals(8, found.cudnnVersion());
    assertEquals(0, found.cublasVersion());
    Path cublas = touch(root.resolve("usr/local/cuda-13.0/targets/x86_64-linux/lib/libcublas.so.13"));
    Path lt = touch(cublas.resolveSibling("libcublasLt.so.13"));
    found = CudaLibraries.search(Map.of(), home, root);
    assertEquals(Optional.of(cublas), found.cublas());
    assertEquals(Optional.of(lt), found.cublasLt());
  }

  private static Path touch(Path file) throws IOException {
    Files.createDirectories(file.getParent());
    return Files.createFile(file);
  }

  /** Compiles a library of a few functions; skips the test, saying so, where there is no C++ compiler. */
  private static void library(Path folder, String name, String code) throws IOException, InterruptedException {
    assumeTrue(EmulatedDevice.compilerPresent(), "no g++ on this machine: a library that stands in for the driver's cannot be built");
    Path source = Files.writeString(folder.resolve(name + ".c"), code + "\n");
    Path map = Files.writeString(folder.resolve(name + ".map"), name + " { global: cu*; local: *; };\n");
    Process compiler = new ProcessBuilder("g++", "-shared", "-fPIC", "-x", "c", source.toString(), "-Wl,-soname," + name, "-Wl,--version-script=" + map,
        "-o", folder.resolve(name).toString()).redirectErrorStream(true).start();
    String output = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, compiler.waitFor(), output);
  }

  private static Process probe(Path cache, List<String> options, String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin/java").toString(), "-Xmx128m", "-XX:TieredStopAtLevel=1",
        "--enable-native-access=ALL-UNNAMED", "-Donebit.cache=" + cache, "-cp", System.getProperty("java.class.path")));
    command.addAll(options);
    command.add(LoadProbe.class.getName());
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }
}
