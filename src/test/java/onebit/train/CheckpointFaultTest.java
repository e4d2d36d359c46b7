package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import onebit.checkpoint.CheckpointException;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.report.RunLog;
import onebit.report.Screen;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Runs whose disk is full, read-only or in the way, and whose standard output is closed. */
class CheckpointFaultTest {
  @TempDir private Path folder;

  private Process start(Path run, String... more) throws Exception {
    List<String> arguments = new ArrayList<>(List.of("train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString()));
    arguments.addAll(List.of(more));
    return ChildRun.start(folder.resolve("out"), arguments.toArray(String[]::new));
  }

  private String end(Process process, int expected) throws Exception {
    assertTrue(process.waitFor(240, TimeUnit.SECONDS), "the run did not end");
    String text = Files.readString(folder.resolve("out"));
    assertEquals(expected, process.exitValue(), text);
    return text;
  }

  private String undisturbed(String... more) throws Exception {
    Path run = folder.resolve("undisturbed");
    end(start(run, more), 0);
    return ChildRun.weightsDigest(run);
  }

  /** A run in this process, so that a test may act between two of its steps. */
  private Trainer.End run(Path run, Communicator communicator, ByteArrayOutputStream said, String... overrides) throws Exception {
    Recipe recipe = new Recipes().load(ChildRun.smallRecipe(folder).toString(), List.of(overrides));
    try (CpuBackend backend = new CpuBackend(); RunLog log = RunLog.screenOnly(Screen.of(said, false))) {
      return new Trainer(recipe, backend, new TrainOptions("fault", null, run, recipe.train().epochs(), Integer.MAX_VALUE), communicator, Screen.none(), log, () -> { }).run();
    }
  }

  /** A file system of 2 MiB of its own; the test is skipped where mounting is not allowed. */
  private Path smallDisk() throws Exception {
    Path disk = Files.createDirectory(folder.resolve("disk"));
    boolean root = "root".equals(System.getProperty("user.name"));
    assumeTrue(root && shell("mount -t tmpfs -o size=2m tmpfs " + disk) == 0, "needs the right to mount a small file system");
    return disk;
  }

  private static int shell(String command) throws Exception {
    return new ProcessBuilder("bash", "-c", command + " 2>/dev/null").start().waitFor();
  }

  @Test
  void aFullDiskIsSaidAndTheRunGoesOnWhenThereIsRoomAgain() throws Exception {
    Path disk = smallDisk(), undisturbed = folder.resolve("undisturbed");
    try (SingleProcess alone = new SingleProcess()) {
      run(Files.createDirectory(undisturbed), alone, new ByteArrayOutputStream(), "train.epochs=3");
    }
    String wanted = ChildRun.weightsDigest(undisturbed);
    try {
      assertEquals(0, shell("head -c 2050000 /dev/zero >" + disk.resolve("filler")));
      ByteArrayOutputStream said = new ByteArrayOutputStream() {
        @Override
        public void write(byte[] bytes, int from, int length) {
          super.write(bytes, from, length);
          if (toString(StandardCharsets.UTF_8).contains("was not written, training goes on")) disk.resolve("filler").toFile().delete();   // on the writer's thread, before it tries again
        }
      };
      try (SingleProcess alone = new SingleProcess()) {
        assertEquals(Trainer.End.COMPLETE, run(Files.createDirectory(disk.resolve("run")), alone, said, "train.epochs=3"));
      }
      String text = said.toString(StandardCharsets.UTF_8);
      assertTrue(text.contains("was not written, training goes on") && text.contains("No space left on device"), text);
      assertEquals(wanted, ChildRun.weightsDigest(disk.resolve("run")));
    } finally {
      shell("umount -l " + disk);
    }
  }

  @Test
  void aStopWhoseCheckpointCannotBeWrittenIsAFailure() throws Exception {
    Path run = Files.createDirectory(folder.resolve("run"));
    Files.writeString(run.resolve("checkpoints"), "no folder");
    Process process = start(run, "--set", "train.epochs=100", "--set", "checkpoint.everySteps=1000000");
    while (process.isAlive() && !Files.exists(run.resolve("metrics.jsonl"))) Thread.sleep(10);
    process.destroy();
    String text = end(process, 1);
    assertTrue(text.contains("onebit: training stopped at step") && text.contains("checkpoints in a row could not be written"), text);
  }

  @Test
  void aReadOnlyDiskIsSaidAndTheLastGoodCheckpointStays() throws Exception {
    Path disk = smallDisk();
    try {
      String[] epochs = {"--set", "train.epochs=12"};   // so that it has not ended when the mount is made
      Process process = start(disk.resolve("run"), epochs);
      while (process.isAlive() && !Files.exists(disk.resolve("run/last"))) Thread.sleep(10);
      // files that are open for writing keep a file system writable: so the checkpoints' folder alone is made immutable by a read-only mount over it
      Path checkpoints = disk.resolve("run/checkpoints");
      // and between the two a checkpoint may begin, whose open file keeps that mount writable too, until it is written
      assertEquals(0, shell("mount --bind " + checkpoints + " " + checkpoints + " && for try in $(seq 100); do mount -o remount,ro,bind " + checkpoints
          + " && exit 0; sleep 0.01; done; exit 1"));
      String text = end(process, 1);
      assertTrue(text.contains("Read-only file system"), text);
      assertTrue(text.contains("3 checkpoints in a row could not be written"), text);
      shell("umount -l " + checkpoints);
      end(start(disk.resolve("run"), epochs), 0);
      assertEquals(undisturbed(epochs), ChildRun.weightsDigest(disk.resolve("run")));
    } finally {
      shell("umount -l " + disk.resolve("run/checkpoints"));
      shell("umount -l " + disk);
    }
  }

  /**
   * Rank 0 of two, whose other does as it does. The first checkpoint that cannot be written is said by a screen that keeps the writer's thread until the ranks have met three
   * times for nothing but the disk: a rank 0 that waits for its disk without meeting the others would wait for ever, and the others' watchdogs end the run.
   */
  @Test
  @Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void aSlowDiskIsWaitedForByAllRanks() throws Exception {
    Path run = Files.createDirectory(folder.resolve("slow"));
    Files.writeString(run.resolve("checkpoints"), "a file where a folder should be");
    CountDownLatch meetings = new CountDownLatch(3);
    ByteArrayOutputStream said = new ByteArrayOutputStream() {
      @Override
      public void write(byte[] bytes, int from, int length) {
        try {
          if (Thread.currentThread().getName().equals("onebit-checkpoint")) meetings.await();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
        super.write(bytes, from, length);
      }
    };
    SingleProcess alone = new SingleProcess();
    Communicator two = (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, (self, method, given) -> switch (method.getName()) {
      case "size" -> 2;
      case "allGather" -> new long[][] {(long[]) given[0], (long[]) given[0]};
      case "any" -> {
        if ((boolean) given[0]) meetings.countDown();
        yield given[0];
      }
      default -> method.isDefault() ? InvocationHandler.invokeDefault(self, method, given) : method.invoke(alone, given);
    });
    String message = assertThrows(CheckpointException.class, () -> run(run, two, said, "checkpoint.everySteps=0", "train.epochs=6")).getMessage();
    assertTrue(message.contains("3 checkpoints in a row could not be written"), message);
    assertEquals(0, meetings.getCount());
    assertTrue(said.toString(StandardCharsets.UTF_8).contains("The checkpoint of step 16 was not written, training goes on: "), said.toString(StandardCharsets.UTF_8));
  }

  @Test
  void threeRefusalsInARowEndTheRun() throws Exception {
    Path run = Files.createDirectory(folder.resolve("blocked"));
    Files.writeString(run.resolve("checkpoints"), "a file where a folder should be");
    String text = end(start(run), 1);
    assertEquals(3, text.split("was not written, training goes on", -1).length - 1, text);
    assertTrue(text.contains("training stopped at step ") && text.contains("3 checkpoints in a row could not be written"), text);
  }

  @Test
  void aClosedStandardOutputAndALogThatCannotBeWrittenChangeNothing() throws Exception {
    String wanted = undisturbed();
    Path run = Files.createDirectories(folder.resolve("mute"));
    Files.createDirectory(run.resolve("log.txt"));
    Files.createDirectory(run.resolve("metrics.csv"));
    List<String> command = onebit.dist.Ranks.java("onebit.cli.Main", "train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString());
    List<String> closed = new ArrayList<>(List.of("bash", "-c", "exec \"$@\" >&- 2>&-", "bash"));
    closed.addAll(command);
    Process muted = new ProcessBuilder(closed).start();
    assertTrue(muted.waitFor(240, TimeUnit.SECONDS), "the run did not end");
    assertEquals(0, muted.exitValue());
    assertEquals(wanted, ChildRun.weightsDigest(run));
  }
}
