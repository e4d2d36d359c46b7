package onebit.train;

import java.io.IOException;
import java.util.List;
import onebit.data.Loader;
import onebit.detect.Detector;
import onebit.detect.Priors;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.ops.PixelScale;

/** Judges a network on a whole data set, each image once, with running statistics. */
public interface Evaluation {
  /** Told at the beginning and after each batch how many images are done, of this process. */
  @FunctionalInterface
  interface Progress {
    void done(long images);
  }

  /** Asked before each batch whether to end there; says the same on all ranks. */
  @FunctionalInterface
  interface Stop {
    boolean asked() throws IOException;
  }

  /** What the network is worth on the loader's data set, or on its first batches, whose images all ranks see together; null where it was asked to stop. */
  Score run(Loader loader, int mostBatches, Communicator communicator, Progress progress, Stop stop) throws IOException;

  /** The same in one process, to its end. */
  default Score run(Loader loader, int mostBatches, Progress progress) throws IOException {
    return run(loader, mostBatches, new SingleProcess(), progress, () -> false);
  }

  /**
   * An evaluation of its own, for a model built for batches of so many images.
   *
   * @param scale what makes values of the loader's bytes
   * @param classes names of the classes, for a network that detects; none where they are numbers
   */
  static Evaluation of(Backend backend, Model model, PixelScale scale, List<String> classes, int batch) {
    model.takePixels(scale);
    return of(backend, model, classes, batch, backend.inlet(model.input().withFirst(batch)));
  }

  /** The same through an inlet that others use too. */
  static Evaluation of(Backend backend, Model model, List<String> classes, int batch, Inlet input) {
    if (model.detects()) return new BoxEvaluation(backend, model, input, new Detector(Priors.ssd300(), model.classes()), classes);
    return new ClassEvaluation(backend, model, input, batch);
  }
}
