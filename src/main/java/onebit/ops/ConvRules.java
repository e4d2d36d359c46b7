package onebit.ops;

import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** What the bit and convolution ops ask of their arguments; every backend refuses with these words. */
public final class ConvRules {
  private static final int MOST_CHANNELS = 4;

  private ConvRules() {}

  /** @throws IllegalArgumentException unless the tensor holds as many values as the shape */
  public static void requireSize(String op, String name, Tensor tensor, Shape shape) {
    if (tensor.size() != shape.size()) {
      throw new IllegalArgumentException(op + ": " + name + " has shape " + tensor.shape() + ", " + tensor.size() + " values; " + shape + " wanted");
    }
  }

  public static void requirePack(String op, BitTensor bits, Tensor x) {
    long values = (long) bits.rows() * bits.bits();
    if (values != x.size()) {
      throw new IllegalArgumentException(op + ": " + bits.rows() + " rows of " + bits.bits() + " bits are " + values + " values, x has " + x.size());
    }
  }

  public static void requireSet(String op, String name, BinarySet set, int rows) {
    if (set.count() != 1 && set.count() != rows) {
      throw new IllegalArgumentException(op + ": " + name + " has " + set.count() + " sets; 1 or " + rows + " wanted");
    }
  }

  public static void requireChangedBits(Tensor counts, int at, BitTensor before, BitTensor now) {
    if (before.rows() != now.rows() || before.bits() != now.bits()) {
      throw new IllegalArgumentException("changedBits: before has " + before.rows() + " rows of " + before.bits() + " bits, now has " + now.rows() + " of "
          + now.bits() + "; they must be equal");
    }
    if (at < 0 || 2 * at + 1 >= counts.size()) {
      throw new IllegalArgumentException("changedBits: at is " + at + ", counts has room for " + counts.size() / 2);
    }
  }

  public static void requireXnorGemm(Tensor y, BitTensor a, BitTensor b) {
    if (a.bits() != b.bits()) {
      throw new IllegalArgumentException("xnorGemm: a has " + a.bits() + " bits per row, b has " + b.bits() + "; they must be equal");
    }
    if (y.size() != (long) a.rows() * b.rows()) requireSize("xnorGemm", "y", y, Shape.matrix(a.rows(), b.rows()));
  }

  public static void requireXnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g) {
    requireXnorOperands("xnorConv2d", x, w, xSet, wSet, g);
    if (y.size() != values(g.n(), g.p(), g.q(), g.o())) requireSize("xnorConv2d", "y", y, g.y());
  }

  /** The same of a product whose result is stored elsewhere. */
  static void requireXnorOperands(String op, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g) {
    requireOneGroup(op, g);
    requireBits(op, "x", x, (long) g.n() * g.h() * g.w(), g.c());
    requireBits(op, "w", w, g.o(), g.taps());
    if (xSet.count() != 1) throw new IllegalArgumentException(op + ": xSet has " + xSet.count() + " sets; 1 wanted");
    requireSet(op, "wSet", wSet, g.o());
  }

  /** @throws IllegalArgumentException unless all fit the geometry, and values has room for x where gradY is FLOAT32 and is null elsewhere */
  public static void requireXnorConv2dGradW(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, Tensor values) {
    String op = "xnorConv2dGradW";
    requireOneGroup(op, g);
    requireBits(op, "x", x, (long) g.n() * g.h() * g.w(), g.c());
    if (xSet.count() != 1) throw new IllegalArgumentException(op + ": xSet has " + xSet.count() + " sets; 1 wanted");
    requireConv2d(op, values, gradW, gradY, g);
    if (gradW.type() != gradY.type()) Shapes.requireType(op, "gradW", gradW, ElementType.FLOAT32);
    if ((values == null) != (gradY.type() == ElementType.BFLOAT16)) {
      throw new IllegalArgumentException(op + ": values is " + (values == null ? "null" : "given") + " for a gradY of " + gradY.type() + "; it must be "
          + (values == null ? "given" : "null"));
    }
    if (values != null) requireSameType(op, "values", values, "gradY", gradY);
  }

  public static void requireXnorConv2dGradX(Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, Tensor values, ConvGeometry g) {
    String op = "xnorConv2dGradX";
    requireOneGroup(op, g);
    requireBits(op, "w", w, g.o(), g.taps());
    requireSet(op, "wSet", wSet, g.o());
    requireConv2d(op, gradX, values, gradY, g);
    requireSameType(op, "gradX", gradX, "gradY", gradY);
  }

  /** rounds: whether gradients must be bfloat16, as those of a device that multiplies float8. */
  public static void requireXnorConv2dGradFloat8(Tensor gradX, Tensor gradW, Tensor gradY, Tensor codes, BitTensor x, BinarySet xSet, BitTensor w, BinarySet wSet,
      ConvGeometry g, boolean rounds) {
    String op = "xnorConv2dGradFloat8";
    requireXnorOperands(op, x, w, xSet, wSet, g);
    requireConv2d(op, gradX, gradW, gradY, g);
    if (rounds) Shapes.requireType(op, "gradY", gradY, ElementType.BFLOAT16);
    requireSameType(op, "gradX", gradX, "gradY", gradY);
    if (gradW.type() != gradY.type()) Shapes.requireType(op, "gradW", gradW, ElementType.FLOAT32);
    Shapes.requireType(op, "codes", codes, ElementType.UINT8);
    if (codes.size() != gradY.size()) requireSize(op, "codes", codes, g.y());
  }

  private static void requireOneGroup(String op, ConvGeometry g) {
    if (g.groups() != 1) throw new IllegalArgumentException(op + ": groups must be 1, got " + g.groups());
  }

  private static void requireBits(String op, String name, BitTensor t, long rows, int bits) {
    if (t.rows() != rows || t.bits() != bits) {
      throw new IllegalArgumentException(op + ": " + name + " has " + t.rows() + " rows of " + t.bits() + " bits; " + rows + " of " + bits + " wanted");
    }
  }

  /** @throws IllegalArgumentException unless both tensors hold elements of one type */
  public static void requireSameType(String op, String name, Tensor tensor, String otherName, Tensor other) {
    if (tensor.type() != other.type()) {
      throw new IllegalArgumentException(op + ": " + name + " is " + tensor.type() + ", " + otherName + " is " + other.type() + "; they must be equal");
    }
  }

  public static void requireConv2d(String op, Tensor x, Tensor w, Tensor y, ConvGeometry g) {
    // shapes are made for the refusal only: a step makes no objects
    if (x != null && x.size() != values(g.n(), g.h(), g.w(), g.c())) requireSize(op, "x", x, g.x());
    if (w != null && w.size() != (long) g.o() * g.taps()) requireSize(op, "w", w, g.filters());
    if (y != null && y.size() != values(g.n(), g.p(), g.q(), g.o())) requireSize(op, "y", y, g.y());
  }

  /**
   * Whether a convolution beside such activations makes its values of bytes on the way: one of stride 2 over few channels in bfloat16, whose images are
   * arranged in blocks of pixels anyway. Others read images where they lie, once per tap, so that their values are made once and stored.
   */
  public static boolean takesPixels(ConvGeometry g, ElementType activations) {
    return activations == ElementType.BFLOAT16 && g.c() <= MOST_CHANNELS && g.stride() == 2 && g.dilation() == 1 && g.groups() == 1;
  }

  private static long values(int d0, int d1, int d2, int d3) {
    return (long) d0 * d1 * d2 * d3;
  }

  /** @throws IllegalArgumentException unless w is [O][I] and x has N rows of I, y N rows of O values */
  public static void requireLinear(String op, Tensor y, Tensor x, Tensor w) {
    int n = x.shape().d0(), i = x.shape().rowSize(), o = w.shape().d0();
    if (w.shape().rowSize() != i || y.shape().d0() != n || y.shape().rowSize() != o) {
      throw new IllegalArgumentException(op + ": x " + x.shape() + ", w " + w.shape() + " and y " + y.shape() + " do not fit; wanted [N][I], [O][I], [N][O]");
    }
  }

  public static void requireGemm(Tensor c, Tensor a, Tensor b, int m, int n, int k) {
    if (m < 0 || n < 0 || k < 0) throw new IllegalArgumentException("gemm: m " + m + ", n " + n + " and k " + k + " must be >= 0");
    requireMatrix("a", a, m, k);
    requireMatrix("b", b, k, n);
    requireMatrix("c", c, m, n);
  }

  private static void requireMatrix(String name, Tensor t, int rows, int columns) {
    if (t.size() != (long) rows * columns) {
      throw new IllegalArgumentException("gemm: " + name + " has " + t.size() + " values, " + rows + " x " + columns + " wanted");
    }
  }
}
