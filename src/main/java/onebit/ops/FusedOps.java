package onebit.ops;

import onebit.binarize.Binarizer;
import onebit.ops.PointOps.Activation;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * What stands between two binary convolutions in one pass forward and two backward: batch norm, shortcut, nonlinearity, binarization.
 *
 * <pre>
 * y = product of the convolution, t = batchNorm(y) + shortcut, z = f(t), bits of z for the next convolution
 * Shapes  y, t, z, gradQ: N,P,Q,C; vectors of C values
 * Source  anchors/performance.md, section 7: the passes that leave a training step bound by its convolutions
 * </pre>
 */
public interface FusedOps {
  /** Batch norm: its parameters, the mean and the inverse deviation it normalises with. */
  record Norm(Tensor gamma, Tensor beta, Tensor mean, Tensor inverse) {}

  /** What is added to the normalised product: nothing, x itself, or x with fewer pixels and more channels. */
  record Shortcut(Kind kind, Tensor x, int stride) {
    public enum Kind { NONE, SAME, SUBSAMPLE_PAD, AVERAGE_PAD }

    public static final Shortcut NONE = new Shortcut(Kind.NONE, null, 1);

    public static Shortcut same(Tensor x) {
      return new Shortcut(Kind.SAME, x, 1);
    }

    /** Side of the window that makes one pixel. */
    public int window() {
      return kind == Kind.AVERAGE_PAD ? stride : 1;
    }
  }

  /** What follows the sum: nothing, a fixed function, or Maxout with its slopes. */
  record Nonlinearity(Activation fixed, Tensor positive, Tensor negative) {
    public static final Nonlinearity NONE = new Nonlinearity(null, null, null);

    public boolean maxout() {
      return positive != null;
    }
  }

  /** What makes bits of z: nothing, the sign, or AdaBin's learned set, whose two values the pass writes. */
  record Binarization(Kind kind, BinarySet set, Tensor alpha, Tensor beta, boolean codeForm) {
    public enum Kind { NONE, SIGN, LEARNED }

    public static final Binarization NONE = new Binarization(Kind.NONE, null, null, null, false);
    public static final Binarization SIGN = new Binarization(Kind.SIGN, null, null, null, false);
  }

  /** A convolution of bits, as {@link BitOps#xnorConv2d} takes it. */
  record Product(BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {}

  /** All that lies between a convolution and the bits of the next one: y is its stored result, product computes it; at least one is given. */
  record Unit(Tensor y, Product product, Norm norm, Shortcut shortcut, Nonlinearity f) {
    public Unit(Tensor y, Norm norm, Shortcut shortcut, Nonlinearity f) {
      this(y, null, norm, shortcut, f);
    }
  }

  /** Where the running statistics of a batch norm are, and how they move. */
  record Running(Tensor mean, Tensor var, float momentum, float epsilon, boolean unbiased) {}

  /** Where the gradients of a unit's parameters go; gradPositive and gradNegative are null without Maxout. */
  record UnitGradients(Tensor gradGamma, Tensor gradBeta, Tensor gradPositive, Tensor gradNegative) {}

  /**
   * The gradients that meet at z: gradQ at its binarized values (null if none is wanted), over at the result of a shortcut that starts at z.
   *
   * <p>Over holds the gradient where a shortcut holds its source; kind SAME also takes any gradient at z itself. z is null in a unit's backward,
   * which computes it again.
   */
  record Incoming(Tensor gradQ, Tensor z, Binarization of, Binarizer slope, Tensor gradAlpha, Tensor gradBeta, Shortcut over) {
    /** The same for the backward of the unit that made z. */
    public Incoming ofUnit() {
      return new Incoming(gradQ, null, of, slope, gradAlpha, gradBeta, over);
    }

    /** Only a gradient at z. */
    public static Incoming plain(Tensor gradZ) {
      return new Incoming(null, null, Binarization.NONE, null, null, null, FusedOps.Shortcut.same(gradZ));
    }
  }

  /** mean and inverse of the unit's batch norm = those of y; running statistics move towards them as in {@link NormOps#batchNorm}. */
  void statistics(Unit unit, Running running);

  /** y = what {@link ConvOps#conv2dOfPixels} makes of pixels and w, and its statistics, where that can be without reading y again. */
  void statisticsOfPixels(Unit unit, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g, Running running);

  /** inverse = 1 / sqrt(var + epsilon): what evaluation normalises with. */
  void inverseDeviation(Tensor inverse, Tensor var, float epsilon);

  /** z = f(batchNorm(y) + shortcut) and its bits, where the next binarization makes any. */
  void forward(BitTensor bits, Tensor z, Unit unit, Binarization next);

  /**
   * The same from the unit's product: y = the product where the unit has room for it, and the statistics of y first where running is given.
   *
   * <p>Evaluation gives null for running; y is then left alone.
   */
  void forwardOf(BitTensor bits, Tensor z, Unit unit, Binarization next, Running running);

  /**
   * z = the product + added, each rounded as z holds it; next's mean and inverse = those of z, and running statistics move towards them.
   *
   * <p>Next and running are both null where z alone is wanted.
   */
  void sumOf(Tensor z, Product product, Tensor added, Norm next, Running running);

  /**
   * With g what comes in: gradT = g f'(t), gradY its way back through the batch norm, and the gradients of all parameters on the way.
   *
   * <p>gradT is also the gradient at the result of the unit's own shortcut. gradY may be the memory of y, gradT of nothing else. A unit without y
   * has it computed again from its product, whose filters must be those its last forwardOf saw, with the same bits in all results.
   */
  void backward(Tensor gradY, Tensor gradT, UnitGradients to, Unit unit, Incoming g);

  /** A max pooling; one pixel at stride 1 is none. */
  record Window(int size, int stride, int pad) {
    public static final Window NONE = new Window(1, 1, 0);

    /** Whether there is anything to choose among. */
    public boolean chooses() {
      return !equals(NONE);
    }
  }

  /**
   * z = the largest f(batchNorm(y)) of each window; chosen tells which of the window it is, and is null for a window of one pixel.
   *
   * <pre>
   * Shapes  y N,H,W,C; z N,P,Q,C; chosen N,P,Q,C UINT8: 16 * row + column in the window, the first of equals in row order
   * </pre>
   *
   * The unit has no shortcut.
   */
  void poolForward(Tensor z, Tensor chosen, Unit unit, Window window);

  /** gradY, which may be the memory of y, and the gradients of the unit's parameters from gradZ, by what forward chose. */
  void poolBackward(Tensor gradY, UnitGradients to, Unit unit, Tensor gradZ, Tensor chosen, Window window);

  /** gradZ = what comes in, where no unit lies before z. */
  void join(Tensor gradZ, Incoming g);
}
