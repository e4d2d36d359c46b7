package onebit.train;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.detect.Detection;
import onebit.detect.Detector;
import onebit.detect.MeanAveragePrecision;
import onebit.dist.Communicator;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.tensor.Tensor;

/** Compares what is found with the boxes of each image; all processors look at the images of a batch together. */
final class BoxEvaluation implements Evaluation {
  private static final double LEAST_OVERLAP = 0.5;
  private static final int PIECE = 1 << 15;

  private final Backend backend;
  private final Model model;
  private final Inlet input;
  private final Detector detector;
  private final List<String> classes;
  private final int piece;

  BoxEvaluation(Backend backend, Model model, Inlet input, Detector detector, List<String> classes) {
    this(backend, model, input, detector, classes, PIECE);
  }

  /** Ranks tell one another so many numbers at a time. */
  BoxEvaluation(Backend backend, Model model, Inlet input, Detector detector, List<String> classes, int piece) {
    this.piece = piece;
    this.backend = backend;
    this.model = model;
    this.input = input;
    this.detector = detector;
    this.classes = classes;
  }

  @Override
  public Score run(Loader loader, int mostBatches, Communicator communicator, Progress progress, Stop stop) throws IOException {
    long begin = System.nanoTime(), total = 0;
    MeanAveragePrecision precision = new MeanAveragePrecision(detector.classes(), LEAST_OVERLAP);
    loader.start(0, 0);
    progress.done(0);
    for (int i = 0; i < mostBatches; i++) {
      if (stop.asked()) return null;
      ImageBatch batch = loader.next();
      if (batch == null) break;
      int n = batch.count();
      Tensor x = input.next(batch.pixels(), n);
      if (n == 0) continue;
      float[] values = backend.read(model.forward(x, false));
      IntStream.range(0, n).parallel().forEach(image -> {
        List<Detection> found = detector.detect(values, image * detector.values());
        precision.add(Math.toIntExact(batch.sampleIds()[image]), batch.boxes()[image], found);
      });
      total += n;
      progress.done(total);
    }
    gather(precision, communicator);
    double seconds = (System.nanoTime() - begin) / 1e9;
    return new Score.Precision(precision.result(MeanAveragePrecision.Rule.VOC2007_11_POINTS), precision.result(MeanAveragePrecision.Rule.AREA), classes, seconds);
  }

  /** Adds what the other ranks have judged: every rank then has the same. */
  private void gather(MeanAveragePrecision precision, Communicator communicator) throws IOException {
    if (communicator.size() == 1) return;
    long[] own = precision.encode();
    long[][] lengths = communicator.allGather(new long[] {own.length}), all = new long[lengths.length][];
    int longest = 0;
    for (int rank = 0; rank < all.length; rank++) {
      all[rank] = new long[(int) lengths[rank][0]];
      longest = Math.max(longest, all[rank].length);
    }
    for (int from = 0; from < longest; from += piece) {   // always as many at once: communicators keep room for each length
      long[][] pieces = communicator.allGather(Arrays.copyOfRange(own, Math.min(from, own.length), Math.min(from, own.length) + piece));
      for (int rank = 0; rank < all.length; rank++) {
        int count = Math.min(piece, all[rank].length - from);
        if (count > 0) System.arraycopy(pieces[rank], 0, all[rank], from, count);
      }
    }
    for (int rank = 0; rank < all.length; rank++) if (rank != communicator.rank()) precision.add(all[rank]);
  }
}
