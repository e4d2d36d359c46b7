package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Float8;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Gradients of binary convolutions from float8 against loops over every product of what float8 holds, whose rounding Float8Test proves. */
class Float8GradientsTest {
  /** Channels and filters on both sides of a word, of 16 bytes and of a block; one pixel; strides, pads, dilation; few positions and several splits; no image. */
  private static final List<ConvGeometry> CONVOLUTIONS = RandomShapes.and(List.of(new ConvGeometry(2, 5, 6, 1, 3, 3, 3, 1, 1, 1, 1), new ConvGeometry(2, 7, 5, 33, 20, 3, 3, 2, 1, 1, 1),
      new ConvGeometry(3, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1), new ConvGeometry(2, 5, 6, 40, 70, 1, 1, 2, 0, 1, 1), new ConvGeometry(1, 9, 9, 32, 130, 3, 3, 1, 2, 2, 1),
      new ConvGeometry(5, 1, 1, 100, 17, 1, 1, 1, 0, 1, 1), new ConvGeometry(4, 12, 12, 31, 16, 3, 3, 1, 1, 1, 1), new ConvGeometry(0, 4, 4, 8, 8, 3, 3, 1, 1, 1, 1)),
      "float8 gradients", 1e6, 300, 200);

  /** Both gradients of one convolution with bits of its own. */
  private static final class Run {
    final Backend backend;
    final Fresh fresh;
    final ConvGeometry g;
    final float[] x, w, wCentre, wDistance;
    final float xCentre, xDistance;
    final BitTensor xBits, wBits;

    Run(Backend backend, Fresh fresh, ConvGeometry g, boolean plain, int sets) {
      this.backend = backend;
      this.fresh = fresh;
      this.g = g;
      x = signs(g.x().size());
      w = signs(g.filters().size());
      xBits = backend.createBits(g.n() * g.h() * g.w(), g.c());
      wBits = backend.createBits(g.o(), g.taps());
      backend.bits().pack(xBits, fresh.tensor(g.x(), x), 0);
      backend.bits().pack(wBits, fresh.tensor(g.filters(), w), 0);
      xCentre = plain ? 0 : 0.3f;
      xDistance = plain ? 1 : 0.8f;
      wCentre = plain ? new float[sets] : fresh.normal(sets);
      wDistance = fresh.uniform(sets, 0.1, 2);
      if (plain) Arrays.fill(wDistance, 1);
      else if (sets > 1) wDistance[sets / 2] = 0;
      for (int i = 0; i < x.length; i++) x[i] = x[i] > 0 ? xCentre + xDistance : xCentre - xDistance;
      for (int i = 0; i < w.length; i++) w[i] = w[i] > 0 ? wCentre[set(i / g.taps())] + wDistance[set(i / g.taps())] : wCentre[set(i / g.taps())] - wDistance[set(i / g.taps())];
    }

    private float[] signs(int n) {
      float[] all = new float[n];
      for (int i = 0; i < n; i++) all[i] = fresh.random().nextBoolean() ? 1 : -1;
      return all;
    }

    private int set(int filter) {
      return wDistance.length == 1 ? 0 : filter;
    }

    private float fold(int filter) {
      float d = wDistance[set(filter)];
      return d == 0 ? 1 : d;
    }

    /** What float8 holds of these gradients. */
    float[] held(float[] gradY) {
      float peak = 0;
      for (int i = 0; i < gradY.length; i++) peak = Math.max(peak, Math.abs(gradY[i] * fold(i % g.o())));
      int k = Float8.exponent(peak);
      float[] all = new float[gradY.length];
      for (int i = 0; i < all.length; i++) all[i] = Math.scalb(Float8.value(Float8.of(Math.scalb(gradY[i] * fold(i % g.o()), k))), -k) / fold(i % g.o());
      return all;
    }

    void into(Tensor gradX, Tensor gradW, float[] gradY, float border) {
      backend.bits().xnorConv2dGradFloat8(gradX, gradW, fresh.tensor(g.y(), gradY), backend.create(g.y(), ElementType.UINT8), xBits,
          new BinarySet(fresh.vector(xCentre), fresh.vector(xDistance)), wBits, new BinarySet(fresh.vector(wCentre), fresh.vector(wDistance)), g, border);
    }
  }

  @OnEveryPrecision
  void bothGradientsEqualTheNaiveLoopsOverWhatFloat8Holds(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Fresh fresh = new Fresh(backend, 31);
    for (ConvGeometry g : CONVOLUTIONS) {
      for (int sets : new int[] {1, g.o()}) {
        Run run = new Run(backend, fresh, g, g.c() == 64, sets);
        float[] gradY = fresh.normal(g.y().size()), held = run.held(gradY);
        for (float border : new float[] {0, -1}) {
          Tensor gradX = fresh.garbage(g.x()), gradW = backend.create(g.filters()), rough = fresh.garbage(g.filters());
          backend.fill(gradW, Fresh.GARBAGE);
          run.into(gradX, gradW, gradY, border);
          fresh.assertClose("gradX of " + g, NaiveConv.gradX(held, run.w, g), gradX);
          fresh.assertClose("gradW of " + g + " border " + border, NaiveConv.gradW(held, run.x, g, border), gradW);
          float[] got = backend.read(gradW);
          run.into(gradX, rough, gradY, border);
          fresh.assertExactly("rounded gradW of " + g, got, rough);
        }
      }
    }
  }

  @OnEveryPrecision
  void wholeNumbersOfFourBitsLoseNothing(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Fresh fresh = new Fresh(backend, 32);
    for (ConvGeometry g : CONVOLUTIONS) {
      Run run = new Run(backend, fresh, g, true, 1);
      float[] gradY = new float[g.y().size()];
      for (int i = 0; i < gradY.length; i++) gradY[i] = fresh.random().nextInt(-15, 16) * 0x1p-30f;
      assertArrayEquals(gradY, run.held(gradY), "numbers that float8 has");
      Tensor gradX = fresh.garbage(g.x()), gradW = backend.create(g.filters());
      run.into(gradX, gradW, gradY, -1);
      assertArrayEquals(NaiveConv.gradW(gradY, run.x, g, -1), Fresh.doubles(backend.read(gradW)), "gradW of " + g);
      double[] want = NaiveConv.gradX(gradY, run.w, g);
      float[] whole = new float[want.length];
      for (int i = 0; i < whole.length; i++) whole[i] = (float) want[i];
      fresh.assertExactly("gradX of " + g, whole, gradX);
    }
  }

  @OnEveryPrecision
  void noGradientGivesNoneAndWhatIsNotFiniteIsFound(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Fresh fresh = new Fresh(backend, 33);
    ConvGeometry g = CONVOLUTIONS.get(1);
    Run run = new Run(backend, fresh, g, false, g.o());
    Tensor gradX = fresh.garbage(g.x()), gradW = backend.create(g.filters());
    run.into(gradX, gradW, new float[g.y().size()], 0);
    for (Tensor each : List.of(gradX, gradW)) for (float v : backend.read(each)) assertEquals(0, v);
    for (float bad : new float[] {Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN}) {
      float[] gradY = fresh.normal(g.y().size());
      gradY[gradY.length / 2] = bad;
      run.into(gradX, gradW, gradY, 0);
      Tensor verdict = backend.create(Shape.vector(OptimOps.VERDICT));
      backend.optim().judge(verdict, fresh.vector(1, 0, 0), null, List.of(gradW), 0, List.of(), List.of());
      assertEquals(1, backend.read(verdict)[0], "the verdict about " + bad);
      boolean found = false;
      for (float v : backend.read(gradX)) found |= !Float.isFinite(v);
      assertTrue(found, "gradX of " + bad);
    }
  }

  /** A part's gradients are scaled by their own largest value: what another part or step had is no matter. */
  @OnEveryPrecision
  void theScaleIsThatOfTheCallAlone(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Fresh fresh = new Fresh(backend, 34);
    ConvGeometry g = CONVOLUTIONS.get(3);
    Run run = new Run(backend, fresh, g, false, 1);
    float[] gradY = fresh.normal(g.y().size()), large = gradY.clone();
    for (int i = 0; i < large.length; i++) large[i] *= 0x1p40f;
    Tensor gradX = fresh.garbage(g.x()), gradW = backend.create(g.filters());
    run.into(gradX, gradW, gradY, 0);
    float[] first = backend.read(gradW);
    run.into(gradX, gradW, large, 0);
    float[] scaled = backend.read(gradW);
    run.into(gradX, gradW, gradY, 0);
    assertArrayEquals(first, backend.read(gradW));
    for (int i = 0; i < first.length; i++) first[i] *= 0x1p40f;
    assertArrayEquals(first, scaled);
  }

  @OnEveryPrecision
  void wrongArgumentsAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    ConvGeometry g = new ConvGeometry(1, 4, 4, 8, 2, 3, 3, 1, 1, 1, 1);
    Run run = new Run(backend, fresh, g, true, 1);
    Tensor gradX = fresh.garbage(g.x()), gradW = backend.create(g.filters()), gradY = fresh.garbage(g.y());
    BinarySet set = new BinarySet(fresh.vector(0), fresh.vector(1));
    if (backend.float8Refusal() != null) {
      if (backend.activations() == ElementType.BFLOAT16) return;   // a GPU without products of float8
      assertTrue(backend.float8Refusal().contains("precision fp32"), backend.float8Refusal());
      Fresh.assertRefused("xnorConv2dGradFloat8: gradY is FLOAT32; it must be BFLOAT16",
          () -> backend.bits().xnorConv2dGradFloat8(gradX, gradW, gradY, backend.create(g.y(), ElementType.UINT8), run.xBits, set, run.wBits, set, g, 0));
      return;
    }
    Fresh.assertRefused("xnorConv2dGradFloat8: codes has shape [3], 3 values; [1, 4, 4, 2] wanted",
        () -> backend.bits().xnorConv2dGradFloat8(gradX, gradW, gradY, backend.create(Shape.vector(3), ElementType.UINT8), run.xBits, set, run.wBits, set, g, 0));
    Fresh.assertRefused("xnorConv2dGradFloat8: codes is FLOAT32; it must be UINT8",
        () -> backend.bits().xnorConv2dGradFloat8(gradX, gradW, gradY, backend.create(g.y()), run.xBits, set, run.wBits, set, g, 0));
    Fresh.assertRefused("xnorConv2dGradFloat8: w has 16 rows of 8 bits; 2 of 72 wanted",
        () -> backend.bits().xnorConv2dGradFloat8(gradX, gradW, gradY, backend.create(g.y(), ElementType.UINT8), run.xBits, set, run.xBits, set, g, 0));
  }
}
