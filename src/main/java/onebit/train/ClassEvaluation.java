package onebit.train;

import java.io.IOException;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.dist.Communicator;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Counts right answers. */
final class ClassEvaluation implements Evaluation {
  private final Backend backend;
  private final Model model;
  private final Inlet input;
  private final Tensor labels;
  private final Tensor gradLogits;
  private final Tensor result;

  ClassEvaluation(Backend backend, Model model, Inlet input, int batch) {
    this.backend = backend;
    this.model = model;
    this.input = input;
    labels = backend.create(Shape.vector(batch), ElementType.INT32);
    gradLogits = backend.create(Shape.matrix(batch, model.outputs()));
    result = backend.create(Shape.vector(3));
  }

  @Override
  public Score run(Loader loader, int mostBatches, Communicator communicator, Progress progress, Stop stop) throws IOException {
    long begin = System.nanoTime(), total = 0, hits1 = 0, hits5 = 0;
    loader.start(0, 0);
    progress.done(0);
    for (int i = 0; i < mostBatches; i++) {
      if (stop.asked()) return null;
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
    long[] all = communicator.sum(hits1, hits5, total);
    return new Score.Accuracy(all[0], all[1], all[2], seconds);
  }
}
