package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import onebit.dist.Activity;
import onebit.dist.Launch;
import onebit.dist.RankStatus;
import onebit.dist.Ranks;
import onebit.dist.Rendezvous;
import onebit.dist.nccl.NcclCommunicator;
import onebit.ops.Backend;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDriver;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Runs of several ranks that do not come to their first step: one stays away, or another run has the folder. */
class RankStartTest {
  private static final int TIMEOUT = 5;
  private static final Duration LIMIT = Duration.ofSeconds(60);

  @TempDir private Path folder;

  private static void assumeDevice() {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
  }

  /** Rank 0 of two, on an emulated device; this test is the other, or nobody is. */
  private Process rankZero(Path run, int port) throws Exception {
    ProcessBuilder builder = new ProcessBuilder(Ranks.java("onebit.cli.Main", "train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString(),
        "--device", "cuda-emulated", "--set", "dist.timeoutSeconds=" + TIMEOUT)).redirectErrorStream(true).redirectOutput(output(run).toFile());
    builder.environment().putAll(Map.of("RANK", "0", "WORLD_SIZE", "2", "LOCAL_RANK", "0", "MASTER_ADDR", "127.0.0.1", "MASTER_PORT", Integer.toString(port)));
    return builder.start();
  }

  private static Path output(Path run) {
    return run.resolveSibling(run.getFileName() + ".out");
  }

  private static String end(Process process, Path run, int expected) throws Exception {
    boolean inTime = process.waitFor(120, TimeUnit.SECONDS);
    if (!inTime) process.destroyForcibly();
    String text = Files.readString(output(run));
    assertTrue(inTime, "it did not end: " + text);
    assertEquals(expected, process.exitValue(), text);
    return text;
  }

  /** It ended by its watchdog, in time, and wrote nothing for a run that did not begin. */
  private static void assertEndedWhileStarting(Process rankZero, Path run, String waitingFor) throws Exception {
    String text = end(rankZero, run, 1);
    assertTrue(text.contains("onebit: rank 0 has waited 5 s (dist.timeoutSeconds) while the run starts, for '" + waitingFor + "'; one of its 2 ranks has not come to it"), text);
    if (!Files.exists(run)) return;
    try (Stream<Path> files = Files.list(run)) {
      assertEquals(List.of("run.lock"), files.map(file -> file.getFileName().toString()).toList());
    }
  }

  private static byte[] asRankOne(byte[] none, int port) {
    try {
      return Rendezvous.share(none, 1, 2, new Launch.Address("127.0.0.1", port), LIMIT);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void aRankThatNeverStartsIsNamed() throws Exception {
    assumeDevice();
    Path run = folder.resolve("alone");
    int port = Ranks.freePort();
    String text = end(rankZero(run, port), run, 1);
    assertTrue(text.contains("onebit: ranks [1] did not come to port " + port + " of rank 0 in time (dist.timeoutSeconds)"), text);
    assertFalse(Files.exists(run));
  }

  @Test
  void aRankThatHangsBeforeNcclHasStartedEndsTheOthersInTime() throws Exception {
    assumeDevice();
    Path run = folder.resolve("met");
    int port = Ranks.freePort();
    Process rankZero = rankZero(run, port);
    String name = new String(asRankOne(null, port), StandardCharsets.UTF_8).replace("\0", "");
    try {
      assertEndedWhileStarting(rankZero, run, "start of NCCL");
    } finally {
      Files.deleteIfExists(Path.of("/dev/shm" + name));   // the emulated NCCL's, whose ranks never met
    }
  }

  @Test
  void aRankThatHangsBeforeTheRunFolderIsToldEndsTheOthersInTime() throws Exception {
    assumeDevice();
    Path run = folder.resolve("joined");
    int port = Ranks.freePort();
    try (Backend backend = CudaBackend.emulated()) {   // open before rank 0 waits for it
      Process rankZero = rankZero(run, port);
      NcclCommunicator.open(backend, 1, 2, none -> asRankOne(none, port));
      assertEndedWhileStarting(rankZero, run, "agreement");
    }
  }

  private static void signal(String name, Process process) throws Exception {
    assertEquals(0, Ranks.signal(name, process.toHandle()));
  }

  private String[] words(Path run, String... more) throws Exception {
    return Stream.concat(Stream.of("train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString()), Stream.of(more)).toArray(String[]::new);
  }

  /** The weights to start from are a pipe that nobody writes into: the ranks meet, and never come to their first step. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aSignalBeforeTheFirstStepOfSeveralRanksExits75AndChangesNothing(boolean supervised) throws Exception {
    Ranks.assumeMpi();
    Path run = folder.resolve("early"), pipe = folder.resolve("weights.safetensors");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    String[] from = {"--set", "train.initFrom=" + pipe};
    Process process = supervised ? ChildRun.start(output(run), words(run, Stream.concat(Stream.of("--procs", "2", "--restarts", "2"), Stream.of(from)).toArray(String[]::new)))
        : Ranks.mpirun(2, output(run), Ranks.java("onebit.cli.Main", words(run, from)));
    while (process.isAlive() && !(Files.exists(run.resolve("recipe.yaml")) && Files.exists(run.resolve("log-rank1.txt")))) Thread.sleep(20);
    signal(supervised ? "TERM" : "USR1", process);
    String text = end(process, run, 75);
    assertEquals(1, text.split("onebit: stopped as asked before training began; no step was made, give the same command again.", -1).length - 1, text);
    assertFalse(Files.exists(run.resolve("checkpoints")) || Files.exists(run.resolve("metrics.jsonl")), text);
    assertFalse(text.contains("start 1 of 2"), text);
  }

  /** At any moment of the workers' start: before mpirun is there, before it hears signals, before its processes do. */
  @Test
  void aSignalToASupervisorWhoseWorkersAreStartingExits75() throws Exception {
    Ranks.assumeMpi();
    for (int millis : new int[] {0, 30, 300}) {
      Path run = folder.resolve("starting" + millis);
      Process process = ChildRun.start(output(run), words(run, "--procs", "2", "--set", "train.epochs=100000"));
      while (process.isAlive() && process.descendants().findAny().isEmpty()) Thread.sleep(1);
      Thread.sleep(millis);
      process.destroy();
      end(process, run, 75);
    }
  }

  @Test
  void aRankThatDiesAtItsStartIsNotTakenForThatOfAnEarlierStart() throws Exception {
    Ranks.assumeMpi();
    Path run = folder.resolve("again");
    for (int rank : new int[] {0, 1}) RankStatus.publish(run, rank, new Activity());
    Process process = ChildRun.start(output(run), words(run, "--procs", "2"));
    List<ProcessHandle> ranks = List.of();
    while (process.isAlive() && ranks.size() < 2) ranks = Ranks.of(process);
    ranks.getFirst().destroyForcibly();
    String text = end(process, run, 137), met = " \\(process " + ranks.getFirst().pid() + "\\) was at step \\d+, last collective: [\\w ]*";   // where it had come to say who it is
    assertTrue(text.matches("(?s).*The run failed: (rank [01](" + met + ")?; it|a process) ended by signal 9.*"), text);
    RankStatus.publish(run, 7, new Activity());
    Files.writeString(run.resolve("ranks/notes.txt"), "not of a rank");
    end(Ranks.mpirun(2, output(run), Ranks.java("onebit.cli.Main", words(run))), run, 0);
    assertFalse(Files.exists(run.resolve("ranks/rank-7")));
    assertTrue(Files.exists(run.resolve("ranks/notes.txt")));
  }

  /** Two starts of one folder at once, each way of starting: one has it, the other says so. */
  @ParameterizedTest
  @ValueSource(strings = {"alone", "supervised", "mpirun"})
  void ofTwoStartsInTheSameInstantOneGoesOnAndTheOtherIsRefused(String how) throws Exception {
    if (!how.equals("alone")) Ranks.assumeMpi();
    Path run = folder.resolve("run");
    String[] words = how.equals("supervised") ? words(run, "--set", "train.epochs=100000", "--procs", "2") : words(run, "--set", "train.epochs=100000");
    List<Path> outputs = List.of(folder.resolve("first"), folder.resolve("second"));
    List<Process> both = new ArrayList<>();
    try {
      for (Path output : outputs) {
        both.add(how.equals("mpirun") ? Ranks.mpirun(2, output(output), Ranks.java("onebit.cli.Main", words)) : ChildRun.start(output(output), words));
      }
      while (both.stream().allMatch(Process::isAlive)) Thread.sleep(20);
      int refused = both.get(0).isAlive() ? 1 : 0;
      String text = end(both.get(refused), outputs.get(refused), 1);
      assertEquals(1, text.split("onebit: run folder " + run + " is in use by process ", -1).length - 1, text);
      Process live = both.get(1 - refused);
      while (live.isAlive() && !Files.exists(run.resolve("last"))) Thread.sleep(20);
      signal(how.equals("mpirun") ? "USR1" : "TERM", live);
      text = end(live, outputs.get(1 - refused), 75);
      assertTrue(text.contains("Stopped as asked, with a checkpoint at step "), text);
    } finally {
      both.forEach(Process::destroyForcibly);
    }
  }

  @Test
  void wordsThatAreWrongForAllRanksAreToldOnceAndNotTriedAgain() throws Exception {
    Ranks.assumeMpi();
    Path run = folder.resolve("wrong");
    String text = end(ChildRun.start(output(run), words(run, "--procs", "2", "--restarts", "3", "--set", "data.batch=1")), run, 2);
    assertEquals(1, text.split("onebit: data.batch is 1 and data.evalBatch 64; both must be >= the 2 processes", -1).length - 1, text);
    assertFalse(text.contains("start 1 of 3"), text);
  }

  private long startsLogged(Path run, int rank) throws Exception {
    try (Stream<String> lines = Files.lines(run.resolve("log-rank" + rank + ".txt"))) {
      return lines.filter(line -> line.contains("recipe small, run folder")).count();
    }
  }

  @Test
  void aSecondStartLeavesTheFilesOfALiveRunAndIsNotStartedAgain() throws Exception {
    Ranks.assumeMpi();
    Path run = folder.resolve("live"), other = folder.resolve("other");
    String[] words = words(run, "--set", "train.epochs=100000");
    String[] supervised = Stream.concat(Stream.of(words), Stream.of("--procs", "2", "--restarts", "3")).toArray(String[]::new);
    Process live = ChildRun.start(output(run), supervised);
    try {
      while (live.isAlive() && RankStatus.read(run, 1).filter(status -> status.step() > 0).isEmpty()) Thread.sleep(20);
      RankStatus before = RankStatus.read(run, 1).orElseThrow();

      String refused = end(ChildRun.start(output(other), supervised), other, 1);
      String sentence = "onebit: run folder " + run + " is in use by process ";
      assertTrue(refused.contains(sentence) && !refused.contains("start 1 of 3"), refused);

      Ranks.Result workers = Ranks.mpirun(2, 60, folder, "onebit.cli.Main", words);   // no supervisor looks beforehand
      assertEquals(1, workers.exit(), workers.text());
      assertTrue(workers.text().contains(sentence), workers.text());

      RankStatus after = RankStatus.read(run, 1).orElseThrow();
      assertEquals(before.pid(), after.pid());
      assertTrue(after.step() >= before.step() && after.entered() >= before.entered(), before + " became " + after);
      assertEquals(1, startsLogged(run, 1));
      assertTrue(live.isAlive(), "the live run ended: " + Files.readString(output(run)));
    } finally {
      live.destroy();
    }
    end(live, run, 75);
  }
}
