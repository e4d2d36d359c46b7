package onebit.train;

import java.util.LinkedHashMap;
import java.util.Map;
import onebit.checkpoint.CheckpointException;

/** Where a run stands: what a checkpoint keeps beside tensors, as text. */
final class RunState {
  int epoch;
  int batch;
  long step;
  double lossSum;
  double locationSum;
  long hits;
  long images;
  /** Steps of the epoch that were not skipped; of their gradients the sum and the largest of the lengths, and how many were cut. */
  long steps;
  double normSum;
  double normMost;
  long clipped;
  long skipped;
  double bestScore = -1;
  int bestEpoch = -1;
  long bestStep = -1;
  long optimizerSteps;
  boolean complete;
  int processes = 1;
  /** SHA-256 of the weights of the teacher; empty without one. */
  String teacher = "";
  /** {@link onebit.ops.Backend#arithmetic}; empty where an older checkpoint does not tell it. */
  String arithmetic = "";
  /** Bad steps in a row up to here. */
  int badSteps;
  /** What {@link SpikeGuard#write} says. */
  String recentLosses = "";
  /** The epoch that float8 gradients were last measured in, -1 for none, and the largest error then. */
  int float8Epoch = -1;
  double float8Worst;
  /** Images of the data set; 0 where an older checkpoint does not tell them. */
  int trainImages;
  int testImages;
  /** What {@link onebit.data.Dataset#fingerprint} says of both parts together; 0 where an older checkpoint does not tell it. */
  int dataFingerprint;
  /** Steps of an epoch; 0 where an older checkpoint does not tell them. */
  int epochSteps;

  void startEpoch(int next) {
    epoch = next;
    batch = 0;
    lossSum = 0;
    locationSum = 0;
    hits = 0;
    images = 0;
    steps = 0;
    normSum = 0;
    normMost = 0;
    clipped = 0;
  }

  /** Counts in a good step on so many images of all ranks, with gradients that may be so long (0: as long as they are). */
  void count(TrainStep.Outcome outcome, int seen, double clipNorm) {
    badSteps = 0;
    lossSum += outcome.loss() * seen;
    hits += outcome.top1();
    locationSum += outcome.location() * seen;
    images += seen;
    steps++;
    normSum += outcome.gradientNorm();
    normMost = Math.max(normMost, outcome.gradientNorm());
    if (clipNorm > 0 && outcome.gradientNorm() > clipNorm) clipped++;
  }

  Map<String, String> write() {
    Map<String, String> all = new LinkedHashMap<>();
    all.put("epoch", Integer.toString(epoch));
    all.put("batch", Integer.toString(batch));
    all.put("step", Long.toString(step));
    all.put("lossSum", Double.toString(lossSum));
    all.put("locationSum", Double.toString(locationSum));
    all.put("hits", Long.toString(hits));
    all.put("images", Long.toString(images));
    all.put("steps", Long.toString(steps));
    all.put("normSum", Double.toString(normSum));
    all.put("normMost", Double.toString(normMost));
    all.put("clipped", Long.toString(clipped));
    all.put("skipped", Long.toString(skipped));
    all.put("bestScore", Double.toString(bestScore));
    all.put("bestEpoch", Integer.toString(bestEpoch));
    all.put("bestStep", Long.toString(bestStep));
    all.put("optimizerSteps", Long.toString(optimizerSteps));
    all.put("complete", Boolean.toString(complete));
    all.put("processes", Integer.toString(processes));
    all.put("teacher", teacher);
    all.put("arithmetic", arithmetic);
    all.put("badSteps", Integer.toString(badSteps));
    all.put("recentLosses", recentLosses);
    all.put("float8Epoch", Integer.toString(float8Epoch));
    all.put("float8Worst", Double.toString(float8Worst));
    all.put("trainImages", Integer.toString(trainImages));
    all.put("testImages", Integer.toString(testImages));
    all.put("dataFingerprint", Integer.toString(dataFingerprint));
    all.put("epochSteps", Integer.toString(epochSteps));
    return all;
  }

  /**
   * A state as text; older checkpoints call the best score bestTop1 and do not tell the number of processes, which is 1, a teacher, of which there is none, nor locations,
   * lengths of gradients, and nothing of what stands behind the teacher here.
   */
  static RunState read(Map<String, String> text) throws CheckpointException {
    RunState state = new RunState();
    try {
      state.epoch = Integer.parseInt(required(text, "epoch"));
      state.batch = Integer.parseInt(required(text, "batch"));
      state.step = Long.parseLong(required(text, "step"));
      state.lossSum = Double.parseDouble(required(text, "lossSum"));
      state.locationSum = Double.parseDouble(text.getOrDefault("locationSum", "0"));
      state.hits = Long.parseLong(required(text, "hits"));
      state.images = Long.parseLong(required(text, "images"));
      state.steps = Long.parseLong(text.getOrDefault("steps", "0"));
      state.normSum = Double.parseDouble(text.getOrDefault("normSum", "0"));
      state.normMost = Double.parseDouble(text.getOrDefault("normMost", "0"));
      state.clipped = Long.parseLong(text.getOrDefault("clipped", "0"));
      state.skipped = Long.parseLong(required(text, "skipped"));
      state.bestScore = Double.parseDouble(text.containsKey("bestTop1") ? text.get("bestTop1") : required(text, "bestScore"));
      state.bestEpoch = Integer.parseInt(required(text, "bestEpoch"));
      state.bestStep = Long.parseLong(required(text, "bestStep"));
      state.optimizerSteps = Long.parseLong(required(text, "optimizerSteps"));
      state.complete = Boolean.parseBoolean(required(text, "complete"));
      state.processes = Integer.parseInt(text.getOrDefault("processes", "1"));
      state.teacher = text.getOrDefault("teacher", "");
      state.arithmetic = text.getOrDefault("arithmetic", "");
      state.badSteps = Integer.parseInt(text.getOrDefault("badSteps", "0"));
      state.recentLosses = text.getOrDefault("recentLosses", "");
      state.float8Epoch = Integer.parseInt(text.getOrDefault("float8Epoch", "-1"));
      state.float8Worst = Double.parseDouble(text.getOrDefault("float8Worst", "0"));
      state.trainImages = Integer.parseInt(text.getOrDefault("trainImages", "0"));
      state.testImages = Integer.parseInt(text.getOrDefault("testImages", "0"));
      state.dataFingerprint = Integer.parseInt(text.getOrDefault("dataFingerprint", "0"));
      state.epochSteps = Integer.parseInt(text.getOrDefault("epochSteps", "0"));
    } catch (NumberFormatException e) {
      throw new CheckpointException("the checkpoint's state.json holds a value that is no number: " + e.getMessage());
    }
    return state;
  }

  private static String required(Map<String, String> text, String key) throws CheckpointException {
    String value = text.get(key);
    if (value == null) throw new CheckpointException("the checkpoint's state.json has no " + key);
    return value;
  }
}
