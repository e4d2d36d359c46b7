package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** gpu-check.sh --perf in a package whose programs only print what they print on a GPU: which parts run, in which order, and what of their words the table holds. */
class GpuCheckTest {
  private static final String STEP = """
      steps in a row: median 9.630 ms (9.620 to 9.650), 26584 images/s; the host asks for one in 0.100 ms (1.0 %)
      device memory held: 2.72 GB; ceilings measured here: copy 4.23 TB/s, bfloat16 product 785 TFLOP/s
      a step by the plan: 17.3 GB, at the copy's rate 4.100 ms; 1.87 TFLOP, at the product's rate 2.382 ms; floor, op by op the longer of both: 5.700 ms, 59 % of the step

      kernels of one step: 10.137 ms in 146 launches; a step in a row takes 0.95 times their sum
      kernel                                        count        ms      %        GB     GB/s
      unit_backward_adabin_bf16                        15     1.540   15.2     3.781     2455
      cuDNN gradX 3x3 64 to 64 at 56x56                 4     0.500    4.9     0.000        0
      unit_join_bf16                                    1     0.100    1.0     0.398     3980

      step in sum: 26584 images/s in a row, 9.630 ms (9.620 to 9.650); 2.72 GB held; floor 5.700 ms, 59 % of the step (copy 4.23 TB/s, product 785 TFLOP/s); 0.95 times the 10.137 ms of its 146 launches; host 0.100 ms (1.0 %)
      RECIPE, batch 256, 20 steps: median 0.010 s (0.010 to 0.011), 24000 images/s
      """;
  private static final String CONV = """
      binary convolution 3x3 forward, y bfloat16, batch 256, beside the fastest of cuDNN's algorithms, bfloat16; a GPU
      64 to 64 at 56x56              binary    0.0500 ms (0.0490 to 0.0520)   1184.0 TOPS; bfloat16 by cuDNN algorithm 1    0.1510 ms (0.1500 to 0.1550)   392.0 TOPS; 3.02 times
      all seven: binary 0.300 ms, cuDNN bfloat16 0.814 ms, 2.71 times
      gradW 64 to 64 at 56x56        binary    0.1000 ms (0.0990 to 0.1010)    592.0 TOPS; bfloat16 by cuDNN algorithm 3    0.0800 ms (0.0790 to 0.0810)   740.0 TOPS; 0.80 times
      all seven gradW: from bits 0.983 ms, cuDNN bfloat16 0.727 ms, 0.74 times
      """;
  private static final String GEMM = """
      4096 x 4096 x 4096             binary    0.0650 ms (0.0640 to 0.0660)   2105.0 TOPS; bfloat16    0.1620 ms (0.1610 to 0.1630)   846.0 TOPS; 2.49 times
        by and with 128 columns a block: the usual way; those below are taken where a tuning file measured them to be the fastest
      4096 x 4096 x 4096, warpgroups, tiles of 256 rows and 192 columns laid out before binary    0.0300 ms (0.0290 to 0.0310)   4581.0 TOPS; bfloat16    0.1620 ms (0.1610 to 0.1630)   846.0 TOPS; 5.40 times
      """;

  @TempDir private Path folder;

  @BeforeEach
  void aPackageOfProgramsThatOnlyPrint() throws IOException {
    Path check = Files.createDirectories(folder.resolve("check"));
    Files.copy(Path.of("native-tests/gpu-check.sh"), check.resolve("gpu-check.sh"));
    Files.createDirectories(check.resolve("peers"));
    for (var text : List.of(new String[] {"step", STEP}, new String[] {"conv", CONV}, new String[] {"gemm", GEMM})) Files.writeString(folder.resolve(text[0] + ".txt"), text[1]);
    program("bin/onebit", """
        case "$1 ${2:-}" in
          doctor*) echo "CUDA 13.0, 1 device"; echo "NCCL: missing" ;;
          "bench step")
            [ "$3" != adabin-resnet20-cifar10 ] || { echo "out of luck"; exit 1; }
            sed "s/RECIPE/$3/" "%1$s/step.txt"; echo "given $*"
            [[ "$*" != *--tuning* ]] || echo '{"way":"measured"}' >"${*: -4:1}" ;;
          "bench conv") cat "%1$s/conv.txt" ;;
          "bench gemm") cat "%1$s/gemm.txt" ;;
        esac
        """.formatted(folder));
    program("check/kernel_tests", "echo '73 tests, 0 failed'");
    program("path/nvidia-smi", """
        case "$*" in *-L*) echo "GPU 0: a GPU" ;; *driver_version*) echo 1.2 ;; *) echo "a GPU, 80000 MiB, 9.0" ;; esac
        """);
    program("path/python", """
        [[ "$1" != -c ]] || exit 0
        [[ "$1" != *step.py ]] || printf 'ROW\\tstep of a peer, given %s\\t100 images/s\\n' "${*:2}"
        """);
  }

  private void program(String name, String text) throws IOException {
    Path path = folder.resolve(name);
    Files.createDirectories(path.getParent());
    Files.writeString(path, "#!/usr/bin/env bash\n" + text);
    assertTrue(path.toFile().setExecutable(true));
  }

  /** The rows of the table, each as its cells; the exit code is as expected. */
  private List<List<String>> table(int expected, String... more) throws IOException, InterruptedException {
    Process process = start(more);
    assertEquals(expected, process.waitFor(), this::said);
    return rows();
  }

  private Process start(String... more) throws IOException {
    List<String> command = new ArrayList<>(List.of(folder.resolve("check/gpu-check.sh").toString(), "--out", folder.resolve("report.md").toString()));
    command.addAll(Arrays.asList(more));
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).redirectOutput(folder.resolve("said.txt").toFile());
    builder.environment().put("PATH", folder.resolve("path") + ":" + System.getenv("PATH"));
    builder.environment().put("PYTHON", folder.resolve("path/python").toString());
    builder.environment().put("TMPDIR", folder.toString());
    return builder.start();
  }

  private String said() {
    try {
      return Files.readString(folder.resolve("said.txt"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private List<List<String>> rows() throws IOException {
    List<List<String>> rows = new ArrayList<>();
    for (String line : Files.readAllLines(folder.resolve("report.md"))) {
      if (line.startsWith("| ") && !line.startsWith("| What")) rows.add(Arrays.stream(line.substring(1).split("\\|")).map(String::strip).toList());
    }
    return rows;
  }

  @Test
  void whatMattersMostIsMeasuredFirstAndEveryFigureReachesTheTable() throws Exception {
    List<List<String>> rows = table(1, "--perf", "--only", "doctor,kernels,bench,peers", "--compile-mode", "max-autotune");
    String of = "step ResNet-18 224, batch 256, ";
    List<String> wanted = List.of("doctor", "C++ tests of the kernels", "C++ tests of products on warpgroups",
        "bench conv, seven shapes, batch 256", "conv 64 to 64 at 56x56", "conv gradW 64 to 64 at 56x56", "conv all seven", "conv all seven gradW",
        "bench gemm 4096 and 8192", "gemm 4096 x 4096 x 4096", "gemm 4096 x 4096 x 4096, warpgroups, tiles of 256 rows and 192 columns laid out before", "peers/gemm.py", "peers/conv.py",
        of + "tuned", of + "tuned: a step by the plan", of + "tuned: kernel unit_backward_adabin_bf16", of + "tuned: kernel cuDNN gradX 3x3 64 to 64 at 56x56",
        of + "defaults", of + "defaults: a step by the plan", of + "defaults: kernel unit_backward_adabin_bf16", of + "defaults: kernel cuDNN gradX 3x3 64 to 64 at 56x56",
        of + "compact", "peers/step.py", "step of a peer, given --compile-mode max-autotune", "NCCL with one rank", "step ResNet-20 CIFAR, batch 128", "step ResNet-18 CIFAR, batch 128",
        of + "float8 gradients", "step SSD300, batch 32", "step SSD300, batch 32: a step by the plan",
        "step SSD300, batch 32: kernel unit_backward_adabin_bf16", "step SSD300, batch 32: kernel cuDNN gradX 3x3 64 to 64 at 56x56");
    assertEquals(wanted, rows.stream().map(List::getFirst).toList());
    for (List<String> row : rows) {
      String name = row.getFirst(), status = name.equals("NCCL with one rank") ? "left out" : name.equals("step ResNet-20 CIFAR, batch 128") ? "FAIL" : "pass";
      assertEquals(status, row.get(3), row.toString());
      if (name.startsWith("step ") && !name.contains(":") && !name.contains("peer") && status.equals("pass")) {
        assertEquals("26584 images/s in a row, 9.630 ms (9.620 to 9.650); 2.72 GB held; floor 5.700 ms, 59 % of the step (copy 4.23 TB/s, product 785 TFLOP/s); "
            + "0.95 times the 10.137 ms of its 146 launches; host 0.100 ms (1.0 %)", row.get(1));
      }
    }
    assertEquals("15 1.540 15.2 3.781 2455 (count, ms, %, GB, GB/s)", rows.get(15).get(1));
    assertEquals("binary 0.0500 ms (0.0490 to 0.0520) 1184.0 TOPS; bfloat16 by cuDNN algorithm 1 0.1510 ms (0.1500 to 0.1550) 392.0 TOPS; 3.02 times", rows.get(4).get(1));
    assertEquals("binary 0.0300 ms (0.0290 to 0.0310) 4581.0 TOPS; bfloat16 0.1620 ms (0.1610 to 0.1630) 846.0 TOPS; 5.40 times", rows.get(10).get(1));
    String log = Files.readString(folder.resolve("report.log"));
    for (String part : List.of(STEP.substring(0, 100), "--set train.deterministic=false", "==== tuning.jsonl: what was measured and chosen\n\n{\"way\":\"measured\"}", GEMM, CONV, "out of luck",
        "given bench step adabin-resnet18-cifar10 --steps 20 --profile --device cuda")) {
      assertTrue(log.contains(part), part);
    }
  }

  @Test
  void withoutTimeNothingRunsAndNothingFailed() throws Exception {
    List<List<String>> rows = table(0, "--perf", "--only", "doctor,kernels,bench,peers", "--minutes", "0");
    assertEquals(16, rows.stream().filter(row -> row.get(3).equals("not run") && row.get(1).equals("no time left of the 0 minutes")).count(), rows.toString());
    assertEquals(16, rows.size(), rows.toString());
  }

  @Test
  void whatASanitizerFindsIsToldInFull() throws Exception {
    program("path/compute-sanitizer", """
        echo "========= COMPUTE-SANITIZER"
        case "$2" in
          memcheck) echo "========= Invalid __global__ write of size 4 bytes"; echo "=========     at unit_forward+0x70"; echo "=========     by thread (32,0,0) in block (0,0,0)"
            echo "========= ERROR SUMMARY: 1 error"; exit 99 ;;
          racecheck) echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)" ;;
          *) echo "========= ERROR SUMMARY: 0 errors" ;;
        esac
        """);
    List<List<String>> rows = table(1, "--only", "sanitizer");
    List<String> all = List.of("memcheck", "initcheck", "synccheck"), wanted = new ArrayList<>();
    for (String tool : all) wanted.add(tool + " of the C++ tests");
    for (String tool : all) wanted.add(tool + " of products on warpgroups");
    wanted.addAll(List.of("racecheck of products on warpgroups", "racecheck of the C++ tests"));
    assertEquals(wanted, rows.stream().map(List::getFirst).toList());
    assertEquals("exit code 99; ========= ERROR SUMMARY: 1 error; first: Invalid __global__ write of size 4 bytes at unit_forward+0x70 by thread (32,0,0) in block (0,0,0)", rows.getFirst().get(1));
    assertEquals(List.of("========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)", "pass"), List.of(rows.getLast().get(1), rows.getLast().get(3)));
    assertTrue(Files.readString(folder.resolve("report.md")).contains("## The first that memcheck of the C++ tests found\n\n```\n========= Invalid"));
  }

  @Test
  void whoeverEndsItTheRowsSoFarAndTheLogOfWhatRanAreThere() throws Exception {
    for (boolean byForce : new boolean[] {true, false}) {
      program("check/kernel_tests", "echo $$ >'%s/pid'; echo 'ok     add_test (3 ms)'; exec sleep 600".formatted(folder));
      Path log = folder.resolve("report.running.log");
      Process process = start("--only", "doctor,kernels,bench");
      while (process.isAlive() && (!Files.exists(log) || !Files.readString(log).contains("add_test"))) Thread.sleep(20);
      if (byForce) process.destroyForcibly();
      else process.destroy();
      assertEquals(byForce ? 137 : 1, process.waitFor(), this::said);
      List<List<String>> rows = rows();
      assertEquals(List.of("doctor", "CUDA 13.0, 1 device"), rows.getFirst().subList(0, 2));
      assertEquals(byForce ? 1 : 2, rows.size(), rows.toString());
      assertTrue(Files.readString(byForce ? log : folder.resolve("report.log")).contains("add_test"), rows.toString());
      assertEquals(byForce, Files.exists(log));
      ProcessHandle.of(Long.parseLong(Files.readString(folder.resolve("pid")).strip())).ifPresent(ProcessHandle::destroy);
      Files.deleteIfExists(log);
    }
  }
}
