package onebit.ops.cuda;

import java.util.List;
import onebit.ops.OptimOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/**
 * Optimizer updates on the device, all tensors in one launch.
 *
 * <pre>
 * Twin  kernels/sgd.cu, kernels/adam.cu, kernels/non_finite.cu
 * </pre>
 */
final class CudaOptimOps implements OptimOps {
  private final CudaDevice device;
  private final TensorTable table;
  private final TensorTable watched;

  CudaOptimOps(CudaDevice device) {
    this.device = device;
    table = new TensorTable(device);
    watched = new TensorTable(device);
  }

  @Override
  public void sgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, float rate, float momentum) {
    Shapes.requireUpdate("sgd", values, "gradients", gradients);
    Shapes.requireUpdate("sgd", values, "velocities", velocities);
    Shapes.requireDecay("sgd", values, decay);
    table.show(values, gradients, velocities, null, decay);
    table.launch(table.arguments(device.kernel("sgd")).real(rate).real(momentum));
  }

  @Override
  public void adam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, float rate, float beta1,
      float beta2, float epsilon, boolean divide) {
    Shapes.requireUpdate("adam", values, "gradients", gradients);
    Shapes.requireUpdate("adam", values, "first", first);
    Shapes.requireUpdate("adam", values, "second", second);
    Shapes.requireDecay("adam", values, decay);
    table.show(values, gradients, first, second, decay);
    table.launch(table.arguments(device.kernel("adam")).real(rate).real(beta1).real(beta2).real(epsilon).integer(divide ? 1 : 0));
  }

  @Override
  public void countNonFinite(Tensor counts, List<Tensor> tensors) {
    Shapes.requireCount("countNonFinite", "counts", counts, tensors.size());
    watched.show(tensors, null, null, null, null);
    int pieces = watched.pieceCount();
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 8L * pieces);
    watched.launch(watched.arguments(device.kernel("non_finite_each").memory(partial)));
    watched.arguments(device.kernel("non_finite_each_finish").tensor(counts).memory(partial)).integer(pieces).blocks(tensors.size(), 256);
  }
}
