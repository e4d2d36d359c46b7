package onebit.ops.cuda;

import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import onebit.ops.OptimOps;
import onebit.ops.Shapes;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * What ends a step on the device, all tensors in one launch.
 *
 * <pre>
 * Twin  kernels/sgd.cu, kernels/adam.cu, kernels/judge.cu, kernels/copy_all.cu
 * </pre>
 */
final class CudaOptimOps implements OptimOps {
  private final CudaDevice device;
  private final TensorTable updated;
  private final TensorTable watched;
  /** By the memory of the first tensor that is written, as the others. */
  private final Map<Object, TensorTable> putBack = new IdentityHashMap<>();
  private final Map<Object, TensorTable> copied = new IdentityHashMap<>();
  private final Map<Object, TensorTable> added = new IdentityHashMap<>();

  CudaOptimOps(CudaDevice device) {
    this.device = device;
    updated = new TensorTable(device);
    watched = new TensorTable(device);
  }

  @Override
  public void sgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, float momentum, Pace pace) {
    Shapes.requireSgd(values, gradients, velocities, decay, pace);
    updated.show(values, gradients, velocities, null, decay);
    updated.launch(updated.arguments(device.kernel("sgd")).real(momentum).tensor(pace.rate()).tensor(pace.steps()).tensor(pace.verdict()));
  }

  @Override
  public void adam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, float beta1, float beta2,
      float epsilon, boolean rectified, Pace pace) {
    Shapes.requireAdam(values, gradients, first, second, decay, pace);
    updated.show(values, gradients, first, second, decay);
    DeviceMemory used = device.scratch(CudaDevice.Scratch.SUMS, 8);
    device.kernel("adam_rate").memory(used).tensor(pace.steps()).tensor(pace.rate()).tensor(pace.verdict()).real(beta1).real(beta2).integer(rectified ? 1 : 0)
        .blocks(1, 32);
    updated.launch(updated.arguments(device.kernel("adam")).memory(used).tensor(pace.verdict()).real(beta1).real(beta2).real(epsilon));
  }

  @Override
  public void judge(Tensor verdict, Tensor result, Tensor penalty, List<Tensor> tensors, float largest, List<Tensor> state, List<Tensor> kept) {
    Shapes.requireVerdict("judge", verdict, result, penalty);
    Shapes.requireUpdate("judge", state, "kept", kept);
    watched.show(tensors, null, null, null, null);
    int pieces = watched.pieceCount();
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 8L * pieces);
    Kernel judge = device.kernel("judge").tensor(verdict).tensor(result);
    if (penalty == null) judge.address(0);
    else judge.tensor(penalty);
    watched.arguments(judge.memory(partial).memory(device.counters())).integer(pieces).real(largest);
    if (state.isEmpty()) judge.address(0);
    else putBack.computeIfAbsent(state.getFirst().memory(), memory -> new TensorTable(device)).shown(judge, state, kept);
    judge.integer(state.size()).blocks(Math.max(1, pieces), 256);
  }

  @Override
  public void addAll(List<Tensor> to, List<Tensor> from) {
    Shapes.requireUpdate("addAll", to, "from", from);
    for (int i = 0; i < to.size(); i++) {
      Shapes.requireType("addAll", "to", to.get(i), ElementType.FLOAT32);
      Shapes.requireType("addAll", "from", from.get(i), ElementType.FLOAT32);
    }
    if (to.isEmpty()) return;
    TensorTable table = added.computeIfAbsent(to.getFirst().memory(), memory -> new TensorTable(device));
    table.show(to, from, null, null, null);
    table.launch(table.arguments(device.kernel("add_all")));
  }

  @Override
  public void copyAll(List<Tensor> to, List<Tensor> from) {
    Shapes.requireUpdate("copyAll", to, "from", from);
    if (to.isEmpty()) return;
    for (Tensor each : to) Shapes.requireType("copyAll", "to", each, to.getFirst().type());
    for (Tensor each : from) Shapes.requireType("copyAll", "from", each, ElementType.FLOAT32);
    TensorTable table = copied.computeIfAbsent(to.getFirst().memory(), memory -> new TensorTable(device));
    table.show(to, from, null, null, null);
    table.launch(table.arguments(to.getFirst().type() == ElementType.BFLOAT16 ? device.kernel("round_all") : device.kernel("copy_all")));
  }
}
