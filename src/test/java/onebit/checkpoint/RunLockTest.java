package onebit.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunLockTest {
  @TempDir Path folder;

  /** Child process: takes the lock of a folder, says so or why not, and holds it until its input ends. */
  static final class Holder {
    public static void main(String[] args) throws Exception {
      try (RunLock lock = RunLock.acquire(Path.of(args[0]))) {
        System.out.println("held " + (lock != null));
        System.in.read();
      } catch (CheckpointException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  /** Child process: looks again and again whether the lock of a folder can be had, as a supervisor does before it starts. */
  static final class Onlooker {
    public static void main(String[] args) throws Exception {
      System.out.println("looking");
      while (System.in.available() == 0) {
        try {
          RunLock.requireFree(Path.of(args[0]));
        } catch (CheckpointException e) {
          // held just now
        }
      }
    }
  }

  @Test
  void whoOnlyLooksTakesTheLockFromNobody() throws Exception {
    RunLock.acquire(folder).close();
    Process onlooker = ChildJvm.start(Onlooker.class, folder.toString());
    try (var out = onlooker.inputReader()) {
      assertEquals("looking", out.readLine());
      for (int i = 0; i < 300; i++) RunLock.acquire(folder).close();
    } finally {
      onlooker.destroyForcibly().waitFor();
    }
  }

  @Test
  void aSecondLockInTheSameProcessIsRefusedUntilTheFirstIsClosed() throws Exception {
    Path run = folder.resolve("new/run");
    try (RunLock first = RunLock.acquire(run)) {
      assertTrue(first != null);
      String message = assertThrows(CheckpointException.class, () -> RunLock.acquire(run)).getMessage();
      assertTrue(message.contains(run.toString()) && message.contains("process " + ProcessHandle.current().pid()), message);
      assertThrows(CheckpointException.class, () -> RunLock.requireFree(run));
    }
    RunLock.requireFree(run);
    RunLock.acquire(run).close();
    RunLock.requireFree(folder.resolve("none"));
    assertFalse(Files.exists(folder.resolve("none")));
  }

  /** A start that failed takes its folder away: who waited for the lock then holds it in a new one, and not on a file that nobody else can see. */
  @Test
  void whoWaitedForALockThatWasTakenAwayHoldsANewOne() throws Exception {
    Path run = folder.resolve("run");
    RunLock first = RunLock.acquire(run);
    FutureTask<RunLock> waiting = new FutureTask<>(() -> RunLock.acquire(run));
    Thread waiter = Thread.ofPlatform().start(waiting);
    while (waiter.getState() != Thread.State.TIMED_WAITING) Thread.onSpinWait();
    Files.delete(run.resolve("run.lock"));
    Files.delete(run);
    first.close();
    try (RunLock second = waiting.get()) {
      assertTrue(second != null && Files.exists(run.resolve("run.lock")));
      assertThrows(CheckpointException.class, () -> RunLock.requireFree(run));
    }
  }

  @Test
  void aLockThatTheDiskRefusesIsNamed() throws Exception {
    Files.createSymbolicLink(folder.resolve("run.lock"), Path.of("/dev/full"));
    String message = assertThrows(IOException.class, () -> RunLock.acquire(folder)).getMessage();
    assertTrue(message.startsWith(folder.resolve("run.lock") + " cannot be locked and written: "), message);
  }

  @Test
  void anotherProcessIsRefusedAndAKilledOneLetsGo() throws Exception {
    Process holder = ChildJvm.start(Holder.class, folder.toString());
    try (var out = holder.inputReader()) {
      assertEquals("held true", out.readLine());
      String message = assertThrows(CheckpointException.class, () -> RunLock.acquire(folder)).getMessage();
      assertTrue(message.contains("process " + holder.pid() + " on "), message);
    } finally {
      holder.destroyForcibly().waitFor();
    }
    try (RunLock lock = RunLock.acquire(folder)) {
      assertTrue(lock != null);
      Process second = ChildJvm.start(Holder.class, folder.toString());
      try (var out = second.inputReader()) {
        assertTrue(out.readLine().contains("is in use by process " + ProcessHandle.current().pid()));
      }
      second.waitFor();
    }
  }
}
