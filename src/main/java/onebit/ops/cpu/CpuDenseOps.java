package onebit.ops.cpu;

import java.util.Arrays;
import onebit.binarize.Binarizer;
import onebit.ops.BinarizeOps;
import onebit.ops.BitOps;
import onebit.ops.DenseOps;
import onebit.ops.DenseRules;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Running;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Dense blocks on the CPU: channels are copied out of their buffer, and the simple ops run on the copies.
 *
 * <pre>
 * Twin  src/main/java/onebit/ops/cuda/CudaDenseOps.java
 * </pre>
 */
final class CpuDenseOps implements DenseOps {
  private final BitOps bits;
  private final CpuNormOps norm;
  private final BinarizeOps binarize;
  private final float[][] rooms = new float[5][0];

  CpuDenseOps(BitOps bits, CpuNormOps norm, BinarizeOps binarize) {
    this.bits = bits;
    this.norm = norm;
    this.binarize = binarize;
  }

  /** Values between two simple ops. */
  private Tensor room(int which, Shape shape) {
    if (rooms[which].length < shape.size()) rooms[which] = new float[shape.size()];
    return new Tensor(shape, ElementType.FLOAT32, rooms[which]);
  }

  private static Shape shape(Channels x) {
    Shape all = x.of().shape();
    return Shape.image(all.d0(), all.d1(), all.d2(), x.count());
  }

  @Override
  public void append(Channels to, Tensor y, Moments moments) {
    DenseRules.requireAppend("append", to, y, moments);
    copy(to, y, true);
    if (moments == null) return;
    int c = to.count();
    Shape each = Shape.vector(c);
    float[] ones = new float[c];
    Arrays.fill(ones, 1);
    // with momentum 1 from 0 on, the running statistics become those of the batch
    Tensor mean = Tensor.of(each, new float[c]), inverse = Tensor.of(each, new float[c]), kept = Tensor.of(each, new float[c]);
    norm.batchNorm(room(0, y.shape()), y, Tensor.of(each, ones), Tensor.of(each, new float[c]), Tensor.of(each, new float[c]), kept, mean, inverse, 1,
        moments.epsilon(), moments.unbiased());
    System.arraycopy(mean.floats(), 0, moments.mean().floats(), to.from(), c);
    System.arraycopy(inverse.floats(), 0, moments.inverse().floats(), to.from(), c);
    System.arraycopy(kept.floats(), 0, moments.var().floats(), to.from(), c);
  }

  @Override
  public void appendOf(Channels to, Product p, Moments moments) {
    DenseRules.requireAppendOf("appendOf", to, p, moments);
    Tensor y = room(4, p.g().y());
    bits.xnorConv2d(y, p.x(), p.w(), p.xSet(), p.wSet(), p.g(), p.padding(), p.offset());
    append(to, y, moments);
  }

  @Override
  public void moveRunning(Running running, Moments moments) {
    DenseRules.requireMoveRunning("moveRunning", running, moments);
    move(running, moments.mean(), moments.var());
  }

  private static void move(Running running, Tensor mean, Tensor var) {
    float[] means = running.mean().floats(), vars = running.var().floats();
    for (int c = 0; c < running.mean().size(); c++) {
      means[c] += running.momentum() * (mean.floats()[c] - means[c]);
      vars[c] += running.momentum() * (var.floats()[c] - vars[c]);
    }
  }

  @Override
  public void take(Tensor y, Channels from) {
    DenseRules.requirePiece("take", from, y);
    copy(from, y, false);
  }

  private static void copy(Channels x, Tensor y, boolean in) {
    int pitch = x.of().shape().channels(), c = x.count();
    float[] wide = x.of().floats(), narrow = y.floats();
    for (int row = 0; row < x.rows(); row++) {
      if (in) System.arraycopy(narrow, row * c, wide, row * pitch + x.from(), c);
      else System.arraycopy(wide, row * pitch + x.from(), narrow, row * c, c);
    }
  }

  private Tensor taken(int which, Channels x) {
    Tensor values = room(which, shape(x));
    copy(x, values, false);
    return values;
  }

  private void normalize(Tensor t, Tensor x, Norm n) {
    norm.affine(t, x, n.gamma().floats(), n.beta().floats(), n.mean().floats(), n.inverse().floats());
  }

  @Override
  public void normSign(BitTensor to, Channels x, Norm n, Tensor var, Running running) {
    DenseRules.requireNormSign("normSign", to, x, n, var, running);
    Tensor values = taken(0, x), t = room(1, values.shape());
    normalize(t, values, n);
    bits.pack(to, t, 0);
    if (running != null) move(running, n.mean(), var);
  }

  @Override
  public void normSignBackward(Channels gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradQ, Channels x, Norm n, Binarizer slope) {
    DenseRules.requireNormSignBackward("normSignBackward", gradX, gradGamma, gradBeta, gradQ, x, n);
    Tensor values = taken(0, x), t = room(1, values.shape()), h = room(2, values.shape()), back = room(3, values.shape());
    normalize(t, values, n);
    binarize.slope(h, gradQ, t, slope);
    norm.batchNormBackward(back, gradGamma, gradBeta, h, values, n.gamma(), first(n.mean(), x.count()), first(n.inverse(), x.count()));
    int pitch = gradX.of().shape().channels(), c = gradX.count();
    float[] sums = gradX.of().floats(), more = back.floats();
    for (int i = 0; i < gradX.rows() * c; i++) sums[i / c * pitch + i % c] += more[i];
  }

  private static Tensor first(Tensor vector, int count) {
    return vector.size() == count ? vector : new Tensor(Shape.vector(count), vector.type(), vector.memory());
  }
}
