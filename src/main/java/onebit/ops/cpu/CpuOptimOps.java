package onebit.ops.cpu;

import java.util.List;
import onebit.ops.OptimOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/** Optimizer updates on the CPU. */
final class CpuOptimOps implements OptimOps {
  private static final int GRAIN = 1 << 14;

  @Override
  public void sgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, float rate, float momentum) {
    Shapes.requireUpdate("sgd", values, "gradients", gradients);
    Shapes.requireUpdate("sgd", values, "velocities", velocities);
    Shapes.requireDecay("sgd", values, decay);
    for (int i = 0; i < values.size(); i++) {
      float[] w = values.get(i).floats(), g = gradients.get(i).floats(), v = velocities.get(i).floats();
      float d = decay[i];
      CpuThreads.range(values.get(i).size(), GRAIN, (from, to) -> {
        for (int k = from; k < to; k++) {
          v[k] = momentum * v[k] + (g[k] + d * w[k]);
          w[k] -= rate * v[k];
        }
      });
    }
  }

  @Override
  public void adam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, float rate, float beta1,
      float beta2, float epsilon, boolean divide) {
    Shapes.requireUpdate("adam", values, "gradients", gradients);
    Shapes.requireUpdate("adam", values, "first", first);
    Shapes.requireUpdate("adam", values, "second", second);
    Shapes.requireDecay("adam", values, decay);
    for (int i = 0; i < values.size(); i++) {
      float[] w = values.get(i).floats(), g = gradients.get(i).floats(), m = first.get(i).floats(), v = second.get(i).floats();
      float d = decay[i];
      CpuThreads.range(values.get(i).size(), GRAIN, (from, to) -> {
        for (int k = from; k < to; k++) {
          float grad = g[k] + d * w[k];
          m[k] = beta1 * m[k] + (1 - beta1) * grad;
          v[k] = beta2 * v[k] + (1 - beta2) * grad * grad;
          w[k] -= divide ? rate * m[k] / ((float) Math.sqrt(v[k]) + epsilon) : rate * m[k];
        }
      });
    }
  }

  @Override
  public void countNonFinite(Tensor counts, List<Tensor> tensors) {
    Shapes.requireCount("countNonFinite", "counts", counts, tensors.size());
    for (int i = 0; i < tensors.size(); i++) counts.floats()[i] = CpuPointOps.nonFinite(tensors.get(i));
  }
}
