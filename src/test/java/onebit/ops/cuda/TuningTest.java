package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import onebit.ops.ConvGeometry;
import onebit.ops.Padding;
import onebit.ops.PixelScale;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

class TuningTest {
  private final List<Tuning.Choice> remembered = new ArrayList<>();
  private final List<String> told = new ArrayList<>();

  private Tuning tuning(Tuning.Choice... before) {
    return new Tuning(List.of(before), remembered::add, told::add);
  }

  /** Times by a script: way i takes millis[i], but its first run, which is not counted, longer. */
  private static final class Script {
    private final double[] millis;
    private final int[] runs;

    Script(double... millis) {
      this.millis = millis;
      runs = new int[millis.length];
    }

    double of(int way) {
      return runs[way]++ == 0 ? 100 : millis[way] + (runs[way] == 2 ? 50 : 0);
    }
  }

  @Test
  void theFastestIsMeasuredOnceAndRemembered() {
    Tuning tuning = tuning();
    Script script = new Script(3, 1, 2);
    for (int i = 0; i < 3; i++) assertEquals(1, tuning.choose("op 1", List.of("a", "b", "c"), script::of));
    assertArrayEquals(new int[] {6, 6, 6}, script.runs);
    assertEquals(List.of(new Tuning.Choice("op 1", "b", 1)), remembered);
    assertEquals(List.of("chosen: op 1: b, 1.0000 ms, measured among a, b, c"), told);
    Script never = new Script(1, 9, 1);
    for (int i = 0; i < 2; i++) assertEquals(1, tuning(remembered.getFirst()).choose("op 1", List.of("a", "b", "c"), never::of));
    assertArrayEquals(new int[3], never.runs);
    assertEquals("chosen: op 1: b, 1.0000 ms, remembered", told.getLast());
  }

  @Test
  void aWayThatIsNotThereIsNamedAndMeasuredAnew() {
    assertEquals(0, tuning(new Tuning.Choice("op 1", "z", 0.1)).choose("op 1", List.of("a", "b"), new Script(1, 2)::of));
    assertEquals(List.of("tuning: op 1: there is no way \"z\" here; there are a, b, which are measured anew", "chosen: op 1: a, 1.0000 ms, measured among a, b"), told);
    assertEquals(List.of(new Tuning.Choice("op 1", "a", 1)), remembered);
  }

  @Test
  void waysAreThoseThatTheKernelsHaveAtACapability() {
    assertEquals("[xor with 64 columns a block, popcount with 64 columns a block]", BitProduct.ways(75, 128).toString());
    assertEquals("[and with 64 columns a block, popcount with 64 columns a block]", BitProduct.ways(86, 64).toString());
    assertEquals("[and with 64 columns a block, and with 128 columns a block, popcount with 64 columns a block]", BitProduct.ways(90, 65).toString());
    assertEquals("[popcount with 64 columns a block]", BitProduct.ways(100, 128).toString());
  }

  /** Each way in turn is the fastest by a clock that times nothing: the whole numbers stay, and so do cuDNN's results to the order of sums. */
  @Test
  void everyWayGivesTheSameResult() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (CudaBackend backend = CudaBackend.emulated()) {
      assertThrows(IllegalArgumentException.class, () -> backend.useTuning(tuning()));
      ConvGeometry g = new ConvGeometry(1, 6, 5, 40, 70, 3, 3, 1, 1, 1, 1);
      Random random = new Random(3);
      BitTensor x = bits(backend, g.x(), random), w = backend.createBits(70, 360);
      backend.bits().pack(w, values(backend, g.filters(), random), 0);
      Tensor centre = values(backend, Shape.vector(1), random), distance = values(backend, Shape.vector(1), random), y = backend.create(g.y());
      BinarySet set = new BinarySet(centre, distance);
      backend.bits().xnorConv2d(y, x, w, set, set, g, Padding.ZERO, 0);
      float[] wanted = backend.read(y);
      int ways = BitProduct.ways(80, g.o()).size();
      for (int fastest = 0; fastest < ways; fastest++) {
        int now = fastest;
        int[] runs = new int[1];
        backend.tune(tuning(), work -> {
          work.run();
          return runs[0]++ / 6 == now ? 1 : 2;
        });
        backend.fill(y, 77);
        backend.bits().xnorConv2d(y, x, w, set, set, g, Padding.ZERO, 0);
        assertArrayEquals(wanted, backend.read(y), remembered.getLast().way());
      }
      assertEquals(ways, remembered.stream().map(Tuning.Choice::way).distinct().count(), remembered.toString());
      Tensor real = values(backend, g.x(), random), filters = values(backend, g.filters(), random);
      backend.conv().conv2d(y, real, filters, g, 0);
      assertEquals("conv2d forward " + g + " in FLOAT32", remembered.getLast().shape());
    }
  }

  /** Matrices of bits are multiplied by every way in turn, on warpgroups too; nobody asked, by blocks of one tile. */
  @Test
  void everyWayMultipliesMatricesOfBitsAlike() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (CudaBackend backend = CudaBackend.emulated()) {
      Random random = new Random(6);
      record Case(String shape, Tensor y, BitTensor a, BitTensor b, float[] wanted) {}
      List<Case> cases = new ArrayList<>();
      for (int[] size : new int[][] {{1, 1, 1}, {257, 193, 1025}}) {
        BitTensor a = backend.createBits(size[0], size[2]), b = backend.createBits(size[1], size[2]);
        for (BitTensor bits : List.of(a, b)) backend.bits().pack(bits, values(backend, Shape.matrix(bits.rows(), bits.bits()), random), 0);
        for (ElementType type : List.of(ElementType.FLOAT32, ElementType.BFLOAT16)) {
          Tensor y = backend.create(Shape.matrix(size[0], size[1]), type);
          backend.bits().xnorGemm(y, a, b);
          cases.add(new Case("xnorGemm " + size[0] + "x" + size[1] + "x" + size[2] + " to " + type, y, a, b, backend.read(y)));
        }
      }
      long before = EmulatedDriver.counter("launches:xnor_gemm_bulk");
      assertEquals(0, before);
      for (Case c : cases) {
        for (Tuning.Choice way : backend.waysOfXnorGemm(c.y, c.a, c.b)) {
          backend.tune(tuning(way), work -> 1);
          Tensor again = backend.create(c.y.shape(), c.y.type());
          backend.bits().xnorGemm(again, c.a, c.b);
          assertArrayEquals(c.wanted, backend.read(again), way.toString());
        }
        assertEquals(++before, EmulatedDriver.counter("launches:xnor_gemm_bulk"));
        assertTrue(told.contains("chosen: " + c.shape + ": " + GemmTiles.WAY + ", 0.0000 ms, remembered"), told.toString());
      }
    }
  }

  /** The gradient of binary filters is made by either way, and by the own kernel where nobody is asked; one of 1x1 that strides reads some of the unpacked values. */
  @Test
  void theGradientOfFiltersIsMadeByTheFasterOfTwoWays() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (CudaBackend backend = CudaBackend.emulated(BitProduct.AND, CudaMode.BFLOAT16)) {
      theGradientOfFiltersIsMadeByTheFasterOfTwoWays(backend, new ConvGeometry(1, 6, 5, 40, 70, 3, 3, 1, 1, 1, 1));
      theGradientOfFiltersIsMadeByTheFasterOfTwoWays(backend, new ConvGeometry(2, 17, 15, 64, 70, 1, 1, 2, 0, 1, 1));
    }
  }

  private void theGradientOfFiltersIsMadeByTheFasterOfTwoWays(CudaBackend backend, ConvGeometry g) {
    Random random = new Random(4);
    BitTensor x = bits(backend, g.x(), random);
    BinarySet set = new BinarySet(values(backend, Shape.vector(1), random), values(backend, Shape.vector(1), random));
    Tensor gradY = backend.create(g.y(), ElementType.BFLOAT16), gradW = backend.create(g.filters());
    backend.point().copy(gradY, values(backend, g.y(), random));
    backend.bits().xnorConv2dGradW(gradW, gradY, x, set, g, 0, null);
    float[] wanted = backend.read(gradW);
    for (int fastest = 0; fastest < 2; fastest++) {
      String way = fastest == 0 ? "own kernel from bits" : "cuDNN from bits unpacked into 1 MB";
      backend.tune(tuning(new Tuning.Choice("xnorConv2dGradW " + g, way, 1)), work -> 1);
      backend.fill(gradW, 77);
      long calls = EmulatedDriver.counter("library_calls");
      backend.bits().xnorConv2dGradW(gradW, gradY, x, set, g, 0, null);
      assertEquals(fastest, EmulatedDriver.counter("library_calls") > calls ? 1 : 0, way);
      assertArrayEquals(wanted, backend.read(gradW), 0.05f, way);
      assertTrue(told.contains("chosen: xnorConv2dGradW " + g + ": " + way + ", 1.0000 ms, remembered"), told.toString());
    }
    int[] runs = new int[1];
    backend.tune(tuning(), work -> {
      work.run();
      return runs[0]++ < 6 ? 2 : 1;
    });
    backend.bits().xnorConv2dGradW(gradW, gradY, x, set, g, 0, null);
    assertTrue(remembered.contains(new Tuning.Choice("xnorConv2dGradW " + g, "cuDNN from bits unpacked into 1 MB", 1)), remembered.toString());
    backend.tune(null, null);
  }

  /** The own gradient of images equals cuDNN's of the same values, whatever the type of block. */
  @Test
  void theGradientOfImagesIsMadeByTheFasterOfTwoWays() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (CudaBackend backend = CudaBackend.emulated(BitProduct.AND, CudaMode.BFLOAT16)) {
      for (ConvGeometry g : new ConvGeometry[] {new ConvGeometry(2, 7, 5, 40, 70, 3, 3, 2, 1, 1, 1), new ConvGeometry(1, 6, 5, 100, 33, 3, 3, 1, 1, 1, 1)}) {
        Random random = new Random(5);
        BitTensor w = backend.createBits(g.o(), g.taps());
        backend.bits().pack(w, values(backend, g.filters(), random), 0);
        BinarySet set = new BinarySet(values(backend, Shape.vector(g.o()), random), values(backend, Shape.vector(g.o()), random));
        Tensor filters = backend.create(g.filters(), ElementType.BFLOAT16), gradY = backend.create(g.y(), ElementType.BFLOAT16);
        Tensor gradX = backend.create(g.x(), ElementType.BFLOAT16);
        backend.bits().unpack(filters, w, set);
        backend.point().copy(gradY, values(backend, g.y(), random));
        backend.bits().xnorConv2dGradX(gradX, gradY, w, set, filters, g);
        float[] wanted = backend.read(gradX);
        for (int fastest = 0; fastest < 2; fastest++) {
          String way = fastest == 0 ? "own kernel from bits" : "cuDNN from the filters' values";
          backend.tune(tuning(new Tuning.Choice("xnorConv2dGradX " + g, way, 1)), work -> 1);
          backend.fill(gradX, 77);
          long calls = EmulatedDriver.counter("library_calls");
          backend.bits().xnorConv2dGradX(gradX, gradY, w, set, filters, g);
          assertEquals(fastest, EmulatedDriver.counter("library_calls") > calls ? 1 : 0, way);
          float[] got = backend.read(gradX);
          for (int i = 0; i < got.length; i++) assertEquals(wanted[i], got[i], 1e-3 + Math.abs(wanted[i]) / 128, way + " at " + i);
        }
        backend.tune(null, null);
      }
    }
  }

  /** A stem and the gradient of its filters by the own kernels, which is what nobody's asking takes, and by cuDNN. */
  @Test
  void aStemIsConvolvedByTheFasterOfTwoWays() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (CudaBackend backend = CudaBackend.emulated(BitProduct.AND, CudaMode.BFLOAT16)) {
      assertTrue(backend.describe().toString().contains("stems, convolutions of stride 2 over at most 4 channels in bf16: own kernels"), backend.describe().toString());
      ConvGeometry g = new ConvGeometry(2, 11, 14, 3, 24, 7, 7, 2, 3, 1, 1);
      Random random = new Random(6);
      Tensor x = backend.create(g.x(), ElementType.BFLOAT16), gradY = backend.create(g.y(), ElementType.BFLOAT16), y = backend.create(g.y(), ElementType.BFLOAT16);
      Tensor w = values(backend, g.filters(), random), gradW = backend.create(g.filters()), pixels = backend.create(g.x(), ElementType.UINT8);
      byte[] bytes = new byte[g.x().size()];
      random.nextBytes(bytes);
      backend.write(pixels, bytes);
      PixelScale scale = new PixelScale(new float[] {0.485f, 0.456f, 0.406f}, new float[] {0.229f, 0.224f, 0.225f});
      backend.point().normalize(x, pixels, scale);
      backend.point().copy(gradY, values(backend, g.y(), random));
      long before = EmulatedDriver.counter("library_calls");
      backend.conv().conv2d(y, x, w, g, 0);
      backend.conv().conv2dGradW(gradW, gradY, x, g, 0);
      assertEquals(before, EmulatedDriver.counter("library_calls"));
      float[] wantedY = backend.read(y), wantedW = backend.read(gradW);
      for (int i = 0; i < 4; i++) {
        String way = i < 2 ? "own kernel over blocks of pixels" : "cuDNN over blocks of pixels", of = i % 2 == 0 ? " " : " of bytes ";
        backend.tune(tuning(new Tuning.Choice("stem forward" + of + g, way, 1), new Tuning.Choice("stem gradient of w" + of + g, way, 1)), work -> 1);
        backend.fill(y, 77);
        backend.fill(gradW, 77);
        long calls = EmulatedDriver.counter("library_calls");
        if (i % 2 == 0) backend.conv().conv2d(y, x, w, g, 0);
        else backend.conv().conv2dOfPixels(y, pixels, scale, w, g);
        if (i % 2 == 0) backend.conv().conv2dGradW(gradW, gradY, x, g, 0);
        else backend.conv().conv2dOfPixelsGradW(gradW, gradY, pixels, scale, g);
        assertEquals(way.startsWith("cuDNN"), EmulatedDriver.counter("library_calls") > calls, way);
        float[] foundY = backend.read(y), foundW = backend.read(gradW);
        for (int k = 0; k < foundY.length; k++) assertEquals(wantedY[k], foundY[k], i < 2 ? 0 : 1e-3 + Math.abs(wantedY[k]) / 128, way + " at " + k);
        for (int k = 0; k < foundW.length; k++) assertEquals(wantedW[k], foundW[k], i < 2 ? 0 : 1e-3 + Math.abs(wantedW[k]) / 256, way + " at " + k);
        assertTrue(told.contains("chosen: stem forward" + of + g + ": " + way + ", 1.0000 ms, remembered"), told.toString());
      }
    }
  }

  private static BitTensor bits(CudaBackend backend, Shape shape, Random random) {
    BitTensor bits = backend.createBits(shape.size() / shape.d3(), shape.d3());
    backend.bits().pack(bits, values(backend, shape, random), 0);
    return bits;
  }

  private static Tensor values(CudaBackend backend, Shape shape, Random random) {
    float[] values = new float[shape.size()];
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    Tensor made = backend.create(shape);
    backend.write(made, values);
    return made;
  }
}
