package onebit.binarize;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import onebit.ops.Backend;
import onebit.ops.WeightOps;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * Rotated weights: standardised filters are mixed with their bi-rotation towards the nearest signs, then binarized.
 *
 * <pre>
 * Set      activations {-1, +1} with the sample's mean as threshold; weights {-alpha, +alpha} per filter, alpha learned
 * Units    rotationUpdate in epochs: three rotation rounds run before the first batch of every so many epochs
 * Source   Lin et al. 2020 (RBNN, NeurIPS, arXiv 2009.13055); code cifar/modules/binarized_modules.py
 * Differs  the paper rotates a layer as one vector and keeps the gradient through the rotation; the code, followed here, rotates each
 *          filter with R1, R2 shared by the layer and detaches the rotation. On several GPUs the code loses what a rotation found after the first
 *          batch of the epoch, since replicas assign R1 and R2 and are thrown away; here all ranks keep it, as the code does on one GPU
 * Twin     kernels/rotation.cu, kernels/sample_standard.cu
 * </pre>
 *
 * @param rotationUpdate epochs between rotations
 * @param realActivations whether activations stay real after their standardisation: weights of one bit, activations of 32 (the code's --a32)
 */
public record Rbnn(@Default("1") @Range(min = 1) int rotationUpdate, @Default("false") boolean realActivations) implements Method {
  private static final int ROUNDS = 3;

  /** sign with slope max(0, k (sqrt(2) t - t^2 |u|)): the training-aware approximation. */
  public record HatSlope(float k, float t) implements Binarizer {
    @Override
    public float slope(float u) {
      return Math.max(0, k * ((float) Math.sqrt(2) * t - t * t * Math.abs(u)));
    }
  }

  @Override
  public BinaryWeights weights() {
    return new Rotated(rotationUpdate);
  }

  @Override
  public BinaryActivations activations() {
    return realActivations ? new RealStandardised() : new SampleStandardised();
  }

  @Override
  public Surrogates at(int epoch, int epochs) {
    double t = Math.pow(10, -2 + 3.0 * epoch / epochs);
    return withValues(Map.of("k", Math.max(1 / t, 1), "t", t));
  }

  /** The surrogates of given k and t; activations use k = 1 and t of at least 1. */
  @Override
  public Surrogates withValues(Map<String, Double> values) {
    double k = Method.required(values, "k"), t = Method.required(values, "t");
    return new Surrogates(new HatSlope((float) k, (float) t), new HatSlope(1, (float) Math.max(t, 1)), Map.of("k", k, "t", t));
  }

  /** The factors a x b of n with a the largest divisor not above sqrt(n). */
  static int largestFactor(int n) {
    int a = (int) Math.sqrt(n);
    while (n % a != 0) a--;
    return a;
  }

  private static final class Rotated extends BinaryWeights {
    private final int rotationUpdate;
    private Parameter alpha;
    private Parameter angle;
    private StateTensor r1;
    private StateTensor r2;
    private Tensor u;
    private Tensor rotated;
    private Tensor mixed;
    private Tensor deviation;

    Rotated(int rotationUpdate) {
      this.rotationUpdate = rotationUpdate;
    }

    @Override
    public void build(Backend backend, String name, Parameter latent, RandomGenerator random) {
      super.build(backend, name, latent, random);
      Shape shape = latent.value().shape();
      int filters = shape.d0(), n = shape.rowSize(), a = largestFactor(n), b = n / a;
      u = backend.create(shape);
      rotated = backend.create(shape);
      mixed = backend.create(shape);
      deviation = backend.create(Shape.vector(filters));
      alpha = perFilter(name + ".alpha", filters, new int[] {filters, 1, 1});
      angle = perFilter(name + ".rotate", filters, new int[] {filters, 1, 1, 1});
      backend.write(alpha.value(), meanOfDefaultInit(filters, n, random));
      backend.fill(angle.value(), (float) (Math.PI / 2));
      r1 = new StateTensor(name + ".R1", backend.create(Shape.matrix(a, a)), new int[] {a, a});
      r2 = new StateTensor(name + ".R2", backend.create(Shape.matrix(b, b)), new int[] {b, b});
      backend.write(r1.value(), RandomOrthogonal.draw(a, random));
      backend.write(r2.value(), RandomOrthogonal.draw(b, random));
      set = new BinarySet(backend.create(Shape.vector(filters)), alpha.value());
    }

    private Parameter perFilter(String name, int filters, int[] fileShape) {
      return new Parameter(name, backend.create(Shape.vector(filters)), backend.create(Shape.vector(filters)), Parameter.Kind.BINARY_SET,
          FileLayout.SAME, fileShape);
    }

    /** mean |w| per filter of PyTorch's default init, before the network draws its own. */
    private static float[] meanOfDefaultInit(int filters, int n, RandomGenerator random) {
      float[] means = new float[filters];
      for (int o = 0; o < filters; o++) {
        double sum = 0;
        for (int i = 0; i < n; i++) sum += random.nextDouble() / Math.sqrt(n);
        means[o] = (float) (sum / n);
      }
      return means;
    }

    @Override
    public void startEpoch(int epoch) {
      if (epoch % rotationUpdate != 0) return;
      backend.binarize().standardize(u, deviation, latent.value());
      backend.binarize().rotationRounds(r1.value(), r2.value(), u, ROUNDS);
    }

    @Override
    public void forward() {
      backend.binarize().standardize(u, deviation, latent.value());
      backend.binarize().rotateMix(mixed, rotated, u, r1.value(), r2.value(), angle.value());
      backend.binarize().sign(bits, mixed, binarizer);
    }

    @Override
    public void backward(Tensor gradEffective) {
      backend.binarize().scaleBackward(alpha.gradient(), gradEffective, mixed, binarizer, false);
      backend.binarize().rotateMixBackward(gradEffective, angle.gradient(), gradEffective, mixed, rotated, u, angle.value(), alpha.value(),
          binarizer);
      backend.binarize().standardizeBackward(latent.gradient(), gradEffective, u, deviation);
    }

    @Override
    public BinaryWeights.Together together() {
      return new ManyRotated();
    }

    @Override
    public List<Parameter> parameters() {
      return List.of(alpha, angle);
    }

    @Override
    public List<StateTensor> state() {
      return List.of(r1, r2);
    }
  }

  /** All layers' standardised, mixed and binarized filters in one op, all their gradients in another. */
  private static final class ManyRotated extends ManyWeights<Rotated> {
    private final List<WeightOps.Mix> mixes = new ArrayList<>();
    private final List<Tensor> r1s = new ArrayList<>();
    private final List<Tensor> r2s = new ArrayList<>();
    private final List<Tensor> gradScales = new ArrayList<>();
    private final List<Tensor> gradAngles = new ArrayList<>();

    @Override
    void added(Rotated layer) {
      mixes.add(new WeightOps.Mix(layer.u, layer.deviation, layer.rotated, layer.mixed, layer.angle.value(), layer.alpha.value()));
      r1s.add(layer.r1.value());
      r2s.add(layer.r2.value());
      gradScales.add(layer.alpha.gradient());
      gradAngles.add(layer.angle.gradient());
    }

    @Override
    public void forward() {
      ops().rotateAll(bits, mixes, effectives, values, r1s, r2s, binarizer());
    }

    @Override
    public void backward() {
      ops().rotateAllBackward(gradients, gradScales, gradAngles, gradEffectives, mixes, binarizer());
    }
  }

  /** Each sample minus its mean over its unbiased deviation, convolved as it is; a constant sample gives 0. */
  private static final class RealStandardised extends BinaryActivations {
    private Tensor values;
    private Tensor deviation;
    private int samples;

    @Override
    public void build(Backend backend, String name, Shape input) {
      super.build(backend, name, input);
      values = backend.room(input, backend.activations());
      deviation = backend.create(Shape.vector(input.d0()));
    }

    @Override
    public void forward(BitTensor bits, Tensor x, boolean training) {
      samples = x.shape().d0();
      backend.binarize().standardize(values.first(samples), deviation.first(samples), x);
    }

    @Override
    public boolean real() {
      return true;
    }

    @Override
    public void effective(Tensor to, BitTensor bits) {
      backend.point().copy(to, values.first(samples));
    }

    @Override
    public void backward(Tensor gradX, Tensor gradQ, Tensor x) {
      backend.binarize().standardizeBackward(gradX, gradQ, values.first(samples), deviation.first(samples));
    }
  }

  private static final class SampleStandardised extends BinaryActivations {
    private Tensor statistics;

    @Override
    public void build(Backend backend, String name, Shape input) {
      super.build(backend, name, input);
      statistics = backend.create(Shape.matrix(input.d0(), 2));
    }

    @Override
    public void forward(BitTensor bits, Tensor x, boolean training) {
      backend.binarize().sampleStandard(bits, statistics.first(x.shape().d0()), x);
    }

    @Override
    public void backward(Tensor gradX, Tensor gradQ, Tensor x) {
      backend.binarize().sampleStandardBackward(gradX, gradQ, x, statistics.first(x.shape().d0()), binarizer);
    }
  }
}
