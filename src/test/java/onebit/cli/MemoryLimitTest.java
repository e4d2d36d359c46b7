package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import onebit.models.Execution.Memory;
import onebit.ops.Backend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.train.MemoryPlan;
import org.junit.jupiter.api.Test;

class MemoryLimitTest {
  private static final List<String> SMALL = List.of("data.batch=64", "data.evalBatch=64");

  private static String refusal(String text) {
    return assertThrows(IllegalArgumentException.class, () -> MemoryLimit.of(text)).getMessage();
  }

  @Test
  void sizesAreReadInTheirUnits() {
    assertEquals(8_000_000_000L, MemoryLimit.of("8GB").bytes());
    assertEquals(1_500_000L, MemoryLimit.of("1.5 MB").bytes());
    assertEquals(2L << 30, MemoryLimit.of("2GiB").bytes());
    assertEquals("--memory-limit 8 is no size; write one like 8GB, 6.5GB, 900MB or 8GiB", refusal("8"));
  }

  @Test
  void theFastestMemoryThatFitsIsTakenAndATooSmallLimitIsRefusedWithTheBatchThatFits() {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (Backend backend = Workplace.open("cuda-emulated")) {
      assertEquals(Memory.FAST, choice("1GB", backend).recipe().train().memory());
      for (Memory memory : Memory.values()) {
        MemoryLimit.Choice choice = choice(megabytes(memory, backend) + "MB", backend);
        assertEquals(memory, choice.recipe().train().memory(), choice.words());
        assertEquals(1, choice.recipe().train().gradientAccumulation(), choice.words());
      }
      MemoryLimit.Choice parts = choice(megabytes(Memory.TINY, backend) - 3 + "MB", backend);
      assertEquals(2, parts.recipe().train().gradientAccumulation(), parts.words());
      assertTrue(parts.words().matches("Memory: train.memory=\\w+, train.gradientAccumulation=2, \\d+\\.\\d MB of the \\d+MB allowed for a step of 64 images in parts of "
          + "up to 32, over each of which batch norm takes its statistics; .*"), parts.words());
      String words = assertThrows(IllegalArgumentException.class, () -> choice("2MB", backend)).getMessage();
      String least = words.split(" ")[2];
      assertEquals(64, choice(least + "MB", backend).recipe().train().gradientAccumulation());
      assertTrue(words.matches("--memory-limit 2MB: \\d\\.\\d MB is the least that a step of 64 images needs, with .*"), words);
    }
    try (Backend backend = Workplace.open("cpu")) {
      String words = assertThrows(IllegalArgumentException.class, () -> choice("8GB", backend)).getMessage();
      assertEquals("--memory-limit is about the memory of a CUDA device; the device is cpu", words);
    }
  }

  /** What a step needs, rounded up. */
  private static long megabytes(Memory memory, Backend backend) {
    List<String> overrides = new ArrayList<>(SMALL);
    overrides.add("train.memory=" + memory.name().toLowerCase(Locale.ROOT));
    return MemoryPlan.of(Workplace.RECIPES.load("adabin-resnet20-cifar10", overrides), 64, backend.activations()).bytes() / 1_000_000 + 1;
  }

  private static MemoryLimit.Choice choice(String limit, Backend backend) {
    return MemoryLimit.of(limit).choose("adabin-resnet20-cifar10", SMALL, backend, 1);
  }
}
