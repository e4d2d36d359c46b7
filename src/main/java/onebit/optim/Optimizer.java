package onebit.optim;

import java.util.List;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/** Turns gradients into new parameters, and keeps what it needs between steps. */
public abstract class Optimizer {
  final Kept kept;
  private float clipNorm;

  Optimizer(Kept kept) {
    this.kept = kept;
  }

  /** The learning rate of the updates asked from now on. */
  public final void learningRate(double rate) {
    kept.backend().fill(kept.rate(), (float) rate);
  }

  /**
   * One update by what {@link onebit.ops.OptimOps#judge} says when it is done: none, which is not counted, where something is wrong, and by gradients that were made shorter
   * where they were too long.
   */
  public abstract void step(Tensor verdict);

  /** One update, by the gradients as they are. */
  public final void step() {
    step(kept.fine());
  }

  /** The length that the gradients of all parameters together are cut down to from now on, where they are longer; 0: as they are. */
  public final void clipNorm(double largest) {
    if (!(largest >= 0) || Double.isInfinite(largest)) throw new IllegalArgumentException("clipNorm is " + largest + "; it must be a finite number >= 0");
    clipNorm = (float) largest;
  }

  /** What was given last, 0 at first. */
  public final float clipNorm() {
    return clipNorm;
  }

  /** Tensors to save, so that a resumed run goes on with the same bits. */
  public final List<StateTensor> state() {
    return kept.saved();
  }

  /** Updates done so far, when all work asked is done; part of what is saved. */
  public final long steps() {
    return (long) kept.backend().read(kept.steps())[0];
  }

  /** Takes up the count of a saved run. */
  public final void steps(long done) {
    kept.backend().fill(kept.steps(), done);
  }
}
