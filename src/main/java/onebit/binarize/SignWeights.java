package onebit.binarize;

import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import onebit.ops.Backend;
import onebit.tensor.BinarySet;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Weights scale * sign(level(w)): the bit is that of the level, the scale is fixed, mean |w|, or learned per filter.
 *
 * <pre>
 * Shapes  scale: 1 value when fixed and not real, else O
 * </pre>
 */
public class SignWeights extends BinaryWeights {
  /** Where the distance of the set comes from. */
  public enum Scale {
    /** A constant. */
    FIXED,
    /** mean |w| of the filter, with gradient ("magnitude aware", Bi-Real Net; BMXNet's "binet"). */
    MEAN_ABSOLUTE,
    /** mean |w| of the filter, without gradient (XNOR-Net as BMXNet codes it). */
    MEAN_ABSOLUTE_DETACHED,
    /** A parameter per filter named alpha, drawn from U[0, 1). */
    LEARNED
  }

  private final Scale scale;
  private final float fixed;
  private final boolean real;
  private final float penalty;
  private Parameter alpha;
  private Tensor values;
  private Tensor penaltySum;

  /** Real: the first stage convolves scale * level(w) itself, of a scale without gradient or a learned one. Penalty: weight of mean(level^2) added to the loss. */
  public SignWeights(Scale scale, float fixed, boolean real, float penalty) {
    if (real && scale == Scale.MEAN_ABSOLUTE) throw new IllegalArgumentException("SignWeights: the gradient through mean |w| is that of signs; real weights need another scale");
    if (scale != Scale.FIXED && fixed != 1) throw new IllegalArgumentException("SignWeights: a factor of " + fixed + " belongs to a fixed scale only");
    this.scale = scale;
    this.fixed = fixed;
    this.real = real;
    this.penalty = penalty;
  }

  public SignWeights(Scale scale) {
    this(scale, 1, false, 0);
  }

  @Override
  public void build(Backend backend, String name, Parameter latent, RandomGenerator random) {
    super.build(backend, name, latent, random);
    int filters = scale == Scale.FIXED && !real ? 1 : latent.value().shape().d0();
    Tensor distance = backend.create(Shape.vector(filters));
    if (scale == Scale.FIXED) backend.fill(distance, fixed);
    if (scale == Scale.LEARNED) {
      float[] start = new float[filters];
      for (int o = 0; o < filters; o++) start[o] = random.nextFloat();
      backend.write(distance, start);
      alpha = new Parameter(name + ".alpha", distance, backend.create(Shape.vector(filters)), Parameter.Kind.BINARY_SET, FileLayout.SAME,
          new int[] {filters, 1, 1});
    }
    set = new BinarySet(backend.create(Shape.vector(filters)), distance);
    if (penalty != 0) penaltySum = backend.create(Shape.vector(1));
  }

  @Override
  public void forward() {
    Tensor w = latent.value();
    if (scale == Scale.MEAN_ABSOLUTE || scale == Scale.MEAN_ABSOLUTE_DETACHED) backend.binarize().meanAbsolute(set.distance(), w, fixed);
    backend.binarize().sign(bits, w, binarizer);
    if (real) {
      if (values == null) values = backend.create(w.shape());
      backend.binarize().level(values, w, binarizer);
      backend.binarize().scaleFilters(values, values, set.distance());
    }
  }

  @Override
  public boolean real() {
    return real;
  }

  @Override
  public void effective(Tensor to) {
    if (real) backend.point().copy(to, values);
    else super.effective(to);
  }

  @Override
  public void backward(Tensor gradEffective) {
    Tensor w = latent.value();
    backend.binarize().signWeightsBackward(latent.gradient(), gradEffective, w, set.distance(), binarizer, scale == Scale.MEAN_ABSOLUTE);
    if (alpha != null) backend.binarize().scaleBackward(alpha.gradient(), gradEffective, w, binarizer, real);
    if (penalty != 0) {
      backend.fill(penaltySum, 0);
      backend.binarize().squaredLevelPenalty(penaltySum, latent.gradient(), w, binarizer, penalty * share);
    }
  }

  /** None for a subclass, whose forward or backward may do more. */
  @Override
  public BinaryWeights.Together together() {
    return getClass() == SignWeights.class ? new ManySigns() : null;
  }

  /** All layers' signs in one op, all their gradients in another. */
  static final class ManySigns extends ManyWeights<SignWeights> {
    private List<Tensor> gradScales;
    private List<Tensor> penalties;

    @Override
    void added(SignWeights layer) {
      if (layer.alpha != null) (gradScales = gradScales == null ? new ArrayList<>() : gradScales).add(layer.alpha.gradient());
      if (layer.penaltySum != null) (penalties = penalties == null ? new ArrayList<>() : penalties).add(layer.penaltySum);
    }

    @Override
    public void forward() {
      SignWeights any = layers.getFirst();
      boolean mean = any.scale == Scale.MEAN_ABSOLUTE || any.scale == Scale.MEAN_ABSOLUTE_DETACHED;
      ops().signWeightsAll(bits, sets, effectives, values, binarizer(), mean ? any.fixed : 0, any.real);
    }

    @Override
    public void backward() {
      SignWeights any = layers.getFirst();
      ops().signWeightsAllBackward(gradients, gradScales, penalties, gradEffectives, values, sets, binarizer(), any.scale == Scale.MEAN_ABSOLUTE, any.real,
          any.penalty * any.share);
    }
  }

  @Override
  public Tensor penalty() {
    return penaltySum;
  }

  @Override
  public List<Parameter> parameters() {
    return alpha == null ? List.of() : List.of(alpha);
  }
}
