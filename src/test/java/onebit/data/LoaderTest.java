package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class LoaderTest {
  /** Wraps generated images and counts, delays or fails reads. */
  private static class Probe implements Dataset {
    final GeneratedDataset images;
    final AtomicInteger reads = new AtomicInteger();
    volatile int broken = -1;
    volatile RuntimeException bug;
    volatile long delayNanos;

    Probe(int size) {
      images = new GeneratedDataset("probe", size, 8, 8, 3, 10, 1);
    }

    @Override public String name() {
      return "probe";
    }

    @Override public int size() {
      return images.size();
    }

    @Override public int height() {
      return 8;
    }

    @Override public int width() {
      return 8;
    }

    @Override public int channels() {
      return 3;
    }

    @Override public int classes() {
      return 10;
    }

    @Override public int label(int index) {
      return images.label(index);
    }

    @Override public void read(int index, byte[] into, int offset) throws IOException {
      reads.incrementAndGet();
      if (delayNanos > 0) java.util.concurrent.locks.LockSupport.parkNanos(delayNanos);
      if (index == broken && bug != null) throw bug;
      if (index == broken) throw new IOException("the disk is on fire");
      images.read(index, into, offset);
    }
  }

  private static List<String> epoch(Loader loader, int epoch, int from) {
    List<String> batches = new ArrayList<>();
    loader.start(epoch, from);
    for (ImageBatch b = loader.next(); b != null; b = loader.next()) {
      batches.add(b.count() + " " + Arrays.toString(Arrays.copyOf(b.sampleIds(), b.count())) + Arrays.toString(Arrays.copyOf(b.labels(), b.count()))
          + Arrays.hashCode(Arrays.copyOf(b.pixels(), b.count() * b.imageBytes())));
    }
    return batches;
  }

  @Test void batchesDoNotDependOnThreadsOrOnWhereTheEpochWasResumed() {
    Sampler sampler = Sampler.training(3, 203, 8);
    Probe probe = new Probe(203);
    try (Loader one = new Loader(probe, sampler, Augmentation.cifar(), 1); Loader four = new Loader(probe, sampler, Augmentation.cifar(), 4)) {
      List<String> second = epoch(one, 2, 0);
      assertEquals(25, second.size());
      assertEquals(second, epoch(four, 2, 0));
      List<String> third = epoch(four, 3, 0);
      assertEquals(third, epoch(one, 3, 0));
      assertFalse(second.get(0).equals(third.get(0)));
      assertEquals(second.subList(17, 25), epoch(four, 2, 17));
      assertEquals(List.of(), epoch(four, 2, 25));
    }
  }

  @Test void aBatchHoldsTheSamplersImagesAndTheirLabels() throws IOException {
    Sampler sampler = new Sampler(9, 50, 8, true, true, 1, 2);
    Probe probe = new Probe(50);
    int[] order = sampler.order(4);
    byte[] image = new byte[192];
    try (Loader loader = new Loader(probe, sampler, List.of(), 2)) {
      loader.start(4, 0);
      for (int b = 0; b < 6; b++) {
        assertEquals(b, loader.position());
        ImageBatch batch = loader.next();
        assertEquals(4, batch.count());
        for (int i = 0; i < 4; i++) {
          int index = order[b * 8 + 4 + i];
          assertEquals(index, batch.sampleIds()[i]);
          assertEquals(probe.label(index), batch.labels()[i]);
          probe.read(index, image, 0);
          assertArrayEquals(image, Arrays.copyOfRange(batch.pixels(), i * 192, (i + 1) * 192));
        }
      }
      assertNull(loader.next());
      assertNull(loader.next());
    }
  }

  @Test void evaluationShowsEachImageExactlyOnceInOrder() {
    try (Loader loader = Loader.evaluation(new Probe(29), 8, List.of(), 3)) {
      loader.start(0, 0);
      int seen = 0;
      int batches = 0;
      for (ImageBatch b = loader.next(); b != null; b = loader.next(), batches++) {
        for (int i = 0; i < b.count(); i++) assertEquals(seen++, b.sampleIds()[i]);
      }
      assertEquals(29, seen);
      assertEquals(4, batches);
    }
  }

  @Test void preparationIsAheadButBounded() throws InterruptedException {
    Probe probe = new Probe(1000);
    try (Loader loader = new Loader(probe, Sampler.training(0, 1000, 10), List.of(), 2)) {
      Set<ImageBatch> buffers = new HashSet<>();
      loader.start(0, 0);
      assertNotNull(loader.next());
      Thread.sleep(150);
      int ahead = probe.reads.get();
      assertTrue(ahead >= 20 && ahead <= 40, ahead + " images were read before the second batch was asked for; the ring has 4 batches");
      loader.start(0, 0);
      for (ImageBatch b = loader.next(); b != null; b = loader.next()) buffers.add(b);
      assertEquals(4, buffers.size(), "the buffers are used again and again");
    }
  }

  @Test void anErrorIsToldOnceAtItsBatchWithTheSampleNamedAndAnotherEpochWorks() {
    Probe probe = new Probe(100);
    Sampler sampler = Sampler.evaluation(100, 10);
    try (Loader loader = new Loader(probe, sampler, List.of(), 3)) {
      probe.broken = 57;
      loader.start(0, 0);
      for (int b = 0; b < 5; b++) assertNotNull(loader.next());
      UncheckedIOException e = assertThrows(UncheckedIOException.class, loader::next);
      assertTrue(e.getMessage().contains("probe: sample 57") && e.getMessage().contains("the disk is on fire"), e.getMessage());
      assertThrows(IllegalStateException.class, loader::next);
      probe.bug = new IndexOutOfBoundsException("too far");
      loader.start(0, 5);
      IllegalStateException bug = assertThrows(IllegalStateException.class, loader::next);
      assertTrue(bug.getMessage().contains("sample 57") && bug.getMessage().contains("too far"), bug.getMessage());
      probe.broken = -1;
      assertEquals(10, epoch(loader, 1, 0).size());
    }
  }

  @Test void waitingIsCountedAndAStartedEpochCanBeLeft() {
    Probe probe = new Probe(64);
    probe.delayNanos = 2_000_000;
    try (Loader loader = new Loader(probe, Sampler.training(0, 64, 8), List.of(), 1)) {
      loader.start(0, 0);
      loader.next();
      long stalled = loader.stallNanos();
      assertTrue(stalled >= 10_000_000L, stalled + " ns for a batch that takes 16 ms");
      loader.start(1, 0);
      int[] order = Sampler.training(0, 64, 8).order(1);
      for (int b = 0; b < 8; b++) assertEquals(order[b * 8], loader.next().sampleIds()[0]);
      assertNull(loader.next());
    }
  }

  @Test void closeStopsTheThreadsAlsoInTheMiddleOfAnEpoch() {
    Set<Thread> before = Thread.getAllStackTraces().keySet();
    Loader loader = new Loader(new Probe(1000), Sampler.training(0, 1000, 10), List.of(), 3);
    loader.start(0, 0);
    loader.next();
    loader.close();
    loader.close();
    for (Thread t : Thread.getAllStackTraces().keySet()) assertTrue(before.contains(t) || !t.getName().startsWith("onebit-loader"));
    assertThrows(IllegalStateException.class, loader::next);
    assertThrows(IllegalStateException.class, () -> loader.start(0, 0));
  }

  @Test void augmentedSizesAreTheBatchs() {
    try (Loader loader = new Loader(new Probe(10), Sampler.training(0, 10, 5), Augmentation.imagenet(5, 0.2, 1), 1)) {
      loader.start(0, 0);
      ImageBatch batch = loader.next();
      assertEquals(5, batch.height());
      assertEquals(5, batch.width());
    }
    assertThrows(IllegalArgumentException.class, () -> new Loader(new Probe(10), Sampler.training(0, 11, 5), List.of(), 1));
  }
}
