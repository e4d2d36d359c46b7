package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import onebit.checkpoint.Checkpoint;
import onebit.checkpoint.CheckpointException;
import org.junit.jupiter.api.Test;

class CheckpointWriterTest {
  private final List<String> said = Collections.synchronizedList(new ArrayList<>());
  private final List<Long> saved = Collections.synchronizedList(new ArrayList<>());

  private static Checkpoint at(long step) {
    return new Checkpoint(step, List.of(), List.of(), Map.of());
  }

  private static void finish(CheckpointWriter writer) throws Exception {
    while (!writer.finish(1000)) { }
  }

  @Test
  void aSlowDiskDoesNotHoldTrainingUp() throws Exception {
    CountDownLatch disk = new CountDownLatch(1);
    try (CheckpointWriter writer = new CheckpointWriter((checkpoint, best) -> {
      try {
        disk.await();
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
      saved.add(checkpoint.step());
    }, said::add)) {
      writer.write(1, () -> at(1), false);   // returns while the disk still works on it
      assertTrue(writer.isBusy());
      disk.countDown();
      finish(writer);
      assertEquals(List.of(1L), saved);
    }
  }

  @Test
  void aNextCheckpointWaitsForASlowDiskSaysSoAfterASecondAndBothAreWritten() throws Exception {
    CountDownLatch told = new CountDownLatch(1);
    try (CheckpointWriter writer = new CheckpointWriter((checkpoint, best) -> {
      try {
        if (checkpoint.step() == 16) told.await();   // a disk that comes back only when the run has spoken
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
      saved.add(checkpoint.step());
    }, words -> {
      said.add(words);
      told.countDown();
    })) {
      long begin = System.nanoTime();
      writer.write(16, () -> at(16), false);
      writer.write(32, () -> at(32), true);
      assertTrue(System.nanoTime() - begin > 990e6, "said too soon");
      finish(writer);
    }
    assertEquals(List.of(16L, 32L), saved);
    assertEquals(List.of("The disk is slow: training waits until the checkpoint of step 16 is written."), said);
  }

  /** As rank 0 waits, which meets the others between. */
  @Test
  void aWaitMayBeTakenUpAgainAndIsSaidOnce() throws Exception {
    CountDownLatch told = new CountDownLatch(1);
    int[] tries = new int[1];
    try (CheckpointWriter writer = new CheckpointWriter((checkpoint, best) -> {
      try {
        told.await();
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
      if (tries[0]++ == 0) throw new IOException("busy");
      saved.add(checkpoint.step());
    }, said::add)) {
      writer.write(16, () -> at(16), false);
      while (said.isEmpty()) assertFalse(writer.awaitIdle(50));
      for (int i = 0; i < 3; i++) assertFalse(writer.finish(10));
      told.countDown();
      while (!writer.finish(10)) { }
      assertTrue(writer.awaitIdle(0));
    }
    assertEquals(List.of(16L), saved);
    assertEquals(List.of("The disk is slow: training waits until the checkpoint of step 16 is written.", "The checkpoint of step 16 was not written, training goes on: busy"), said);
  }

  @Test
  void twoRefusalsAreSaidAndTheThirdEndsTheRunNamingTheGoodOne() throws Exception {
    try (CheckpointWriter writer = new CheckpointWriter((checkpoint, best) -> {
      if (checkpoint.step() > 1) throw new IOException("No space left on device");
      saved.add(checkpoint.step());
    }, said::add)) {
      for (long step : new long[] {1, 2, 3, 4}) writer.write(step, () -> at(step), false);
      String message = assertThrows(CheckpointException.class, () -> writer.write(5, () -> at(5), false)).getMessage();
      assertEquals("training stopped at step 5: 3 checkpoints in a row could not be written, the last because No space left on device; "
          + "the checkpoint of step 1 is good", message);
      assertEquals(3, said.size());
      assertTrue(said.getFirst().contains("The checkpoint of step 2 was not written, training goes on: No space left on device"), said.toString());
    }
  }

  @Test
  void aDiskThatRecoversStartsTheCountAnew() throws Exception {
    try (CheckpointWriter writer = new CheckpointWriter((checkpoint, best) -> {
      if (checkpoint.step() % 3 != 0) throw new IOException("full");
      saved.add(checkpoint.step());
    }, said::add)) {
      for (long step : new long[] {1, 2, 3, 4, 5, 6, 7, 8, 9}) writer.write(step, () -> at(step), false);
      finish(writer);
      assertEquals(List.of(3L, 6L, 9L), saved);
    }
  }

  @Test
  void theLastCheckpointIsTriedAgain() throws Exception {
    int[] tries = new int[1];
    try (CheckpointWriter writer = new CheckpointWriter((checkpoint, best) -> {
      if (tries[0]++ < 2) throw new IOException("busy");
      saved.add(checkpoint.step());
    }, said::add)) {
      writer.write(7, () -> at(7), true);
      finish(writer);
      assertEquals(List.of(7L), saved);
    }
    assertEquals(2, said.size());
  }
}
