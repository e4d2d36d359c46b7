package onebit.train;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.detect.Detection;
import onebit.detect.Detector;
import onebit.detect.Priors;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.ops.PixelScale;

/** What a trained network takes images for, with running statistics: of every image the probability of every class, or what it finds where. */
public final class Prediction {
  private final Backend backend;
  private final Model model;
  private final Inlet input;

  private Prediction(Backend backend, Model model, Inlet input) {
    this.backend = backend;
    this.model = model;
    this.input = input;
  }

  /** Predictions of a model that was built for batches of so many images; scale makes values of the loader's bytes. */
  public static Prediction of(Backend backend, Model model, PixelScale scale, int batch) {
    model.takePixels(scale);
    return new Prediction(backend, model, backend.inlet(model.input().withFirst(batch)));
  }

  /** softmax(logits) of each image of the loader's data set, in its order. */
  public List<double[]> run(Loader loader, Evaluation.Progress progress) {
    List<double[]> all = new ArrayList<>();
    loader.start(0, 0);
    progress.done(0);
    for (ImageBatch batch = loader.next(); batch != null; batch = loader.next()) {
      float[] logits = backend.read(model.forward(input.next(batch.pixels(), batch.count()), false));
      int classes = logits.length / batch.count();
      for (int i = 0; i < batch.count(); i++) all.add(softmax(logits, i * classes, classes));
      progress.done(all.size());
    }
    return all;
  }

  /** What a network that detects finds in each image of the loader's data set, in its order, the most probable first. */
  public List<List<Detection>> detect(Loader loader, Evaluation.Progress progress) {
    Detector detector = new Detector(Priors.ssd300(), model.classes());
    List<List<Detection>> all = new ArrayList<>();
    loader.start(0, 0);
    progress.done(0);
    for (ImageBatch batch = loader.next(); batch != null; batch = loader.next()) {
      float[] values = backend.read(model.forward(input.next(batch.pixels(), batch.count()), false));
      all.addAll(IntStream.range(0, batch.count()).parallel().mapToObj(i -> detector.detect(values, i * detector.values())).toList());
      progress.done(all.size());
    }
    return all;
  }

  private static double[] softmax(float[] logits, int from, int classes) {
    double greatest = Double.NEGATIVE_INFINITY, sum = 0;
    for (int c = 0; c < classes; c++) greatest = Math.max(greatest, logits[from + c]);
    double[] probability = new double[classes];
    for (int c = 0; c < classes; c++) sum += probability[c] = Math.exp(logits[from + c] - greatest);
    for (int c = 0; c < classes; c++) probability[c] /= sum;
    return probability;
  }
}
