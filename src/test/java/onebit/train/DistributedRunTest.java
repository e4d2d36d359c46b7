package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import onebit.data.Sampler;
import onebit.data.VocDataset;
import onebit.data.VocFolder;
import onebit.dist.RankStatus;
import onebit.dist.Ranks;
import onebit.ops.cuda.EmulatedDriver;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Whole runs of several processes, and what becomes of them when a process dies, hangs or is asked to stop.
 *
 * <pre>
 * Units   kills: -Donebit.test.kills (1 where it is not given); processes: -Donebit.test.procs (2); passes: -Donebit.test.passes (fused)
 * </pre>
 */
class DistributedRunTest {
  private static final int KILLS = Integer.getInteger("onebit.test.kills", 1), PROCESSES = Integer.getInteger("onebit.test.procs", 2);
  private static final String PASSES = System.getProperty("onebit.test.passes", "fused");
  private static final int STEPS = 48;
  private static final long SEED = System.nanoTime();

  @TempDir private static Path shared;
  private static String wanted;

  @TempDir private Path folder;

  @BeforeEach
  void needsOpenMpi() {
    Ranks.assumeMpi();
  }

  private Process start(Path run, String... more) throws Exception {
    return start(ChildRun.smallRecipe(folder).toString(), run, more);
  }

  private static Process start(String recipe, Path run, String... more) throws Exception {
    List<String> arguments = new ArrayList<>(List.of("train", recipe, "--out", run.toString()));
    arguments.addAll(List.of(more));
    return ChildRun.start(output(run), arguments.toArray(String[]::new));
  }

  private static Path output(Path run) {
    return run.resolveSibling(run.getFileName() + ".out");
  }

  private String end(Process process, Path run, int expected) throws Exception {
    assertTrue(process.waitFor(240, TimeUnit.SECONDS), "the run did not end");
    String text = Files.readString(output(run));
    assertEquals(expected, process.exitValue(), text);
    return text;
  }

  private String train(Path run, int expected, String... more) throws Exception {
    return end(start(run, more), run, expected);
  }

  /** Digest of the weights of a run that nothing disturbs, made once. */
  private String wanted() throws Exception {
    if (wanted != null) return wanted;
    Path undisturbed = shared.resolve("undisturbed");
    train(undisturbed, 0, processes());
    return wanted = ChildRun.weightsDigest(undisturbed);
  }

  private static String[] processes(String... more) {
    List<String> all = new ArrayList<>(List.of("--procs", Integer.toString(PROCESSES)));
    if (List.of(more).stream().noneMatch(word -> word.contains("syncBatchNorm"))) all.addAll(List.of("--set", "train.passes=" + PASSES));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  /** Waits until training is under way and gives a rank's process. */
  private static ProcessHandle rank(Path run, int rank, Process supervisor) throws Exception {
    return rank(run, rank, supervisor, 1);
  }

  private static ProcessHandle rank(Path run, int rank, Process supervisor, int step) throws Exception {
    while (supervisor.isAlive()) {
      var status = RankStatus.read(run, rank);
      if (status.isPresent() && status.get().step() >= step && ProcessHandle.of(status.get().pid()).isPresent()) return ProcessHandle.of(status.get().pid()).get();
      Thread.sleep(10);
    }
    return null;
  }

  @Test
  void aRankKilledAtRandomMomentsRestartsToTheSameWeights() throws Exception {
    Random random = new Random(SEED);
    int hit = 0;
    for (int kill = 0; kill < KILLS || hit == 0 && kill < KILLS + ChildRun.TRIES; kill++) {   // one that came after the end is made up for by one that may come sooner
      int latest = kill < KILLS ? STEPS : Math.max(1, STEPS >> kill - KILLS + 1);
      Path run = folder.resolve("killed-" + kill);
      int victim = random.nextInt(PROCESSES);
      Process process = start(run, processes("--restarts", "3"));
      ProcessHandle rank = rank(run, victim, process, 1 + random.nextInt(latest));
      Thread.sleep(random.nextInt(kill < KILLS ? 30 : 1));
      boolean killed = rank != null && rank.isAlive() && rank.destroyForcibly();
      String text = end(process, run, 0);
      if (killed && text.contains("The run failed: rank " + victim + " (process ")) hit++;
      System.out.println("kill " + kill + ": rank " + victim + text.lines().filter(l -> l.contains("The run failed")).findFirst().map(l -> ", " + l).orElse(", after the end"));
      assertEquals(wanted(), ChildRun.weightsDigest(run), "kill " + kill + ", seed " + SEED + ": " + text);
      assertEquals(List.of(1L, 2L, 3L), MetricsLog.read(run.resolve(MetricsLog.JSONL)).stream().map(r -> ((Number) r.get("epoch")).longValue()).toList());
    }
    assertTrue(hit > 0, "no kill fell into training, seed " + SEED);
  }

  @Test
  void aRankThatHangsIsNamedAndTheRunStartsAgain() throws Exception {
    Path run = null;
    ProcessHandle rank = null;
    Process process = null;
    for (int i = 0; rank == null && i < ChildRun.TRIES; i++) {
      run = folder.resolve("hangs" + i);
      process = start(run, processes("--restarts", "3", "--set", "dist.timeoutSeconds=10"));
      rank = rank(run, 1, process);
      if (rank == null || Ranks.signal("STOP", rank) == 0 && RankStatus.read(run, 1).orElseThrow().step() < STEPS - 2) continue;
      Ranks.signal("CONT", rank);   // it was at the end, where nobody waits for it
      rank = null;
      end(process, run, 0);
    }
    assertTrue(rank != null, "no rank was stopped in training");
    String text = end(process, run, 0);
    assertTrue(text.contains("it hangs because rank 1 (process " + rank.pid() + ") was at step "), text);
    assertTrue(text.contains("start 1 of 3 from the last good checkpoint"), text);
    assertEquals(wanted(), ChildRun.weightsDigest(run), text);
  }

  /** The folder of a run that a signal has stopped, sent when rank 1 had come to that step; of one that had ended before, the next. */
  private Path stopped(String recipe, int step, String... more) throws Exception {
    String text = "";
    Path run = null;
    for (int i = 0; i < ChildRun.TRIES && !text.contains("Stopped as asked"); i++) {
      run = folder.resolve("stopped" + i);
      Process process = start(recipe, run, more);
      rank(run, 1, process, step);
      long begin = System.nanoTime();
      process.destroy();
      assertTrue(process.waitFor(240, TimeUnit.SECONDS), "the run did not end");
      assertTrue(System.nanoTime() - begin < 30e9, "more than 30 s");
      text = Files.readString(output(run));
      if (text.contains("Stopped as asked")) assertEquals(75, process.exitValue(), text);
      else assertTrue(Files.exists(run.resolve("last")) && !text.contains("The run failed"), text);
    }
    assertTrue(text.contains("Stopped as asked"), text);
    return run;
  }

  @Test
  void aSignalStopsAllRanksWithOneCheckpointAndExitCode75() throws Exception {
    Path run = stopped(ChildRun.smallRecipe(folder).toString(), 1, processes());
    String other = train(run, 2, "--procs", Integer.toString(PROCESSES + 1), "--set", "train.passes=" + PASSES);
    assertTrue(other.contains("dist.syncBatchNorm is false and the run"), other);
    train(run, 0, processes());
    assertEquals(wanted(), ChildRun.weightsDigest(run));
  }

  /** In the second of three epochs, before each of which the rotations change. */
  @Test
  void aRunWithRotationsStopsAndGoesOnToTheSameWeights() throws Exception {
    String[] more = processes("--set", "method.name=rbnn");
    Path whole = folder.resolve("whole");
    train(whole, 0, more);
    Path run = stopped(ChildRun.smallRecipe(folder).toString(), STEPS / 3 + 2, more);
    train(run, 0, more);
    assertEquals(ChildRun.weightsDigest(whole), ChildRun.weightsDigest(run));
  }

  /** An image a rank and batch and a wide network: an evaluation that takes longer than a signal; where it does not, a network twice as wide is asked. */
  @Test
  void aSignalDuringAnEvaluationStopsAllRanksAndTheRunThatGoesOnEvaluatesAsIfUndisturbed() throws Exception {
    String text = "";
    int width = 64;
    Path run = null;
    String[] more = {};
    String within = "(?s).*The evaluation of epoch 1 ended after [1-9]\\d* of \\d+ batches; it is made anew.*Stopped as asked, with a checkpoint at step 16.*";
    for (int i = 0; i < ChildRun.TRIES && !text.matches(within); i++) {   // the signal may come before the first batch, or after the last
      more = processes("--epochs", "1", "--set", "data.evalBatch=" + PROCESSES, "--set", "network.width=" + width, "--set", "checkpoint.everySteps=16");
      run = folder.resolve("stopped" + i);
      Process process = start(run, more);
      while (process.isAlive() && !Files.exists(run.resolve("checkpoints/step-000016"))) Thread.sleep(5);
      process.destroy();
      assertTrue(process.waitFor(240, TimeUnit.SECONDS), "the run did not end");
      text = Files.readString(output(run));
      if (text.contains("Stopped as asked")) assertEquals(75, process.exitValue(), text);
      else width = Math.min(256, 2 * width);
    }
    assertTrue(text.matches(within), text);
    Path whole = folder.resolve("whole");
    train(whole, 0, more);
    train(run, 0, more);
    assertEquals(ChildRun.weightsDigest(whole), ChildRun.weightsDigest(run));
    for (String key : List.of("epoch", "loss", "testTop1", "testTop5")) {
      assertEquals(MetricsLog.read(whole.resolve(MetricsLog.JSONL)).getFirst().get(key), MetricsLog.read(run.resolve(MetricsLog.JSONL)).getFirst().get(key), key);
    }
  }

  /**
   * Five photos in batches of three: one process has a batch in one part and the other in two, and of the last batch of an evaluation a process has none. That the
   * ranks are equal bit for bit is asked of them before each evaluation.
   */
  @Test
  void aDetectorOfTwoProcessesIsJudgedAsByOneAndStopsAndGoesOnToTheSameWeights() throws Exception {
    VocFolder photos = new VocFolder(folder.resolve("photos"));
    StringBuilder objects = new StringBuilder();
    for (int box = 0; box < 500; box++) {   // of every class many, for a network that knows next to nothing to meet some of them
      int side = 40 + 20 * (box / 20 % 5), x = 1 + 55 * (box / 100), y = 1 + 50 * (box / 20 % 5);
      objects.append(VocFolder.object(VocDataset.CLASSES.get(box % 20), false, x, y, Math.min(320, x + side), Math.min(300, y + 80)));
    }
    for (int i = 0; i < 5; i++) photos.photo("all", "p" + i, 320, 300, objects.toString());
    String[] words = {"--data", folder.resolve("photos").toString(), "--set", "network.width=2", "--set", "data.trainLists=[./all]", "--set", "data.testLists=[./all]", "--set", "data.workers=1"};
    List<String> all = new ArrayList<>(List.of(words));
    for (String set : List.of("data.batch=3", "data.evalBatch=2", "data.dropLast=false", "train.gradientAccumulation=2", "train.initFrom=null", "train.initPart=null", "checkpoint.everySteps=1")) {
      all.addAll(List.of("--set", set));
    }
    all.addAll(List.of("--procs", "2", "--epochs", "2"));
    String[] more = all.toArray(String[]::new);
    Path whole = folder.resolve("whole");
    end(start("adabin-ssd300-voc", whole, more), whole, 0);
    Path stopped = stopped("adabin-ssd300-voc", 2, more);
    end(start("adabin-ssd300-voc", stopped, more), stopped, 0);
    assertEquals(ChildRun.weightsDigest(whole), ChildRun.weightsDigest(stopped));

    double told = ((Number) MetricsLog.read(whole.resolve(MetricsLog.JSONL)).getLast().get("testMap")).doubleValue();
    List<String> eval = new ArrayList<>(List.of("eval", "--json", "--recipe", "adabin-ssd300-voc", "--weights", whole.resolve("last").toString(), "--set", "data.evalBatch=2"));
    eval.addAll(List.of(words));
    Path judged = folder.resolve("judged");
    String text = end(ChildRun.start(output(judged), eval.toArray(String[]::new)), judged, 0);
    JsonNode alone = JsonMapper.shared().readTree(text.strip().lines().reduce((a, b) -> b).orElseThrow());
    assertEquals(List.of(5, 2500), List.of(alone.get("total").asInt(), alone.get("boxes").asInt()), text);
    assertTrue(told > 0, "a precision of 0 compares nothing");
    assertEquals(alone.get("map").asDouble(), told, 0);
  }

  @Test
  void withSynchronisedBatchNormTheNumberOfProcessesMayChange() throws Exception {
    Path run = folder.resolve("changing");
    train(run, 0, processes("--epochs", "1", "--set", "dist.syncBatchNorm=true"));
    String text = train(run, 0, "--set", "dist.syncBatchNorm=true", "--epochs", "2");
    assertTrue(text.contains("The run goes on with 1 process(es) instead of " + PROCESSES), text);
    List<Double> losses = new ArrayList<>();
    Path alone = folder.resolve("alone");
    train(alone, 0, "--epochs", "2");
    for (Path of : List.of(run, alone)) {
      losses.add(((Number) MetricsLog.read(of.resolve(MetricsLog.JSONL)).get(1).get("loss")).doubleValue());
    }
    assertEquals(losses.get(1), losses.get(0), 0.15 * losses.get(1), "the curves are statistically the same");
  }

  @Test
  void theEmulatedDevicesOfTwoProcessesTrainTogether() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Path run = folder.resolve("devices");
    String text = train(run, 0, "--gpus", "2", "--device", "cuda-emulated", "--epochs", "1");
    assertTrue(text.contains("rank 0 of 2; NCCL 2.19.3, 2 processes") && text.contains("epoch 1/1"), text);
  }

  @Test
  void moreProcessesThanImagesOfABatchAreRefusedInOneSentence() throws Exception {
    String text = train(folder.resolve("small"), 2, processes("--set", "data.batch=1"));
    assertTrue(text.contains("data.batch is 1 and data.evalBatch 64; both must be >= the " + PROCESSES + " processes"), text);
  }

  /** Of 1,000 images one may be bad: each rank meets no more than that in its half of the last batch, both together do. */
  @Test
  void badImagesAreCountedOverAllRanks() throws Exception {
    java.io.ByteArrayOutputStream jpeg = new java.io.ByteArrayOutputStream();
    javax.imageio.ImageIO.write(new java.awt.image.BufferedImage(12, 12, java.awt.image.BufferedImage.TYPE_INT_RGB), "jpg", jpeg);
    Path data = folder.resolve("images");
    int[] order = Sampler.training(7, 1000, 100).order(0);   // the small recipe's seed
    for (int i = 0; i < 1010; i++) {
      Path image = data.resolve(i < 1000 ? "train" : "val").resolve(i % 1000 < 500 ? "a" : "b").resolve(String.format("%04d.jpg", i));
      Files.createDirectories(image.getParent());
      Files.write(image, i == order[910] || i == order[960] ? new byte[] {1} : jpeg.toByteArray());
    }
    for (String name : List.of("a", "b")) Files.write(Files.createDirectories(data.resolve("val").resolve(name)).resolve("last.jpg"), jpeg.toByteArray());
    String text = train(folder.resolve("bad"), 1, ChildRun.onPhotos(data, "--procs", "2", "--set", "data.batch=100", "--set", "data.evalBatch=10", "--epochs", "1"));
    assertEquals(1, text.split("Bad image", -1).length - 1, text);   // what rank 0 shows is its own
    assertTrue(text.contains("2 of the 1,000 training images, counted over 2 processes, cannot be decoded, more than 1 in 1000"), text);
  }
}
