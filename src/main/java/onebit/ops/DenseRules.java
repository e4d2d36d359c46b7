package onebit.ops;

import onebit.ops.DenseOps.Channels;
import onebit.ops.DenseOps.Moments;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Running;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/** What the ops of dense blocks ask of their arguments; every backend refuses with these words. */
public final class DenseRules {
  private DenseRules() {}

  private static void requireInside(String op, Channels x) {
    Shapes.requireSome(op, "the buffer", x.of());
    int channels = x.of().shape().channels();
    if (x.from() < 0 || x.count() < 1 || x.from() + x.count() > channels) {
      throw new IllegalArgumentException(op + ": channels " + x.from() + " to " + (x.from() + x.count()) + " of a buffer with " + channels);
    }
  }

  /** Pieces of equal rows and channels. */
  public static void requirePiece(String op, Channels x, Tensor y) {
    requireInside(op, x);
    Shapes.requireType(op, "y", y, x.of().type());
    if (y.shape().channels() != x.count() || y.size() != x.rows() * x.count()) {
      throw new IllegalArgumentException(op + ": y " + y.shape() + " for " + x.count() + " channels of " + x.of().shape() + "; they must be equal");
    }
  }

  public static void requireAppend(String op, Channels to, Tensor y, Moments moments) {
    requirePiece(op, to, y);
    requireMoments(op, to, moments);
  }

  public static void requireAppendOf(String op, Channels to, Product product, Moments moments) {
    requireInside(op, to);
    ConvGeometry g = product.g();
    if (g.o() != to.count() || g.n() * g.p() * g.q() != to.rows()) {
      throw new IllegalArgumentException(op + ": a product " + g.y() + " for " + to.count() + " channels of " + to.of().shape() + "; they must be equal");
    }
    ConvRules.requireXnorOperands("xnorConv2d", product.x(), product.w(), product.xSet(), product.wSet(), g);
    requireMoments(op, to, moments);
  }

  private static void requireMoments(String op, Channels to, Moments moments) {
    if (moments == null) return;
    Shapes.requirePerChannel(op, "mean", moments.mean(), to.of());
    Shapes.requirePerChannel(op, "inverse", moments.inverse(), to.of());
    Shapes.requirePerChannel(op, "var", moments.var(), to.of());
  }

  public static void requireMoveRunning(String op, Running running, Moments moments) {
    Shapes.requireEqual(op, "runningVar", running.var(), "runningMean", running.mean());
    requireAtLeast(op, "mean", moments.mean(), running.mean().size());
    requireAtLeast(op, "var", moments.var(), running.mean().size());
  }

  private static void requireFirst(String op, Channels x, Norm norm) {
    requireInside(op, x);
    if (x.from() != 0) throw new IllegalArgumentException(op + ": channels from " + x.from() + " on; they must be the first");
    Shapes.requireCount(op, "gamma", norm.gamma(), x.count());
    Shapes.requireCount(op, "beta", norm.beta(), x.count());
    requireAtLeast(op, "mean", norm.mean(), x.count());
    requireAtLeast(op, "inverse", norm.inverse(), x.count());
  }

  private static void requireAtLeast(String op, String name, Tensor values, int count) {
    if (values.size() < count) throw new IllegalArgumentException(op + ": " + name + " has " + values.size() + " values for " + count + " channels");
  }

  public static void requireNormSign(String op, BitTensor bits, Channels x, Norm norm, Tensor var, Running running) {
    requireFirst(op, x, norm);
    if (bits.bits() != x.count() || bits.rows() != x.rows()) {
      throw new IllegalArgumentException(op + ": " + bits.rows() + " rows of " + bits.bits() + " bits for " + x.rows() + " pixels of " + x.count()
          + " channels; they must be equal");
    }
    if ((var == null) != (running == null)) throw new IllegalArgumentException(op + ": var and running must be given together");
    if (running == null) return;
    requireAtLeast(op, "var", var, x.count());
    Shapes.requireCount(op, "runningMean", running.mean(), x.count());
    Shapes.requireCount(op, "runningVar", running.var(), x.count());
  }

  public static void requireNormSignBackward(String op, Channels gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradQ, Channels x, Norm norm) {
    requireFirst(op, x, norm);
    requireFirst(op, gradX, norm);
    requirePiece(op, x, gradQ);
    requirePiece(op, gradX, gradQ);
    Shapes.requireCount(op, "gradGamma", gradGamma, x.count());
    Shapes.requireCount(op, "gradBeta", gradBeta, x.count());
  }
}
