package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.dist.Ranks;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDevice;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.TrainRecipe.Precision;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The bit products of a device beside its libraries: on the emulated device every shape runs and nothing is timed. */
class DeviceBenchTest {
  private static String printed(Callable<Integer> command) {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    return written(() -> assertEquals(0, new CommandLine(command).execute("--device", "cuda-emulated")));
  }

  private static String written(Runnable work) {
    PrintStream before = System.out;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
    try {
      work.run();
    } finally {
      System.setOut(before);
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Test
  void productsRunOnTheEmulatedDeviceAndAreNotTimed() {
    String text = printed(new BenchGemm());
    assertTrue(text.contains("130 x 70 x 600: ran; the emulated device is not a GPU and never timed"), text);
    assertFalse(text.contains("TOPS"), text);
  }

  @Test
  void theSevenConvolutionsRunOnTheEmulatedDeviceAndAreNotTimed() {
    String text = printed(new BenchConv());
    assertEquals(28, text.lines().filter(line -> line.endsWith("never timed")).count(), text);
    for (String name : new String[] {"gradW ", "gradX ", "float8, both "}) {
      assertEquals(7, text.lines().filter(line -> line.startsWith(name) && line.endsWith("never timed")).count(), text);
    }
    assertFalse(text.contains(" ms"), text);
  }

  /** The emulated device in a GPU's place, in a process of its own: its driver on the loader's path, its module where the code for GPUs would be. */
  @Test
  void aGpuMultipliesBitsByEveryWay(@TempDir Path classes) throws Exception {
    Path device = EmulatedDevice.build("normal", "onebit_kernels_host", List.of());
    Files.copy(device.resolve("onebit_kernels_host.module"), Files.createDirectories(classes.resolve("onebit")).resolve("kernels.fatbin"));
    List<String> words = Ranks.java(Main.class.getName(), "bench", "gemm", "--device", "cuda", "--rounds", "1", "--size", "64,64,256");
    words.set(words.indexOf("-cp") + 1, classes + ":" + System.getProperty("java.class.path"));
    ProcessBuilder builder = new ProcessBuilder(words).redirectErrorStream(true);
    builder.environment().putAll(Map.of("LD_LIBRARY_PATH", device.toString(), "ONEBIT_CUDA_LIBS", device.toString(), "HOSTCUDA_CAPABILITY", "90"));
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    for (String name : List.of("64 x 64 x 256 ", "  by and with 64 columns a block: the usual way", "64 x 64 x 256, popcount ", "64 x 64 x 256, warpgroups, ")) {
      assertTrue(said.lines().anyMatch(line -> line.startsWith(name)), name + said);
    }
  }

  /** By a clock for which the algorithm that cuDNN names second is the faster one: forward it names 1 first, of gradients 0. */
  @Test
  void everyConvolutionOfCudnnIsByTheFastestOfItsAlgorithmsAndOursByTheirUsualWays() {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (CudaBackend backend = (CudaBackend) Workplace.open("cuda-emulated", Precision.AUTO, false)) {
      int[] runs = new int[1];
      DeviceBench bench = new DeviceBench(backend, 1, tuning -> EmulatedDevice.tune(backend, tuning, work -> {
        work.run();
        return runs[0]++ / 6 % 2 == 0 ? 2 : 1;
      }));
      String forward = written(() -> bench.conv(1)), gradients = written(() -> bench.gradients(1));
      assertEquals(7, forward.lines().filter(line -> line.contains(", beside bfloat16 by cuDNN algorithm 0: ran;")).count(), forward);
      for (String name : new String[] {"gradW ", "gradX "}) {
        assertEquals(7, gradients.lines().filter(line -> line.startsWith(name) && line.contains(", beside bfloat16 by cuDNN algorithm 1: ran;")).count(), gradients);
      }
      assertEquals(3 * 7 * 2 * 6, runs[0], "of three convolutions of each shape two algorithms are measured, of ours nothing");
    }
  }
}
