package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.util.List;
import onebit.binarize.AdaBin;
import onebit.checkpoint.Checkpoint;
import onebit.checkpoint.NamedTensor;
import onebit.models.Model;
import onebit.models.ResNet18;
import onebit.ops.cpu.CpuBackend;
import onebit.optim.Optimizer;
import onebit.recipe.OptimizerRecipe;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import org.junit.jupiter.api.Test;

/** The copy that holds training up while a checkpoint is made, at the size of ImageNet's ResNet-18. */
class SnapshotTest {
  private static final OptimizerRecipe MOMENTUM = new OptimizerRecipe(OptimizerRecipe.Kind.SGD, 0.1, 0.9, 0.9, 0.999, 1e-8, 1e-5, OptimizerRecipe.Decay.ALL, 0);

  @Test
  void itIsTheStateOfItsMomentCopiedWithoutAllocatingInUnderAFifthOfASecond() {
    try (CpuBackend backend = new CpuBackend()) {
      Model model = new Model(new ResNet18(), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(1, 32, 32, 3), 1000, backend, 1);
      Optimizer optimizer = Optimizers.of(MOMENTUM, backend, model.parameters());
      FlipMeter flips = new FlipMeter(backend, model.binaryLayers());
      Snapshot snapshot = new Snapshot(backend, model, optimizer, flips);
      RunState state = new RunState();
      state.step = 7;
      var thread = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
      long least = Long.MAX_VALUE, wall = Long.MAX_VALUE, allocated = 0;
      for (int i = 0; i < 5; i++) {
        long bytes = thread.getCurrentThreadAllocatedBytes(), cpu = thread.getCurrentThreadCpuTime(), begin = System.nanoTime();
        snapshot.take(state);
        wall = Math.min(wall, System.nanoTime() - begin);
        least = Math.min(least, thread.getCurrentThreadCpuTime() - cpu);
        allocated = thread.getCurrentThreadAllocatedBytes() - bytes;
      }
      long values = model.parameters().stream().mapToLong(Parameter::size).sum();
      System.out.printf("snapshot of %,d parameters and their momentum: %.1f ms, thread time %.1f ms, %,d bytes allocated%n", values, wall / 1e6, least / 1e6, allocated);
      assertTrue(least < 200e6, least / 1e6 + " ms");
      assertTrue(allocated < 200_000, allocated + " bytes");
      List<NamedTensor> weights = model.save();
      for (Parameter p : model.parameters()) backend.fill(p.value(), 3);
      Checkpoint checkpoint = snapshot.checkpoint();
      assertEquals(7, checkpoint.step());
      assertArrayEquals(weights.toArray(), checkpoint.weights().toArray());
      assertEquals(optimizer.state().size(), checkpoint.optimizer().size());
    }
  }
}
