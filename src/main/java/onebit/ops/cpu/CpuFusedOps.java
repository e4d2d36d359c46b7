package onebit.ops.cpu;

import onebit.ops.BinarizeOps;
import onebit.ops.BitOps;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvOps;
import onebit.ops.FusedOps;
import onebit.ops.FusedRules;
import onebit.ops.PixelScale;
import onebit.ops.PointOps;
import onebit.ops.PoolOps;
import onebit.ops.Shapes;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Fused passes on the CPU: the simple ops one after the other, which is what a fused pass is equal to.
 *
 * <pre>
 * Twin  src/main/java/onebit/ops/cuda/CudaFusedOps.java
 * </pre>
 */
final class CpuFusedOps implements FusedOps {
  private final BitOps bits;
  private final ConvOps conv;
  private final CpuNormOps norm;
  private final PointOps point;
  private final PoolOps pool;
  private final BinarizeOps binarize;
  private final float[][] rooms = new float[5][0];

  CpuFusedOps(BitOps bits, ConvOps conv, CpuNormOps norm, PointOps point, PoolOps pool, BinarizeOps binarize) {
    this.bits = bits;
    this.conv = conv;
    this.norm = norm;
    this.point = point;
    this.pool = pool;
    this.binarize = binarize;
  }

  /** Values between two simple ops. */
  private Tensor room(int which, Shape shape) {
    if (rooms[which].length < shape.size()) rooms[which] = new float[shape.size()];
    return new Tensor(shape, ElementType.FLOAT32, rooms[which]);
  }

  @Override
  public void statistics(Unit unit, Running running) {
    FusedRules.requireStatistics("statistics", unit, running);
    moments(unit, running);
  }

  @Override
  public void statisticsOfPixels(Unit unit, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g, Running running) {
    FusedRules.requireStatistics("statisticsOfPixels", unit, running);
    conv.conv2dOfPixels(unit.y(), pixels, scale, w, g);
    moments(unit, running);
  }

  private void moments(Unit unit, Running r) {
    moments(unit.y(), unit.norm(), r);
  }

  private void moments(Tensor y, Norm n, Running r) {
    norm.batchNorm(room(0, y.shape()), y, n.gamma(), n.beta(), r.mean(), r.var(), n.mean(), n.inverse(), r.momentum(), r.epsilon(), r.unbiased());
  }

  @Override
  public void inverseDeviation(Tensor inverse, Tensor var, float epsilon) {
    Shapes.requireEqual("inverseDeviation", "inverse", inverse, "var", var);
    for (int c = 0; c < var.size(); c++) inverse.floats()[c] = (float) (1 / Math.sqrt((double) var.floats()[c] + epsilon));
  }

  /** What the nonlinearity takes. */
  private Tensor sum(Unit unit) {
    Tensor t = room(0, unit.y().shape());
    Norm n = unit.norm();
    norm.affine(t, unit.y(), n.gamma().floats(), n.beta().floats(), n.mean().floats(), n.inverse().floats());
    Shortcut s = unit.shortcut();
    switch (s.kind()) {
      case NONE -> { }
      case SAME -> point.accumulate(t, s.x());
      default -> {
        Tensor narrowed = room(1, t.shape());
        if (s.kind() == Shortcut.Kind.SUBSAMPLE_PAD) pool.subsamplePad(narrowed, s.x(), s.stride());
        else pool.poolPad(narrowed, s.x(), s.stride());
        point.accumulate(t, narrowed);
      }
    }
    return t;
  }

  @Override
  public void forward(BitTensor to, Tensor z, Unit unit, Binarization next) {
    FusedRules.requireForward("forward", to, z, unit, next);
    pass(to, z, unit, next);
  }

  @Override
  public void forwardOf(BitTensor to, Tensor z, Unit unit, Binarization next, Running running) {
    FusedRules.requireForwardOf("forwardOf", to, z, unit, next, running);
    Unit stored = stored(unit, running == null || unit.y() == null ? room(3, z.shape()) : unit.y());
    if (running != null) moments(stored, running);
    pass(to, z, stored, next);
  }

  /** The unit with its product computed into y. */
  private Unit stored(Unit unit, Tensor y) {
    multiply(y, unit.product());
    return new Unit(y, unit.norm(), unit.shortcut(), unit.f());
  }

  private void multiply(Tensor y, Product p) {
    bits.xnorConv2d(y, p.x(), p.w(), p.xSet(), p.wSet(), p.g(), p.padding(), p.offset());
  }

  @Override
  public void sumOf(Tensor z, Product product, Tensor added, Norm next, Running running) {
    FusedRules.requireSumOf("sumOf", z, product, added, next, running);
    Tensor y = room(3, z.shape());
    multiply(y, product);
    point.add(z, y, added);
    if (next != null) moments(z, next, running);
  }

  private void pass(BitTensor to, Tensor z, Unit unit, Binarization next) {
    Tensor t = sum(unit);
    nonlinear(z, t, unit.f());
    switch (next.kind()) {
      case NONE -> { }
      case SIGN -> bits.pack(to, z, 0);
      case LEARNED -> binarize.learnedSet(to, next.set(), z, next.alpha(), next.beta(), next.codeForm());
    }
  }

  @Override
  public void backward(Tensor gradY, Tensor gradT, UnitGradients to, Unit given, Incoming g) {
    FusedRules.requireBackward("backward", gradY, gradT, to, given, g);
    Unit unit = given.y() == null ? stored(given, room(3, gradY.shape())) : given;
    Tensor gradZ = room(2, gradT.shape()), t = sum(unit), z = room(4, t.shape());
    nonlinear(z, t, unit.f());
    incoming(gradZ, g, z);
    nonlinearBackward(gradT, to, gradZ, t, unit.f());
    Norm n = unit.norm();
    norm.batchNormBackward(gradY, to.gradGamma(), to.gradBeta(), gradT, unit.y(), n.gamma(), n.mean(), n.inverse());
  }

  /** f(t). */
  private void nonlinear(Tensor z, Tensor t, Nonlinearity f) {
    if (f.maxout()) point.maxout(z, t, f.positive(), f.negative());
    else if (f.fixed() != null) point.activate(z, t, f.fixed());
    else point.copy(z, t);
  }

  /** f'(t) times gradZ, and the gradients of the slopes. */
  private void nonlinearBackward(Tensor gradT, UnitGradients to, Tensor gradZ, Tensor t, Nonlinearity f) {
    if (f.maxout()) point.maxoutBackward(gradT, to.gradPositive(), to.gradNegative(), gradZ, t, f.positive(), f.negative());
    else if (f.fixed() != null) point.activateBackward(gradT, gradZ, t, f.fixed());
    else point.copy(gradT, gradZ);
  }

  @Override
  public void poolForward(Tensor z, Tensor chosen, Unit unit, Window window) {
    FusedRules.requirePool("poolForward", z, chosen, unit, window);
    Tensor t = sum(unit), v = room(1, t.shape());
    nonlinear(v, t, unit.f());
    pool.maxPool(z, v, window.size(), window.stride(), window.pad());
    if (window.chooses()) choose(chosen, v, z.shape(), window);
  }

  private static void choose(Tensor chosen, Tensor v, Shape out, Window k) {
    Shape in = v.shape();
    float[] vs = v.floats();
    byte[] to = chosen.bytes();
    for (int n = 0; n < in.d0(); n++) {
      for (int i = n * out.rowSize(); i < (n + 1) * out.rowSize(); i++) {
        int c = i % out.d3(), top = i / out.d3() / out.d2() % out.d1() * k.stride() - k.pad(), left = i / out.d3() % out.d2() * k.stride() - k.pad();
        int best = -1;
        for (int h = Math.max(0, top); h < Math.min(in.d1(), top + k.size()); h++) {
          for (int w = Math.max(0, left); w < Math.min(in.d2(), left + k.size()); w++) {
            int at = ((n * in.d1() + h) * in.d2() + w) * in.d3() + c;
            if (best >= 0 && !(vs[at] > vs[best])) continue;
            best = at;
            to[i] = (byte) (16 * (h - top) + w - left);
          }
        }
      }
    }
  }

  @Override
  public void poolBackward(Tensor gradY, UnitGradients to, Unit unit, Tensor gradZ, Tensor chosen, Window window) {
    FusedRules.requirePool("poolBackward", gradZ, chosen, unit, window);
    Shapes.requireEqual("poolBackward", "gradY", gradY, "y", unit.y());
    Tensor t = sum(unit), gradV = room(1, t.shape()), gradT = room(2, t.shape());
    if (window.chooses()) give(gradV, gradZ, chosen, window);
    else point.copy(gradV, gradZ);
    nonlinearBackward(gradT, to, gradV, t, unit.f());
    Norm n = unit.norm();
    norm.batchNormBackward(gradY, to.gradGamma(), to.gradBeta(), gradT, unit.y(), n.gamma(), n.mean(), n.inverse());
  }

  /** gradV = the sum of gradZ over the windows that chose a value. */
  private static void give(Tensor gradV, Tensor gradZ, Tensor chosen, Window k) {
    Shape in = gradV.shape(), out = gradZ.shape();
    float[] to = gradV.floats(), gs = gradZ.floats();
    byte[] which = chosen.bytes();
    java.util.Arrays.fill(to, 0, in.size(), 0);
    for (int n = 0; n < in.d0(); n++) {
      for (int i = n * out.rowSize(); i < (n + 1) * out.rowSize(); i++) {
        int h = i / out.d3() / out.d2() % out.d1() * k.stride() - k.pad() + (which[i] & 255) / 16;
        int w = i / out.d3() % out.d2() * k.stride() - k.pad() + (which[i] & 15);
        to[((n * in.d1() + h) * in.d2() + w) * in.d3() + i % out.d3()] += gs[i];
      }
    }
  }

  @Override
  public void join(Tensor gradZ, Incoming g) {
    FusedRules.requireJoin("join", gradZ, g);
    incoming(gradZ, g, g.z());
  }

  private void incoming(Tensor gradZ, Incoming g, Tensor z) {
    boolean binary = g.gradQ() != null;
    if (binary && g.of().kind() == Binarization.Kind.LEARNED) {
      binarize.learnedSetBackward(gradZ, g.gradAlpha(), g.gradBeta(), g.gradQ(), z, g.of().alpha(), g.of().beta(), g.slope(), g.of().codeForm());
    } else if (binary) {
      binarize.slope(gradZ, g.gradQ(), z, g.slope());
    }
    Shortcut over = g.over();
    if (over.kind() == Shortcut.Kind.NONE) return;
    Tensor back = over.x();
    if (over.kind() != Shortcut.Kind.SAME) {
      back = room(1, gradZ.shape());
      if (over.kind() == Shortcut.Kind.SUBSAMPLE_PAD) pool.subsamplePadBackward(back, over.x(), over.stride());
      else pool.poolPadBackward(back, over.x(), over.stride());
    }
    if (binary) point.accumulate(gradZ, back);
    else point.copy(gradZ, back);
  }
}
