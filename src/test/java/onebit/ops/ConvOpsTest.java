package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ConvOpsTest {
  static Stream<Backends.Named<ConvOps>> backends() {
    return Backends.convOps();
  }

  static Stream<Arguments> convolutions() {
    List<ConvGeometry> list = new ArrayList<>();
    for (int c : new int[] {1, 3, 16, 17, 32, 64}) {
      for (int o : new int[] {1, 16, 20, 32, 64}) {
        list.add(new ConvGeometry(3, 6, 5, c, o, 3, 3, 1, 1, 1, 1));
        list.add(new ConvGeometry(2, 7, 8, c, o, 3, 3, 2, 1, 1, 1));
      }
    }
    list.add(new ConvGeometry(2, 8, 8, 16, 16, 3, 3, 1, 0, 1, 1));
    list.add(new ConvGeometry(2, 8, 8, 16, 16, 3, 3, 1, 2, 1, 1));
    list.add(new ConvGeometry(2, 9, 9, 32, 16, 3, 3, 1, 2, 2, 1));
    list.add(new ConvGeometry(2, 9, 8, 16, 32, 3, 3, 3, 2, 1, 1));
    list.add(new ConvGeometry(2, 9, 8, 8, 12, 3, 3, 1, 1, 1, 4));
    list.add(new ConvGeometry(2, 9, 8, 32, 32, 3, 3, 2, 1, 1, 2));
    list.add(new ConvGeometry(2, 11, 10, 3, 8, 5, 5, 1, 2, 1, 1));
    list.add(new ConvGeometry(1, 15, 14, 3, 8, 7, 7, 2, 3, 1, 1));
    list.add(new ConvGeometry(2, 6, 7, 4, 3, 4, 5, 2, 2, 1, 1));
    list.add(new ConvGeometry(2, 5, 5, 2, 3, 5, 2, 2, 0, 1, 1));
    list.add(new ConvGeometry(3, 5, 6, 32, 16, 1, 1, 1, 0, 1, 1));
    list.add(new ConvGeometry(3, 5, 6, 16, 32, 1, 1, 2, 0, 1, 1));
    list.add(new ConvGeometry(2, 5, 6, 16, 32, 1, 1, 1, 1, 1, 1));
    list.add(new ConvGeometry(2, 5, 6, 16, 32, 3, 1, 1, 1, 1, 1));
    list.add(new ConvGeometry(2, 1, 1, 16, 16, 3, 3, 1, 1, 1, 1));
    list.add(new ConvGeometry(1, 33, 40, 16, 16, 3, 3, 1, 1, 1, 1));
    list.add(new ConvGeometry(40, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1));
    list.add(new ConvGeometry(2, 9, 21, 8, 24, 3, 3, 1, 1, 1, 1));
    List<ConvGeometry> all = RandomShapes.and(list, "conv2d", 2e6, 300, 200);
    return Backends.convOps().flatMap(backend -> all.stream().filter(g -> !backend.rounds() || g.hashCode() % 3 == 0 || g.stride() == 2 && g.c() < 16).map(g -> Arguments.of(backend, g)));
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("convolutions")
  void forwardAndBothGradientsEqualTheNaiveLoops(Backends.Named<ConvOps> backend, ConvGeometry g) {
    Random random = new Random(g.hashCode());
    Tensor x = random(backend, random, g.x()), w = random(backend, random, g.filters()), gradY = random(backend, random, g.y());
    for (float border : new float[] {0, -1.25f}) {
      Tensor y = garbage(g.y()), gradW = garbage(g.filters());
      backend.ops().conv2d(y, x, w, g, border);
      assertClose(backend, "y", NaiveConv.forward(x.floats(), w.floats(), g, border), y, Math.sqrt(g.taps()));
      backend.ops().conv2dGradW(gradW, gradY, x, g, border);
      assertClose(backend, "gradW", NaiveConv.gradW(gradY.floats(), x.floats(), g, border), gradW, Math.sqrt(g.n() * g.p() * g.q()));
    }
    Tensor gradX = garbage(g.x());
    backend.ops().conv2dGradX(gradX, gradY, w, g);
    assertClose(backend, "gradX", NaiveConv.gradX(gradY.floats(), w.floats(), g), gradX, Math.sqrt(g.r() * g.s() * g.o()));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void theGradientsAreTheAdjointsOfTheConvolution(Backends.Named<ConvOps> backend) {
    ConvGeometry g = new ConvGeometry(4, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1);
    Random random = new Random(5);
    Tensor x = random(backend, random, g.x()), w = random(backend, random, g.filters()), gradY = random(backend, random, g.y());
    Tensor y = garbage(g.y()), gradX = garbage(g.x()), gradW = garbage(g.filters());
    backend.ops().conv2d(y, x, w, g, 0);
    backend.ops().conv2dGradX(gradX, gradY, w, g);
    backend.ops().conv2dGradW(gradW, gradY, x, g, 0);
    double product = dot(y, gradY);
    double rounding = backend.step(4 * Math.sqrt(g.taps() * y.size()));   // of each of the many terms, on either side
    assertEquals(product, dot(x, gradX), 0.05 + rounding);
    assertEquals(product, dot(w, gradW), 0.05 + rounding);
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("convolutions")
  void aSecondCallGivesTheSameBits(Backends.Named<ConvOps> backend, ConvGeometry g) {
    Random random = new Random(6);
    Tensor x = random(backend, random, g.x()), w = random(backend, random, g.filters()), gradY = random(backend, random, g.y());
    Tensor[] first = {garbage(g.y()), garbage(g.x()), garbage(g.filters())}, second = {garbage(g.y()), garbage(g.x()), garbage(g.filters())};
    for (Tensor[] to : new Tensor[][] {first, second}) {
      backend.ops().conv2d(to[0], x, w, g, 1);
      backend.ops().conv2dGradX(to[1], gradY, w, g);
      backend.ops().conv2dGradW(to[2], gradY, x, g, 1);
    }
    for (int i = 0; i < 3; i++) assertArrayEquals(first[i].floats(), second[i].floats());
  }

  /** Stems, in blocks and not, of one image, one pixel and one channel among them. */
  private static final List<ConvGeometry> STEMS = List.of(new ConvGeometry(1, 15, 14, 3, 8, 7, 7, 2, 3, 1, 1), new ConvGeometry(2, 7, 8, 3, 16, 3, 3, 2, 1, 1, 1),
      new ConvGeometry(1, 1, 1, 3, 4, 3, 3, 2, 1, 1, 1), new ConvGeometry(2, 6, 7, 4, 3, 4, 5, 2, 2, 1, 1), new ConvGeometry(3, 5, 5, 2, 3, 5, 2, 2, 0, 1, 1),
      new ConvGeometry(1, 9, 9, 1, 5, 3, 3, 2, 1, 1, 1), new ConvGeometry(3, 21, 37, 3, 72, 7, 7, 2, 3, 1, 1), new ConvGeometry(1, 1, 1, 3, 64, 7, 7, 2, 3, 1, 1),
      new ConvGeometry(1, 9, 131, 4, 24, 3, 3, 2, 1, 1, 1), new ConvGeometry(2, 19, 8, 2, 40, 6, 5, 2, 3, 1, 1), new ConvGeometry(1, 12, 13, 3, 8, 9, 9, 2, 4, 1, 1),
      new ConvGeometry(2, 6, 5, 3, 16, 3, 3, 1, 1, 1, 1), new ConvGeometry(2, 8, 7, 1, 6, 5, 5, 1, 0, 1, 1));

  private static final PixelScale SCALE = new PixelScale(new float[] {0.485f, 0.456f, 0.406f, 0.5f}, new float[] {0.229f, 0.224f, 0.225f, 1});

  private static PixelScale scale(int channels) {
    return new PixelScale(java.util.Arrays.copyOf(SCALE.mean(), channels), java.util.Arrays.copyOf(SCALE.deviation(), channels));
  }

  /** Bytes of which the first are the least and the greatest. */
  private static byte[] pixels(Random random, int n) {
    byte[] pixels = new byte[n];
    random.nextBytes(pixels);
    for (int i = 0; i < Math.min(n, 6); i++) pixels[i] = (byte) (i % 2 * 255);
    return pixels;
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void imagesOfBytesAreConvolvedLikeTheValuesMadeOfThem(Backends.Named<ConvOps> backend) {
    for (ConvGeometry g : STEMS) {
      Random random = new Random(g.hashCode());
      byte[] bytes = pixels(random, g.x().size());
      PixelScale scale = scale(g.c());
      float[] values = new float[bytes.length];
      for (int i = 0; i < values.length; i++) values[i] = backend.held((Byte.toUnsignedInt(bytes[i]) / 255f - scale.mean()[i % g.c()]) / scale.deviation()[i % g.c()]);
      Tensor pixels = new Tensor(g.x(), ElementType.UINT8, bytes), w = random(backend, random, g.filters()), gradY = random(backend, random, g.y());
      Tensor y = garbage(g.y()), gradW = garbage(g.filters());
      backend.ops().conv2dOfPixels(y, pixels, scale, w, g);
      assertClose(backend, "y of " + g, NaiveConv.forward(values, w.floats(), g, 0), y, 2 * Math.sqrt(g.taps()));
      backend.ops().conv2dOfPixelsGradW(gradW, gradY, pixels, scale, g);
      assertClose(backend, "gradW of " + g, NaiveConv.gradW(gradY.floats(), values, g, 0), gradW, 2 * Math.sqrt(g.n() * g.p() * g.q()));
      assertRefused("conv2dOfPixels: images have " + g.c() + " channels, mean has 5 and deviation " + g.c() + "; they must be equal",
          () -> backend.ops().conv2dOfPixels(y, pixels, new PixelScale(new float[5], scale.deviation()), w, g));
    }
  }

  @OnEveryPrecision
  void imagesOfBytesGiveTheBitsOfStoredValues(Backend backend) {
    Fresh fresh = new Fresh(backend, 13);
    for (ConvGeometry whole : STEMS) {
      for (ConvGeometry g : List.of(whole, whole.withBatch(0))) {
        Tensor pixels = backend.create(g.x(), ElementType.UINT8), x = fresh.garbage(g.x()), gradY = fresh.tensor(g.y(), fresh.normal(g.y().size()));
        if (g.n() > 0) backend.write(pixels, pixels(fresh.random(), g.x().size()));
        if (g.n() > 0) backend.point().normalize(x, pixels, scale(g.c()));
        Tensor w = fresh.vector(fresh.normal(g.filters().size())).reshaped(g.filters()), y = fresh.garbage(g.y()), again = fresh.garbage(g.y());
        Tensor gradW = backend.create(g.filters()), gradAgain = backend.create(g.filters());
        backend.conv().conv2d(y, x, w, g, 0);
        backend.conv().conv2dOfPixels(again, pixels, scale(g.c()), w, g);
        fresh.assertExactly("y of " + g, backend.read(y), again);
        backend.fill(gradAgain, Fresh.GARBAGE);
        backend.conv().conv2dGradW(gradW, gradY, x, g, 0);
        backend.conv().conv2dOfPixelsGradW(gradAgain, gradY, pixels, scale(g.c()), g);
        fresh.assertExactly("gradW of " + g, backend.read(gradW), gradAgain);
        Tensor rounded = fresh.garbage(g.filters());
        backend.conv().conv2dOfPixelsGradW(rounded, gradY, pixels, scale(g.c()), g);
        fresh.assertExactly("gradW of " + g + " as activations", backend.read(gradW), rounded);
        assertRefused("conv2dOfPixels: pixels is " + backend.activations() + "; it must be UINT8",
            () -> backend.conv().conv2dOfPixels(again, x, scale(g.c()), w, g));
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void linearAndItsGradientsEqualTheNaiveProducts(Backends.Named<ConvOps> backend) {
    Random random = new Random(7);
    int[][] sizes = {{1, 1, 1}, {5, 7, 3}, {130, 64, 10}, {33, 200, 65}};
    for (int[] size : sizes) {
      int n = size[0], inputs = size[1], o = size[2];
      Tensor x = random(backend, random, Shape.matrix(n, inputs)), w = random(backend, random, Shape.matrix(o, inputs)), gradY = random(backend, random, Shape.matrix(n, o));
      Tensor y = garbage(gradY.shape()), gradX = garbage(x.shape()), gradW = garbage(w.shape());
      backend.ops().linear(y, x, w);
      backend.ops().linearGradX(gradX, gradY, w);
      backend.ops().linearGradW(gradW, gradY, x);
      assertClose(backend, "y", product(x, false, w, true, n, o, inputs), y, Math.sqrt(inputs));
      assertClose(backend, "gradX", product(gradY, false, w, false, n, inputs, o), gradX, Math.sqrt(o));
      assertClose(backend, "gradW", product(gradY, true, x, false, o, inputs, n), gradW, Math.sqrt(n));
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void gemmEqualsTheNaiveProductInAllFourOrders(Backends.Named<ConvOps> backend) {
    Random random = new Random(8);
    int[][] sizes = {{1, 1, 1}, {3, 4, 5}, {65, 33, 17}, {100, 1, 64}, {1, 100, 64}};
    for (int[] size : sizes) {
      int m = size[0], n = size[1], k = size[2];
      for (int order = 0; order < 4; order++) {
        boolean ta = (order & 1) != 0, tb = (order & 2) != 0;
        Tensor a = random(backend, random, ta ? Shape.matrix(k, m) : Shape.matrix(m, k)), b = random(backend, random, tb ? Shape.matrix(n, k) : Shape.matrix(k, n));
        Tensor c = garbage(Shape.matrix(m, n));
        backend.ops().gemm(c, a, ta, b, tb, m, n, k);
        assertClose(backend, "c", product(a, ta, b, tb, m, n, k), c, Math.sqrt(k));
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void unequalShapesAreRefusedInWords(Backends.Named<ConvOps> backend) {
    ConvGeometry g = new ConvGeometry(1, 4, 4, 2, 2, 3, 3, 1, 1, 1, 1);
    Tensor small = garbage(Shape.vector(3)), x = garbage(g.x()), y = garbage(g.y()), w = garbage(g.filters());
    var e = assertThrows(IllegalArgumentException.class, () -> backend.ops().conv2d(y, small, w, g, 0));
    assertEquals("conv2d: x has shape [3], 3 values; [1, 4, 4, 2] wanted", e.getMessage());
    assertThrows(IllegalArgumentException.class, () -> backend.ops().conv2dGradX(x, y, small, g));
    assertThrows(IllegalArgumentException.class, () -> backend.ops().conv2dGradW(w, small, x, g, 0));
    assertThrows(IllegalArgumentException.class, () -> backend.ops().gemm(x, small, false, small, false, 2, 2, 2));
    assertThrows(IllegalArgumentException.class, () -> backend.ops().linear(x, small, w));
  }

  private static double[] product(Tensor a, boolean ta, Tensor b, boolean tb, int m, int n, int k) {
    double[] c = new double[m * n];
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        for (int l = 0; l < k; l++) c[i * n + j] += (double) a.floats()[ta ? l * m + i : i * k + l] * b.floats()[tb ? j * k + l : l * n + j];
      }
    }
    return c;
  }

  private static double dot(Tensor a, Tensor b) {
    double sum = 0;
    for (int i = 0; i < a.size(); i++) sum += (double) a.floats()[i] * b.floats()[i];
    return sum;
  }

  /** Compares within 2^-20 of the size that a sum of so many unit terms has. */
  private static void assertClose(Backends.Named<ConvOps> backend, String name, double[] want, Tensor got, double scale) {
    for (int i = 0; i < want.length; i++) {
      int at = i;
      assertEquals(want[i], got.floats()[i], 4e-6 * (1 + 2 * scale) + backend.step(want[i]), () -> name + " at " + at);
    }
  }

  private static Tensor random(Backends.Named<ConvOps> backend, Random random, Shape shape) {
    float[] x = new float[shape.size()];
    for (int i = 0; i < x.length; i++) x[i] = backend.held((float) random.nextGaussian());
    return Tensor.of(shape, x);
  }

  /** A destination that holds what must be overwritten. */
  private static Tensor garbage(Shape shape) {
    float[] x = new float[shape.size()];
    java.util.Arrays.fill(x, 1e9f);
    return Tensor.of(shape, x);
  }

  @OnEveryPrecision
  void gradientsOfFiltersMayBeRoundedAsActivationsAre(Backend backend) {
    Fresh fresh = new Fresh(backend, 11);
    for (int n : new int[] {0, 2}) {
      ConvGeometry g = new ConvGeometry(n, 5, 6, 16, 8, 3, 3, 1, 1, 1, 1);
      Tensor x = fresh.tensor(g.x(), fresh.normal(g.x().size())), gradY = fresh.tensor(g.y(), fresh.normal(g.y().size()));
      Tensor whole = backend.create(g.filters()), rounded = fresh.garbage(g.filters());
      backend.conv().conv2dGradW(whole, gradY, x, g, 0);
      backend.conv().conv2dGradW(rounded, gradY, x, g, 0);
      fresh.assertExactly("gradW of " + n + " images", backend.read(whole), rounded);
    }
  }
}
