package onebit.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import onebit.dist.Ranks;
import org.junit.jupiter.api.Test;

/** 512-bit kernels run only where Java compiles them to 512-bit instructions: elsewhere each vector is an object, and a step takes minutes. */
class VectorCpuTest {
  /** What a program of its own says. */
  static final class Status {
    public static void main(String[] arguments) {
      System.out.println(CpuBitOps.status());
    }
  }

  @Test
  void aJavaThatUsesNarrowerVectorsThanTheProcessorHasGetsPlainKernels() throws Exception {
    assumeTrue(OpenBlas.processorFlags().contains("avx512dq"), "the processor has no 512-bit vectors");
    List<String> command = new ArrayList<>(Ranks.java(Status.class.getName()));
    command.remove("-Donebit.vector.off=true");
    command.add(1, "-XX:UseAVX=2");
    Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, child.waitFor(), said);
    assertTrue(said.contains("plain Java bit counts, because this Java uses vectors of 256 bits here"), said);
  }
}
