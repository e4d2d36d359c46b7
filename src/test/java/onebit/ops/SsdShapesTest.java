package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The ops that were there before, in the shapes that only SSD300 asks for; filters or channels are fewer where loops over every product would take long. */
class SsdShapesTest {
  /** conv6, of dilation 6; extras of 1x1 and of 3x3 without a border; halvings of odd maps; the widest of the backbone. */
  private static final List<ConvGeometry> BINARY = List.of(
      new ConvGeometry(1, 19, 19, 512, 12, 3, 3, 1, 6, 6, 1), new ConvGeometry(2, 19, 19, 64, 70, 3, 3, 1, 6, 6, 1),
      new ConvGeometry(2, 19, 19, 33, 9, 3, 3, 1, 6, 6, 1), new ConvGeometry(1, 10, 10, 96, 20, 3, 3, 1, 6, 6, 1),
      new ConvGeometry(1, 19, 19, 1024, 100, 1, 1, 1, 0, 1, 1), new ConvGeometry(5, 3, 3, 128, 256, 3, 3, 1, 0, 1, 1),
      new ConvGeometry(2, 5, 5, 128, 256, 3, 3, 1, 0, 1, 1), new ConvGeometry(5, 1, 1, 256, 128, 1, 1, 1, 0, 1, 1),
      new ConvGeometry(1, 75, 75, 64, 12, 3, 3, 2, 1, 1, 1), new ConvGeometry(1, 19, 19, 256, 40, 3, 3, 2, 1, 1, 1),
      new ConvGeometry(1, 38, 38, 512, 5, 3, 3, 1, 1, 1, 1));

  /** What the loops gave: bits depend on the geometry only, so that all backends are compared with one result. */
  private static final Map<String, double[]> KNOWN = new ConcurrentHashMap<>();

  static Stream<Arguments> binary() {
    return Backends.bitOps().flatMap(backend -> BINARY.stream().map(g -> Arguments.of(backend, g)));
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("binary")
  void binaryConvolutionsOfSignsAreTheExactWholeNumbers(Backends.Named<BitOps> backend, ConvGeometry g) {
    Random random = new Random(g.hashCode());
    BinarySet signs = new BinarySet(Tensor.of(Shape.vector(1), 0f), Tensor.of(Shape.vector(1), 1f));
    BitTensor x = BitOpsTest.random(random, g.n() * g.h() * g.w(), g.c()), w = BitOpsTest.random(random, g.o(), g.taps());
    for (Padding padding : Padding.values()) {
      double[] want = KNOWN.computeIfAbsent(g + " " + padding, made -> NaiveConv.forward(values(x), values(w), g, padding == Padding.ZERO ? 0 : -1));
      Tensor y = Tensor.of(g.y(), new float[g.y().size()]);
      backend.ops().xnorConv2d(y, x, w, signs, signs, g, padding, 0);
      for (int i = 0; i < want.length; i++) if (want[i] != y.floats()[i]) assertEquals(backend.held((float) want[i]), y.floats()[i], g + " " + padding + " at " + i);
      if (g.pad() == 0) break;
    }
  }

  private static float[] values(BitTensor bits) {
    float[] x = new float[bits.rows() * bits.bits()];
    for (int i = 0; i < x.length; i++) x[i] = (bits.longs()[i / bits.bits() * bits.words() + i % bits.bits() / 64] >>> i % bits.bits() % 64 & 1) != 0 ? 1 : -1;
    return x;
  }

  @OnEveryPrecision
  void gradientsOfBinaryConvolutionsEqualTheNaiveLoops(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (ConvGeometry whole : BINARY) {
      ConvGeometry g = new ConvGeometry(whole.n(), whole.h(), whole.w(), Math.min(whole.c(), 96), Math.min(whole.o(), 20), whole.r(), whole.s(),
          whole.stride(), whole.pad(), whole.dilation(), 1);
      float[] x = signs(fresh, g.x().size()), w = signs(fresh, g.filters().size()), gradY = fresh.normal(g.y().size());
      BitTensor xBits = backend.createBits(g.n() * g.h() * g.w(), g.c()), wBits = backend.createBits(g.o(), g.taps());
      backend.bits().pack(xBits, fresh.tensor(g.x(), x), 0);
      backend.bits().pack(wBits, fresh.tensor(g.filters(), w), 0);
      BinarySet set = new BinarySet(fresh.vector(0), fresh.vector(1));
      Tensor from = fresh.tensor(g.y(), gradY), gradX = fresh.garbage(g.x()), gradW = backend.create(g.filters());
      backend.fill(gradW, Fresh.GARBAGE);
      backend.bits().xnorConv2dGradX(gradX, from, wBits, set, fresh.tensor(g.filters(), w), g);
      fresh.assertClose("gradX of " + g, NaiveConv.gradX(gradY, w, g), gradX);
      backend.bits().xnorConv2dGradW(gradW, from, xBits, set, g, -1, backend.activations() == ElementType.BFLOAT16 ? null : backend.create(g.x()));
      fresh.assertClose("gradW of " + g, NaiveConv.gradW(gradY, x, g, -1), gradW);
    }
  }

  private static float[] signs(Fresh fresh, int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = fresh.random().nextBoolean() ? 1 : -1;
    return x;
  }

  /** Heads: 4 offsets and 21 classes of 4 or 6 priors, on every map; and conv7 of a few. */
  @OnEveryPrecision
  void convolutionsOfHeadsWithTheirBiasesEqualTheNaiveLoops(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    int[][] maps = {{38, 8, 16, 1}, {38, 8, 84, 1}, {19, 16, 24, 2}, {19, 16, 126, 1}, {10, 32, 126, 1}, {5, 64, 24, 2}, {3, 64, 84, 3}, {1, 256, 16, 5},
        {1, 256, 84, 3}, {1, 64, 126, 1}};
    for (int[] m : maps) heads(backend, fresh, new ConvGeometry(m[3], m[0], m[0], m[1], m[2], 3, 3, 1, 1, 1, 1));
    heads(backend, fresh, new ConvGeometry(1, 19, 19, 256, 32, 1, 1, 1, 0, 1, 1));
  }

  private static void heads(Backend backend, Fresh fresh, ConvGeometry g) {
    float[] x = fresh.normal(g.x().size()), w = fresh.normal(g.filters().size()), bias = fresh.normal(g.o()), gradY = fresh.normal(g.y().size());
    Tensor input = fresh.tensor(g.x(), x), filters = fresh.vector(w).reshaped(g.filters()), y = fresh.garbage(g.y()), from = fresh.tensor(g.y(), gradY);
    Tensor gradX = fresh.garbage(g.x()), gradW = backend.create(g.filters()), gradBias = fresh.garbage(g.o());
    backend.fill(gradW, Fresh.GARBAGE);
    double[] want = NaiveConv.forward(x, w, g, 0), sums = new double[g.o()];
    for (int i = 0; i < want.length; i++) {
      sums[i % g.o()] += gradY[i];
      want[i] += bias[i % g.o()];
    }
    backend.conv().conv2d(y, input, filters, g, 0);
    backend.point().addBias(y, y, fresh.vector(bias));
    // the product is rounded to bfloat16 before the bias is added to it
    fresh.assertClose("y of " + g, want, y, y.type() == ElementType.BFLOAT16 ? 1.0 / 256 : 2e-5);
    backend.conv().conv2dGradX(gradX, from, filters, g);
    fresh.assertClose("gradX of " + g, NaiveConv.gradX(gradY, w, g), gradX);
    backend.conv().conv2dGradW(gradW, from, input, g, 0);
    // a device sums in float32 and rounds to bfloat16 on the way to float32
    fresh.assertClose("gradW of " + g, NaiveConv.gradW(gradY, x, g, 0), gradW, y.type() == ElementType.BFLOAT16 ? 1.0 / 256 : 2e-5);
    backend.point().biasBackward(gradBias, null, from);
    fresh.assertClose("gradBias of " + g, sums, gradBias);
  }

  /** The shortcut from 75 to 38 pixels, whose last windows are cut, and pool5. */
  @OnEveryPrecision
  void theShortcutOfAnOddMapAveragesWhatThereIsAndPool5KeepsTheMap(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    for (int channels : new int[] {3, 64}) {
      Shape x = Shape.image(2, 75, 75, channels), y = Shape.image(2, 38, 38, channels);
      float[] values = fresh.normal(x.size()), g = fresh.normal(y.size());
      double[] mean = new double[y.size()], spread = new double[x.size()];
      for (int i = 0; i < x.size(); i++) {
        int c = i % channels, w = i / channels % 75, h = i / channels / 75 % 75, n = i / channels / 75 / 75, to = ((n * 38 + h / 2) * 38 + w / 2) * channels + c;
        int inside = (h == 74 ? 1 : 2) * (w == 74 ? 1 : 2);
        mean[to] += values[i] / (double) inside;
        spread[i] = g[to] / (double) inside;
      }
      Tensor out = fresh.garbage(y), gradX = fresh.garbage(x);
      backend.pool().averagePool(out, fresh.tensor(x, values), 2, 2);
      backend.pool().averagePoolBackward(gradX, fresh.tensor(y, g), 2, 2);
      fresh.assertClose("y", mean, out, 1e-6);
      fresh.assertClose("gradX", spread, gradX, 1e-6);
    }
    Shape map = Shape.image(2, 19, 19, 24);
    float[] values = new float[map.size()], g = fresh.normal(map.size()), want = new float[map.size()];
    for (int i = 0; i < values.length; i++) values[i] = fresh.random().nextInt(-9, 9);
    double[] gradient = new double[map.size()];
    for (int i = 0; i < want.length; i++) {
      int w = i / 24 % 19, h = i / 24 / 19 % 19, best = -1;
      for (int down = -1; down <= 1; down++) {
        for (int along = -1; along <= 1; along++) {
          int at = i + (down * 19 + along) * 24;
          if (h + down >= 0 && h + down < 19 && w + along >= 0 && w + along < 19 && (best < 0 || values[at] > values[best])) best = at;
        }
      }
      want[i] = values[best];
      gradient[best] += g[i];
    }
    Tensor input = fresh.tensor(map, values), out = fresh.garbage(map), gradX = fresh.garbage(map);
    backend.pool().maxPool(out, input, 3, 1, 1);
    backend.pool().maxPoolBackward(gradX, fresh.tensor(map, g), input, 3, 1, 1);
    assertArrayEquals(want, backend.read(out));
    fresh.assertClose("gradX", gradient, gradX, 1e-6);
  }
}
