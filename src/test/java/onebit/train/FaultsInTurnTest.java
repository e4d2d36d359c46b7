package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import onebit.dist.RankStatus;
import onebit.dist.Ranks;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A run of several ranks that one fault after another stops or holds up, with and without restarts, and that is started again until it completes.
 *
 * <pre>
 * Units   runs: -Donebit.test.chaos (1); processes: -Donebit.test.procs (2); the first seed: -Donebit.test.seed (the time)
 * </pre>
 */
class FaultsInTurnTest {
  private static final int RUNS = Integer.getInteger("onebit.test.chaos", 1), PROCESSES = Integer.getInteger("onebit.test.procs", 2);
  private static final int FAULTS = 3, EPOCHS = 8, STEPS = EPOCHS * 16;
  private static final long SEED = Long.getLong("onebit.test.seed", System.nanoTime());

  /** What happens, and to whom. */
  private enum Fault {
    SUPERVISOR_KILLED, MPIRUN_KILLED, RANK_KILLED, ALL_KILLED, RANK_STOPPED, RANK_PAUSED, SUPERVISOR_PAUSED, SUPERVISOR_TERM, SUPERVISOR_INT, SUPERVISOR_HUP, RANK_TERM,
    SUPERVISOR_TERM_THEN_KILLED
  }

  @TempDir private Path folder;

  private Process start(Path run, String... more) throws Exception {
    List<String> words = new ArrayList<>(List.of("train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString(), "--procs", Integer.toString(PROCESSES), "--set",
        "train.epochs=" + EPOCHS, "--set", "dist.timeoutSeconds=15"));
    words.addAll(List.of(more));
    return ChildRun.start(folder.resolve("out"), words.toArray(String[]::new));
  }

  private static void pause(ProcessHandle process) throws Exception {
    Ranks.signal("STOP", process);
    Thread.sleep(2000);
    Ranks.signal("CONT", process);
  }

  private static void strike(Fault fault, ProcessHandle supervisor, List<ProcessHandle> workers, List<ProcessHandle> ranks, ProcessHandle rank) throws Exception {
    switch (fault) {
      case SUPERVISOR_KILLED -> supervisor.destroyForcibly();
      case MPIRUN_KILLED -> workers.stream().filter(p -> !ranks.contains(p)).forEach(ProcessHandle::destroyForcibly);
      case RANK_KILLED -> rank.destroyForcibly();
      case ALL_KILLED -> {
        supervisor.destroyForcibly();
        workers.forEach(ProcessHandle::destroyForcibly);
      }
      case RANK_STOPPED -> Ranks.signal("STOP", rank);
      case RANK_PAUSED -> pause(rank);
      case SUPERVISOR_PAUSED -> pause(supervisor);
      case SUPERVISOR_TERM -> Ranks.signal("TERM", supervisor);
      case SUPERVISOR_INT -> Ranks.signal("INT", supervisor);
      case SUPERVISOR_HUP -> Ranks.signal("HUP", supervisor);
      case RANK_TERM -> Ranks.signal("TERM", rank);
      case SUPERVISOR_TERM_THEN_KILLED -> {
        Ranks.signal("TERM", supervisor);
        Thread.sleep(200);
        supervisor.destroyForcibly();
      }
    }
  }

  /** Waits for rank 0 to have come so far; false where the run ended before. */
  private static boolean comesTo(long step, Path run, Process supervisor) throws Exception {
    while (supervisor.isAlive()) {
      if (RankStatus.read(run, 0).filter(s -> s.step() >= step && ProcessHandle.of(s.pid()).isPresent()).isPresent()) return true;
      Thread.sleep(5);
    }
    return false;
  }

  @Test
  void aRunThatFaultsOfEveryKindMeetCompletesWithTheSameWeights() throws Exception {
    Ranks.assumeMpi();
    Path undisturbed = folder.resolve("undisturbed");
    assertTrue(start(undisturbed).waitFor(240, TimeUnit.SECONDS));
    String wanted = ChildRun.weightsDigest(undisturbed);
    int met = 0;
    for (int i = 0; i < RUNS || met == 0 && i < RUNS + ChildRun.TRIES; i++) {   // a first fault that came too late is made up for
      Random random = new Random(SEED + i);
      Path run = folder.resolve("run-" + i);
      StringBuilder story = new StringBuilder("seed " + (SEED + i) + ":");
      for (int start = 0, code = -1; code != 0; start++) {
        assertTrue(start <= 3 * FAULTS, story + " does not complete: " + Files.readString(folder.resolve("out")));
        Process supervisor = start(run, "--restarts", Integer.toString(random.nextInt(3)));
        List<ProcessHandle> all = List.of();
        if (start < FAULTS && comesTo(1 + random.nextInt(STEPS), run, supervisor)) {
          Fault fault = Fault.values()[random.nextInt(Fault.values().length)];
          all = supervisor.descendants().toList();
          List<ProcessHandle> ranks = Ranks.of(supervisor);
          story.append(" ").append(fault);
          if (!ranks.isEmpty()) strike(fault, supervisor.toHandle(), all, ranks, ranks.get(random.nextInt(ranks.size())));
          met++;
        }
        assertTrue(supervisor.waitFor(240, TimeUnit.SECONDS), story + ": it did not end: " + Files.readString(folder.resolve("out")));
        code = supervisor.exitValue();
        story.append(" ").append(code);
        for (ProcessHandle worker : all) worker.onExit().get(60, TimeUnit.SECONDS);   // nobody outlives the supervisor for long
        assertFalse(code == 2, story + ": " + Files.readString(folder.resolve("out")));
      }
      System.out.println(story);
      assertEquals(wanted, ChildRun.weightsDigest(run), story.toString());
      assertEquals(LongStream.rangeClosed(1, EPOCHS).boxed().toList(), MetricsLog.read(run.resolve(MetricsLog.JSONL)).stream().map(r -> ((Number) r.get("epoch")).longValue()).toList(), story.toString());
    }
    assertTrue(met > 0, "no fault fell into training, seed " + SEED);
  }
}
