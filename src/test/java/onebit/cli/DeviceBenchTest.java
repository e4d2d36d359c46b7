package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import onebit.ops.cuda.EmulatedDriver;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** The bit products of a device beside its libraries: on the emulated device every shape runs and nothing is timed. */
class DeviceBenchTest {
  private static String printed(Callable<Integer> command) {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    PrintStream before = System.out;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
    try {
      assertEquals(0, new CommandLine(command).execute("--device", "cuda-emulated"));
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
}
