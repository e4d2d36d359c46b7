package onebit.binarize;

import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Binarization;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;
import onebit.tensor.BitTensor;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * Binary periodic weights: sin(omega0 w) in stage 1, its square wave in stage 2; both stages use the sine's slope.
 *
 * <pre>
 * Set      activations {-1, +1}; weights {-alpha, +alpha} per filter (stage 2), alpha sin(omega0 w) (stage 1); alpha learned
 * Units    omega0 in radians per unit of latent weight
 * Source   Vargas et al. 2024 (BiPer, CVPR, arXiv 2404.01278); code cifar10/modules/binarized_modules.py
 * Differs  the regulariser tau mean(sin^2) is that of the CIFAR code; the ImageNet code leaves it out (tau 0)
 * Twin     kernels/sine_sign.cu, kernels/sample_scale.cu
 * </pre>
 */
public record BiPer(@Range(min = 1, max = 2) int stage, @Default("20") @Range(min = 0, exclusiveMin = true) float omega0,
    @Default("0") @Range(min = 0) float tau) implements Method {
  private static final float VARIANCE_EPSILON = 1e-5f;

  /** Square wave forward, sine backward: bit = [sin(omega u) >= 0], slope = omega cos(omega u). */
  public record SineSign(float omega) implements Binarizer {
    public SineSign {
      if (!(omega > 0)) throw new IllegalArgumentException("SineSign: omega must be > 0, got " + omega);
    }

    @Override
    public float level(float u) {
      return (float) Math.sin((double) omega * u);
    }

    @Override
    public float slope(float u) {
      return (float) (omega * Math.cos((double) omega * u));
    }
  }

  @Override
  public BinaryWeights weights() {
    return new PeriodicWeights(stage == 1, tau);
  }

  @Override
  public BinaryActivations activations() {
    return new SampleScaled();
  }

  @Override
  public Surrogates at(int epoch, int epochs) {
    return new Surrogates(new SineSign(omega0), new Binarizer.Polynomial(), Map.of("omega0", (double) omega0));
  }

  /** Learned-scale signs of the sine, with the two buffers of the released code that its forward never reads. */
  private static final class PeriodicWeights extends SignWeights {
    private List<StateTensor> buffers;

    PeriodicWeights(boolean real, float tau) {
      super(Scale.LEARNED, 1, real, tau);
    }

    @Override
    public void build(Backend backend, String name, Parameter latent, RandomGenerator random) {
      super.build(backend, name, latent, random);
      int filters = latent.value().shape().d0();
      Tensor beta = backend.create(Shape.vector(filters)), tau = backend.create(Shape.vector(1));
      backend.fill(beta, 1);
      backend.fill(tau, 1);
      buffers = List.of(new StateTensor(name + ".beta", beta, new int[] {filters, 1, 1}), new StateTensor(name + ".tau", tau, new int[0]));
    }

    @Override
    public BinaryWeights.Together together() {
      return new ManySigns();
    }

    @Override
    public List<StateTensor> state() {
      return buffers;
    }
  }

  private static final class SampleScaled extends BinaryActivations {
    @Override
    public void forward(BitTensor bits, Tensor x, boolean training) {
      backend.bits().pack(bits, x, 0);
    }

    @Override
    public Binarization inPass() {
      return Binarization.SIGN;
    }

    @Override
    public void backward(Tensor gradX, Tensor gradQ, Tensor x) {
      backend.binarize().sampleScaleBackward(gradX, gradQ, x, binarizer, VARIANCE_EPSILON);
    }
  }
}
