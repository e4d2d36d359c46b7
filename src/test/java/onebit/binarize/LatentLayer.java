package onebit.binarize;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import onebit.ops.Backend;
import onebit.ops.Dual;
import onebit.ops.Fresh;
import onebit.tensor.BitTensor;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** A method's weights and activations built for one small layer, run forward and backward on fresh values. */
final class LatentLayer {
  static final Shape FILTERS = Shape.filters(3, 3, 3, 4);
  static final Shape IMAGE = Shape.image(2, 3, 2, 5);

  final Backend backend;
  final Fresh fresh;
  final float[] w;
  final float[] g;
  final float[] x;
  final float[] gx;
  final Parameter latent;
  final BinaryWeights weights;
  final BinaryActivations activations;

  LatentLayer(Backend backend, Method method, long seed, double deviation) {
    this.backend = backend;
    fresh = new Fresh(backend, seed);
    w = fresh.normal(FILTERS.size());
    for (int i = 0; i < w.length; i++) w[i] = (float) (deviation * w[i]);
    g = fresh.normal(FILTERS.size());
    x = fresh.normal(IMAGE.size());
    for (int i = 0; i < x.length; i++) x[i] = 0.7f * x[i] + 0.1f;
    gx = fresh.normal(IMAGE.size());
    latent = new Parameter("conv.weight", fresh.tensor(FILTERS, w), fresh.garbage(FILTERS), Parameter.Kind.LATENT_WEIGHT, FileLayout.FILTERS,
        new int[] {3, 4, 3, 3});
    weights = method.weights();
    weights.build(backend, "conv", latent, new Random(seed));
    activations = method.activations();
    activations.build(backend, "conv", IMAGE);
  }

  void use(Surrogates surrogates) {
    weights.use(surrogates.weights());
    activations.use(surrogates.activations());
  }

  Map<String, Parameter> parameters() {
    Map<String, Parameter> all = new HashMap<>();
    for (Parameter p : weights.parameters()) all.put(p.name(), p);
    for (Parameter p : activations.parameters()) all.put(p.name(), p);
    return all;
  }

  float[] value(String name) {
    return backend.read(parameters().get(name).value());
  }

  Tensor gradient(String name) {
    return parameters().get(name).gradient();
  }

  /** The convolved values; afterwards the gradients of the latent weights and of the set are there. */
  Tensor runWeights() {
    Tensor effective = fresh.garbage(FILTERS);
    weights.forward();
    weights.effective(effective);
    weights.backward(fresh.tensor(FILTERS, g));
    return effective;
  }

  /** The activations that are convolved and the gradient at x. */
  Tensor[] runActivations() {
    Tensor input = fresh.tensor(IMAGE, x), y = fresh.garbage(IMAGE), gradX = fresh.garbage(IMAGE);
    BitTensor bits = fresh.garbageBits(IMAGE.size() / IMAGE.d3(), IMAGE.d3());
    activations.forward(bits, input, true);
    activations.effective(y, bits);
    activations.backward(gradX, fresh.tensor(IMAGE, gx), input);
    return new Tensor[] {y, gradX};
  }

  /** What a filter or sample becomes, its values first, its number second. */
  interface Forward {
    Dual[] of(Dual[] values, int index);
  }

  static double[] values(float[] x, int row, Forward f) {
    double[] y = new double[x.length];
    for (int o = 0; o < x.length / row; o++) {
      Dual[] one = new Dual[row];
      for (int i = 0; i < row; i++) one[i] = Dual.of(x[o * row + i]);
      Dual[] out = f.of(one, o);
      for (int i = 0; i < row; i++) y[o * row + i] = out[i].v();
    }
    return y;
  }

  static double[] gradient(float[] x, float[] g, int row, Forward f) {
    double[] all = new double[x.length];
    for (int o = 0; o < x.length / row; o++) {
      int index = o;
      float[] part = Arrays.copyOfRange(g, o * row, (o + 1) * row);
      double[] one = Dual.gradient(at -> Dual.dot(f.of(at, index), part), Arrays.copyOfRange(x, o * row, (o + 1) * row));
      System.arraycopy(one, 0, all, o * row, row);
    }
    return all;
  }

  void checkWeights(Forward f) {
    Tensor effective = runWeights();
    fresh.assertClose("effective weights", values(w, FILTERS.rowSize(), f), effective);
    fresh.assertClose("gradient of the latent weights", gradient(w, g, FILTERS.rowSize(), f), latent.gradient(), 1e-4);
  }

  void checkActivations(Forward f) {
    Tensor[] run = runActivations();
    fresh.assertClose("binary activations", values(x, IMAGE.rowSize(), f), run[0]);
    fresh.assertClose("gradient of the activations", gradient(x, gx, IMAGE.rowSize(), f), run[1], 1e-4);
  }

  static Dual[] map(Dual[] x, java.util.function.UnaryOperator<Dual> f) {
    return Arrays.stream(x).map(f).toArray(Dual[]::new);
  }

  static List<Integer> epochs() {
    return List.of(0, 1, 60, 75, 99);
  }
}
