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
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
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
    long begin = System.nanoTime();
    String text = end(rankZero, run, 1);
    double seconds = (System.nanoTime() - begin) / 1e9;
    assertTrue(text.contains("onebit: rank 0 has waited 5 s (dist.timeoutSeconds) while the run starts, for '" + waitingFor + "'; one of its 2 ranks has not come to it"), text);
    assertTrue(seconds < TIMEOUT + 10, "noticed after " + seconds + " s");
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
    Process rankZero = rankZero(run, port);
    try (Backend backend = CudaBackend.emulated()) {
      NcclCommunicator.open(backend, 1, 2, none -> asRankOne(none, port));
      assertEndedWhileStarting(rankZero, run, "agreement");
    }
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
    String[] words = {"train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString(), "--set", "train.epochs=100000"};
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
