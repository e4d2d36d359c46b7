package onebit.train;

import java.util.ArrayList;
import java.util.List;
import onebit.layers.BinaryConv2d;
import onebit.models.Model;
import onebit.ops.Backend;
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
 * the first tensor that was not finite.
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
  private final Tensor badCounts;
  private final List<Tensor> gradients;
  private final List<Parameter> parameters;
  private final List<StateTensor> state;
  private final List<BinaryConv2d> binaryLayers;
  private final List<Tensor> kept = new ArrayList<>();
  private Tensor logits;

  /**
   * What a step did.
   *
   * <pre>
   * Units  crossEntropy: mean over the batch; loss: with the method's penalty; top1, top5: hits; notFinite: null for a good step
   * </pre>
   */
  public record Outcome(double crossEntropy, double loss, int top1, int top5, String notFinite) {}

  public TrainStep(Backend backend, Model model, Optimizer optimizer, int batch, int classes, double smoothing) {
    this.backend = backend;
    this.model = model;
    this.optimizer = optimizer;
    this.smoothing = (float) smoothing;
    labels = backend.create(Shape.vector(batch), ElementType.INT32);
    gradLogits = backend.create(Shape.matrix(batch, classes));
    result = backend.create(Shape.vector(3));
    penalty = backend.create(Shape.vector(1));
    parameters = model.parameters();
    gradients = parameters.stream().map(Parameter::gradient).toList();
    badCounts = backend.create(Shape.vector(parameters.size()));
    state = model.state();
    binaryLayers = model.binaryLayers();
    for (StateTensor tensor : state) kept.add(backend.create(tensor.value().shape()));
  }

  /** A step of a recipe with a model and an optimizer of its own. */
  public static TrainStep of(Recipe recipe, Backend backend, int batch) {
    var data = recipe.data();
    Model model = new Model(recipe.network(), recipe.method(), Shape.image(batch, data.height(), data.width(), data.channels()), data.classes(), backend,
        recipe.train().seed());
    model.use(recipe.method().at(recipe.train().firstEpoch(), recipe.train().epochs()));
    Optimizer optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
    return new TrainStep(backend, model, optimizer, batch, data.classes(), recipe.train().labelSmoothing());
  }

  /** One step on x with its labels at the given learning rate. */
  public Outcome run(Tensor x, int[] wanted, double learningRate) {
    keepState();
    Outcome outcome = gradients(x, wanted);
    if (outcome.notFinite() == null) optimizer.step(learningRate);
    else restoreState();
    return outcome;
  }

  /** Forward, loss and backward without the update. */
  public Outcome gradients(Tensor x, int[] wanted) {
    int n = x.shape().d0();
    Tensor labelsNow = labels.first(n), gradNow = gradLogits.first(n);
    backend.write(labelsNow, wanted);
    logits = model.forward(x, true);
    backend.loss().softmaxCrossEntropy(result, gradNow, logits, labelsNow, smoothing);
    model.backward(gradNow);
    boolean penalised = addPenalties();
    backend.optim().countNonFinite(badCounts, gradients);
    // the host asks only now, when all the work of forward and backward is under way
    float[] values = backend.read(result);
    if (!Float.isFinite(values[0])) return new Outcome(values[0], values[0], 0, 0, "loss");
    double loss = values[0] + (penalised ? backend.read(penalty)[0] : 0);
    return new Outcome(values[0], loss, (int) values[1], (int) values[2], firstNotFinite());
  }

  /** Sums the layers' penalties on the device; false if no layer has one. */
  private boolean addPenalties() {
    boolean any = false;
    for (BinaryConv2d layer : binaryLayers) {
      if (layer.penalty() == null) continue;
      if (!any) backend.fill(penalty, 0);
      any = true;
      backend.point().accumulate(penalty, layer.penalty());
    }
    return any;
  }

  /** How many parameters the step updates; the host reads one number of each. */
  public int parameterCount() {
    return parameters.size();
  }

  /** The logits of the last step; valid until the next forward. */
  public Tensor logits() {
    return logits;
  }

  private String firstNotFinite() {
    float[] counts = backend.read(badCounts);
    for (int i = 0; i < counts.length; i++) if (counts[i] > 0) return "gradient of " + parameters.get(i).name();
    return null;
  }

  private void keepState() {
    for (int i = 0; i < kept.size(); i++) backend.point().copy(kept.get(i), state.get(i).value());
  }

  private void restoreState() {
    for (int i = 0; i < kept.size(); i++) backend.point().copy(state.get(i).value(), kept.get(i));
  }
}
