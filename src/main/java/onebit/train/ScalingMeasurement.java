package onebit.train;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.optim.Optimizer;
import onebit.recipe.Recipe;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Times of one rank at a fixed batch per process: the step alone, the step of all ranks together, and the mean of the gradients alone. One rank of an
 * engine for several, such as NCCL, goes through all its calls.
 *
 * <pre>
 * Units   the least of the timed steps in seconds, taken in turn, which other programs on the machine disturb least; gradientBytes on their way
 *         per step; buckets: collectives they travel in
 * </pre>
 */
public record ScalingMeasurement(int ranks, double compute, double step, double reduce, long gradientBytes, int buckets) {
  /** Measures on random images of the recipe's shape; every rank calls this. */
  public static ScalingMeasurement of(Recipe recipe, Backend backend, Communicator communicator, int batch, int warmup, int steps) {
    var data = recipe.data();
    Shape shape = Shape.image(batch, data.height(), data.width(), data.channels());
    Model model = Models.of(recipe, backend, batch);
    Optimizer optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
    TrainStep alone = TrainStep.of(recipe, backend, model, optimizer, batch);
    SplittableRandom random = new SplittableRandom(1 + communicator.rank());
    byte[] images = new byte[shape.size()];
    random.nextBytes(images);
    Tensor x = backend.create(shape, ElementType.UINT8);
    backend.write(x, images);
    Truth truth = Truth.random(recipe, batch, random);
    double rate = recipe.optimizer().learningRate() * 0.01;
    Runnable byItself = () -> alone.run(x, truth, rate);
    if (communicator instanceof SingleProcess) {
      double least = least(communicator, backend, warmup, steps, byItself)[0];
      return new ScalingMeasurement(1, least, least, 0, bytes(model, recipe), 0);
    }
    StepReduction reduction = new StepReduction(communicator, model, recipe.dist());
    TrainStep shared = TrainStep.of(recipe, backend, model, optimizer, batch);
    shared.together(reduction);
    int all = batch * communicator.size();
    double[] least = least(communicator, backend, warmup, steps, byItself, () -> shared.start(x, truth, rate, all).outcome(), reduction::sendAll);
    return new ScalingMeasurement(communicator.size(), least[0], least[1], least[2], bytes(model, recipe), reduction.buckets());
  }

  private static long bytes(Model model, Recipe recipe) {
    int each = recipe.dist().reduce() == onebit.recipe.DistRecipe.Reduce.BFLOAT16 ? 2 : 4;
    return model.gradientGroups().stream().flatMap(List::stream).mapToLong(t -> (long) each * t.size()).sum();
  }

  /** The least time of each work; they run in turn, so that what disturbs the machine for a while disturbs all of them. */
  private static double[] least(Communicator communicator, Backend backend, int warmup, int steps, Runnable... works) {
    double[] least = new double[works.length];
    Arrays.fill(least, Double.POSITIVE_INFINITY);
    for (int i = -warmup; i < steps; i++) {
      for (int w = 0; w < works.length; w++) {
        communicator.any(false);   // all begin together
        long begin = System.nanoTime();
        works[w].run();
        backend.synchronize();
        if (i >= 0) least[w] = Math.min(least[w], (System.nanoTime() - begin) / 1e9);
      }
    }
    return least;
  }
}
