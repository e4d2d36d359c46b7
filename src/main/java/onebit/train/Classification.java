package onebit.train;

import java.util.Arrays;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** One class for each image: cross-entropy to labels, or to a teacher's soft labels too, and the right answers. */
final class Classification implements Objective {
  private final Backend backend;
  private final int classes;
  private final float smoothing;
  private final float temperature;
  private final float hardLabels;
  private final Tensor[] labels;

  /** For batches of so many images; temperature of both softmaxes and share of the loss that is of labels matter where there is a teacher. */
  Classification(Backend backend, Model model, int batch, int classes, double smoothing, double temperature, double hardLabels) {
    this.backend = backend;
    this.classes = classes;
    this.smoothing = (float) smoothing;
    this.temperature = (float) temperature;
    this.hardLabels = (float) hardLabels;
    int capacity = Objective.capacity(model, batch);
    labels = new Tensor[Objective.parts(batch, capacity)];
    for (int i = 0; i < labels.length; i++) labels[i] = backend.create(Shape.vector(capacity), ElementType.INT32);
  }

  @Override
  public void write(int part, Truth truth, int from, int to) {
    int[] wanted = truth.labels();
    for (int i = from; i < to; i++) {
      if (wanted[i] < 0 || wanted[i] >= classes) throw new IllegalArgumentException("label " + wanted[i] + " of image " + i + " is outside 0.." + (classes - 1));
    }
    backend.write(labels[part].first(to - from), from == 0 ? wanted : Arrays.copyOfRange(wanted, from, to));
  }

  @Override
  public void loss(Tensor result, Tensor gradOutput, Tensor output, Tensor soft, int part, int images) {
    Tensor wanted = labels[part].first(images);
    if (soft == null) backend.loss().softmaxCrossEntropy(result, gradOutput, output, wanted, smoothing);
    else backend.loss().distilledCrossEntropy(result, gradOutput, output, soft, wanted, temperature, hardLabels, smoothing);
  }

  @Override
  public Tensor divisor() {
    return null;
  }
}
