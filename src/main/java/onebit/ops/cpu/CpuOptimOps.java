package onebit.ops.cpu;

import java.util.List;
import onebit.ops.OptimOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/** Optimizer updates on the CPU. The fields are what the running op works on: one caller at a time. */
final class CpuOptimOps implements OptimOps {
  private static final int GRAIN = 1 << 14;

  private float[] ws, gs, ms, vs;
  private float decayed, share, rate, beta1, beta2, epsilon;
  private boolean divide;

  @Override
  public void sgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, float momentum, Pace pace) {
    Shapes.requireSgd(values, gradients, velocities, decay, pace);
    if (pace.verdict().floats()[0] != 0) return;
    pace.steps().floats()[0]++;
    share = share(pace);
    rate = pace.rate().floats()[0];
    beta1 = momentum;
    for (int i = 0; i < values.size(); i++) {
      ws = values.get(i).floats();
      gs = gradients.get(i).floats();
      vs = velocities.get(i).floats();
      decayed = decay[i];
      CpuThreads.range(values.get(i).size(), GRAIN, this, (op, from, to) -> sgd(op.ws, op.gs, op.vs, op.decayed, op.share, op.rate, op.beta1, from, to));
    }
  }

  private static float share(Pace pace) {
    return pace.verdict().floats()[SHARE];
  }

  private static void sgd(float[] w, float[] g, float[] v, float decay, float share, float rate, float momentum, int from, int to) {
    for (int k = from; k < to; k++) {
      v[k] = momentum * v[k] + (share * g[k] + decay * w[k]);
      w[k] -= rate * v[k];
    }
  }

  @Override
  public void adam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, float beta1, float beta2,
      float epsilon, boolean rectified, Pace pace) {
    Shapes.requireAdam(values, gradients, first, second, decay, pace);
    if (pace.verdict().floats()[0] != 0) return;
    double steps = ++pace.steps().floats()[0], kept1 = Math.pow(beta1, steps), kept2 = Math.pow(beta2, steps);
    double corrected = pace.rate().floats()[0] / (1 - kept1), longest = 2 / (1 - (double) beta2) - 1, length = longest - 2 * steps * kept2 / (1 - kept2);
    divide = !rectified || length > SHORTEST_AVERAGE;
    if (!rectified) corrected *= Math.sqrt(1 - kept2);
    else if (divide) corrected *= Math.sqrt((1 - kept2) * (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2));
    share = share(pace);
    rate = (float) corrected;
    this.beta1 = beta1;
    this.beta2 = beta2;
    this.epsilon = epsilon;
    for (int i = 0; i < values.size(); i++) {
      ws = values.get(i).floats();
      gs = gradients.get(i).floats();
      ms = first.get(i).floats();
      vs = second.get(i).floats();
      decayed = decay[i];
      CpuThreads.range(values.get(i).size(), GRAIN, this, (op, from, to) -> op.adam(op.ws, op.gs, op.ms, op.vs, from, to));
    }
  }

  private void adam(float[] w, float[] g, float[] m, float[] v, int from, int to) {
    for (int k = from; k < to; k++) {
      float grad = share * g[k] + decayed * w[k];
      m[k] = beta1 * m[k] + (1 - beta1) * grad;
      v[k] = beta2 * v[k] + (1 - beta2) * grad * grad;
      w[k] -= divide ? rate * m[k] / ((float) Math.sqrt(v[k]) + epsilon) : rate * m[k];
    }
  }

  @Override
  public void judge(Tensor verdict, Tensor result, Tensor penalty, List<Tensor> tensors, float largest, List<Tensor> state, List<Tensor> kept) {
    Shapes.requireVerdict("judge", verdict, result, penalty);
    Shapes.requireUpdate("judge", state, "kept", kept);
    float[] v = verdict.floats();
    System.arraycopy(result.floats(), 0, v, 1, 3);
    v[4] = penalty == null ? 0 : penalty.floats()[0];
    v[0] = Float.isFinite(v[1]) ? 0 : -1;
    double all = 0;
    for (int i = 0; i < tensors.size(); i++) {
      double squares = squares(tensors.get(i));
      if (v[0] == 0 && !Double.isFinite(squares)) v[0] = i + 1;
      all += squares;
    }
    v[5] = (float) Math.sqrt(all);
    v[SHARE] = v[0] == 0 && largest > 0 && v[5] > largest ? largest / v[5] : 1;
    if (v[0] != 0) copyAll(state, kept);
  }

  /** Finite where all values are: squares of floats do not overflow a double. */
  private static double squares(Tensor x) {
    float[] xs = x.floats();
    double sum = 0;
    for (int i = 0, n = x.size(); i < n; i++) sum += (double) xs[i] * xs[i];
    return sum;
  }

  @Override
  public void addAll(List<Tensor> to, List<Tensor> from) {
    Shapes.requireUpdate("addAll", to, "from", from);
    for (int i = 0; i < to.size(); i++) {
      float[] sums = to.get(i).floats(), added = from.get(i).floats();
      for (int k = 0; k < to.get(i).size(); k++) sums[k] += added[k];
    }
  }

  @Override
  public void copyAll(List<Tensor> to, List<Tensor> from) {
    Shapes.requireUpdate("copyAll", to, "from", from);
    for (int i = 0; i < to.size(); i++) System.arraycopy(from.get(i).floats(), 0, to.get(i).floats(), 0, to.get(i).size());
  }
}
