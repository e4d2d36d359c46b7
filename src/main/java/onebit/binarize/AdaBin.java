package onebit.binarize;

import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
import onebit.ops.FusedOps.Shortcut;
import onebit.recipe.keys.Default;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Adaptive binary sets: weights mean +- deviation of their filter, activations a learned centre +- a learned distance.
 *
 * <pre>
 * Set      weights {mean - deviation, mean + deviation} per filter; activations alpha {beta - 1, beta + 1} per layer (code form)
 * Units    k, t without unit; t = 10^(-3 + 4 e / E), k = max(1 / t, 1)
 * Source   Tu et al. 2022 (AdaBin, ECCV, arXiv 2208.08084); code BinaryNetworks/AdaBin/cifar10/utils/binarylib.py
 * Differs  the paper's activation set is {beta - alpha, beta + alpha}: form paper; the released code's is the default
 * Twin     kernels/adabin_weights.cu, kernels/adabin_activations.cu
 * </pre>
 *
 * @param form activation set as in the released code or as in the paper
 * @param progressive whether k and t follow the schedule; otherwise k = 10, t = 0.1 throughout (the code without --progressive)
 * @param realWeights whether weights stay real: the first of two training steps
 */
public record AdaBin(@Default("code") Form form, @Default("true") boolean progressive, @Default("false") boolean realWeights) implements Method {
  /** Whose formula the activation set follows. */
  public enum Form { CODE, PAPER }

  /** sign with slope k t (1 - tanh^2(t u)): the error-decay estimator of IR-Net (Qin et al. 2020, arXiv 1909.10788), not clipped. */
  public record TanhSlope(float k, float t) implements Binarizer {
    @Override
    public float slope(float u) {
      double tanh = Math.tanh(t * u);
      return (float) (k * t * (1 - tanh * tanh));
    }
  }

  @Override
  public BinaryWeights weights() {
    return realWeights ? new RealWeights() : new CentreDistance();
  }

  @Override
  public BinaryActivations activations() {
    return new LearnedSet(form == Form.CODE);
  }

  @Override
  public Surrogates at(int epoch, int epochs) {
    double t = progressive ? Math.pow(10, -3 + 4.0 * epoch / epochs) : 0.1, k = Math.max(1 / t, 1);
    return withValues(Map.of("k", k, "t", t));
  }

  @Override
  public Surrogates withValues(Map<String, Double> values) {
    double k = Method.required(values, "k"), t = Method.required(values, "t");
    return new Surrogates(new TanhSlope((float) k, (float) t), new Binarizer.Polynomial(), Map.of("k", k, "t", t));
  }

  private static final class CentreDistance extends BinaryWeights {
    @Override
    public void build(Backend backend, String name, Parameter latent, RandomGenerator random) {
      super.build(backend, name, latent, random);
      int filters = latent.value().shape().d0();
      set = new BinarySet(backend.create(Shape.vector(filters)), backend.create(Shape.vector(filters)));
    }

    @Override
    public BinaryWeights.Together together() {
      return new ManyCentreDistance();
    }

    @Override
    public void forward() {
      backend.binarize().centreDistance(bits, set, latent.value());
    }

    @Override
    public void backward(Tensor gradEffective) {
      backend.binarize().centreDistanceBackward(latent.gradient(), gradEffective, latent.value(), set, binarizer);
    }
  }

  /** All layers' centres, distances and bits in one op, all their gradients in another. */
  private static final class ManyCentreDistance extends ManyWeights<CentreDistance> {
    @Override
    public void forward() {
      ops().centreDistanceAll(bits, sets, effectives, values);
    }

    @Override
    public void backward() {
      ops().centreDistanceAllBackward(gradients, gradEffectives, values, sets, binarizer());
    }
  }

  private static final class LearnedSet extends BinaryActivations {
    private final boolean codeForm;
    private Parameter alpha;
    private Parameter beta;

    LearnedSet(boolean codeForm) {
      this.codeForm = codeForm;
    }

    @Override
    public void build(Backend backend, String name, Shape input) {
      super.build(backend, name, input);
      alpha = scalar(name + ".binary_a.alpha_a");
      beta = scalar(name + ".binary_a.beta_a");
      backend.fill(alpha.value(), 1);
    }

    private Parameter scalar(String name) {
      return new Parameter(name, backend.create(Shape.vector(1)), backend.create(Shape.vector(1)), Parameter.Kind.BINARY_SET, FileLayout.SAME,
          new int[0]);
    }

    @Override
    public void forward(BitTensor bits, Tensor x, boolean training) {
      backend.binarize().learnedSet(bits, set, x, alpha.value(), beta.value(), codeForm);
    }

    @Override
    public void backward(Tensor gradX, Tensor gradQ, Tensor x) {
      backend.binarize().learnedSetBackward(gradX, alpha.gradient(), beta.gradient(), gradQ, x, alpha.value(), beta.value(), binarizer, codeForm);
    }

    @Override
    public Binarization inPass() {
      return new Binarization(Binarization.Kind.LEARNED, set, alpha.value(), beta.value(), codeForm);
    }

    @Override
    public boolean passesBackward() {
      return true;
    }

    @Override
    public Incoming incoming(Tensor gradQ, Tensor x, Shortcut over) {
      return new Incoming(gradQ, x, inPass(), binarizer, alpha.gradient(), beta.gradient(), over);
    }

    @Override
    public List<Parameter> parameters() {
      return List.of(alpha, beta);
    }
  }
}
