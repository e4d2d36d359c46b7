package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whom a rank that has waited too long names. */
class WatchdogTest {
  @TempDir Path run;

  private void write(int rank, long pid, long step, long entered) throws Exception {
    write(rank, pid, step, entered, Files.readString(Path.of("/proc/sys/kernel/hostname")).strip());
  }

  private void write(int rank, long pid, long step, long entered, String machine) throws Exception {
    Path file = RankStatus.file(run, rank);
    Files.createDirectories(file.getParent());
    Files.write(file, ByteBuffer.allocate(128).putLong(pid).putLong(step).putLong(entered).put("gradients 1".getBytes()).put(88, machine.getBytes()).array());
  }

  @Test
  void aRankThatStayedAwayIsNamedAndSoIsOneStoppedWithinTheCollective() throws Exception {
    Process other = new ProcessBuilder("sleep", "60").start();
    try {
      RankStatus.publish(run, 1, new Activity());
      assertEquals("rank 1 (process " + ProcessHandle.current().pid() + ") was at step 0, last collective: none", RankStatus.read(run, 1).orElseThrow().describe());
      write(1, other.pid(), 4, 8);
      write(2, other.pid(), 3, 7);
      assertEquals("it hangs because rank 2 (process " + other.pid() + ") was at step 3, last collective: gradients 1", Watchdog.missing(run, 0, 3, 8));
      write(2, other.pid(), 4, 8);
      assertEquals("all ranks that can be seen have come to it, so the network or a device hangs", Watchdog.missing(run, 0, 3, 8));
      assertEquals(0, Ranks.signal("STOP", other.toHandle()));
      long end = System.nanoTime() + 10_000_000_000L;
      while (!RankStatus.read(run, 1).orElseThrow().stopped() && System.nanoTime() < end) Thread.sleep(5);
      String where = " (process " + other.pid() + ") was at step 4, last collective: gradients 1; its process is stopped";
      assertEquals("it hangs because rank 1" + where + ", rank 2" + where, Watchdog.missing(run, 0, 3, 8));
      write(2, Long.MAX_VALUE, 4, 8);
      assertTrue(Watchdog.missing(run, 0, 3, 8).endsWith("rank 1" + where));
      write(1, other.pid(), 4, 7, "gpu03");   // a number of a process there says nothing of the one here
      assertEquals("it hangs because rank 1 (process " + other.pid() + " on gpu03) was at step 4, last collective: gradients 1", Watchdog.missing(run, 0, 3, 8));
    } finally {
      other.destroyForcibly();
    }
  }
}
