package onebit.train;

import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import onebit.binarize.Surrogates;
import onebit.checkpoint.Checkpoint;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.CheckpointStore;
import onebit.checkpoint.NamedTensor;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.Split;
import onebit.dist.Communicator;
import onebit.models.Execution;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.optim.Optimizer;
import onebit.optim.Schedule;
import onebit.recipe.Recipe;
import onebit.report.MetricsLog;
import onebit.report.ProgressLine;
import onebit.report.RunLog;
import onebit.report.Screen;
import onebit.report.TensorBoardEvents;
import onebit.report.WorkLine;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * Trains a recipe in a run folder, from its newest checkpoint where there is one.
 *
 * <p>On one backend a resumed run gives the same bits as an uninterrupted one: order and augmentation are functions of seed, epoch and
 * sample, and everything else that matters is in the checkpoint.
 */
public final class Trainer {
  /** So many bad steps in a row end the run. */
  private static final int MOST_BAD_STEPS = 10;
  /** While rank 0 waits for its disk, the ranks meet that often. */
  private static final long MEET_MILLIS = 200;

  private final Recipe recipe;
  private final Backend backend;
  private final TrainOptions options;
  private final Screen screen;
  private final RunLog log;
  private final CheckpointStore store;
  private final Communicator communicator;
  private final RankAgreement ranks;
  private final SpikeGuard spikes;
  private final Float8Gate float8;
  private final Model model;
  private final Optimizer optimizer;
  private final Inlet input;
  private final TrainStep step;
  private final Evaluation evaluation;
  private final FlipMeter flips;
  private final int evalBatch;
  private final Snapshot snapshot;
  private final Runnable afterEpoch;
  private final CountDownLatch met = new CountDownLatch(1);
  private final CountDownLatch stopped = new CountDownLatch(1);
  private RunState state = new RunState();
  private volatile boolean stopRequested;
  private volatile boolean meeting;
  private CheckpointPace pace;
  private double snapshotMillis;
  private double waitMillis;
  private UnderWay underWay;
  private CheckpointWriter writer;
  private BadImageLedger ledger;
  private TeacherWeights taughtBy = TeacherWeights.NONE;

  /** A step whose outcome is not yet counted in: its number in the epoch and in the run, the images of all ranks, the samples of this one. */
  private record UnderWay(TrainStep.Running running, int batch, long step, int images, long[] samples) {}

  /** How a run ended. */
  public enum End { COMPLETE, STOPPED }

  /**
   * A run that all ranks of the communicator make together; afterEpoch runs on rank 0 when an epoch's metrics are written.
   *
   * @throws IllegalArgumentException if a batch has fewer images than there are ranks
   */
  public Trainer(Recipe recipe, Backend backend, TrainOptions options, Communicator communicator, Screen screen, RunLog log, Runnable afterEpoch) {
    this.recipe = recipe;
    this.communicator = communicator;
    this.afterEpoch = afterEpoch;
    this.backend = backend;
    this.options = options;
    this.screen = screen;
    this.log = log;
    var data = recipe.data();
    int size = communicator.size(), batch = (data.batch() + size - 1) / size, part = recipe.train().part(batch);
    evalBatch = InputPipeline.evalBatch(recipe, size);
    int largest = Math.max(batch, (evalBatch + size - 1) / size), capacity = recipe.train().gradientAccumulation() == 1 ? largest : part;
    if (data.batch() < size || data.evalBatch() < size) {
      throw new IllegalArgumentException("data.batch is " + data.batch() + " and data.evalBatch " + data.evalBatch() + "; both must be >= the " + size
          + " processes");
    }
    Execution execution = recipe.train().execution();
    model = Models.of(recipe, backend, capacity, size > 1 && recipe.dist().syncBatchNorm() ? execution.withSharedStatistics() : execution);
    optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
    input = backend.inlet(Shape.image(largest, data.height(), data.width(), data.channels()));
    step = TrainStep.of(recipe, backend, model, optimizer, batch);
    evaluation = Evaluation.of(backend, model, InputPipeline.classNames(data), capacity, input);
    flips = new FlipMeter(backend, model.binaryLayers());
    snapshot = communicator.rank() == 0 ? new Snapshot(backend, model, optimizer, flips) : null;
    ranks = new RankAgreement(communicator, backend, model, optimizer);
    spikes = new SpikeGuard(recipe.train().spikeGuard());
    boolean rounds = recipe.train().gradients() == Execution.Gradients.FLOAT8;
    if (rounds && model.binaryLayers().isEmpty()) {
      throw new IllegalArgumentException("train.gradients float8 is of binary convolutions, and the network has none; give --set train.gradients=bfloat16");
    }
    float8 = rounds ? new Float8Gate(step, communicator, recipe.train().float8Limit(), log::line) : null;
    if (size > 1) {
      if (recipe.dist().syncBatchNorm()) model.synchronise(communicator);
      step.together(new StepReduction(communicator, model, recipe.dist()));
    }
    store = new CheckpointStore(options.run().resolve("checkpoints"), recipe.checkpoint().keep());
  }

  /**
   * Gives the teacher its weights, before the run begins or goes on; without, they are random.
   *
   * @throws CheckpointException if they are not those of its network, or other ranks have others
   */
  public void teach(TeacherWeights weights) throws CheckpointException {
    weights.requireClasses(recipe);
    model.teacher().load(weights.tensors(), weights.toString());
    ranks.requireEqual(weights.toString(), weights.sha256());
    taughtBy = new TeacherWeights(List.of(), weights.sha256(), weights.file());   // the values are the model's now
  }

  /** Takes up the newest good checkpoint; false if there is none. Rank 0 reads it, {@link #run} tells its tensors to the others. */
  public boolean resume() throws IOException {
    RunState found = ranks.share(communicator.rank() == 0 ? loadLatest() : null);
    if (found == null) return false;
    state = found;
    if (!isComplete()) {
      Continuation on = new Continuation(options.run(), state);
      on.requireSameProcesses(recipe, communicator.size(), log::line);
      on.requireSameTeacher(taughtBy);
    }
    spikes.read(state.recentLosses);
    if (float8 != null) float8.measured(state.float8Epoch, state.float8Worst);
    return true;
  }

  private RunState loadLatest() throws IOException {
    Checkpoint checkpoint = store.loadLatest(log::warn).orElse(null);
    if (checkpoint == null) return null;
    RunState read = RunState.read(checkpoint.state());
    model.load(checkpoint.weights(), "the checkpoint of step " + checkpoint.step());
    loadOptimizer(checkpoint.optimizer());
    flips.load(checkpoint.optimizer());
    if (read.bestStep == checkpoint.step()) store.markBest(read.bestStep);
    return read;
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
  }

  /** Starts from the weights of an earlier stage, or from that part of them which the recipe names; says which. */
  public void startFrom(List<NamedTensor> weights, String what) throws IOException {
    Optional<String> part = recipe.train().initPart();
    if (part.isEmpty()) {
      try {
        model.load(weights, what);
      } catch (CheckpointException e) {
        throw new CheckpointException(e.getMessage() + "; to leave a layer as drawn, say --set train.initPart=-NAME. (a last layer fc for other classes: -fc.)");
      }
      log.line("Starting from the weights of " + what + ".");
    } else {
      int taken = model.loadPart(weights, part.get(), what), all = model.saved().size();
      log.line("Starting from the " + taken + " tensors of " + what + " whose names " + (part.get().startsWith("-") ? "do not begin with " + part.get().substring(1) : "begin with " + part.get()) + "; the other " + (all - taken) + " are as drawn.");
    }
  }

  /** Whether the checkpoint taken up is that of a finished run. */
  public boolean isComplete() {
    return state.complete || state.epoch >= options.stopEpoch();
  }

  /** What the best epoch scored, in percent. */
  public double bestScore() {
    return state.bestScore;
  }

  public int bestEpoch() {
    return state.bestEpoch;
  }

  public Model model() {
    return model;
  }

  /** Whether training has begun on all ranks; one that is ready waits so long for the others. */
  public boolean hasBegun(long seconds) {
    try {
      return meeting && met.await(seconds, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /** Asks for a checkpoint and an end after the current step or batch of an evaluation, from any thread; returns when the run has ended. */
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
    try {
      return train();
    } finally {
      stopped.countDown();
    }
  }

  private End train() throws IOException {
    if (state.step == 0 && state.epoch == 0) state.startEpoch(recipe.train().firstEpoch());
    state.processes = communicator.size();
    state.teacher = taughtBy.sha256();
    ranks.shareTensors();
    meeting = true;
    boolean leads = communicator.rank() == 0;
    if (leads && state.step == 0) BadImageLedger.remove(options.run());
    communicator.any(false);   // before this nobody has made a step
    met.countDown();
    optimizer.steps(state.optimizerSteps);
    var data = recipe.data();
    long seed = recipe.train().seed();
    int rank = communicator.rank(), size = communicator.size();
    Dataset trainSet = InputPipeline.open(data, options.data(), Split.TRAIN, seed);
    Dataset testSet = InputPipeline.open(data, options.data(), Split.TEST, seed);
    RunFolder folder = new RunFolder(options.run());
    Continuation on = new Continuation(options.run(), state);
    on.tellArithmetic(backend.arithmetic(), log::line);
    on.requireSameData(trainSet, testSet, leads ? folder.classes() : List.of(), log::warn);
    if (leads && !trainSet.classNames().isEmpty()) folder.writeClasses(trainSet.classNames());
    long told = state.batch == 0 ? state.step : state.step - 1;   // of an epoch whose evaluation was cut short the metrics are written anew
    ledger = BadImageLedger.open(options.run(), log::warn);
    try (Loader train = InputPipeline.training(data, trainSet, data.batch(), seed, ledger.of(Split.TRAIN, trainSet), rank, size);
        Loader test = InputPipeline.evaluation(data, testSet, evalBatch, ledger.of(Split.TEST, testSet), rank, size);
        CheckpointWriter checkpoints = new CheckpointWriter(store, log::warn);
        MetricsLog metrics = leads ? MetricsLog.open(options.run(), told, log::warn) : null;
        TensorBoardEvents events = leads ? TensorBoardEvents.open(options.run(), told, log::warn) : null) {
      writer = checkpoints;
      int batches = Math.min(train.batches(), options.steps());
      if (leads && trainSet.size() < data.batch()) log.line("The " + trainSet.size() + " training images are fewer than data.batch, " + data.batch() + ": a step takes them all.");
      on.requireSameSteps(batches);
      if (leads && batches == train.batches()) NormImages.told(recipe, size).ifPresent(log::line);
      ProgressLine progress = new ProgressLine(screen, options.stopEpoch(), batches);
      pace = new CheckpointPace(recipe.checkpoint(), System::nanoTime, log::line);
      String waiting = null;
      while (state.epoch < options.stopEpoch()) {
        Score score = epoch(train, trainSet.size(), batches, progress) ? evaluate(test, testSet.size()) : null;
        if (score == null) {
          progress.finish();
          save(false, awaitDisk());
          finishWriting();
          log.line("Stopped as asked, with a checkpoint at step " + state.step + ".");
          return End.STOPPED;
        }
        finishEpoch(train, score, progress, metrics, events);
        if (leads && waiting == null && batches == train.batches()) {   // a dry run has threads and batches of its own
          waiting = InputPipeline.waiting(data, trainSet, train.stallShare(), train.stallSeconds(), train.ranShare());
          if (waiting != null) log.warn(waiting);
        }
      }
      progress.finish();
      finishWriting();
      return End.COMPLETE;
    }
  }

  private Surrogates surrogates() {
    return recipe.method().at(state.epoch, recipe.train().epochs());
  }

  /** The steps of one epoch from where the state is; false if the run shall stop. */
  private boolean epoch(Loader train, int trainImages, int batches, ProgressLine progress) throws IOException {
    Schedule schedule = recipe.schedule().over(recipe.train().epochs(), recipe.optimizer().learningRate());
    model.use(surrogates());
    train.start(state.epoch, state.batch);
    progress.start();
    while (state.batch < batches) {
      if (stopAgreed(state.step, train)) {
        settleLast(batches, progress);
        return false;
      }
      if (state.batch == 0) model.startEpoch(state.epoch);   // behind the stop: the run that goes on does it
      ImageBatch batch = train.next();
      int global = Math.min(recipe.data().batch(), trainImages - state.batch * recipe.data().batch());
      double rate = schedule.learningRate(state.epoch, state.batch, batches);
      communicator.activity().step(state.step + 1);
      Tensor x = input.next(batch.pixels(), batch.count());
      Truth truth = Truth.of(batch);
      if (float8 != null) float8.pass(state.epoch, x, truth);
      TrainStep.Running running = step.start(x, truth, rate, global);
      state.batch++;
      state.step++;
      UnderWay before = underWay;
      underWay = new UnderWay(running, state.batch, state.step, global, Arrays.copyOf(batch.sampleIds(), batch.count()));
      settle(before, batches, progress);
      if (communicator.rank() == 0 && pace.due(state.step, writer.isBusy())) {
        settleLast(batches, progress);
        if (state.badSteps > 0) continue;
        save(false, System.nanoTime());
        progress.start();
      }
    }
    settleLast(batches, progress);
    return !agree();
  }

  /** Whether any rank was asked to stop; asked of all before the same steps of training or batches of an evaluation. One process stops also where the disk does not answer. */
  private boolean stopAgreed(long before, Loader loader) throws IOException {
    if (communicator.size() > 1) return before % communicator.stepsBetweenAgreements() == 0 && agree();
    loader.await(() -> stopRequested);
    return stopRequested;
  }

  /** Whether any rank was asked to stop; bad images that one has met since the last time are known to all afterwards. */
  private boolean agree() throws IOException {
    if (communicator.size() == 1) return stopRequested;
    long[] met = ledger.untold(), all = communicator.sum(stopRequested ? 1 : 0, met.length);
    if (all[1] > 0) {
      long[] row = Arrays.copyOf(met, Math.toIntExact(all[1]));
      Arrays.fill(row, met.length, row.length, -1);
      ledger.learn(communicator.allGather(row));
    }
    return all[0] > 0;
  }

  private void settleLast(int batches, ProgressLine progress) throws IOException {
    UnderWay last = underWay;
    underWay = null;
    settle(last, batches, progress);
  }

  /** Counts a step in, once its outcome is there; the host does so one step behind the device. */
  private void settle(UnderWay done, int batches, ProgressLine progress) throws IOException {
    if (done == null) return;
    communicator.activity().await(done.step);
    TrainStep.Outcome outcome = done.running.outcome();
    communicator.activity().leave();
    if (outcome.notFinite() == null) {
      state.count(outcome, done.images, optimizer.clipNorm());
      double spike = spikes.spike(outcome.loss());
      if (spike > 0) {
        log.warn(String.format(Locale.ROOT, "The loss %.4f of step %d is %.0f standard deviations above the recent ones; %s", outcome.loss(), done.step, spike,
            samples(done)));
      }
    } else {
      log.warn("Step " + done.step + " was skipped: its " + outcome.notFinite() + " is not finite; " + samples(done));
      skip(outcome.notFinite(), done.step, done.batch == batches);
    }
    progress.step(state.epoch + 1, done.batch, outcome.loss(), done.images);
  }

  private String samples(UnderWay done) {
    return "samples of rank " + communicator.rank() + ": " + Arrays.toString(done.samples) + ".";
  }

  private void skip(String what, long step, boolean lastOfEpoch) throws IOException {
    state.skipped++;
    state.badSteps++;
    if (state.badSteps >= MOST_BAD_STEPS || (lastOfEpoch && state.images == 0)) {
      throw new CheckpointException("training stopped at step " + step + ": the " + what + " was not finite in " + state.badSteps
          + " steps in a row; the checkpoints before are kept");
    }
  }

  /**
   * The score over the whole test set, of all ranks together; null if the run shall stop, and then the epoch is evaluated anew when it goes on.
   *
   * @throws CheckpointException if not every image was counted exactly once
   */
  private Score evaluate(Loader test, int images) throws IOException {
    ranks.shareRunningStatistics();
    ranks.requireEqual(state.step);
    int[] batches = new int[1];
    long all = Math.min(images, (long) options.steps() * evalBatch);
    WorkLine line = new WorkLine(screen);
    Score score = evaluation.run(test, options.steps(), communicator,
        own -> line.at("epoch " + (state.epoch + 1) + "/" + options.stopEpoch() + "  evaluating", Math.min(all, own * communicator.size()), all),   // the other ranks are about as far
        () -> stopAgreed(batches[0]++, test));
    if (score == null) {
      log.line("The evaluation of epoch " + (state.epoch + 1) + " ended after " + (batches[0] - 1) + " of " + Math.min(test.batches(), options.steps()) + " batches; it is made anew when the run goes on.");
      return null;
    }
    agree();
    step.realign();
    if (options.steps() >= test.batches() && score.images() != images) {
      throw new CheckpointException("the evaluation counted " + score.images() + " images, the test set has " + images);
    }
    return score;
  }

  private void finishEpoch(Loader train, Score score, ProgressLine progress, MetricsLog metrics, TensorBoardEvents events)
      throws IOException {
    Map<String, Object> record = new LinkedHashMap<>();
    double images = Math.max(1, state.images), loss = state.lossSum / images, trainTop1 = 100.0 * state.hits / images, speed = progress.imagesPerSecond();
    boolean detects = recipe.network().detects();
    record.put("epoch", state.epoch + 1);
    record.put("step", state.step);
    record.put("loss", loss);
    if (detects) record.put("locationLoss", state.locationSum / images);
    else record.put("trainTop1", trainTop1);
    record.putAll(score.metrics());
    Schedule schedule = recipe.schedule().over(recipe.train().epochs(), recipe.optimizer().learningRate());
    record.put("gradientNorm", state.normSum / Math.max(1, state.steps));
    record.put("largestGradientNorm", state.normMost);
    if (optimizer.clipNorm() > 0) record.put("clippedSteps", state.clipped);
    record.put("learningRate", schedule.learningRate(state.epoch, Math.max(0, state.batch - 1), Math.max(1, state.batch)));
    if (speed > 0) record.put("imagesPerSecond", speed);   // none where only the evaluation was left to do
    record.put("loaderStallShare", train.stallShare());
    record.put("skippedSteps", state.skipped);
    record.put("longestSnapshotMillis", snapshotMillis);
    record.put("longestCheckpointWaitMillis", waitMillis);
    if (float8 != null) record.put("float8WorstError", float8.worst());
    surrogates().values().forEach(record::putIfAbsent);
    flips.measure(record);
    boolean best = score.percent() > state.bestScore;
    if (best) {
      state.bestScore = score.percent();
      state.bestEpoch = state.epoch + 1;
      state.bestStep = state.step;
    }
    progress.epochDone(state.epoch + 1, String.format(Locale.ROOT, "loss %.4f  %s %s%s%s", loss,
        detects ? "mAP" : String.format(Locale.ROOT, "train %.2f %%  test", trainTop1),
        Double.isNaN(score.percent()) ? "none" : String.format(Locale.ROOT, "%.2f %%", score.percent()), best ? " (best)" : "", speed > 0 ? String.format(Locale.ROOT, "  %.0f images/s", speed) : ""));
    state.startEpoch(state.epoch + 1);
    state.complete = state.epoch >= recipe.train().epochs();
    if (communicator.rank() == 0) {   // before the checkpoint that counts the epoch as ended
      metrics.append(record);
      events.scalars(state.step, record);
      afterEpoch.run();
    }
    save(best, awaitDisk());
  }

  /** Returns when rank 0's disk is done with the checkpoint before, and since when; the ranks meet meanwhile, so that nobody takes rank 0 for one that hangs. */
  private long awaitDisk() {
    long begin = System.nanoTime();
    while (communicator.any(!writer.awaitIdle(MEET_MILLIS))) { }
    return begin;
  }

  /** Returns when rank 0's disk has everything; the ranks meet meanwhile. */
  private void finishWriting() throws IOException {
    while (communicator.any(!writer.finish(MEET_MILLIS))) { }
  }

  /** Takes a copy of everything on rank 0 and has it written; what that costs the training, and waiting for the one before since begin, is remembered. */
  private void save(boolean best, long begin) throws IOException {
    if (communicator.rank() != 0) return;
    long free = System.nanoTime();
    state.optimizerSteps = optimizer.steps();
    state.recentLosses = spikes.write();
    state.float8Epoch = float8 == null ? -1 : float8.epoch();
    state.float8Worst = float8 == null ? 0 : float8.worst();
    snapshot.take(state);
    waitMillis = Math.max(waitMillis, (free - begin) / 1e6);
    snapshotMillis = Math.max(snapshotMillis, (System.nanoTime() - free) / 1e6);
    writer.write(state.step, snapshot::checkpoint, best);
    pace.saved(begin);
  }
}
