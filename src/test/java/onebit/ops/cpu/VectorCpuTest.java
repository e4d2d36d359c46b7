package onebit.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import onebit.dist.Ranks;
import org.junit.jupiter.api.Test;

/**
 * Vectors are as wide as Java compiles them: wider ones become objects, and a step takes minutes. The build runs the contract tests of products on 256 bits too
 * (execution products-on-256-bit-vectors of the pom).
 */
class VectorCpuTest {
  /** What a program of its own says. */
  static final class Status {
    public static void main(String[] arguments) {
      System.out.println(CpuBitOps.status());
    }
  }

  @Test
  void aJavaThatUsesNarrowerVectorsThanTheProcessorHasWorksOnThose() throws Exception {
    assumeTrue(OpenBlas.processorFlags().contains("avx512dq"), "the processor has no 512-bit vectors");
    assertTrue(status("-XX:UseAVX=2").contains("Vector API with 256-bit popcounts"));
  }

  @Test
  void aJavaToldOfNoAvx2GetsPlainKernels() throws Exception {
    assumeTrue(OpenBlas.processorFlags().contains("avx2"), "the processor has no 256-bit vectors");
    assertTrue(status("-XX:UseAVX=1").contains("plain Java bit counts, because this Java uses vectors of 128 bits here"), status("-XX:UseAVX=1"));
  }

  private static String status(String option) throws Exception {
    List<String> command = new ArrayList<>(Ranks.java(Status.class.getName()));
    command.remove("-Donebit.vector.off=true");
    command.add(1, option);
    Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, child.waitFor(), said);
    return said;
  }
}
