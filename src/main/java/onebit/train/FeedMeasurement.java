package onebit.train;

import com.google.common.math.Quantiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.Supplier;
import onebit.data.Box;
import onebit.data.Boxes;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Picture;
import onebit.data.Split;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Images per second of training steps fed in three ways, in turn, and of the loader alone.
 *
 * <p>Steps follow each other as in training: the outcome of one is taken while the next runs. The data set is read again and again, so that no
 * epoch ends within a round. A round of the loader starts with nothing prepared and is timed after the warm-up.
 *
 * <pre>
 * Units   resident: one batch that lies on the device; copied: one batch copied there before each step; fed: batches of the loader; loader: no
 *         steps at all; each a median over rounds; stallShare: the part of the fed rounds' time spent waiting for the loader; bad: images not decoded; stored: what the set
 *         says of its images, or nothing
 * </pre>
 */
public record FeedMeasurement(double resident, double copied, double fed, double loader, double stallShare, int images, String stored, int workers, int bad, Rise rise) {
  /**
   * How the loader became fast while its code was compiled and its memory taken: images per second in the first second and in the last, and the
   * seconds it ran alone; steady: whether it had stopped rising.
   */
  public record Rise(double first, double last, double seconds, boolean steady) {}

  /** The rounds and their steps; the loader runs alone before the first until it rises no more, at most loaderSeconds. */
  public record Plan(int rounds, int warmup, int steps, double loaderSeconds) {
    public Plan {
      if (rounds < 1 || warmup < 1 || steps < 1) throw new IllegalArgumentException("rounds, warm-up and steps must be >= 1, got " + rounds + ", " + warmup + " and " + steps);
      if (!(loaderSeconds >= 0)) throw new IllegalArgumentException("the loader's warm-up must be >= 0 seconds, got " + loaderSeconds);
    }
  }

  private static final int RISE_SECONDS = 3;

  /** So many images as one epoch needs, each in turn. */
  private record Repeated(Dataset once, int size) implements Dataset {
    @Override public String name() {
      return once.name();
    }

    @Override public int height() {
      return once.height();
    }

    @Override public int width() {
      return once.width();
    }

    @Override public int channels() {
      return once.channels();
    }

    @Override public int classes() {
      return once.classes();
    }

    @Override public int label(int index) {
      return once.label(index % once.size());
    }

    @Override public boolean hasBoxes() {
      return once.hasBoxes();
    }

    @Override public void boxes(int index, Boxes into) throws IOException {
      once.boxes(index % once.size(), into);
    }

    @Override public void read(int index, byte[] into, int offset) throws IOException {
      once.read(index % once.size(), into, offset);
    }

    @Override public void decode(int index, Box.Choice choice, Picture into) throws IOException {
      once.decode(index % once.size(), choice, into);
    }

    @Override public String describe(int index) {
      return once.describe(index % once.size());
    }
  }

  /** Counts images that are replaced. */
  private static final class Watch implements LoaderWatch {
    private int bad;

    @Override public synchronized void bad(Dataset dataset, int epoch, int index, int replacement, String why) {
      bad++;
    }

    @Override public void notice(String sentence) {
      System.getLogger(FeedMeasurement.class.getName()).log(System.Logger.Level.WARNING, sentence);
    }
  }

  /**
   * Measures a recipe's steps on the training images of a folder.
   *
   * @throws IOException if images cannot be read
   */
  public static FeedMeasurement of(Recipe recipe, Path folder, Backend backend, Plan plan) throws IOException {
    return of(recipe, InputPipeline.open(recipe.data(), folder, Split.TRAIN, recipe.train().seed()), backend, plan);
  }

  /** The same on images that are there already. */
  static FeedMeasurement of(Recipe recipe, Dataset once, Backend backend, Plan plan) {
    var data = recipe.data();
    int batch = data.batch();
    Dataset dataset = new Repeated(once, Math.multiplyExact(batch, plan.warmup() + plan.steps() + 1));
    TrainStep step = TrainStep.of(recipe, backend, batch);
    Inlet input = backend.inlet(Shape.image(batch, data.height(), data.width(), data.channels()));
    Watch watch = new Watch();
    double rate = recipe.optimizer().learningRate() * 0.01;
    double[][] seconds = new double[4][plan.rounds()];
    double stalled = 0, fedSeconds = 0;
    Rise rise;
    try (Loader loader = InputPipeline.training(data, dataset, batch, recipe.train().seed(), watch)) {
      loader.start(0, 0);
      ImageBatch same = copyOf(loader.next());
      rise = rise(loader, plan.loaderSeconds());
      for (int round = 0; round < plan.rounds(); round++) {
        Tensor x = input.next(same.pixels(), batch);
        Steps resident = new Steps(step, () -> x, () -> same, rate), copied = new Steps(step, () -> input.next(same.pixels(), batch), () -> same, rate);
        resident.run(backend, plan.warmup());
        seconds[0][round] = resident.run(backend, plan.steps());
        copied.run(backend, plan.warmup());
        seconds[1][round] = copied.run(backend, plan.steps());
        loader.start(2 * round + 1, 0);
        ImageBatch[] now = new ImageBatch[1];
        Steps fed = new Steps(step, () -> input.next((now[0] = loader.next()).pixels(), batch), () -> now[0], rate);
        fed.run(backend, plan.warmup());
        long before = loader.stallNanos();
        seconds[2][round] = fed.run(backend, plan.steps());
        stalled += (loader.stallNanos() - before) / 1e9;
        fedSeconds += seconds[2][round];
        loader.start(2 * round + 2, 0);
        seconds[3][round] = alone(loader, plan);
      }
    }
    double[] speed = Arrays.stream(seconds).mapToDouble(s -> plan.steps() * (double) batch / Quantiles.median().compute(s)).toArray();
    return new FeedMeasurement(speed[0], speed[1], speed[2], speed[3], stalled / fedSeconds, once.size(), once.stored(), InputPipeline.workers(data), watch.bad, rise);
  }

  /** A batch of one's own: the loader fills its own again. */
  private static ImageBatch copyOf(ImageBatch batch) {
    ImageBatch copy = new ImageBatch(batch.count(), batch.height(), batch.width(), batch.channels(), batch.boxes().length > 0);
    for (int i = 0; i < copy.boxes().length; i++) copy.boxes()[i].copy(batch.boxes()[i]);
    System.arraycopy(batch.pixels(), 0, copy.pixels(), 0, batch.count() * batch.imageBytes());
    System.arraycopy(batch.labels(), 0, copy.labels(), 0, batch.count());
    copy.count(batch.count());
    return copy;
  }

  /** Runs the loader second by second until the best of three is within a twentieth of the best of the three before, at most so many seconds. */
  private static Rise rise(Loader loader, double most) {
    List<Double> rates = new ArrayList<>();
    long begin = System.nanoTime(), end = begin + (long) (1e9 * most);
    boolean steady = false;
    while (!steady && System.nanoTime() < end) {
      long from = System.nanoTime(), to = Math.min(end, from + 1_000_000_000L), made = 0;
      do {
        ImageBatch batch = loader.next();
        if (batch == null) loader.start(0, 0);
        else made += batch.count();
      } while (System.nanoTime() < to);
      rates.add(made * 1e9 / (System.nanoTime() - from));
      int n = rates.size();
      steady = n >= 2 * RISE_SECONDS && Collections.max(rates.subList(n - RISE_SECONDS, n)) <= 1.05 * Collections.max(rates.subList(n - 2 * RISE_SECONDS, n - RISE_SECONDS));
    }
    return new Rise(rates.isEmpty() ? 0 : rates.getFirst(), rates.isEmpty() ? 0 : rates.getLast(), (System.nanoTime() - begin) / 1e9, steady);
  }

  private static double alone(Loader loader, Plan plan) {
    for (int i = 0; i < plan.warmup(); i++) loader.next();
    long begin = System.nanoTime();
    for (int i = 0; i < plan.steps(); i++) loader.next();
    return (System.nanoTime() - begin) / 1e9;
  }

  /** Steps one after the other, the host one ahead. */
  private record Steps(TrainStep step, Supplier<Tensor> images, Supplier<ImageBatch> labels, double rate) {
    double run(Backend backend, int steps) {
      backend.synchronize();
      long begin = System.nanoTime();
      TrainStep.Running before = null;
      for (int i = 0; i < steps; i++) {
        TrainStep.Running now = step.start(images.get(), Truth.of(labels.get()), rate);
        if (before != null) before.outcome();
        before = now;
      }
      before.outcome();
      backend.synchronize();
      return (System.nanoTime() - begin) / 1e9;
    }
  }
}
