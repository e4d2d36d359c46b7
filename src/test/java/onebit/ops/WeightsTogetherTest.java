package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.Binarizer;
import onebit.binarize.Rbnn;
import onebit.ops.WeightOps.Mix;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** The weights of many layers in one op: value for value what each layer's own op gives. */
class WeightsTogetherTest {
  private static final Shape[] FILTERS = Fresh.FILTERS;

  /** The tensors of many layers. Latent weights and what is summed over them are float32; what is convolved, and the gradient at it, of the type of activations. */
  private static final class Layers {
    final Backend backend;
    final Fresh fresh;
    final List<BitTensor> bits = new ArrayList<>();
    final List<Tensor> ws = new ArrayList<>(), gradients = new ArrayList<>(), gradEs = new ArrayList<>(), effective = new ArrayList<>();
    final List<float[]> given = new ArrayList<>();

    /** spread multiplies the latent weights. */
    Layers(Backend backend, long seed, float spread) {
      this.backend = backend;
      fresh = new Fresh(backend, seed);
      for (Shape shape : FILTERS) {
        float[] w = fresh.normal(shape.size());
        for (int i = 0; i < w.length; i++) w[i] *= spread;
        bits.add(fresh.garbageBits(shape.d0(), shape.rowSize()));
        ws.add(real(shape, w));
        given.add(fresh.normal(shape.size()));
        effective.add(fresh.garbage(shape));
        gradEs.add(fresh.garbage(shape));
        gradients.add(backend.activations() == ElementType.FLOAT32 ? gradEs.getLast() : real(shape, new float[shape.size()]));
      }
    }

    Tensor real(Shape shape, float... values) {
      Tensor made = backend.create(shape);
      backend.write(made, values);
      return made;
    }

    Shape shape(int i) {
      return ws.get(i).shape();
    }

    /** The gradients at the convolved values, which a backward may have written over. */
    void giveGradients() {
      for (int i = 0; i < given.size(); i++) backend.write(gradEs.get(i), given.get(i));
    }

    Tensor given(int i) {
      return real(shape(i), given.get(i));
    }

    /** One value per filter of each layer. */
    List<Tensor> perFilter(boolean garbage) {
      List<Tensor> all = new ArrayList<>();
      for (Tensor w : ws) all.add(garbage ? fresh.garbage(w.shape().d0()) : fresh.vector(fresh.uniform(w.shape().d0(), 0.5, 2)));
      return all;
    }

    void requireBits(int i, BitTensor want) {
      assertArrayEquals(backend.read(want), backend.read(bits.get(i)), "bits of " + shape(i));
    }

    void requireEqual(String name, int i, Tensor want, Tensor got) {
      assertArrayEquals(backend.read(want), backend.read(got), name + " of " + shape(i));
    }

    /** The values in the type they are convolved in. */
    void requireEffective(int i, float[] want) {
      assertArrayEquals(effective.get(i).type() == ElementType.BFLOAT16 ? fresh.rounded(want) : want, backend.read(effective.get(i)), "values of " + shape(i));
    }

    void requireUnpacked(int i, BitTensor own, BinarySet set) {
      Tensor unpacked = fresh.garbage(shape(i));
      backend.bits().unpack(unpacked, own, set);
      requireEqual("values", i, unpacked, effective.get(i));
    }
  }

  @OnEveryPrecision
  void centresAndDistancesOfManyLayersEqualEachByItself(Backend backend) {
    Layers layers = new Layers(backend, 3, 1);
    Binarizer f = new AdaBin.TanhSlope(1.5f, 2);
    List<BinarySet> sets = new ArrayList<>();
    for (Shape shape : FILTERS) sets.add(new BinarySet(layers.fresh.garbage(shape.d0()), layers.fresh.garbage(shape.d0())));
    for (int repeat = 0; repeat < 2; repeat++) {
      layers.giveGradients();
      backend.weights().centreDistanceAll(layers.bits, sets, layers.effective, layers.ws);
      backend.weights().centreDistanceAllBackward(layers.gradients, layers.gradEs, layers.ws, sets, f);
      for (int i = 0; i < FILTERS.length; i++) {
        Shape shape = FILTERS[i];
        BitTensor bits = layers.fresh.garbageBits(shape.d0(), shape.rowSize());
        BinarySet own = new BinarySet(layers.fresh.garbage(shape.d0()), layers.fresh.garbage(shape.d0()));
        Tensor gradient = layers.given(i);
        backend.binarize().centreDistance(bits, own, layers.ws.get(i));
        backend.binarize().centreDistanceBackward(gradient, gradient, layers.ws.get(i), own, f);
        layers.requireBits(i, bits);
        layers.requireEqual("centre", i, own.centre(), sets.get(i).centre());
        layers.requireEqual("distance", i, own.distance(), sets.get(i).distance());
        layers.requireUnpacked(i, bits, own);
        layers.requireEqual("gradient", i, gradient, layers.gradients.get(i));
      }
    }
  }

  /** How scales come about. */
  private enum Scale { ONE, LEARNED, MEAN, MEAN_DETACHED }

  @OnEveryPrecision
  void signsOfManyLayersEqualEachByItself(Backend backend) {
    for (Scale scale : Scale.values()) signs(backend, scale, false, 0, new Binarizer.Clipped(0.8f));
    signs(backend, Scale.LEARNED, false, 0, new BiPer.SineSign(20));
    signs(backend, Scale.LEARNED, false, 0.37f, new BiPer.SineSign(20));
    signs(backend, Scale.LEARNED, true, 0.37f, new BiPer.SineSign(20));
  }

  private static void signs(Backend backend, Scale scale, boolean real, float penalty, Binarizer f) {
    Layers layers = new Layers(backend, 4, 0.7f);
    BinarizeOps ops = backend.binarize();
    boolean mean = scale == Scale.MEAN || scale == Scale.MEAN_DETACHED;
    List<BinarySet> sets = new ArrayList<>();
    for (Tensor distance : layers.perFilter(mean)) {
      sets.add(scale == Scale.ONE ? new BinarySet(layers.fresh.vector(0), layers.fresh.vector(0.5f)) : new BinarySet(layers.fresh.vector(new float[distance.size()]), distance));
    }
    List<Tensor> gradScales = scale == Scale.LEARNED ? layers.perFilter(true) : null;
    List<Tensor> penalties = penalty == 0 ? null : layers.ws.stream().map(w -> layers.fresh.garbage(1)).toList();
    float factor = mean ? 1.5f : 0;
    for (int repeat = 0; repeat < 2; repeat++) {
      layers.giveGradients();
      backend.weights().signWeightsAll(layers.bits, sets, layers.effective, layers.ws, f, factor, real);
      backend.weights().signWeightsAllBackward(layers.gradients, gradScales, penalties, layers.gradEs, layers.ws, sets, f, scale == Scale.MEAN, real, penalty);
      for (int i = 0; i < FILTERS.length; i++) {
        Tensor w = layers.ws.get(i), gradient = layers.real(FILTERS[i], new float[w.size()]), distance = sets.get(i).distance();
        BitTensor bits = layers.fresh.garbageBits(FILTERS[i].d0(), FILTERS[i].rowSize());
        if (mean) {
          distance = layers.fresh.garbage(FILTERS[i].d0());
          ops.meanAbsolute(distance, w, factor);
          layers.requireEqual("distance", i, distance, sets.get(i).distance());
        }
        ops.sign(bits, w, f);
        layers.requireBits(i, bits);
        if (real) {
          Tensor values = layers.real(FILTERS[i], new float[w.size()]);
          ops.level(values, w, f);
          ops.scaleFilters(values, values, distance);
          layers.requireEffective(i, backend.read(values));
        } else {
          layers.requireUnpacked(i, bits, new BinarySet(sets.get(i).centre(), distance));
        }
        ops.signWeightsBackward(gradient, layers.given(i), w, distance, f, scale == Scale.MEAN);
        if (gradScales != null) {
          Tensor gradScale = layers.fresh.garbage(FILTERS[i].d0());
          ops.scaleBackward(gradScale, layers.given(i), w, f, real);
          layers.requireEqual("gradScale", i, gradScale, gradScales.get(i));
        }
        if (penalties != null) {
          Tensor sum = layers.fresh.vector(0);
          ops.squaredLevelPenalty(sum, gradient, w, f, penalty);
          layers.requireEqual("penalty", i, sum, penalties.get(i));
        }
        layers.requireEqual(scale + ", gradient", i, gradient, layers.gradients.get(i));
      }
    }
  }

  @OnEveryPrecision
  void rotatedFiltersOfManyLayersEqualEachByItself(Backend backend) {
    Layers layers = new Layers(backend, 5, 1);
    Fresh fresh = layers.fresh;
    BinarizeOps ops = backend.binarize();
    Binarizer f = new Rbnn.HatSlope(1.2f, 0.9f);
    List<Mix> mixes = new ArrayList<>();
    List<Tensor> r1s = new ArrayList<>(), r2s = new ArrayList<>(), gradScales = layers.perFilter(true), gradAngles = layers.perFilter(true);
    for (Shape shape : FILTERS) {
      int k = shape.rowSize(), a = (int) Math.sqrt(k);
      while (k % a != 0) a--;
      r1s.add(fresh.tensor(Shape.matrix(a, a), fresh.normal(a * a)));
      r2s.add(fresh.tensor(Shape.matrix(k / a, k / a), fresh.normal(k / a * (k / a))));
      mixes.add(mix(layers, shape, fresh.vector(fresh.normal(shape.d0())), fresh.vector(fresh.uniform(shape.d0(), 0.5, 2))));
    }
    for (int repeat = 0; repeat < 2; repeat++) {
      layers.giveGradients();
      backend.weights().rotateAll(layers.bits, mixes, layers.effective, layers.ws, r1s, r2s, f);
      backend.weights().rotateAllBackward(layers.gradients, gradScales, gradAngles, layers.gradEs, mixes, f);
      for (int i = 0; i < FILTERS.length; i++) {
        Mix together = mixes.get(i), own = mix(layers, FILTERS[i], together.angle(), together.scale());
        BitTensor bits = fresh.garbageBits(FILTERS[i].d0(), FILTERS[i].rowSize());
        Tensor gradScale = fresh.garbage(FILTERS[i].d0()), gradAngle = fresh.garbage(FILTERS[i].d0()), gradient = layers.given(i);
        ops.standardize(own.u(), own.deviation(), layers.ws.get(i));
        ops.rotateMix(own.mixed(), own.rotated(), own.u(), r1s.get(i), r2s.get(i), own.angle());
        ops.sign(bits, own.mixed(), f);
        ops.scaleBackward(gradScale, gradient, own.mixed(), f, false);
        ops.rotateMixBackward(gradient, gradAngle, gradient, own.mixed(), own.rotated(), own.u(), own.angle(), own.scale(), f);
        ops.standardizeBackward(gradient, gradient, own.u(), own.deviation());
        layers.requireEqual("mixed", i, own.mixed(), together.mixed());
        layers.requireEqual("rotated", i, own.rotated(), together.rotated());
        layers.requireBits(i, bits);
        layers.requireUnpacked(i, bits, new BinarySet(fresh.vector(new float[FILTERS[i].d0()]), own.scale()));
        layers.requireEqual("gradScale", i, gradScale, gradScales.get(i));
        layers.requireEqual("gradAngle", i, gradAngle, gradAngles.get(i));
        layers.requireEqual("gradient", i, gradient, layers.gradients.get(i));
      }
    }
  }

  private static Mix mix(Layers layers, Shape shape, Tensor angle, Tensor scale) {
    float[] garbage = new float[shape.size()];
    java.util.Arrays.fill(garbage, Fresh.GARBAGE);
    return new Mix(layers.real(shape, garbage), layers.fresh.garbage(shape.d0()), layers.real(shape, garbage), layers.real(shape, garbage), angle, scale);
  }

  /** A device may lay filters out for convolutions when all layers' bits are made; whatever writes the bits of one then has to be seen. */
  @OnEveryPrecision
  void convolutionsSeeTheBitsAsWrittenLast(Backend backend) {
    Layers layers = new Layers(backend, 8, 1);
    Fresh fresh = layers.fresh;
    Binarizer f = new Binarizer.Identity();
    BinarySet signs = new BinarySet(fresh.vector(0), fresh.vector(1));
    List<BinarySet> sets = java.util.Collections.nCopies(FILTERS.length, signs);
    for (int i = 0; i < FILTERS.length; i++) {
      Shape shape = FILTERS[i];
      ConvGeometry g = ConvGeometry.of(Shape.image(2, 5, 5, shape.d3()), shape.d0(), shape.d1(), shape.d2(), 1, 1);
      BitTensor bits = layers.bits.get(i), x = fresh.garbageBits(2 * 5 * 5, shape.d3()), other = backend.createBits(shape.d0(), shape.rowSize());
      Tensor w = layers.real(shape, fresh.normal(shape.size()));
      backend.bits().pack(x, layers.real(g.x(), fresh.normal(g.x().size())), 0);
      backend.bits().pack(other, layers.real(shape, fresh.normal(shape.size())), 0);
      List<Runnable> writers = List.of(() -> backend.weights().signWeightsAll(layers.bits, sets, layers.effective, layers.ws, f, 0, false),
          () -> backend.write(bits, backend.read(other)), () -> backend.bits().pack(bits, w, 0.3f), () -> backend.binarize().sign(bits, w, f),
          () -> backend.binarize().learnedSet(bits, new BinarySet(fresh.garbage(1), fresh.garbage(1)), w, fresh.vector(1), fresh.vector(-0.4f), true),
          () -> backend.binarize().centreDistance(bits, new BinarySet(fresh.garbage(shape.d0()), fresh.garbage(shape.d0())), w));
      for (Runnable writer : writers) {
        writers.getFirst().run();
        writer.run();
        BitTensor same = backend.createBits(shape.d0(), shape.rowSize());
        backend.write(same, backend.read(bits));
        Tensor want = fresh.garbage(g.y()), got = fresh.garbage(g.y());
        backend.bits().xnorConv2d(want, x, same, signs, signs, g, Padding.ZERO, 0);
        backend.bits().xnorConv2d(got, x, bits, signs, signs, g, Padding.ZERO, 0);
        layers.requireEqual("convolution after writer " + writers.indexOf(writer), i, want, got);
      }
    }
  }

  @OnEveryBackend
  void listsThatDoNotFitAreRefused(Backend backend) {
    Layers layers = new Layers(backend, 6, 1);
    Binarizer f = new Binarizer.Identity();
    List<BinarySet> sets = new ArrayList<>();
    for (int i = 0; i < FILTERS.length; i++) sets.add(new BinarySet(layers.fresh.vector(0), layers.fresh.vector(1)));
    assertRefused("signWeightsAll: 6 effective for 7 layers; they must be equally many",
        () -> backend.weights().signWeightsAll(layers.bits, sets, layers.effective.subList(0, 6), layers.ws, f, 0, false));
    assertRefused("signWeightsAll: scale has 1 values for 3 filters; they must be equal",
        () -> backend.weights().signWeightsAll(layers.bits, sets, layers.effective, layers.ws, f, 1, false));
    assertRefused("signWeightsAllBackward: 1 gradScale for 7 layers; they must be equally many", () -> backend.weights().signWeightsAllBackward(layers.gradients,
        List.of(layers.fresh.garbage(3)), null, layers.gradEs, layers.ws, sets, f, false, false, 0));
    assertRefused("rotateAllBackward: 7 gradients for 0 layers; they must be equally many", () -> backend.weights().rotateAllBackward(layers.gradients,
        layers.perFilter(true), layers.perFilter(true), layers.gradEs, List.of(), f));
  }
}
