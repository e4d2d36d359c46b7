package onebit.ops;

import java.util.List;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** What the norm, point, pool, loss, optimizer and binarization ops ask of their arguments; every backend refuses with these words. */
public final class Shapes {
  private Shapes() {}

  /** @throws IllegalArgumentException unless both hold equally many values */
  public static void requireEqual(String op, String name, Tensor tensor, String otherName, Tensor other) {
    if (tensor.size() != other.size()) {
      throw new IllegalArgumentException(op + ": " + name + " " + tensor.shape() + " has " + tensor.size() + " values, " + otherName + " "
          + other.shape() + " has " + other.size() + "; they must be equal");
    }
  }

  /** @throws IllegalArgumentException unless the tensor holds exactly so many values */
  public static void requireCount(String op, String name, Tensor tensor, int count) {
    if (tensor.size() != count) throw new IllegalArgumentException(op + ": " + name + " has " + tensor.size() + " values; it must have " + count);
  }

  /** @throws IllegalArgumentException unless the tensor holds one value per channel of x */
  public static void requirePerChannel(String op, String name, Tensor tensor, Tensor x) {
    if (tensor.size() != x.shape().channels()) {
      throw new IllegalArgumentException(op + ": " + name + " has " + tensor.size() + " values, rows of " + x.shape() + " have "
          + x.shape().channels() + " channels; they must be equal");
    }
  }

  public static void requireBias(Tensor gradBias, Tensor rounded, Tensor gradY) {
    requirePerChannel("biasBackward", "gradBias", gradBias, gradY);
    if (rounded == null) return;
    requireEqual("biasBackward", "rounded", rounded, "gradY", gradY);
    requireType("biasBackward", "rounded", rounded, ElementType.BFLOAT16);
  }

  /** @throws IllegalArgumentException unless the tensor holds one value per filter of w */
  public static void requirePerFilter(String op, String name, Tensor tensor, Tensor w) {
    if (tensor.size() != w.shape().d0()) {
      throw new IllegalArgumentException(op + ": " + name + " has " + tensor.size() + " values for " + w.shape().d0() + " filters; they must be equal");
    }
  }

  /** @throws IllegalArgumentException unless the tensor is of that element type */
  public static void requireType(String op, String name, Tensor tensor, ElementType type) {
    if (tensor.type() != type) throw new IllegalArgumentException(op + ": " + name + " is " + tensor.type() + "; it must be " + type);
  }

  /** @throws IllegalArgumentException if there are fewer values to write than the tensor holds */
  public static void requireValues(Tensor to, int count) {
    if (count < to.size()) throw new IllegalArgumentException("write: " + count + " values for a tensor " + to.shape() + " of " + to.size());
  }

  /** @throws IllegalArgumentException if the tensor holds no value: nothing can be averaged over it */
  public static void requireSome(String op, String name, Tensor tensor) {
    if (tensor.size() == 0) throw new IllegalArgumentException(op + ": " + name + " " + tensor.shape() + " holds no values; at least one is needed");
  }

  /** @throws IllegalArgumentException unless the bits are as many as the values */
  public static void requireBits(String op, BitTensor bits, Tensor x) {
    ConvRules.requirePack(op, bits, x);
  }

  /** Bits of activations: the rows of a sample are whole. */
  public static void requireSampleBits(String op, BitTensor bits, Tensor x) {
    requireBits(op, bits, x);
    requireSome(op, "x", x);
    if (bits.rows() % x.shape().d0() != 0) {
      throw new IllegalArgumentException(op + ": " + bits.rows() + " rows of bits do not divide into " + x.shape().d0() + " samples");
    }
  }

  public static void requireBatchNorm(String op, Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor mean, Tensor spread) {
    requireSome(op, "x", x);
    requireEqual(op, "y", y, "x", x);
    requirePerChannel(op, "gamma", gamma, x);
    requirePerChannel(op, "beta", beta, x);
    requirePerChannel(op, "the mean", mean, x);
    requirePerChannel(op, "the variance", spread, x);
  }

  public static void requireL2(String op, Tensor y, Tensor x, Tensor scale) {
    requireSome(op, "x", x);
    requireEqual(op, op.endsWith("Backward") ? "gradX" : "y", y, "x", x);
    requirePerChannel(op, "scale", scale, x);
  }

  public static void requireMaxoutBackward(Tensor gradX, Tensor gradPositive, Tensor gradNegative, Tensor gradY, Tensor x, Tensor positive, Tensor negative) {
    requireEqual("maxoutBackward", "gradX", gradX, "x", x);
    requireEqual("maxoutBackward", "gradY", gradY, "x", x);
    requirePerChannel("maxoutBackward", "positive", positive, x);
    requirePerChannel("maxoutBackward", "negative", negative, x);
    requirePerChannel("maxoutBackward", "gradPositive", gradPositive, x);
    requirePerChannel("maxoutBackward", "gradNegative", gradNegative, x);
  }

  /** x and y of a window op: equal images and channels, and every window of y meets the image. */
  public static void requirePool(String op, Shape x, Shape y, int window, int stride, int pad) {
    requireWindows(op, x, y, window, stride, pad);
    if (x.d3() != y.d3()) throw new IllegalArgumentException(op + ": x " + x + " and y " + y + " must have equally many channels");
  }

  /** x and y of a shortcut that widens the channels: as many zeros before as after; windows are whole unless they are one pixel. */
  public static void requireShortcut(String op, Shape x, Shape y, int window, int stride) {
    requireWindows(op, x, y, window, stride, 0);
    if ((y.d1() - 1) * stride + window > x.d1() || (y.d2() - 1) * stride + window > x.d2()) {
      throw new IllegalArgumentException(op + ": windows of " + window + " at stride " + stride + " for y " + y + " leave x " + x);
    }
    if (y.d3() < x.d3() || (y.d3() - x.d3()) % 2 != 0) {
      throw new IllegalArgumentException(op + ": " + x.d3() + " channels cannot be padded evenly to " + y.d3());
    }
  }

  private static void requireWindows(String op, Shape x, Shape y, int window, int stride, int pad) {
    if (window < 1 || stride < 1 || pad < 0 || pad >= window) {
      throw new IllegalArgumentException(op + ": window " + window + ", stride " + stride + ", pad " + pad
          + "; window and stride must be >= 1 and pad in [0, window)");
    }
    if (x.rank() != 4 || y.rank() != 4 || x.d0() != y.d0()) {
      throw new IllegalArgumentException(op + ": x " + x + " and y " + y + " must be equally many images");
    }
    if ((y.d1() - 1) * stride - pad >= x.d1() || (y.d2() - 1) * stride - pad >= x.d2()) {
      throw new IllegalArgumentException(op + ": y " + y + " has windows wholly outside x " + x + " at stride " + stride + " and pad " + pad);
    }
  }

  /** Rows of a and b side by side make rows of y. */
  public static void requireConcat(String op, Tensor y, Tensor a, Tensor b) {
    int ca = a.shape().channels(), cb = b.shape().channels();
    if (y.shape().channels() != ca + cb || (long) a.size() * cb != (long) b.size() * ca || y.size() != a.size() + b.size()) {
      throw new IllegalArgumentException(op + ": parts " + a.shape() + " and " + b.shape() + " side by side do not make " + y.shape());
    }
  }

  public static void requireLoss(String op, Tensor result, Tensor gradLogits, Tensor logits, Tensor labels, float smoothing) {
    requireSome(op, "logits", logits);
    requireCount(op, "result", result, 3);
    requireEqual(op, "gradLogits", gradLogits, "logits", logits);
    requireType(op, "labels", labels, ElementType.INT32);
    requireCount(op, "labels", labels, logits.shape().d0());
    if (!(smoothing >= 0 && smoothing < 1)) throw new IllegalArgumentException(op + ": smoothing is " + smoothing + "; it must be in [0, 1)");
  }

  public static void requireDistilled(String op, Tensor result, Tensor gradLogits, Tensor logits, Tensor teacher, Tensor labels, float temperature, float hard,
      float smoothing) {
    requireLoss(op, result, gradLogits, logits, labels, smoothing);
    requireEqual(op, "teacher", teacher, "logits", logits);
    if (!(temperature > 0 && temperature < Float.POSITIVE_INFINITY)) throw new IllegalArgumentException(op + ": temperature is " + temperature + "; it must be > 0 and finite");
    if (!(hard >= 0 && hard <= 1)) throw new IllegalArgumentException(op + ": hard is " + hard + "; it must be in [0, 1]");
  }

  public static void requireMultibox(Tensor result, Tensor gradOutput, Tensor output, Tensor labels, Tensor offsets, Tensor divisor, int classes, float ratio) {
    if (classes < 2) throw new IllegalArgumentException("multibox: classes is " + classes + "; it must be at least 2, the background among them");
    if (!(ratio >= 0 && ratio < Float.POSITIVE_INFINITY)) throw new IllegalArgumentException("multibox: ratio is " + ratio + "; it must be >= 0 and finite");
    requireCount("multibox", "result", result, 3);
    requireCount("multibox", "divisor", divisor, 1);
    requireType("multibox", "labels", labels, ElementType.INT32);
    requireSome("multibox", "labels", labels);
    requireWide("output", output, labels, 4 + classes);
    requireEqual("multibox", "gradOutput", gradOutput, "output", output);
    requireWide("offsets", offsets, labels, 4);
  }

  /** @throws IllegalArgumentException unless a matrix has so many columns for each of the labels' */
  private static void requireWide(String name, Tensor matrix, Tensor labels, int width) {
    Shape of = labels.shape(), s = matrix.shape();
    if (of.rank() != 2 || s.rank() != 2 || s.d0() != of.d0() || s.d1() != (long) of.d1() * width) {
      throw new IllegalArgumentException("multibox: " + name + " " + s + " must have " + width + " columns for each of labels " + of);
    }
  }

  public static IllegalArgumentException noSuchClass(int label, int prior, int image, int classes) {
    return new IllegalArgumentException("multibox: label " + label + " of prior " + prior + " of image " + image + " is outside 0.." + (classes - 1));
  }

  /** Rows of x from number first on, as many as y has. */
  public static void requireRows(String op, Tensor y, Tensor x, int first) {
    requireType(op, "y", y, x.type());
    if (!y.shape().equals(x.shape().withFirst(y.shape().d0())) || first < 0 || first + y.shape().d0() > x.shape().d0()) {
      throw new IllegalArgumentException(op + ": y " + y.shape() + " cannot be the rows of x " + x.shape() + " from number " + first + " on");
    }
  }

  /** Rows of x as columns of a matrix y from number column on. */
  public static void requireColumns(String op, String yName, Tensor y, String xName, Tensor x, int column) {
    requireType(op, yName, y, ElementType.FLOAT32);
    if (y.shape().rank() != 2 || y.shape().d0() != x.shape().d0() || column < 0 || (long) column + x.shape().rowSize() > y.shape().d1()) {
      throw new IllegalArgumentException(op + ": " + xName + " " + x.shape() + " cannot be columns of " + yName + " " + y.shape() + " from number " + column + " on");
    }
  }

  /** Lists of an optimizer: equally long, tensors at the same place equally large. */
  public static void requireUpdate(String op, List<Tensor> values, String name, List<Tensor> others) {
    if (values.size() != others.size()) {
      throw new IllegalArgumentException(op + ": " + values.size() + " values, " + others.size() + " " + name + "; they must be equal");
    }
    for (int i = 0; i < values.size(); i++) {
      if (others.get(i).size() != values.get(i).size()) requireEqual(op, name + " " + i, others.get(i), "value", values.get(i));
    }
  }

  public static void requireSgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, OptimOps.Pace pace) {
    requireUpdate("sgd", values, "gradients", gradients);
    requireUpdate("sgd", values, "velocities", velocities);
    requireDecay("sgd", values, decay);
    requirePace("sgd", pace);
  }

  public static void requireAdam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, OptimOps.Pace pace) {
    requireUpdate("adam", values, "gradients", gradients);
    requireUpdate("adam", values, "first", first);
    requireUpdate("adam", values, "second", second);
    requireDecay("adam", values, decay);
    requirePace("adam", pace);
  }

  public static void requireDecay(String op, List<Tensor> values, float[] decay) {
    if (values.size() != decay.length) {
      throw new IllegalArgumentException(op + ": " + values.size() + " values, " + decay.length + " decays; they must be equal");
    }
  }

  public static void requireReadback(String op, Tensor from) {
    requireType(op, "the tensor", from, ElementType.FLOAT32);
    if (from.size() > Backend.READBACK) {
      throw new IllegalArgumentException(op + ": the tensor " + from.shape() + " has " + from.size() + " values; it must have at most " + Backend.READBACK);
    }
  }

  /** What an update asks: a rate, a count of updates, and a verdict. */
  public static void requirePace(String op, OptimOps.Pace pace) {
    requireCount(op, "rate", pace.rate(), 1);
    requireCount(op, "steps", pace.steps(), 1);
    requireCount(op, "verdict", pace.verdict(), OptimOps.VERDICT);
  }

  public static void requireVerdict(String op, Tensor verdict, Tensor result, Tensor penalty) {
    requireCount(op, "verdict", verdict, OptimOps.VERDICT);
    requireCount(op, "result", result, 3);
    if (penalty != null) requireCount(op, "penalty", penalty, 1);
  }

  /** One learned set: alpha, beta and the set's values are single numbers. */
  public static void requireLearnedSet(String op, Tensor alpha, Tensor beta) {
    requireCount(op, "alpha", alpha, 1);
    requireCount(op, "beta", beta, 1);
  }

  /** A set per filter. */
  public static void requireFilterSet(String op, BinarySet set, Tensor w) {
    requirePerFilter(op, "the set's centre", set.centre(), w);
    requirePerFilter(op, "the set's distance", set.distance(), w);
  }

  /** A scale for all filters or one per filter. */
  public static void requireScale(String op, Tensor scale, Tensor w) {
    if (scale.size() != 1) requirePerFilter(op, "scale", scale, w);
  }

  /** R1 [a][a] and R2 [b][b] with a b the size of a filter. */
  public static void requireRotation(String op, Tensor r1, Tensor r2, Tensor u) {
    int a = r1.shape().d0(), b = r2.shape().d0(), k = u.shape().rowSize();
    if (r1.size() != a * a || r2.size() != b * b || a * b != k) {
      throw new IllegalArgumentException(op + ": R1 " + r1.shape() + " and R2 " + r2.shape() + " must be square and " + a + " x " + b
          + " the size of a filter, " + k);
    }
  }

  public static void requireRotateMix(Tensor mixed, Tensor rotated, Tensor u, Tensor r1, Tensor r2, Tensor angle) {
    requireEqual("rotateMix", "mixed", mixed, "u", u);
    requireEqual("rotateMix", "rotated", rotated, "u", u);
    requireRotation("rotateMix", r1, r2, u);
    requirePerFilter("rotateMix", "angle", angle, u);
  }

  public static void requireRotateMixBackward(Tensor q, Tensor gradAngle, Tensor gradE, Tensor mixed, Tensor rotated, Tensor u, Tensor angle, Tensor scale) {
    requireEqual("rotateMixBackward", "q", q, "u", u);
    requireEqual("rotateMixBackward", "gradE", gradE, "u", u);
    requireEqual("rotateMixBackward", "mixed", mixed, "u", u);
    requireEqual("rotateMixBackward", "rotated", rotated, "u", u);
    requirePerFilter("rotateMixBackward", "gradAngle", gradAngle, u);
    requirePerFilter("rotateMixBackward", "angle", angle, u);
    requirePerFilter("rotateMixBackward", "scale", scale, u);
  }

  /** The number of ranks whose moments a tensor [ranks][2 C + 1] holds, C being the size of perChannel. */
  public static int requireMoments(String op, Tensor moments, Tensor perChannel) {
    int width = 2 * perChannel.size() + 1;
    if (moments.size() == 0 || moments.size() % width != 0) {
      throw new IllegalArgumentException(op + ": moments " + moments.shape() + " must have 2 C + 1 = " + width + " values of each rank");
    }
    return moments.size() / width;
  }

  public static void requireSums(String op, Tensor own, Tensor all, Tensor perChannel, int ranks) {
    int width = 2 * perChannel.size();
    if (own.size() != width || all.size() != ranks * width) {
      throw new IllegalArgumentException(op + ": own has " + own.size() + " values and all " + all.size() + "; they must have 2 C = " + width + " and "
          + ranks + " times as many");
    }
  }

  /** @throws IllegalArgumentException unless pixels are bytes and the scale has numbers for each of so many channels */
  public static void requirePixels(String op, Tensor pixels, PixelScale scale, int channels) {
    requireType(op, "pixels", pixels, ElementType.UINT8);
    if (scale.mean().length != channels || scale.deviation().length != channels) {
      throw new IllegalArgumentException(op + ": images have " + channels + " channels, mean has " + scale.mean().length + " and deviation "
          + scale.deviation().length + "; they must be equal");
    }
  }

  /** @throws IllegalArgumentException unless pixels are as many images of y's channels, choices three whole numbers each, and the scale fits them */
  public static void requireAugment(Tensor y, Tensor pixels, Tensor choices, PixelScale scale) {
    requireType("augment", "pixels", pixels, ElementType.UINT8);
    requireType("augment", "choices", choices, ElementType.INT32);
    Shape to = y.shape(), from = pixels.shape();
    if (to.rank() != 4 || from.rank() != 4 || to.d0() != from.d0() || to.d3() != from.d3() || choices.size() != 3 * to.d0()) {
      throw new IllegalArgumentException("augment: y " + to + ", pixels " + from + " and choices " + choices.shape() + " do not fit; wanted N,H,W,C twice and [N][3]");
    }
    requirePixels("augment", pixels, scale, to.d3());
  }
}
