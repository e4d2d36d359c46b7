package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import onebit.ops.PointOps.Activation;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

class PointOpsTest {
  private static final int[] SIZES = {1, 31, 33, 1000, 70001};

  @OnEveryPrecision
  void sumsAndCopiesAreElementByElement(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (int n : SIZES) {
      float[] a = fresh.normal(n), b = fresh.normal(n), sum = new float[n], scaled = new float[n];
      for (int i = 0; i < n; i++) {
        sum[i] = a[i] + b[i];
        scaled[i] = (float) (a[i] - 0.25 * b[i]);
      }
      Tensor ta = fresh.pixel(a), tb = fresh.pixel(b), y = fresh.garbagePixel(n), added = fresh.pixel(a), moved = fresh.pixel(a), copy = fresh.garbagePixel(n);
      backend.point().add(y, ta, tb);
      backend.point().accumulate(added, tb);
      backend.point().accumulateScaled(moved, tb, -0.25f);
      backend.point().copy(copy, ta);
      fresh.assertExactly("add", sum, y);
      fresh.assertExactly("accumulate", sum, added);
      fresh.assertClose("accumulateScaled", Fresh.doubles(scaled), moved, 1e-6);
      fresh.assertExactly("copy", a, copy);
      backend.point().add(ta, ta, tb);
      fresh.assertExactly("add onto its own source", sum, ta);
    }
  }

  @OnEveryPrecision
  void biasIsAddedPerChannelAndItsGradientIsTheSumOfRows(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    for (Shape shape : images()) {
      int channels = shape.channels();
      float[] x = fresh.normal(shape.size()), bias = fresh.normal(channels), want = new float[x.length];
      double[] sums = new double[channels];
      for (int i = 0; i < x.length; i++) {
        want[i] = x[i] + bias[i % channels];
        sums[i % channels] += x[i];
      }
      Tensor y = fresh.garbage(shape), gradBias = fresh.garbage(channels), input = fresh.tensor(shape, x);
      backend.point().addBias(y, input, fresh.vector(bias));
      backend.point().biasBackward(gradBias, null, input);
      fresh.assertExactly("y", want, y);
      fresh.assertClose("gradBias", sums, gradBias);
      if (backend.activations() != ElementType.BFLOAT16) continue;
      Tensor rounded = backend.create(shape, ElementType.BFLOAT16), copy = backend.create(shape, ElementType.BFLOAT16), again = fresh.garbage(channels), values = backend.create(shape);
      backend.write(values, x);
      backend.point().biasBackward(again, rounded, values);
      backend.point().copy(copy, values);
      fresh.assertClose("gradBias beside a copy", sums, again);
      fresh.assertExactly("rounded", backend.read(copy), rounded);
    }
  }

  /** As many channels as a recipe may have classes, and odd, so that most blocks count: 6,250 counters. */
  @OnEveryPrecision
  void theGradientOfTheBiasOfAHundredThousandClassesIsTheSumOfRows(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    int channels = 99_999;
    float[] gradY = fresh.normal(2 * channels);
    double[] sums = new double[channels];
    for (int i = 0; i < gradY.length; i++) sums[i % channels] += gradY[i];
    Tensor gradBias = fresh.garbage(channels);
    backend.point().biasBackward(gradBias, null, fresh.tensor(Shape.matrix(2, channels), gradY));
    fresh.assertClose("gradBias", sums, gradBias);
  }

  private static double f(Activation f, double x) {
    return switch (f) {
      case RELU -> x > 0 ? x : 0;
      case HARD_TANH -> x > 1 ? 1 : x < -1 ? -1 : x;
      case TANH -> (Math.exp(2 * x) - 1) / (Math.exp(2 * x) + 1);
    };
  }

  @OnEveryPrecision
  void activationsAndTheirSlopesEqualFiniteDifferences(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    for (Activation f : Activation.values()) {
      for (int n : SIZES) {
        float[] x = fresh.normal(n), g = fresh.normal(n);
        for (int i = 0; i < n; i++) x[i] = fresh.rounded(1.5f * x[i]);
        double[] want = new double[n], slope = new double[n];
        for (int i = 0; i < n; i++) {
          double h = 1e-6;
          if (Math.abs(x[i]) < 1e-5 || Math.abs(Math.abs(x[i]) - 1) < 1e-5) x[i] = fresh.rounded(x[i] + 0.02f);
          want[i] = f(f, x[i]);
          slope[i] = g[i] * (f(f, x[i] + h) - f(f, x[i] - h)) / (2 * h);
        }
        Tensor y = fresh.garbagePixel(n), gradX = fresh.garbagePixel(n), input = fresh.pixel(x);
        backend.point().activate(y, input, f);
        backend.point().activateBackward(gradX, fresh.pixel(g), input, f);
        fresh.assertClose(f + " y", want, y, 1e-6);
        fresh.assertClose(f + " gradX", slope, gradX, 1e-6);
      }
    }
  }

  @OnEveryPrecision
  void theDerivativeAtAKinkIsZero(Backend backend) {
    Fresh fresh = new Fresh(backend, 4);
    Tensor x = fresh.pixel(0f, -0f, 1f, -1f), g = fresh.pixel(1, 1, 1, 1), gradX = fresh.garbagePixel(4);
    backend.point().activateBackward(gradX, g, x, Activation.RELU);
    fresh.assertExactly("relu", new float[] {0, 0, 1, 0}, gradX);
    backend.point().activateBackward(gradX, g, x, Activation.HARD_TANH);
    fresh.assertExactly("hard tanh", new float[] {1, 1, 0, 0}, gradX);
  }

  @OnEveryPrecision
  void maxoutAndItsThreeGradientsEqualTheFormula(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    for (Shape shape : images()) {
      int channels = shape.channels();
      float[] x = fresh.normal(shape.size()), p = fresh.normal(channels), q = fresh.normal(channels), g = fresh.normal(shape.size());
      x[0] = 0;
      double[] y = new double[x.length], gx = new double[x.length], gp = new double[channels], gq = new double[channels];
      for (int i = 0; i < x.length; i++) {
        int c = i % channels;
        y[i] = x[i] > 0 ? p[c] * x[i] : q[c] * x[i];
        gx[i] = x[i] == 0 ? 0 : g[i] * (x[i] > 0 ? p[c] : q[c]);
        if (x[i] > 0) gp[c] += g[i] * x[i];
        else gq[c] += g[i] * x[i];
      }
      Tensor out = fresh.garbage(shape), gradX = fresh.garbage(shape), gradP = fresh.garbage(channels), gradQ = fresh.garbage(channels);
      Tensor input = fresh.tensor(shape, x), positive = fresh.vector(p), negative = fresh.vector(q);
      backend.point().maxout(out, input, positive, negative);
      backend.point().maxoutBackward(gradX, gradP, gradQ, fresh.tensor(shape, g), input, positive, negative);
      fresh.assertClose("y", y, out);
      fresh.assertClose("gradX", gx, gradX);
      fresh.assertClose("gradPositive", gp, gradP);
      fresh.assertClose("gradNegative", gq, gradQ);
    }
  }

  @OnEveryPrecision
  void concatPutsRowsSideBySideAndSplitTakesThemApart(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    for (int[] channels : new int[][] {{1, 1}, {31, 2}, {64, 64}, {33, 100}}) {
      int rows = 3 * 5 * 4, ca = channels[0], cb = channels[1];
      float[] a = fresh.normal(rows * ca), b = fresh.normal(rows * cb), want = new float[rows * (ca + cb)];
      for (int r = 0; r < rows; r++) {
        for (int c = 0; c < ca + cb; c++) want[r * (ca + cb) + c] = c < ca ? a[r * ca + c] : b[r * cb + c - ca];
      }
      Shape sa = Shape.image(3, 5, 4, ca), sb = Shape.image(3, 5, 4, cb), sy = Shape.image(3, 5, 4, ca + cb);
      Tensor y = fresh.garbage(sy), partA = fresh.garbage(sa), partB = fresh.garbage(sb);
      backend.point().concat(y, fresh.tensor(sa, a), fresh.tensor(sb, b));
      fresh.assertExactly("y", want, y);
      backend.point().split(partA, partB, y);
      fresh.assertExactly("a", a, partA);
      fresh.assertExactly("b", b, partB);
    }
  }

  @OnEveryPrecision
  void placeFillsColumnsOfAMatrixWithABiasAndTakeReadsThemRounded(Backend backend) {
    Fresh fresh = new Fresh(backend, 13);
    // height and width of a map, channels, columns before and after it
    for (int[] k : new int[][] {{1, 1, 4, 8, 0}, {1, 1, 84, 0, 4}, {3, 3, 24, 16, 100}, {5, 5, 126, 2, 0}, {1, 1, 1, 0, 0}, {2, 1, 33, 1, 5}, {4, 2, 16, 4, 3}}) {
      Shape map = Shape.image(5, k[0], k[1], k[2]), part = map.withFirst(3), matrix = Shape.matrix(5, k[3] + map.rowSize() + k[4]);
      int row = map.rowSize(), pitch = matrix.d1();
      float[] x = fresh.normal(map.size()), y = new float[matrix.size()], want = new float[y.length], taken = new float[x.length], bias = fresh.normal(k[2]);
      for (int i = 0; i < y.length; i++) y[i] = (float) fresh.random().nextGaussian();
      System.arraycopy(y, 0, want, 0, y.length);
      for (int i = 0; i < part.size(); i++) {
        int at = i / row * pitch + k[3] + i % row;
        want[at] = x[i] + bias[i % k[2]];
        taken[i] = y[at];
      }
      Arrays.fill(taken, part.size(), taken.length, Fresh.GARBAGE);
      Tensor to = fresh.tensor(matrix, y), from = fresh.tensor(matrix, y), gradX = fresh.garbage(map);
      backend.point().place(to.first(3), fresh.tensor(map, x).first(3), fresh.tensor(Shape.vector(k[2]), bias), k[3]);
      backend.point().take(gradX.first(3), from.first(3), k[3]);
      fresh.assertExactly("y", want, to);
      fresh.assertExactly("gradX", taken, gradX);
    }
    Tensor y = fresh.garbage(Shape.matrix(2, 9)), x = fresh.garbage(Shape.image(2, 1, 2, 4)), bias = fresh.garbage(Shape.vector(4));
    PointOps ops = backend.point();
    assertRefused("place: x [2, 1, 2, 4] cannot be columns of y [2, 9] from number 2 on", () -> ops.place(y, x, bias, 2));
    assertRefused("take: gradX [2, 1, 2, 4] cannot be columns of gradY [2, 9] from number -1 on", () -> ops.take(x, y, -1));
    assertRefused("place: x [1, 1, 2, 4] cannot be columns of y [2, 9] from number 0 on", () -> ops.place(y, x.first(1), bias, 0));
    assertRefused("take: gradY is INT32; it must be FLOAT32", () -> ops.take(x, backend.create(Shape.matrix(2, 9), ElementType.INT32), 0));
  }

  @OnEveryPrecision
  void planarOrderHasChannelsOutermostAndComesBack(Backend backend) {
    Fresh fresh = new Fresh(backend, 7);
    for (Shape shape : Fresh.IMAGES) {
      int h = shape.d1(), w = shape.d2(), channels = shape.d3();
      float[] x = fresh.normal(shape.size()), want = new float[x.length];
      int next = 0;
      for (int n = 0; n < shape.d0(); n++) {
        for (int c = 0; c < channels; c++) {
          for (int i = 0; i < h; i++) {
            for (int j = 0; j < w; j++) want[next++] = x[((n * h + i) * w + j) * channels + c];
          }
        }
      }
      Tensor y = fresh.garbage(Shape.image(shape.d0(), 1, 1, shape.rowSize())), back = fresh.garbage(shape);
      backend.point().toPlanar(y, fresh.tensor(shape, x));
      fresh.assertExactly("planar", want, y);
      backend.point().fromPlanar(back, y);
      fresh.assertExactly("back", x, back);
    }
  }

  @OnEveryPrecision
  void pixelsAreScaledThenNormalisedPerChannel(Backend backend) {
    Fresh fresh = new Fresh(backend, 8);
    Shape shape = Shape.image(2, 16, 24, 3);
    byte[] pixels = new byte[shape.size()];
    fresh.random().nextBytes(pixels);
    float[] mean = {0.485f, 0.456f, 0}, deviation = {0.229f, 1, 0.5f};
    double[] want = new double[pixels.length];
    float[] rounded = new float[pixels.length];   // after each operation, as torchvision does
    for (int i = 0; i < want.length; i++) {
      want[i] = (Byte.toUnsignedInt(pixels[i]) / 255.0 - mean[i % 3]) / deviation[i % 3];
      rounded[i] = (Byte.toUnsignedInt(pixels[i]) / 255f - mean[i % 3]) / deviation[i % 3];
    }
    Tensor from = backend.create(shape, ElementType.UINT8), y = fresh.garbage(shape);
    backend.write(from, pixels);
    backend.point().normalize(y, from, new PixelScale(mean, deviation));
    fresh.assertClose("y", want, y, 1e-6);
    if (y.type() == ElementType.FLOAT32) fresh.assertExactly("y", rounded, y);
    assertRefused("normalize: images have 3 channels, mean has 2 and deviation 3; they must be equal",
        () -> backend.point().normalize(y, from, new PixelScale(new float[2], deviation)));
    assertRefused("normalize: pixels is FLOAT32; it must be UINT8", () -> backend.point().normalize(y, backend.create(shape), new PixelScale(mean, deviation)));
  }

  @OnEveryBackend
  void augmentCropsFromBlackFlipsAndScales(Backend backend) {
    Fresh fresh = new Fresh(backend, 10);
    Random random = new Random(10);
    Shape small = Shape.image(3, 5, 4, 3), large = Shape.image(3, 6, 7, 3);
    for (Shape to : List.of(small, large)) {
      Shape from = to == small ? large : small;
      byte[] bytes = new byte[from.size()];
      random.nextBytes(bytes);
      int[] choices = new int[9];
      for (int i = 0; i < 9; i++) choices[i] = i % 3 == 2 ? random.nextInt(2) : random.nextInt(7) - 3;
      float[] mean = {0.4f, 0.5f, 0.6f}, deviation = {0.2f, 0.3f, 0.25f};
      double[] want = new double[to.size()];
      for (int i = 0; i < want.length; i++) {
        int c = i % 3, w = i / 3 % to.d2(), h = i / 3 / to.d2() % to.d1(), n = i / 3 / to.d2() / to.d1();
        int down = h + choices[3 * n], along = choices[3 * n + 1] + (choices[3 * n + 2] == 1 ? to.d2() - 1 - w : w);
        boolean inside = down >= 0 && down < from.d1() && along >= 0 && along < from.d2();
        double pixel = inside ? Byte.toUnsignedInt(bytes[((n * from.d1() + down) * from.d2() + along) * 3 + c]) : 0;
        want[i] = (pixel / 255 - mean[c]) / deviation[c];
      }
      Tensor pixels = backend.create(from, ElementType.UINT8), chosen = backend.create(Shape.matrix(3, 3), ElementType.INT32), y = fresh.garbage(to);
      backend.write(pixels, bytes);
      backend.write(chosen, choices);
      backend.point().augment(y, pixels, chosen, new PixelScale(mean, deviation));
      fresh.assertClose("y", want, y, 1e-6);
      assertRefused("augment: images have 3 channels, mean has 2 and deviation 3; they must be equal",
          () -> backend.point().augment(y, pixels, chosen, new PixelScale(new float[2], deviation)));
      assertRefused("augment: choices is UINT8; it must be INT32", () -> backend.point().augment(y, pixels, pixels, new PixelScale(mean, deviation)));
    }
  }

  @OnEveryPrecision
  void aSmallerBatchLeavesTheRestOfTheMemoryAlone(Backend backend) {
    Fresh fresh = new Fresh(backend, 10);
    Shape all = Shape.image(4, 2, 3, 33);
    float[] x = fresh.normal(all.size()), ones = new float[33];
    Arrays.fill(ones, 1);
    Tensor input = fresh.tensor(all, x), one = fresh.vector(ones), part = input.first(1), gradBias = fresh.garbage(33);
    PointOps ops = backend.point();
    for (int op = 0; op < 5; op++) {
      Tensor y = fresh.garbage(all), first = y.first(1);
      switch (op) {
        case 0 -> ops.copy(first, part);
        case 1 -> ops.add(first, part, part);
        case 2 -> ops.activate(first, part, Activation.TANH);
        case 3 -> ops.maxout(first, part, one, one);
        default -> ops.addBias(first, part, one);
      }
      float[] rest = Arrays.copyOfRange(backend.read(y), first.size(), all.size()), garbage = new float[rest.length];
      Arrays.fill(garbage, Fresh.GARBAGE);
      assertArrayEquals(garbage, rest, "op " + op);
    }
    ops.biasBackward(gradBias, null, part);
    double[] sums = new double[33];
    for (int i = 0; i < part.size(); i++) sums[i % 33] += x[i];
    fresh.assertClose("gradBias", sums, gradBias);
  }

  @OnEveryBackend
  void unequalShapesAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 11);
    Tensor x = fresh.garbage(Shape.matrix(2, 4)), y = fresh.garbage(Shape.matrix(2, 4)), three = fresh.garbage(3), four = fresh.garbage(4);
    PointOps ops = backend.point();
    assertRefused("copy: y [3] has 3 values, x [2, 4] has 8; they must be equal", () -> ops.copy(three, x));
    assertRefused("add: a [3] has 3 values, y [2, 4] has 8; they must be equal", () -> ops.add(y, three, x));
    assertRefused("add: b [3] has 3 values, y [2, 4] has 8; they must be equal", () -> ops.add(y, x, three));
    assertRefused("accumulate: x [3] has 3 values, y [2, 4] has 8; they must be equal", () -> ops.accumulate(y, three));
    assertRefused("accumulateScaled: x [3] has 3 values, y [2, 4] has 8; they must be equal", () -> ops.accumulateScaled(y, three, 1));
    assertRefused("addBias: bias has 3 values, rows of [2, 4] have 4 channels; they must be equal", () -> ops.addBias(y, x, three));
    assertRefused("biasBackward: gradBias has 3 values, rows of [2, 4] have 4 channels; they must be equal", () -> ops.biasBackward(three, null, x));
    assertRefused("activate: y [3] has 3 values, x [2, 4] has 8; they must be equal", () -> ops.activate(three, x, Activation.RELU));
    assertRefused("activateBackward: gradY [3] has 3 values, x [2, 4] has 8; they must be equal",
        () -> ops.activateBackward(y, three, x, Activation.RELU));
    assertRefused("maxout: negative has 3 values, rows of [2, 4] have 4 channels; they must be equal", () -> ops.maxout(y, x, four, three));
    assertRefused("maxoutBackward: gradX [3] has 3 values, x [2, 4] has 8; they must be equal", () -> ops.maxoutBackward(three, four, four, y, x, four, four));
    assertRefused("maxoutBackward: gradY [3] has 3 values, x [2, 4] has 8; they must be equal", () -> ops.maxoutBackward(y, four, four, three, x, four, four));
    assertRefused("maxoutBackward: positive has 3 values, rows of [2, 4] have 4 channels; they must be equal", () -> ops.maxoutBackward(y, four, four, y, x, three, four));
    assertRefused("maxoutBackward: negative has 3 values, rows of [2, 4] have 4 channels; they must be equal", () -> ops.maxoutBackward(y, four, four, y, x, four, three));
    assertRefused("maxoutBackward: gradNegative has 3 values, rows of [2, 4] have 4 channels; they must be equal", () -> ops.maxoutBackward(y, four, three, y, x, four, four));
    assertRefused("maxoutBackward: gradPositive has 3 values, rows of [2, 4] have 4 channels; they must be equal",
        () -> ops.maxoutBackward(y, three, four, x, x, four, four));
    assertRefused("concat: parts [2, 4] and [2, 4] side by side do not make [2, 4]", () -> ops.concat(y, x, x));
    assertRefused("split: parts [2, 4] and [3] side by side do not make [2, 4]", () -> ops.split(x, three, y));
    assertRefused("toPlanar: y [3] has 3 values, x [2, 4] has 8; they must be equal", () -> ops.toPlanar(three, x));
    assertRefused("fromPlanar: y [3] has 3 values, x [2, 4] has 8; they must be equal", () -> ops.fromPlanar(three, x));
  }

  private static Shape[] images() {
    Shape[] all = Arrays.copyOf(Fresh.IMAGES, Fresh.IMAGES.length + 2);
    all[all.length - 2] = Shape.image(4, 32, 32, 16);
    all[all.length - 1] = Shape.matrix(40, 600);
    return all;
  }

  @OnEveryPrecision
  void rowsFromSomeNumberOnAreCopied(Backend backend) {
    Fresh fresh = new Fresh(backend, 12);
    Shape all = Shape.image(5, 2, 3, 3);
    float[] values = fresh.normal(all.size());
    Tensor x = fresh.tensor(all, values);
    for (int first : new int[] {0, 2, 3, 5}) {
      int n = Math.min(2, 5 - first);
      Tensor y = fresh.garbage(all.withFirst(n));
      backend.point().rows(y, x, first);
      fresh.assertExactly("rows from " + first, Arrays.copyOfRange(values, first * 18, (first + n) * 18), y);
    }
    Tensor pixels = backend.create(Shape.image(3, 1, 1, 3), ElementType.UINT8), last = backend.create(Shape.image(2, 1, 1, 3), ElementType.UINT8), seen = fresh.garbage(last.shape());
    backend.write(pixels, new byte[] {1, 2, 3, 4, 5, 6, 7, -1, 9});
    backend.point().rows(last, pixels, 1);
    backend.point().normalize(seen, last, new PixelScale(new float[3], new float[] {1 / 255f, 1 / 255f, 1 / 255f}));
    fresh.assertClose("rows of bytes", new double[] {4, 5, 6, 7, 255, 9}, seen, 1e-6);
    assertRefused("rows: y [2, 2, 3, 3] cannot be the rows of x [5, 2, 3, 3] from number 4 on", () -> backend.point().rows(x.first(2), x, 4));
  }
}
