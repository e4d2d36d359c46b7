package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class BitOpsTest {
  private static final int[] CHANNELS = {1, 16, 31, 32, 33, 63, 64, 65, 100, 128};

  static Stream<Backends.Named<BitOps>> backends() {
    return Backends.bitOps();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void bitsFollowTheThresholdRowByRow(Backends.Named<BitOps> backend) {
    Random random = new Random(1);
    for (int bits : CHANNELS) {
      for (float threshold : new float[] {0, 0.25f}) {
        float[] x = values(random, 7 * bits);
        for (int i = 0; i < x.length; i++) x[i] = backend.held(x[i]);
        x[0] = 0f;
        x[bits] = -0f;
        x[2 * bits] = Float.NaN;
        x[3 * bits] = threshold;
        x[4 * bits] = Float.NEGATIVE_INFINITY;
        x[5 * bits] = Float.POSITIVE_INFINITY;
        BitTensor packed = bits(7, bits);
        java.util.Arrays.fill(packed.longs(), -1L);
        backend.ops().pack(packed, Tensor.of(Shape.matrix(7, bits), x), threshold);
        for (int row = 0; row < 7; row++) {
          for (int i = 0; i < packed.words() * 64; i++) {
            boolean want = i < bits && x[row * bits + i] >= threshold;
            assertEquals(want, bit(packed, row, i), "row " + row + " bit " + i + " of " + bits);
          }
        }
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void unpackedValuesAreTheTwoOfTheSet(Backends.Named<BitOps> backend) {
    Random random = new Random(2);
    for (int bits : CHANNELS) {
      for (int sets : new int[] {1, 5}) {
        BitTensor packed = random(random, 5, bits);
        BinarySet set = set(random, sets);
        Tensor x = Tensor.of(Shape.matrix(5, bits), new float[5 * bits]);
        backend.ops().unpack(x, packed, set);
        float[] want = unpacked(packed, set);
        for (int i = 0; i < want.length; i++) want[i] = backend.held(want[i]);
        assertArrayEquals(want, x.floats());
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void xnorGemmEqualsTheNaiveSignProductExactly(Backends.Named<BitOps> backend) {
    Random random = new Random(3);
    int[][] named = {{1, 1, 1}, {1, 8, 64}, {3, 5, 63}, {5, 7, 64}, {2, 9, 65}, {66, 33, 100}, {4, 24, 128}, {70, 40, 300}, {9, 300, 577}, {130, 64, 1000}, {1, 10, 8192}};
    for (int[] size : RandomShapes.and(named, "xnorGemm")) {
      int m = size[0], n = size[1], k = size[2];
      BitTensor a = random(random, m, k), b = random(random, n, k);
      Tensor y = Tensor.of(Shape.matrix(m, n), new float[m * n]);
      backend.ops().xnorGemm(y, a, b);
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          int sum = 0;
          for (int l = 0; l < k; l++) sum += bit(a, i, l) == bit(b, j, l) ? 1 : -1;
          assertEquals(sum, y.floats()[i * n + j], "m " + i + " n " + j + " of " + m + "x" + n + "x" + k);
        }
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void changedBitsCountsOnesAndChangesAndRemembersTheBits(Backends.Named<BitOps> backend) {
    Random random = new Random(6);
    for (int bits : CHANNELS) {
      BitTensor before = random(random, 9, bits), now = random(random, 9, bits);
      float ones = 0, changes = 0;
      for (int row = 0; row < 9; row++) {
        for (int i = 0; i < bits; i++) {
          ones += bit(now, row, i) ? 1 : 0;
          changes += bit(now, row, i) != bit(before, row, i) ? 1 : 0;
        }
      }
      Tensor counts = Tensor.of(Shape.matrix(3, 2), -1, -1, -1, -1, -1, -1);
      backend.ops().changedBits(counts, 1, before, now);
      assertArrayEquals(new float[] {-1, -1, ones, changes, -1, -1}, counts.floats());
      assertArrayEquals(now.longs(), before.longs());
      backend.ops().changedBits(counts, 2, before, now);
      assertArrayEquals(new float[] {-1, -1, ones, changes, ones, 0}, counts.floats());
    }
    var e = assertThrows(IllegalArgumentException.class,
        () -> backend.ops().changedBits(Tensor.of(Shape.matrix(1, 2), new float[2]), 1, bits(1, 4), bits(1, 4)));
    assertEquals("changedBits: at is 1, counts has room for 1", e.getMessage());
  }

  static Stream<Arguments> convolutions() {
    List<ConvGeometry> list = new ArrayList<>();
    for (int c : CHANNELS) {
      list.add(new ConvGeometry(2, 6, 5, c, 7, 3, 3, 1, 1, 1, 1));
      list.add(new ConvGeometry(1, 7, 6, c, 20, 3, 3, 2, 1, 1, 1));
    }
    for (int c : new int[] {1, 16, 33, 64}) {
      list.add(new ConvGeometry(2, 9, 8, c, 16, 3, 3, 3, 2, 1, 1));
      list.add(new ConvGeometry(1, 9, 9, c, 33, 3, 3, 1, 2, 2, 1));
      list.add(new ConvGeometry(1, 8, 9, c, 64, 3, 2, 2, 0, 2, 1));
      list.add(new ConvGeometry(3, 5, 4, c, 9, 1, 1, 1, 0, 1, 1));
      list.add(new ConvGeometry(1, 5, 5, c, 40, 1, 1, 2, 1, 1, 1));
      list.add(new ConvGeometry(2, 1, 1, c, 8, 3, 3, 1, 1, 1, 1));
      list.add(new ConvGeometry(1, 1, 1, c, 5, 1, 1, 1, 2, 1, 1));
      list.add(new ConvGeometry(1, 8, 8, c, 12, 5, 5, 1, 2, 1, 1));
    }
    list.add(new ConvGeometry(1, 12, 40, 16, 260, 3, 3, 1, 1, 1, 1));
    for (int c : new int[] {96, 256}) {
      list.add(new ConvGeometry(2, 9, 8, c, 16, 3, 3, 3, 2, 1, 1));
      list.add(new ConvGeometry(1, 9, 9, c, 33, 3, 3, 1, 2, 2, 1));
      list.add(new ConvGeometry(3, 1, 1, c, 8, 3, 3, 1, 1, 1, 1));
      list.add(new ConvGeometry(1, 3, 140, c, 9, 3, 3, 1, 1, 1, 1));
    }
    List<ConvGeometry> all = RandomShapes.and(list, "xnorConv2d", 1.5e6, 520, 200);
    return Backends.bitOps().flatMap(backend -> all.stream().filter(g -> !backend.rounds() || g.hashCode() % 3 == 0).map(g -> Arguments.of(backend, g)));
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("convolutions")
  void xnorConvEqualsRealConvOfTheUnpackedValues(Backends.Named<BitOps> backend, ConvGeometry g) {
    Random random = new Random(g.hashCode());
    for (Padding padding : Padding.values()) {
      for (int sets : new int[] {1, g.o()}) {
        BitTensor x = random(random, g.n() * g.h() * g.w(), g.c()), w = random(random, g.o(), g.taps());
        BinarySet xSet = set(random, 1), wSet = set(random, sets);
        double border = padding == Padding.ZERO ? 0 : xSet.centre().floats()[0] - xSet.distance().floats()[0];
        double[] want = NaiveConv.forward(unpacked(x, xSet), unpacked(w, wSet), g, border);
        Tensor y = Tensor.of(g.y(), new float[g.y().size()]);
        backend.ops().xnorConv2d(y, x, w, xSet, wSet, g, padding, 0.5f);
        for (int i = 0; i < want.length; i++) {
          int at = i;
          assertEquals(want[i] + 0.5, y.floats()[i], 2e-6 * (10 + g.taps()) + backend.step(want[i] + 0.5), () -> g + " " + padding + " at " + at);
        }
      }
    }
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("convolutions")
  void xnorConvOfSignsIsTheExactWholeNumber(Backends.Named<BitOps> backend, ConvGeometry g) {
    Random random = new Random(g.hashCode());
    BinarySet signs = new BinarySet(Tensor.of(Shape.vector(1), 0f), Tensor.of(Shape.vector(1), 1f));
    BitTensor x = random(random, g.n() * g.h() * g.w(), g.c()), w = random(random, g.o(), g.taps());
    for (Padding padding : Padding.values()) {
      double[] want = NaiveConv.forward(unpacked(x, signs), unpacked(w, signs), g, padding == Padding.ZERO ? 0 : -1);
      Tensor y = Tensor.of(g.y(), new float[g.y().size()]);
      backend.ops().xnorConv2d(y, x, w, signs, signs, g, padding, 0);
      for (int i = 0; i < want.length; i++) {
        int at = i;
        assertEquals(backend.held((float) want[i]), y.floats()[i], () -> g + " " + padding + " at " + at);
      }
      float[] first = y.floats().clone();
      backend.ops().xnorConv2d(y, x, w, signs, signs, g, padding, 0);
      assertArrayEquals(first, y.floats());
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("backends")
  void unequalShapesAreRefusedInWords(Backends.Named<BitOps> backend) {
    Tensor y = Tensor.of(Shape.matrix(2, 3), new float[6]);
    var e = assertThrows(IllegalArgumentException.class, () -> backend.ops().xnorGemm(y, bits(2, 512), bits(3, 576)));
    assertEquals("xnorGemm: a has 512 bits per row, b has 576; they must be equal", e.getMessage());
    var pack = assertThrows(IllegalArgumentException.class, () -> backend.ops().pack(bits(2, 4), y, 0));
    assertTrue(pack.getMessage().startsWith("pack: "), pack.getMessage());
    ConvGeometry grouped = new ConvGeometry(1, 4, 4, 4, 4, 3, 3, 1, 1, 1, 2);
    BinarySet set = set(new Random(0), 1);
    assertThrows(IllegalArgumentException.class,
        () -> backend.ops().xnorConv2d(Tensor.of(grouped.y(), new float[64]), bits(16, 4), bits(4, 18), set, set, grouped, Padding.ZERO, 0));
  }

  private static BitTensor bits(int rows, int bits) {
    return new BitTensor(rows, bits, new long[rows * BitTensor.words(bits)]);
  }

  static BitTensor random(Random random, int rows, int bits) {
    BitTensor t = bits(rows, bits);
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < bits; i++) if (random.nextBoolean()) t.longs()[row * t.words() + i / 64] |= 1L << i % 64;
    }
    return t;
  }

  private static boolean bit(BitTensor t, int row, int i) {
    return (t.longs()[row * t.words() + i / 64] >>> i % 64 & 1) != 0;
  }

  private static float[] unpacked(BitTensor t, BinarySet set) {
    float[] x = new float[t.rows() * t.bits()];
    for (int row = 0; row < t.rows(); row++) {
      float c = set.centre().floats()[set.count() == 1 ? 0 : row], d = set.distance().floats()[set.count() == 1 ? 0 : row];
      for (int i = 0; i < t.bits(); i++) x[row * t.bits() + i] = bit(t, row, i) ? c + d : c - d;
    }
    return x;
  }

  private static BinarySet set(Random random, int count) {
    float[] centre = values(random, count), distance = values(random, count);
    for (int i = 0; i < count; i++) distance[i] = Math.abs(distance[i]) + 0.1f;
    return new BinarySet(Tensor.of(Shape.vector(count), centre), Tensor.of(Shape.vector(count), distance));
  }

  private static float[] values(Random random, int count) {
    float[] x = new float[count];
    for (int i = 0; i < count; i++) x[i] = (float) random.nextGaussian();
    return x;
  }
}
