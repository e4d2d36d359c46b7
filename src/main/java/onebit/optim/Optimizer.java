package onebit.optim;

import java.util.List;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/** Turns gradients into new parameters, and keeps what it needs between steps. */
public abstract class Optimizer {
  final Kept kept;

  Optimizer(Kept kept) {
    this.kept = kept;
  }

  /** The learning rate of the updates asked from now on. */
  public final void learningRate(double rate) {
    kept.backend().fill(kept.rate(), (float) rate);
  }

  /** One update, unless the first value of skip is other than 0 when it is done; a skipped update is not counted. */
  public abstract void step(Tensor skip);

  /** One update. */
  public final void step() {
    step(kept.never());
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
