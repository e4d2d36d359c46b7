package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Gradients of binary convolutions against loops over every product. */
class BitGradientsTest {
  /** Channels and filters on both sides of a word and of a block, strides, pads, dilation; few positions and several splits. */
  private static final List<ConvGeometry> CONVOLUTIONS = RandomShapes.and(List.of(new ConvGeometry(2, 5, 6, 1, 3, 3, 3, 1, 1, 1, 1), new ConvGeometry(2, 7, 5, 33, 20, 3, 3, 2, 1, 1, 1),
      new ConvGeometry(3, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1), new ConvGeometry(2, 5, 6, 40, 70, 1, 1, 2, 0, 1, 1), new ConvGeometry(1, 9, 9, 32, 130, 3, 3, 1, 2, 2, 1),
      new ConvGeometry(5, 1, 1, 100, 10, 1, 1, 1, 0, 1, 1), new ConvGeometry(4, 12, 12, 16, 16, 3, 3, 1, 1, 1, 1), new ConvGeometry(0, 4, 4, 8, 8, 3, 3, 1, 1, 1, 1)),
      "bit gradients", 1.5e6, 520, 300);

  @OnEveryPrecision
  void gradWEqualsTheNaiveLoopsOverTheUnpackedValues(Backend backend) {
    Fresh fresh = new Fresh(backend, 21);
    for (ConvGeometry g : CONVOLUTIONS) {
      float centre = g.c() == 33 ? 0.3f : 0, distance = g.c() == 33 ? 0.8f : 1;
      float[] signs = new float[g.x().size()], x = new float[signs.length], gradY = fresh.normal(g.y().size());
      for (int i = 0; i < x.length; i++) {
        signs[i] = fresh.random().nextBoolean() ? 1 : -1;
        x[i] = fresh.rounded(signs[i] > 0 ? centre + distance : centre - distance);
      }
      BitTensor bits = backend.createBits(g.n() * g.h() * g.w(), g.c());
      backend.bits().pack(bits, fresh.tensor(g.x(), signs), 0);
      BinarySet set = new BinarySet(fresh.vector(centre), fresh.vector(distance));
      for (float border : new float[] {0, -1}) {
        Tensor from = fresh.tensor(g.y(), gradY), whole = backend.create(g.filters()), rounded = fresh.garbage(g.filters());
        backend.fill(whole, Fresh.GARBAGE);
        backend.bits().xnorConv2dGradW(whole, from, bits, set, g, border, room(backend, g));
        backend.bits().xnorConv2dGradW(rounded, from, bits, set, g, border, room(backend, g));
        double[] want = NaiveConv.gradW(gradY, x, g, border);
        float[] got = backend.read(whole);
        // the unpacked product of a device may hold float32 gradients of bfloat16 factors as bfloat16 meanwhile; this one does not
        for (int i = 0; i < want.length; i++) assertEquals(want[i], got[i], 4e-6 * (1 + 2 * Math.sqrt(g.n() * g.p() * g.q())), g + " border " + border + " at " + i);
        fresh.assertExactly("rounded gradW of " + g, got, rounded);
        Tensor again = backend.create(g.filters());
        backend.bits().xnorConv2dGradW(again, from, bits, set, g, border, room(backend, g));
        assertArrayEquals(got, backend.read(again), "a second call");
      }
    }
  }

  @OnEveryPrecision
  void gradXEqualsTheNaiveLoopsOverTheUnpackedFilters(Backend backend) {
    Fresh fresh = new Fresh(backend, 22);
    for (ConvGeometry g : CONVOLUTIONS) {
      for (int sets : new int[] {1, g.o()}) {
        float[] centre = fresh.normal(sets), distance = fresh.uniform(sets, 0.1, 2), signs = new float[g.filters().size()], w = new float[signs.length];
        for (int i = 0; i < w.length; i++) {
          int set = sets == 1 ? 0 : i / g.taps();
          signs[i] = fresh.random().nextBoolean() ? 1 : -1;
          w[i] = fresh.rounded(signs[i] > 0 ? centre[set] + distance[set] : centre[set] - distance[set]);
        }
        BitTensor bits = backend.createBits(g.o(), g.taps());
        backend.bits().pack(bits, fresh.tensor(g.filters(), signs), 0);
        float[] gradY = fresh.normal(g.y().size());
        Tensor gradX = fresh.garbage(g.x());
        backend.bits().xnorConv2dGradX(gradX, fresh.tensor(g.y(), gradY), bits, new BinarySet(fresh.vector(centre), fresh.vector(distance)),
            fresh.tensor(g.filters(), w), g);
        fresh.assertClose("gradX of " + g, NaiveConv.gradX(gradY, w, g), gradX);
      }
    }
  }

  private static Tensor room(Backend backend, ConvGeometry g) {
    return backend.activations() == ElementType.BFLOAT16 ? null : backend.create(g.x());
  }

  @OnEveryPrecision
  void wrongArgumentsAreRefusedInWords(Backend backend) {
    ConvGeometry g = new ConvGeometry(1, 4, 4, 8, 2, 3, 3, 1, 1, 1, 1), two = new ConvGeometry(1, 4, 4, 8, 2, 3, 3, 1, 1, 1, 2);
    Fresh fresh = new Fresh(backend, 1);
    Tensor gradW = backend.create(g.filters()), gradY = fresh.garbage(g.y()), room = room(backend, g), wrong = room == null ? fresh.garbage(g.x()) : null;
    BitTensor bits = backend.createBits(16, 8);
    BinarySet set = new BinarySet(fresh.vector(0), fresh.vector(1));
    Fresh.assertRefused("xnorConv2dGradW: groups must be 1, got 2", () -> backend.bits().xnorConv2dGradW(gradW, gradY, bits, set, two, 0, room));
    Fresh.assertRefused("xnorConv2dGradW: x has 15 rows of 8 bits; 16 of 8 wanted",
        () -> backend.bits().xnorConv2dGradW(gradW, gradY, backend.createBits(15, 8), set, g, 0, room));
    Fresh.assertRefused("xnorConv2dGradW: values is " + (wrong == null ? "null" : "given") + " for a gradY of " + backend.activations() + "; it must be "
        + (wrong == null ? "given" : "null"), () -> backend.bits().xnorConv2dGradW(gradW, gradY, bits, set, g, 0, wrong));
    Fresh.assertRefused("xnorConv2dGradW: y has shape [3], 3 values; [1, 4, 4, 2] wanted",
        () -> backend.bits().xnorConv2dGradW(gradW, backend.create(Shape.vector(3), backend.activations()), bits, set, g, 0, room));
  }
}
