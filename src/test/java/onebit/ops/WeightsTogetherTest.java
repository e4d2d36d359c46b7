package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.AdaBin;
import onebit.binarize.Binarizer;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** The weights of many layers in one op: value for value what each layer's own op gives. */
class WeightsTogetherTest {
  /** Latent weights and what is summed over them are float32; what is convolved, and the gradient at it, of the type of activations. */
  private static Tensor real(Backend backend, Shape shape, float... values) {
    Tensor made = backend.create(shape);
    backend.write(made, values);
    return made;
  }

  @OnEveryPrecision
  void manyLayersInOneOpEqualEachByItself(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    Binarizer f = new AdaBin.TanhSlope(1.5f, 2);
    List<BitTensor> bits = new ArrayList<>();
    List<BinarySet> sets = new ArrayList<>();
    List<Tensor> values = new ArrayList<>(), gradients = new ArrayList<>(), gradEs = new ArrayList<>(), effective = new ArrayList<>();
    List<float[]> given = new ArrayList<>();
    for (Shape shape : Fresh.FILTERS) {
      bits.add(fresh.garbageBits(shape.d0(), shape.rowSize()));
      sets.add(new BinarySet(fresh.garbage(shape.d0()), fresh.garbage(shape.d0())));
      values.add(real(backend, shape, fresh.normal(shape.size())));
      given.add(fresh.normal(shape.size()));
      effective.add(fresh.garbage(shape));
      gradEs.add(fresh.garbage(shape));
      gradients.add(backend.activations() == ElementType.FLOAT32 ? gradEs.getLast() : real(backend, shape, new float[shape.size()]));
    }
    for (int repeat = 0; repeat < 2; repeat++) {
      for (int i = 0; i < given.size(); i++) backend.write(gradEs.get(i), given.get(i));
      backend.binarize().centreDistanceAll(bits, sets, effective, values);
      backend.binarize().centreDistanceAllBackward(gradients, gradEs, values, sets, f);
      for (int i = 0; i < values.size(); i++) {
        Shape shape = values.get(i).shape();
        BitTensor ownBits = fresh.garbageBits(shape.d0(), shape.rowSize());
        BinarySet own = new BinarySet(fresh.garbage(shape.d0()), fresh.garbage(shape.d0()));
        Tensor gradient = real(backend, shape, given.get(i));
        backend.binarize().centreDistance(ownBits, own, values.get(i));
        backend.binarize().centreDistanceBackward(gradient, gradient, values.get(i), own, f);
        assertArrayEquals(backend.read(ownBits), backend.read(bits.get(i)), "bits of " + shape);
        assertArrayEquals(backend.read(own.centre()), backend.read(sets.get(i).centre()), "centre of " + shape);
        assertArrayEquals(backend.read(own.distance()), backend.read(sets.get(i).distance()), "distance of " + shape);
        Tensor unpacked = fresh.garbage(shape);
        backend.bits().unpack(unpacked, ownBits, own);
        assertArrayEquals(backend.read(unpacked), backend.read(effective.get(i)), "values of " + shape);
        assertArrayEquals(backend.read(gradient), backend.read(gradients.get(i)), "gradient of " + shape);
      }
    }
  }
}
