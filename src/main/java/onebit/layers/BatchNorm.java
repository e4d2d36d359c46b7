package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.DenseOps.Moments;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Running;
import onebit.ops.FusedOps.Unit;
import onebit.ops.RankExchange;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * y = gamma (x - mean) / sqrt(var + epsilon) + beta per channel; the batch's statistics in training, running ones in evaluation.
 *
 * <pre>
 * Shapes  x, y: rows of C values
 * Keeps   mean and inverse deviation of the batch; x stays with the layer before
 * Units   momentum 0.1 of the new batch
 * </pre>
 */
public final class BatchNorm implements Layer {
  /** What differs between frameworks and networks. */
  public record Rule(float epsilon, boolean unbiased, float gammaStart, boolean fixedGamma) {
    /** PyTorch: epsilon 1e-5, running variance unbiased. */
    public static final Rule TORCH = new Rule(1e-5f, true, 1, false);
    /** PyTorch with gamma starting at 1e-8 (RBNN, BiPer on ImageNet). */
    public static final Rule TORCH_TINY_GAMMA = new Rule(1e-5f, true, 1e-8f, false);
    /** MXNet on a GPU: epsilon 1e-5, running variance unbiased, as cuDNN makes it. */
    public static final Rule MXNET = new Rule(1e-5f, true, 1, false);
    /** MXNet on a CPU: running variance biased. */
    public static final Rule MXNET_CPU = new Rule(1e-5f, false, 1, false);
    /** MXNet on a GPU at the input of ResNetE: epsilon 2e-5, gamma fixed to 1. */
    public static final Rule MXNET_INPUT = new Rule(2e-5f, true, 1, true);
  }

  private static final float MOMENTUM = 0.1f;

  private final String name;
  private final Rule rule;
  private Backend backend;
  private Parameter gamma;
  private Parameter beta;
  private StateTensor runningMean;
  private StateTensor runningVar;
  private Tensor mean;
  private Tensor inverse;
  private Tensor y;
  private Tensor gradX;
  private Tensor x;
  private SharedStatistics shared;
  private boolean frozen;

  public BatchNorm(String name, Rule rule) {
    this.name = name;
    this.rule = rule;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    frozen = context.frozen();
    Shape channels = Shape.vector(input.channels());
    gamma = context.parameter(name + ".weight", channels, Parameter.Kind.NORM, rule.gammaStart());
    beta = context.parameter(name + ".bias", channels, Parameter.Kind.NORM, 0);
    runningMean = new StateTensor(name + ".running_mean", backend.create(channels), channels.dims());
    runningVar = new StateTensor(name + ".running_var", backend.create(channels), channels.dims());
    backend.fill(runningVar.value(), 1);
    mean = backend.create(channels);
    inverse = backend.create(channels);
    y = context.activations(input);
    gradX = context.gradients(input);
    return input;
  }

  /** Takes statistics over the batches of all ranks from now on. */
  public void synchronise(RankExchange ranks) {
    shared = new SharedStatistics(backend, ranks, y.shape());
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    Tensor out = y.first(input.shape().d0());
    if (training && shared != null) {
      shared.forward(out, input, gamma.value(), beta.value(), runningMean.value(), runningVar.value(), mean, inverse, MOMENTUM, rule);
    } else if (training) {
      backend.norm().batchNorm(out, input, gamma.value(), beta.value(), runningMean.value(), runningVar.value(), mean, inverse, MOMENTUM,
          rule.epsilon(), rule.unbiased());
    } else {
      backend.norm().batchNormInference(out, input, gamma.value(), beta.value(), runningMean.value(), runningVar.value(), rule.epsilon());
    }
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradInput = gradX.first(gradY.shape().d0());
    if (shared != null) shared.backward(gradInput, gamma.gradient(), beta.gradient(), gradY, x, gamma.value(), mean, inverse, rule);
    else backend.norm().batchNormBackward(gradInput, gamma.gradient(), beta.gradient(), gradY, x, gamma.value(), mean, inverse);
    keepFixed();
    return gradInput;
  }

  /** Takes the running variance as it is now into what fused passes normalise with in evaluation; a teacher's does not change after that. */
  public void settle() {
    backend.fused().inverseDeviation(inverse, runningVar.value(), rule.epsilon());
  }

  /** What a fused pass normalises with: the batch's statistics, or the running ones. */
  Norm norm(boolean training) {
    if (!training && !frozen) settle();
    return new Norm(gamma.value(), beta.value(), training ? mean : runningMean.value(), inverse);
  }

  /** The same with statistics that were taken elsewhere. */
  Norm norm(Moments moments) {
    return new Norm(gamma.value(), beta.value(), moments.mean(), moments.inverse());
  }

  /** Takes the statistics of what a fused unit's convolution gave. */
  void statistics(Unit unit) {
    backend.fused().statistics(unit, running());
  }

  /** The running statistics as a fused pass moves them. */
  Running running() {
    return new Running(runningMean.value(), runningVar.value(), MOMENTUM, rule.epsilon(), rule.unbiased());
  }

  /** After a fused backward: a fixed gamma has no gradient. */
  void keepFixed() {
    if (rule.fixedGamma()) backend.fill(gamma.gradient(), 0);
  }

  Rule rule() {
    return rule;
  }

  Parameter gamma() {
    return gamma;
  }

  Parameter beta() {
    return beta;
  }

  @Override
  public List<Parameter> parameters() {
    return List.of(gamma, beta);
  }

  @Override
  public List<StateTensor> state() {
    return List.of(runningMean, runningVar);
  }
}
