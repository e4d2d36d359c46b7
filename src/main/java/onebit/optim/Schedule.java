package onebit.optim;

import java.util.List;
import java.util.Locale;

/**
 * learning rate = rate * f(epoch, iteration), a pure function, so that a resumed run continues exactly.
 *
 * <pre>
 *   per epoch, W warm-up epochs, N = epochs - max(W - 1, 0), j = e - max(W - 1, 0) + cosineStart
 *     e &lt; W     rate (e + 1) / W
 *     cosine    rate (1 + cos(pi j / N)) / (1 + cos(pi max(cosineStart, 0) / N))
 *     linear    rate (1 - (e - max(W - 1, 0)) / N)
 *   per iteration, I iterations an epoch, T = e I + i
 *     T &lt; W I   rate T / (W I)
 *     cosine    rate (1 + cos(pi (T - W I) / ((epochs - W) I))) / 2
 *     linear    rate (1 - (T - W I) / ((epochs - W) I))
 *   step        rate factor^(number of milestones &lt;= e)
 *   constant    rate
 * </pre>
 *
 * <pre>
 * Units     epoch, iteration and milestones count from 0; rate is the optimizer's own learning rate
 * Source    per epoch with warm-up: main.py of BiPer and RBNN (torch CosineAnnealingLR with T_max = epochs - 4, first stepped after epoch 4);
 *           per iteration: gluoncv LRScheduler; step: torch MultiStepLR, gluoncv and MXNet's MultiFactorScheduler
 * Differs   cosineStart is the cosine's own counter in the last warm-up epoch (0 without warm-up): 0 for BiPer's stage 1, 1 for its stage 2
 *           (the scheduler is made at last_epoch 0 and the recursion of torch 1.11 keeps the rate that warm-up set), -4 for RBNN (made at
 *           last_epoch -5; torch 1.1 has the closed form, so the cosine ends five steps early, at (5 pi / 2N)^2 instead of 0).
 *           BMXNet's imperative script of 2018 let the rate fall one epoch after each of its --lr-steps, so its recipes name the epochs after;
 *           ReActNet steps before its first epoch: rate (1 - (e + 1) / N), so that its last epoch changes nothing but statistics.
 *           gluoncv counts the update under way, so its T is one more, and ends a curve one iteration early: its last two updates change nothing
 * </pre>
 */
public record Schedule(Shape shape, Per per, double rate, int epochs, int warmupEpochs, List<Integer> milestones, double factor, int cosineStart) {
  /** The curve after warm-up. */
  public enum Shape { CONSTANT, COSINE, STEP, LINEAR }

  /** What the curve and its warm-up advance with. */
  public enum Per { EPOCH, ITERATION }

  /** @throws IllegalArgumentException if the rate is not positive, milestones do not rise, or a key belongs to another shape */
  public Schedule {
    milestones = List.copyOf(milestones);
    if (!(rate > 0) || Double.isInfinite(rate)) throw new IllegalArgumentException("schedule: the learning rate is " + rate + "; it must be > 0");
    if (epochs < 1) throw new IllegalArgumentException("schedule: epochs is " + epochs + "; it must be >= 1");
    if (warmupEpochs < 0) throw new IllegalArgumentException("schedule: warmupEpochs is " + warmupEpochs + "; it must be >= 0");
    for (int i = 0; i < milestones.size(); i++) {
      if (milestones.get(i) < 1 || i > 0 && milestones.get(i) <= milestones.get(i - 1)) {
        throw new IllegalArgumentException("schedule: milestones are " + milestones + "; they must be >= 1 and rise");
      }
    }
    if (shape == Shape.STEP && milestones.isEmpty()) throw new IllegalArgumentException("schedule: a step schedule needs milestones");
    if (shape != Shape.STEP && !milestones.isEmpty()) {
      throw new IllegalArgumentException("schedule: milestones belong to a step schedule, not to " + shape.name().toLowerCase(Locale.ROOT));
    }
    if (cosineStart != 0 && (shape != Shape.COSINE || per != Per.EPOCH || warmupEpochs == 0)) {
      throw new IllegalArgumentException("schedule: cosineStart is " + cosineStart + "; only a cosine per epoch with warm-up may move its start");
    }
  }

  /** The learning rate of one step. @throws IllegalArgumentException if a count is negative or the iteration is past the epoch */
  public double learningRate(int epoch, int iteration, int iterationsPerEpoch) {
    if (epoch < 0 || iteration < 0 || iteration >= iterationsPerEpoch) {
      throw new IllegalArgumentException("schedule: epoch " + epoch + ", iteration " + iteration + " of " + iterationsPerEpoch + " is no step");
    }
    return per == Per.EPOCH ? byEpoch(epoch) : byIteration((double) epoch * iterationsPerEpoch + iteration, epoch, iterationsPerEpoch);
  }

  private double byEpoch(int epoch) {
    if (epoch < warmupEpochs) return rate * (epoch + 1) / warmupEpochs;
    int first = Math.max(warmupEpochs - 1, 0);
    double length = Math.max(1, epochs - first);
    int start = Math.max(cosineStart, 0);
    return switch (shape) {
      case COSINE -> rate * raised(Math.min(epoch - first + cosineStart, length) / length) / raised(start / length);
      case LINEAR -> rate * Math.max(0, 1 - (epoch - first) / length);
      case STEP -> dropped(epoch);
      case CONSTANT -> rate;
    };
  }

  private double byIteration(double step, int epoch, int iterationsPerEpoch) {
    double warmup = (double) warmupEpochs * iterationsPerEpoch;
    if (step < warmup) return rate * step / warmup;
    double done = Math.min(1, (step - warmup) / ((double) Math.max(1, epochs - warmupEpochs) * iterationsPerEpoch));
    return switch (shape) {
      case COSINE -> rate * raised(done) / 2;
      case LINEAR -> rate * (1 - done);
      case STEP -> dropped(epoch);
      case CONSTANT -> rate;
    };
  }

  private static double raised(double done) {
    return 1 + Math.cos(Math.PI * done);
  }

  private double dropped(int epoch) {
    return rate * Math.pow(factor, milestones.stream().filter(m -> m <= epoch).count());
  }
}
