package onebit.train;

import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.dist.Communicator;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.ops.PixelScale;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Counts right answers over a whole data set, each image once, with running statistics. */
public final class Evaluation {
  private final Backend backend;
  private final Model model;
  private final Inlet input;
  private final Tensor labels;
  private final Tensor gradLogits;
  private final Tensor result;

  /** Units: top1, top5 in percent. */
  public record Result(long correct, long correct5, long total, double top1, double top5, double seconds) {
    static Result of(long correct, long correct5, long total, double seconds) {
      return new Result(correct, correct5, total, 100.0 * correct / Math.max(1, total), 100.0 * correct5 / Math.max(1, total), seconds);
    }

    /** The counts of all ranks together. */
    Result together(Communicator communicator) {
      long[] sum = communicator.sum(correct, correct5, total);
      return of(sum[0], sum[1], sum[2], seconds);
    }
  }

  /** Told after each batch how many images are done, of how many. */
  @FunctionalInterface
  public interface Progress {
    void done(long images);
  }

  Evaluation(Backend backend, Model model, Inlet input, int batch, int classes) {
    this.backend = backend;
    this.model = model;
    this.input = input;
    labels = backend.create(Shape.vector(batch), ElementType.INT32);
    gradLogits = backend.create(Shape.matrix(batch, classes));
    result = backend.create(Shape.vector(3));
  }

  /** An evaluation of its own, for a model built for the recipe's batches. */
  public static Evaluation of(Backend backend, Model model, onebit.recipe.DataRecipe data, int batch) {
    model.takePixels(new PixelScale(data.mean(), data.std()));
    return new Evaluation(backend, model, backend.inlet(Shape.image(batch, data.height(), data.width(), data.channels())), batch, data.classes());
  }

  /** Runs over the loader's data set; at most so many batches. */
  public Result run(Loader loader, int mostBatches, Progress progress) {
    long begin = System.nanoTime(), total = 0, hits1 = 0, hits5 = 0;
    loader.start(0, 0);
    for (int i = 0; i < mostBatches; i++) {
      ImageBatch batch = loader.next();
      if (batch == null) break;
      int n = batch.count();
      Tensor x = input.next(batch.pixels(), n);   // on every rank, so that all go on with the same room of theirs and record the same steps
      if (n == 0) continue;   // a rank may have no part in a last batch
      Tensor wanted = labels.first(n);
      backend.write(wanted, batch.labels());
      Tensor logits = model.forward(x, false);
      backend.loss().softmaxCrossEntropy(result, gradLogits.first(n), logits, wanted, 0);
      float[] values = backend.read(result);
      hits1 += (long) values[1];
      hits5 += (long) values[2];
      total += n;
      progress.done(total);
    }
    double seconds = (System.nanoTime() - begin) / 1e9;
    return Result.of(hits1, hits5, total, seconds);
  }
}
