package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** The C++ tests of the kernels, on the emulated device. */
class KernelProgramTest {
  @Test
  void everyKernelAgreesWithItsReferenceInCpp() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Process run = new ProcessBuilder("bash", "native-tests/run.sh", "normal").redirectErrorStream(true).start();
    String output = new String(run.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, run.waitFor(), output);
    assertTrue(output.contains(" 0 failed,"), output);
  }

  @Test
  void theEmulatedDeviceFindsEveryPlantedBugAndWorksOn() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Process run = new ProcessBuilder("bash", "native-tests/hostcuda/test/run.sh", "normal").redirectErrorStream(true).start();
    String output = new String(run.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, run.waitFor(), output);
    assertTrue(output.contains("hostcuda_test (normal)") && output.contains(" 0 failed"), output);
  }

  @Test
  void everyEntryOfEveryKernelFileIsLaunchedByACppTest() throws Exception {
    TreeSet<String> missing = new TreeSet<>();
    StringBuilder tests = new StringBuilder();
    try (var files = Files.list(Path.of("native-tests"))) {
      for (Path file : files.filter(f -> f.toString().endsWith("_test.cpp")).toList()) tests.append(Files.readString(file));
    }
    int found = 0;
    try (var files = Files.list(Path.of("kernels"))) {
      for (Path file : files.filter(f -> f.toString().endsWith(".cu")).toList()) {
        for (String name : KernelIndexTest.entries(Files.readString(file))) {
          found++;
          String written = "\"" + name.replaceFirst("_bf16$", "") + "\"";
          boolean both = tests.indexOf("entry<E>(" + written) >= 0 || tests.indexOf("entry<decltype(zero)>(" + written) >= 0
              || tests.indexOf("\"" + name + "\"") >= 0;
          if (name.endsWith("_bf16") ? !both : tests.indexOf(written) < 0) missing.add(file + ": " + name);
        }
      }
    }
    assertTrue(found > 40, found + " entries");
    assertEquals(new TreeSet<>(), missing);
  }
}
