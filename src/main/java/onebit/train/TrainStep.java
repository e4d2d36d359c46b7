package onebit.train;

import java.util.List;
import java.util.Objects;
import onebit.binarize.Surrogates;
import onebit.layers.BinaryConv2d;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.OptimOps;
import onebit.ops.Readback;
import onebit.ops.Recorder;
import onebit.optim.Optimizer;
import onebit.recipe.Recipe;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * One optimization step: forward, loss, backward, check, update.
 *
 * <p>A step whose loss or gradients are not finite changes nothing: parameters stay, running statistics are put back, and the outcome names
 * the first tensor that was not finite. The device decides that by itself; the host asks for the outcome and may take it a step later.
 */
public final class TrainStep {
  private final Backend backend;
  private final Model model;
  private final Optimizer optimizer;
  private final float smoothing;
  private final Tensor labels;
  private final Tensor gradLogits;
  private final Tensor result;
  private final Tensor penalty;
  private final Tensor verdict;
  private final List<Parameter> parameters;
  private final List<Tensor> gradients;
  private final List<Tensor> penalties;
  private final List<Tensor> state;
  private final List<Tensor> kept;
  private final Recorder recorder;
  private final int classes;
  private Surrogates recordedWith;
  private StepReduction ranks;
  private Tensor logits;

  /**
   * What a step did.
   *
   * <pre>
   * Units  crossEntropy: mean over the batch; loss: with the method's penalty; top1, top5: hits; notFinite: null for a good step
   * </pre>
   */
  public record Outcome(double crossEntropy, double loss, int top1, int top5, String notFinite) {}

  /** A step that was asked for. */
  @FunctionalInterface
  public interface Running {
    /** What it did; waits until it is done, and is asked once. */
    Outcome outcome();
  }

  public TrainStep(Backend backend, Model model, Optimizer optimizer, int batch, int classes, double smoothing) {
    this.backend = backend;
    this.model = model;
    this.optimizer = optimizer;
    this.smoothing = (float) smoothing;
    this.classes = classes;
    recorder = backend.recorder();
    labels = backend.create(Shape.vector(batch), ElementType.INT32);
    gradLogits = backend.create(Shape.matrix(batch, classes));
    result = backend.create(Shape.vector(3));
    verdict = backend.create(Shape.vector(OptimOps.VERDICT));
    parameters = model.parameters();
    gradients = parameters.stream().map(Parameter::gradient).toList();
    penalties = model.binaryLayers().stream().map(BinaryConv2d::penalty).filter(Objects::nonNull).toList();
    penalty = penalties.isEmpty() ? null : backend.create(Shape.vector(1));
    state = model.state().stream().map(StateTensor::value).toList();
    kept = state.stream().map(tensor -> backend.create(tensor.shape())).toList();
  }

  /** Makes each step one on the global batch of all ranks from now on. */
  void together(StepReduction reduction) {
    ranks = reduction;
  }

  /** A step of a recipe with a model and an optimizer of its own. */
  public static TrainStep of(Recipe recipe, Backend backend, int batch) {
    var data = recipe.data();
    Model model = new Model(recipe.network(), recipe.method(), Shape.image(batch, data.height(), data.width(), data.channels()), data.classes(), backend,
        recipe.train().seed(), recipe.train().execution());
    model.use(recipe.method().at(recipe.train().firstEpoch(), recipe.train().epochs()));
    Optimizer optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
    return new TrainStep(backend, model, optimizer, batch, data.classes(), recipe.train().labelSmoothing());
  }

  /** One step on x with its labels at the given learning rate, to its end. */
  public Outcome run(Tensor x, int[] wanted, double learningRate) {
    return start(x, wanted, learningRate).outcome();
  }

  /** Asks for one step; x and the labels may change as soon as this returns, by work asked later. */
  public Running start(Tensor x, int[] wanted, double learningRate) {
    return start(x, wanted, learningRate, x.shape().d0());
  }

  /** The same where all ranks together have so many images. */
  Running start(Tensor x, int[] wanted, double learningRate, int globalImages) {
    write(wanted, x.shape().d0());
    optimizer.learningRate(learningRate);
    if (!Objects.equals(recordedWith, model.surrogates())) recorder.forget();
    recordedWith = model.surrogates();
    recorder.run(new Input(x.memory(), x.shape(), globalImages), () -> pass(x, globalImages));
    return running();
  }

  /** What decides the work of a step beside the model: where its images lie, and how many they are, here and on all ranks. */
  private record Input(Object memory, Shape shape, int globalImages) {}

  /** What the device does in a step; nothing here depends on a value that the host would have to read. */
  private void pass(Tensor x, int globalImages) {
    backend.optim().copyAll(kept, state, null);
    forwardBackward(x, globalImages);
    backend.optim().judge(verdict, result, penalty, gradients);
    optimizer.step(verdict);
    backend.optim().copyAll(state, kept, verdict);
  }

  /** Forward, loss and backward without the update. */
  public Outcome gradients(Tensor x, int[] wanted) {
    write(wanted, x.shape().d0());
    logits = forwardBackward(x, x.shape().d0());
    backend.optim().judge(verdict, result, penalty, gradients);
    return running().outcome();
  }

  /** The update by the gradients of the last step, if they were finite. */
  public void update(double learningRate) {
    optimizer.learningRate(learningRate);
    optimizer.step(verdict);
  }

  private void write(int[] wanted, int n) {
    for (int i = 0; i < n; i++) {
      if (wanted[i] < 0 || wanted[i] >= classes) throw new IllegalArgumentException("label " + wanted[i] + " of image " + i + " is outside 0.." + (classes - 1));
    }
    backend.write(labels.first(n), wanted);
  }

  private Tensor forwardBackward(Tensor x, int globalImages) {
    int n = x.shape().d0();
    Tensor gradNow = gradLogits.first(n);
    Tensor out = model.forward(x, true);
    backend.loss().softmaxCrossEntropy(result, gradNow, out, labels.first(n), smoothing);
    if (ranks == null) {
      model.backward(gradNow);
    } else {
      ranks.weigh(gradNow, result, n, globalImages);
      model.backward(gradNow, ranks::left);
      ranks.finish(result);
    }
    if (penalty != null) backend.fill(penalty, 0);
    for (Tensor part : penalties) backend.point().accumulate(penalty, part);
    return out;
  }

  private Running running() {
    Readback asked = backend.readLater(verdict);
    return () -> outcome(asked.values());
  }

  private Outcome outcome(float[] told) {
    if (told[0] < 0) return new Outcome(told[1], told[1], 0, 0, "loss");
    String notFinite = told[0] > 0 ? "gradient of " + parameters.get((int) told[0] - 1).name() : null;
    int factor = ranks == null ? 1 : ranks.ranks();
    return new Outcome(told[1], (double) told[1] + told[4], Math.round(told[2] * factor), Math.round(told[3] * factor), notFinite);
  }

  /** The logits of the last call of gradients; valid until the next forward. */
  public Tensor logits() {
    return logits;
  }
}
