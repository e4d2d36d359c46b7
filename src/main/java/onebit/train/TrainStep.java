package onebit.train;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import onebit.binarize.Surrogates;
import onebit.layers.BinaryConv2d;
import onebit.layers.GradientError;
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
 * One optimization step: forward, loss, backward, check, update; where the model has a teacher, its evaluation of the same images comes first.
 *
 * <p>A step whose loss or gradients are not finite changes nothing: parameters stay, running statistics are put back, and the outcome names
 * the first tensor that was not finite. The device decides that by itself; the host asks for the outcome and may take it a step later.
 *
 * <p>A model built for fewer images than the batch has sees it in parts of nearly equal size, one after the other, whose gradients are summed:
 * the gradient is that of the mean over the batch, but batch norm takes its statistics over each part, and its running ones move once for each.
 *
 * <pre>
 * Units     a part with n of the N images of all R ranks weighs its loss and its gradient by n R / N, but where the objective has a divisor for all
 * </pre>
 */
public final class TrainStep {
  private static final Runnable NOTHING = () -> { };

  private final Backend backend;
  private final Model model;
  private final Optimizer optimizer;
  private final Objective objective;
  private final int mostParts;
  private final Tensor partResult;
  private final List<Tensor> sums;
  /** Of each bucket of gradients, the sums over the parts before the last. */
  private final Map<List<Tensor>, List<Tensor>> earlier = new IdentityHashMap<>();
  private final Tensor gradOutput;
  private final Tensor result;
  private final Tensor penalty;
  private final Tensor verdict;
  private final List<Parameter> parameters;
  private final List<Tensor> gradients;
  private final List<Tensor> penalties;
  private final List<Tensor> state;
  private final List<Tensor> kept;
  private final Recorder recorder;
  private final int capacity;
  private Surrogates recordedWith;
  private StepReduction ranks;
  private Tensor output;
  private Tensor part;

  /**
   * What a step did.
   *
   * <pre>
   * Units  error: what the objective gives, a mean over the batch; loss: with the method's penalty; top1, top5: hits, 0 where the network detects;
   *        location: the part of the error that is of the places of boxes, 0 where it does not; gradientNorm: the length of the gradients of all parameters together, before
   *        they are cut down to {@link Optimizer#clipNorm}; notFinite: null for a good step
   * </pre>
   */
  public record Outcome(double error, double loss, int top1, int top5, double location, double gradientNorm, String notFinite) {}

  /** A step that was asked for. */
  @FunctionalInterface
  public interface Running {
    /** What it did; waits until it is done, and is asked once. */
    Outcome outcome();
  }

  /** A step of classification by labels alone. */
  public TrainStep(Backend backend, Model model, Optimizer optimizer, int batch, int classes, double smoothing) {
    this(backend, model, optimizer, batch, classes, smoothing, 1, 0);
  }

  /** The same for a model with a teacher: the temperature of both softmaxes, and the share of the loss that is of labels. */
  public TrainStep(Backend backend, Model model, Optimizer optimizer, int batch, int classes, double smoothing, double temperature, double hardLabels) {
    this(backend, model, optimizer, batch, new Classification(backend, model, batch, classes, smoothing, temperature, hardLabels));
  }

  /** A step on batches of so many images. */
  TrainStep(Backend backend, Model model, Optimizer optimizer, int batch, Objective objective) {
    this.backend = backend;
    this.model = model;
    this.optimizer = optimizer;
    this.objective = objective;
    recorder = backend.recorder();
    capacity = Objective.capacity(model, batch);
    mostParts = parts(batch);
    gradOutput = backend.create(Shape.matrix(capacity, model.outputs()));
    result = backend.create(Shape.vector(3));
    boolean whole = mostParts == 1;
    partResult = whole ? result : backend.create(Shape.vector(3));
    verdict = backend.create(Shape.vector(OptimOps.VERDICT));
    parameters = model.parameters();
    gradients = parameters.stream().map(Parameter::gradient).toList();
    sums = whole ? List.of() : gradients.stream().map(gradient -> backend.create(gradient.shape())).toList();
    penalties = model.binaryLayers().stream().map(BinaryConv2d::penalty).filter(Objects::nonNull).toList();
    penalty = penalties.isEmpty() ? null : backend.create(Shape.vector(1));
    state = model.state().stream().map(StateTensor::value).toList();
    kept = state.stream().map(tensor -> backend.create(tensor.shape())).toList();
  }

  /** Makes each step one on the global batch of all ranks from now on. */
  void together(StepReduction reduction) {
    ranks = reduction;
    recorder.alike(reduction::anywhere);
    Map<Tensor, Tensor> sumOf = new IdentityHashMap<>();
    for (int i = 0; i < sums.size(); i++) sumOf.put(gradients.get(i), sums.get(i));
    for (List<Tensor> bucket : reduction.contents()) earlier.put(bucket, bucket.stream().map(sumOf::get).toList());
  }

  /** Other work of the model has gone by, an evaluation say; all ranks say so. */
  void realign() {
    recorder.realign();
  }

  /** A step of a recipe with a model and an optimizer of its own. */
  public static TrainStep of(Recipe recipe, Backend backend, int batch) {
    Model model = Models.of(recipe, backend, recipe.train().part(batch));
    model.use(recipe.method().at(recipe.train().firstEpoch(), recipe.train().epochs()));
    Optimizer optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
    return of(recipe, backend, model, optimizer, batch);
  }

  /** A step of a recipe with that model and that optimizer. */
  static TrainStep of(Recipe recipe, Backend backend, Model model, Optimizer optimizer, int batch) {
    return new TrainStep(backend, model, optimizer, batch, Objective.of(recipe, backend, model, batch));
  }

  /** One step on x with what is known of it at the given learning rate, to its end. */
  public Outcome run(Tensor x, Truth truth, double learningRate) {
    return start(x, truth, learningRate).outcome();
  }

  /** Asks for one step; x and the truth may change as soon as this returns, by work asked later. */
  public Running start(Tensor x, Truth truth, double learningRate) {
    return start(x, truth, learningRate, x.shape().d0());
  }

  /** The same where all ranks together have so many images. */
  Running start(Tensor x, Truth truth, double learningRate, int globalImages) {
    write(truth, x.shape().d0(), parts(x.shape().d0(), globalImages));
    optimizer.learningRate(learningRate);
    if (!Objects.equals(recordedWith, model.surrogates())) recorder.forget();
    recordedWith = model.surrogates();
    long entered = ranks == null ? 0 : ranks.entered();
    recorder.run(new Input(x.memory(), x.shape(), globalImages, optimizer.clipNorm(), ranks), () -> pass(x, globalImages), ranks == null ? NOTHING : () -> ranks.replays(globalImages));
    if (ranks != null) ranks.asked(globalImages, entered);
    return running();
  }

  /** What decides the work of a step beside the model: where its images lie, how many they are, here and on all ranks, how long gradients may be, and who reduces
   * them. */
  private record Input(Object memory, Shape shape, int globalImages, float clipNorm, StepReduction ranks) {}

  /** What the device does in a step; nothing here depends on a value that the host would have to read. */
  private void pass(Tensor x, int globalImages) {
    backend.optim().copyAll(kept, state);
    forwardBackward(x, globalImages);
    backend.optim().judge(verdict, result, penalty, gradients, optimizer.clipNorm(), state, kept);
    optimizer.step(verdict);
  }

  /** Forward, loss and backward without the update. */
  public Outcome gradients(Tensor x, Truth truth) {
    write(truth, x.shape().d0(), parts(x.shape().d0(), x.shape().d0()));
    output = forwardBackward(x, x.shape().d0());
    backend.optim().judge(verdict, result, penalty, gradients, optimizer.clipNorm(), List.of(), List.of());
    return running().outcome();
  }

  /**
   * How far float8 gradients of each binary layer are from those that are not rounded, on the first of these images; changes nothing that a step reads.
   *
   * @param most so many images at most
   */
  List<GradientError> gradientErrors(Tensor x, Truth truth, int most) {
    int images = Math.min(Math.min(most, capacity), x.shape().d0());
    List<GradientError> all = new ArrayList<>();
    write(truth, images, 1);
    backend.optim().copyAll(kept, state);
    model.measure(all::add);
    Tensor gradNow = gradOutput.first(images), seen = x.first(images), soft = softLabels(seen);
    objective.loss(result, gradNow, model.forward(seen, true), soft, 0, images);
    model.backward(gradNow);
    model.measure(null);
    backend.optim().copyAll(state, kept);
    return all;
  }

  /** The update by the gradients of the last step, if they were finite. */
  public void update(double learningRate) {
    optimizer.learningRate(learningRate);
    optimizer.step(verdict);
  }

  /** How many parts so many images are seen in. */
  private int parts(int images) {
    return Objective.parts(images, capacity);
  }

  /**
   * Parts of this rank's images: where ranks meet within a part, as many as those of the rank with most.
   *
   * @throws IllegalArgumentException on every rank, if one of them would have a part without an image then
   */
  private int parts(int images, int globalImages) {
    if (ranks == null || mostParts == 1 || !ranks.meets()) return parts(images);
    int least = globalImages / ranks.ranks(), most = (globalImages + ranks.ranks() - 1) / ranks.ranks(), parts = parts(most);
    if (least < parts) {
      throw new IllegalArgumentException("train.gradientAccumulation: a process has " + least + " image(s) of a batch of " + globalImages + ", another " + most + " in " + parts
          + " parts, and with dist.syncBatchNorm all must have some in each part; give a data.batch that the " + ranks.ranks() + " processes share equally with data.dropLast=true, or a"
          + " smaller train.gradientAccumulation");
    }
    return parts;
  }

  private static int begin(int images, int part, int parts) {
    return (int) ((long) images * part / parts);
  }

  private void write(Truth truth, int n, int parts) {
    if (parts > mostParts) throw new IllegalArgumentException("TrainStep: made for batches of at most " + mostParts * capacity + " images, got " + n);
    int known = model.detects() ? truth.boxes().length : truth.labels().length;
    if (known < n) throw new IllegalArgumentException("TrainStep: " + n + " images, and the truth of " + known + " of them");
    for (int i = 0; i < parts; i++) objective.write(i, truth, begin(n, i, parts), begin(n, i + 1, parts));
  }

  private Tensor forwardBackward(Tensor x, int globalImages) {
    int n = x.shape().d0(), parts = parts(n, globalImages);
    Tensor out = null;
    if (penalty != null) backend.fill(penalty, 0);
    if (parts > 1) backend.fill(result, 0);
    if (ranks != null && objective.divisor() != null) ranks.average("positives", objective.divisor());
    for (int i = 0; i < parts; i++) {
      int from = begin(n, i, parts), images = begin(n, i + 1, parts) - from;
      Tensor seen = x;
      if (parts > 1) backend.point().rows(seen = part(x.type()).first(images), x, from);
      model.share((float) images / n);
      boolean last = i + 1 == parts;
      out = forwardBackward(seen, i, parts, last, globalImages);
      for (Tensor each : penalties) backend.point().accumulate(penalty, each);
      if (parts == 1) continue;
      backend.point().accumulate(result, partResult);
      if (i == 0) backend.optim().copyAll(sums, gradients);
      else if (!last) backend.optim().addAll(sums, gradients);
      else if (ranks == null) backend.optim().addAll(gradients, sums);
    }
    if (ranks != null) ranks.finish(result);
    return out;
  }

  /** Room for the images of a part; a step meets one type of them, values or bytes. */
  private Tensor part(ElementType type) {
    if (part == null || part.type() != type) part = backend.create(model.input().withFirst(capacity), type);
    return part;
  }

  /** The same of one part; in the last one gradients go to the other ranks while backward still runs, each bucket with the sums of the parts before. */
  private Tensor forwardBackward(Tensor x, int which, int parts, boolean last, int globalImages) {
    int images = x.shape().d0();
    Tensor gradNow = gradOutput.first(images), told = parts == 1 ? result : partResult;
    Tensor soft = softLabels(x), out = model.forward(x, true);
    objective.loss(told, gradNow, out, soft, which, images);
    if (objective.divisor() == null) weigh(gradNow, told.first(1), images, globalImages);
    if (ranks == null || !last) model.backward(gradNow);
    else model.backward(gradNow, group -> ranks.left(group, parts == 1 ? bucket -> { } : bucket -> backend.optim().addAll(bucket, earlier.get(bucket))));
    return out;
  }

  /** The teacher's logits of these images; null without one. */
  private Tensor softLabels(Tensor x) {
    return model.teacher() == null ? null : model.teacher().forward(x, false);
  }

  private void weigh(Tensor gradNow, Tensor loss, int images, int globalImages) {
    int factor = ranks == null ? 1 : ranks.ranks();
    if (images * factor == globalImages) return;
    float more = (float) ((double) images * factor / globalImages - 1);
    backend.point().accumulateScaled(gradNow, gradNow, more);
    backend.point().accumulateScaled(loss, loss, more);
  }

  private Running running() {
    Readback asked = backend.readLater(verdict);
    return () -> outcome(asked.values());
  }

  private Outcome outcome(float[] told) {
    if (told[0] < 0) return new Outcome(told[1], told[1], 0, 0, 0, told[5], "loss");
    String notFinite = told[0] > 0 ? "gradient of " + parameters.get((int) told[0] - 1).name() : null;
    double loss = (double) told[1] + told[4];
    if (objective.divisor() != null) return new Outcome(told[1], loss, 0, 0, told[2], told[5], notFinite);
    int factor = ranks == null ? 1 : ranks.ranks();
    return new Outcome(told[1], loss, Math.round(told[2] * factor), Math.round(told[3] * factor), 0, told[5], notFinite);
  }

  /** What the network gave in the last call of gradients, for its last part: logits where it classifies; valid until the next forward. */
  public Tensor output() {
    return output;
  }
}
