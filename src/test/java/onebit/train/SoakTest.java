package onebit.train;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import onebit.dist.SingleProcess;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.report.RunLog;
import onebit.report.Screen;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A whole run, loader, logs and checkpoints included, that must not grow: heap, native memory (what is resident beside the heap the JVM
 * took from the system), file handles, device bytes.
 *
 * <pre>
 * Units   steps: -Donebit.test.soak (480 and 40 where it is not given); 16 steps an epoch, 4 in a run of fewer than 100, looked at after each
 * </pre>
 */
class SoakTest {
  private static final int CPU_STEPS = Integer.getInteger("onebit.test.soak", 480), DEVICE_STEPS = Integer.getInteger("onebit.test.soak", 40);

  private record Look(long heap, long nativeBytes, long handles, long device) {}

  @TempDir private Path folder;

  private static Look look(boolean device) {
    System.gc();
    try {
      long heap = Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
      long resident = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(l -> l.startsWith("VmRSS")).mapToLong(l -> Long.parseLong(l.replaceAll("\\D", ""))).sum();
      try (var handles = Files.list(Path.of("/proc/self/fd"))) {
        return new Look(heap, (resident << 10) - Runtime.getRuntime().totalMemory(), handles.count(), device ? EmulatedDriver.counter("live_bytes") : 0);
      }
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  private void soak(Backend backend, int steps, boolean device) throws Exception {
    int each = steps < 100 ? 4 : 16, epochs = Math.max(6, steps / each), every = Math.max(1, epochs / 30);
    Recipe recipe = new Recipes().load(ChildRun.smallRecipe(folder).toString(), List.of("train.epochs=" + epochs, "network.width=" + (device ? 4 : 8), "data.evalBatch=32"));
    List<Look> looks = new ArrayList<>();
    int[] epoch = new int[1];
    TrainOptions options = new TrainOptions("soak", null, folder.resolve(backend.name()), epochs, each);
    try (SingleProcess alone = new SingleProcess(); RunLog log = RunLog.screenOnly(Screen.none())) {
      new Trainer(recipe, backend, options, alone, Screen.none(), log, () -> {
        if (epoch[0]++ % every == 0) looks.add(look(device));
      }).run();
    }
    List<Look> late = looks.subList(looks.size() / 3, looks.size());
    Look first = late.getFirst(), last = late.getLast();
    System.out.println(backend.name() + ", " + epochs * each + " steps: after a third " + first + ", at the end " + last);
    assertTrue(last.heap - first.heap < 4L << 20, "heap grew: " + looks);
    assertTrue(last.nativeBytes - first.nativeBytes < 48L << 20, "native memory grew: " + looks);
    assertTrue(last.handles <= first.handles + 2, "file handles grew: " + looks);
    assertTrue(last.device == first.device, "device bytes grew: " + looks);
  }

  @Test
  void theCpuRunDoesNotGrow() throws Exception {
    try (Backend backend = new CpuBackend()) {
      soak(backend, CPU_STEPS, false);
    }
  }

  @Test
  void theDeviceRunDoesNotGrow() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (Backend backend = CudaBackend.emulated()) {
      soak(backend, DEVICE_STEPS, true);
    }
  }
}
