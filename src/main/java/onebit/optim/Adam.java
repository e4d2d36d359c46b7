package onebit.optim;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.ops.OptimOps;
import onebit.tensor.Parameter;
import onebit.tensor.Tensor;

/**
 * Adam and its rectified form, with the bias corrections folded into the rate as MXNet computes them.
 *
 * <pre>
 * Source  Kingma and Ba 2015; Liu et al. 2020 (RAdam, arXiv 1908.03265); BMXNet-v2 python/mxnet/optimizer/contrib.py for RAdam's form
 * Differs epsilon is added to sqrt(v) before its bias correction (MXNet), not after (PyTorch)
 * </pre>
 */
public final class Adam extends Optimizer {
  private final float beta1;
  private final float beta2;
  private final float epsilon;
  private final boolean rectified;

  public Adam(Backend backend, List<Parameter> parameters, double beta1, double beta2, double epsilon, boolean rectified,
      ToDoubleFunction<Parameter> decay) {
    super(Kept.of(backend, parameters, decay, "first", "second"));
    this.beta1 = (float) beta1;
    this.beta2 = (float) beta2;
    this.epsilon = (float) epsilon;
    this.rectified = rectified;
  }

  @Override
  public void step(Tensor verdict) {
    kept.backend().optim().adam(kept.values(), kept.gradients(), kept.moments().get(0), kept.moments().get(1), kept.decay(), beta1, beta2, epsilon, rectified,
        new OptimOps.Pace(kept.rate(), kept.steps(), verdict));
  }
}
