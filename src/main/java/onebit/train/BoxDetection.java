package onebit.train;

import java.util.stream.IntStream;
import onebit.detect.Matching;
import onebit.detect.Priors;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Boxes with a class each: the multibox loss of offsets and classes of all priors, of which the host says what each is to predict.
 *
 * <pre>
 * Units   the loss is divided by the positives of the whole batch, of all its parts and ranks
 * Source  Liu et al. 2016 (SSD, arXiv 1512.02325), section 2.2: matched from an overlap of 0.5, three negatives for each positive
 * </pre>
 */
final class BoxDetection implements Objective {
  private static final double LEAST_OVERLAP = 0.5;
  private static final float NEGATIVES = 3;

  private final Backend backend;
  private final Matching matching;
  private final int priors;
  private final int classes;
  private final Tensor[] labels;
  private final Tensor[] offsets;
  private final Tensor divisor;
  private final float[] positives = new float[1];
  private final int[] label;
  private final float[] offset;

  /** For batches of so many images, and so many classes beside the background. */
  BoxDetection(Backend backend, Model model, int batch, int classes, Priors of) {
    this.backend = backend;
    matching = new Matching(of, LEAST_OVERLAP);
    priors = of.count();
    this.classes = 1 + classes;
    int capacity = Objective.capacity(model, batch), parts = Objective.parts(batch, capacity);
    labels = new Tensor[parts];
    offsets = new Tensor[parts];
    for (int i = 0; i < parts; i++) {
      labels[i] = backend.create(Shape.matrix(capacity, priors), ElementType.INT32);
      offsets[i] = backend.create(Shape.matrix(capacity, 4 * priors));
    }
    divisor = backend.create(Shape.vector(1));
    label = new int[capacity * priors];
    offset = new float[4 * capacity * priors];
  }

  @Override
  public void write(int part, Truth truth, int from, int to) {
    IntStream.range(from, to).parallel().forEach(i -> {
      int at = (i - from) * priors;
      matching.match(truth.boxes()[i], label, at, offset, 4 * at);
    });
    if (part == 0) positives[0] = 0;
    for (int i = 0; i < (to - from) * priors; i++) if (label[i] > 0) positives[0]++;
    backend.write(divisor, positives);
    backend.write(labels[part].first(to - from), label);
    backend.write(offsets[part].first(to - from), offset);
  }

  @Override
  public void loss(Tensor result, Tensor gradOutput, Tensor output, Tensor soft, int part, int images) {
    backend.loss().multibox(result, gradOutput, output, labels[part].first(images), offsets[part].first(images), divisor, classes, NEGATIVES);
  }

  @Override
  public Tensor divisor() {
    return divisor;
  }
}
