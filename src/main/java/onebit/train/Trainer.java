package onebit.train;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import onebit.binarize.Surrogates;
import onebit.checkpoint.Checkpoint;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.CheckpointStore;
import onebit.checkpoint.NamedTensor;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.Split;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.optim.Optimizer;
import onebit.optim.Schedule;
import onebit.recipe.Recipe;
import onebit.report.MetricsLog;
import onebit.report.ProgressLine;
import onebit.report.RunLog;
import onebit.report.Screen;
import onebit.report.TensorBoardEvents;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;

/**
 * Trains a recipe in a run folder, from its newest checkpoint where there is one.
 *
 * <p>On one backend a resumed run gives the same bits as an uninterrupted one: order and augmentation are functions of seed, epoch and
 * sample, and everything else that matters is in the checkpoint.
 */
public final class Trainer {
  /** So many bad steps in a row end the run. */
  private static final int MOST_BAD_STEPS = 10;

  private final Recipe recipe;
  private final Backend backend;
  private final TrainOptions options;
  private final Screen screen;
  private final RunLog log;
  private final CheckpointStore store;
  private final Model model;
  private final Optimizer optimizer;
  private final BatchInput input;
  private final TrainStep step;
  private final Evaluation evaluation;
  private final FlipMeter flips;
  private final Runnable afterEpoch;
  private final CountDownLatch stopped = new CountDownLatch(1);
  private RunState state = new RunState();
  private volatile boolean stopRequested;
  private long savedNanos;
  private int badSteps;
  private UnderWay underWay;

  /** A step whose outcome is not yet counted in: its number in the epoch and in the run, and its images. */
  private record UnderWay(TrainStep.Running running, int batch, long step, int images) {}

  /** How a run ended. */
  public enum End { COMPLETE, STOPPED }

  /** afterEpoch runs when an epoch's metrics and checkpoint are written. */
  public Trainer(Recipe recipe, Backend backend, TrainOptions options, Screen screen, RunLog log, Runnable afterEpoch) {
    this.recipe = recipe;
    this.afterEpoch = afterEpoch;
    this.backend = backend;
    this.options = options;
    this.screen = screen;
    this.log = log;
    var data = recipe.data();
    int batch = Math.max(data.batch(), data.evalBatch());
    Shape images = Shape.image(batch, data.height(), data.width(), data.channels());
    model = new Model(recipe.network(), recipe.method(), images, data.classes(), backend, recipe.train().seed());
    optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
    input = new BatchInput(backend, data, batch);
    step = new TrainStep(backend, model, optimizer, batch, data.classes(), recipe.train().labelSmoothing());
    evaluation = new Evaluation(backend, model, input, batch, data.classes());
    flips = new FlipMeter(backend, model.binaryLayers());
    store = new CheckpointStore(options.run().resolve("checkpoints"), recipe.checkpoint().keep());
  }

  /** Takes up the newest good checkpoint; false if there is none. */
  public boolean resume() throws IOException {
    Optional<Checkpoint> found = store.loadLatest(log::warn);
    if (found.isEmpty()) return false;
    Checkpoint checkpoint = found.get();
    state = RunState.read(checkpoint.state());
    model.load(checkpoint.weights(), "the checkpoint of step " + checkpoint.step());
    loadOptimizer(checkpoint.optimizer());
    flips.load(checkpoint.optimizer());
    if (state.bestStep == checkpoint.step()) store.markBest(state.bestStep);
    return true;
  }

  private void loadOptimizer(List<NamedTensor> saved) throws IOException {
    Map<String, NamedTensor> byName = new LinkedHashMap<>();
    saved.forEach(t -> byName.put(t.name(), t));
    for (StateTensor tensor : optimizer.state()) {
      NamedTensor from = byName.get(tensor.name());
      if (from == null || from.elements() != tensor.value().size()) {
        throw new CheckpointException("the checkpoint has no optimizer tensor " + tensor.name() + " of " + tensor.value().size() + " values");
      }
      backend.write(tensor.value(), from.floats());
    }
    optimizer.steps(state.optimizerSteps);
  }

  /** Starts from the weights of an earlier stage. */
  public void startFrom(List<NamedTensor> weights, String what) throws IOException {
    model.load(weights, what);
  }

  /** Whether the checkpoint taken up is that of a finished run. */
  public boolean isComplete() {
    return state.complete || state.epoch >= options.stopEpoch();
  }

  public double bestTop1() {
    return state.bestTop1;
  }

  public int bestEpoch() {
    return state.bestEpoch;
  }

  public Model model() {
    return model;
  }

  /** Asks for a checkpoint and an end after the current step, from any thread; returns when the run has ended. */
  public void stopAndWait() {
    stopRequested = true;
    try {
      stopped.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Trains until the last epoch, or until asked to stop.
   *
   * @throws IOException if data cannot be read, or {@value #MOST_BAD_STEPS} steps in a row or all of an epoch were not finite
   */
  public End run() throws IOException {
    if (state.step == 0 && state.epoch == 0) state.startEpoch(recipe.train().firstEpoch());
    var data = recipe.data();
    long seed = recipe.train().seed();
    Dataset trainSet = InputPipeline.open(data, options.data(), Split.TRAIN, seed);
    Dataset testSet = InputPipeline.open(data, options.data(), Split.TEST, seed);
    BadImageLedger ledger = BadImageLedger.open(options.run(), log::warn);
    try (Loader train = InputPipeline.training(data, trainSet, data.batch(), seed, ledger.of(Split.TRAIN));
        Loader test = InputPipeline.evaluation(data, testSet, data.evalBatch(), ledger.of(Split.TEST));
        MetricsLog metrics = MetricsLog.open(options.run(), state.step, log::warn);
        TensorBoardEvents events = TensorBoardEvents.open(options.run(), state.step, log::warn)) {
      int batches = Math.min(train.batches(), options.steps());
      ProgressLine progress = new ProgressLine(screen, options.stopEpoch(), batches);
      savedNanos = System.nanoTime();
      while (state.epoch < options.stopEpoch()) {
        if (!epoch(train, batches, progress)) {
          progress.finish();
          save();
          log.line("Stopped as asked, with a checkpoint at step " + state.step + ".");
          return End.STOPPED;
        }
        finishEpoch(train, test, progress, metrics, events);
      }
      progress.finish();
      return End.COMPLETE;
    } finally {
      stopped.countDown();
    }
  }

  private Surrogates surrogates() {
    return recipe.method().at(state.epoch, recipe.train().epochs());
  }

  /** The steps of one epoch from where the state is; false if the run shall stop. */
  private boolean epoch(Loader train, int batches, ProgressLine progress) throws IOException {
    Schedule schedule = recipe.schedule().over(recipe.train().epochs(), recipe.optimizer().learningRate());
    model.use(surrogates());
    if (state.batch == 0) model.startEpoch(state.epoch);
    train.start(state.epoch, state.batch);
    progress.start();
    while (state.batch < batches) {
      if (stopRequested) {
        settleLast(batches, progress);
        return false;
      }
      ImageBatch batch = train.next();
      double rate = schedule.learningRate(state.epoch, state.batch, batches);
      TrainStep.Running running = step.start(input.load(batch), batch.labels(), rate);
      state.batch++;
      state.step++;
      UnderWay before = underWay;
      underWay = new UnderWay(running, state.batch, state.step, batch.count());
      settle(before, batches, progress);
      if (checkpointDue()) {
        settleLast(batches, progress);
        if (badSteps > 0) continue;
        save();
        progress.start();
      }
    }
    settleLast(batches, progress);
    return !stopRequested || state.epoch + 1 >= options.stopEpoch();
  }

  private void settleLast(int batches, ProgressLine progress) throws IOException {
    UnderWay last = underWay;
    underWay = null;
    settle(last, batches, progress);
  }

  /** Counts a step in, once its outcome is there; the host does so one step behind the device. */
  private void settle(UnderWay done, int batches, ProgressLine progress) throws IOException {
    if (done == null) return;
    TrainStep.Outcome outcome = done.running.outcome();
    if (outcome.notFinite() == null) {
      badSteps = 0;
      state.lossSum += outcome.loss() * done.images;
      state.hits += outcome.top1();
      state.images += done.images;
    } else {
      skip(outcome.notFinite(), done.step, done.batch == batches);
    }
    progress.step(state.epoch + 1, done.batch, outcome.loss(), done.images);
  }

  private void skip(String what, long step, boolean lastOfEpoch) throws IOException {
    state.skipped++;
    badSteps++;
    log.warn("Step " + step + " was skipped: its " + what + " is not finite.");
    if (badSteps >= MOST_BAD_STEPS || (lastOfEpoch && state.images == 0)) {
      throw new CheckpointException("training stopped at step " + step + ": the " + what + " was not finite in " + badSteps
          + " steps in a row; the checkpoints before are kept");
    }
  }

  private boolean checkpointDue() {
    var due = recipe.checkpoint();
    boolean bySteps = due.everySteps() > 0 && state.step % due.everySteps() == 0;
    boolean byTime = due.everyMinutes() > 0 && System.nanoTime() - savedNanos >= due.everyMinutes() * 60e9;
    return bySteps || byTime;
  }

  private void finishEpoch(Loader train, Loader test, ProgressLine progress, MetricsLog metrics, TensorBoardEvents events) throws IOException {
    progress.activity(state.epoch + 1, "evaluating");
    Evaluation.Result result = evaluation.run(test, options.steps(), images -> { });
    Map<String, Object> record = new LinkedHashMap<>();
    double loss = state.lossSum / Math.max(1, state.images), trainTop1 = 100.0 * state.hits / Math.max(1, state.images);
    record.put("epoch", state.epoch + 1);
    record.put("step", state.step);
    record.put("loss", loss);
    record.put("trainTop1", trainTop1);
    record.put("testTop1", result.top1());
    record.put("testTop5", result.top5());
    Schedule schedule = recipe.schedule().over(recipe.train().epochs(), recipe.optimizer().learningRate());
    record.put("learningRate", schedule.learningRate(state.epoch, Math.max(0, state.batch - 1), Math.max(1, state.batch)));
    record.put("imagesPerSecond", progress.imagesPerSecond());
    record.put("loaderStallShare", train.stallShare());
    record.put("skippedSteps", state.skipped);
    record.putAll(surrogates().values());
    flips.measure(record);
    boolean best = result.top1() > state.bestTop1;
    if (best) {
      state.bestTop1 = result.top1();
      state.bestEpoch = state.epoch + 1;
      state.bestStep = state.step;
    }
    progress.epochDone(state.epoch + 1, String.format(java.util.Locale.ROOT, "loss %.4f  train %.2f %%  test %.2f %%%s  %.0f images/s", loss, trainTop1,
        result.top1(), best ? " (best)" : "", progress.imagesPerSecond()));
    state.startEpoch(state.epoch + 1);
    state.complete = state.epoch >= recipe.train().epochs();
    metrics.append(record);
    events.scalars(state.step, record);
    save();
    if (best) store.markBest(state.step);
    afterEpoch.run();
  }

  private void save() throws IOException {
    state.optimizerSteps = optimizer.steps();
    List<NamedTensor> tensors = new ArrayList<>();
    for (StateTensor tensor : optimizer.state()) tensors.add(NamedTensor.ofFloats(tensor.name(), tensor.fileShape(), backend.read(tensor.value())));
    tensors.addAll(flips.save());
    store.save(new Checkpoint(state.step, model.save(), tensors, state.write()));
    savedNanos = System.nanoTime();
  }
}
