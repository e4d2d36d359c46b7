package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class LoaderTest {
  /** Wraps generated images and counts, delays or fails reads. */
  private static class Probe implements Dataset {
    final GeneratedDataset images;
    final AtomicInteger reads = new AtomicInteger();
    volatile int broken = -1;
    volatile RuntimeException bug;
    volatile long delayNanos;
    volatile boolean silent;
    /** Where it is given, a read begins when this thread waits for a batch, so that what it waits does not depend on when the machine runs which thread. */
    volatile Thread consumer;
    /** Where it is given, a read ends when so many have begun. */
    volatile CountDownLatch together;
    /** Pairs of the first image that is read soon and one past the last, and which images were read that nobody had asked for. */
    final List<Integer> asked = java.util.Collections.synchronizedList(new ArrayList<>());
    final Set<Integer> unasked = java.util.Collections.synchronizedSet(new HashSet<>());
    final Set<Integer> bad = new HashSet<>();
    final AtomicInteger failures = new AtomicInteger();

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

    @Override public boolean readAhead(int from, int to) {
      asked.addAll(List.of(from, to));
      return true;
    }

    @Override public void read(int index, byte[] into, int offset) throws IOException {
      boolean known = false;
      synchronized (asked) {
        for (int i = 0; i < asked.size(); i += 2) known |= asked.get(i) <= index && index < asked.get(i + 1);
      }
      if (!known) unasked.add(index);
      reads.incrementAndGet();
      for (Thread waits = consumer; waits != null && waits.getState() != Thread.State.TIMED_WAITING; waits = consumer) java.util.concurrent.locks.LockSupport.parkNanos(100_000);
      if (together != null) meet();
      if (delayNanos > 0) java.util.concurrent.locks.LockSupport.parkNanos(delayNanos);
      while (silent) java.util.concurrent.locks.LockSupport.parkNanos(1_000_000);
      if (index == broken && bug != null) throw bug;
      if (bad.contains(index)) throw new BadImageException(describe(index) + ": the image is damaged");
      if (failures.get() > 0 && failures.getAndDecrement() > 0) throw new IOException("input/output error");
      if (index == broken) throw new IOException("the disk is on fire");
      images.read(index, into, offset);
    }

    private void meet() throws IOException {
      together.countDown();
      try {
        if (!together.await(30, TimeUnit.SECONDS)) throw new IOException("the others do not read");
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
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

  @Test void severalThreadsMakeThePiecesOfOneBatch() {
    Sampler sampler = new Sampler(3, 203, 40, true, false, 0, 1);
    Probe probe = new Probe(203);
    int[] order = sampler.order(2);
    try (Loader one = new Loader(probe, sampler, Augmentation.cifar(), 1); Loader five = new Loader(probe, sampler, Augmentation.cifar(), 5)) {
      List<String> whole = epoch(one, 2, 0);
      assertEquals(6, whole.size());
      assertEquals(whole, epoch(five, 2, 0));
      assertEquals(whole.subList(4, 6), epoch(five, 2, 4));
      five.start(2, 0);
      int seen = 0;
      for (ImageBatch b = five.next(); b != null; b = five.next()) for (int i = 0; i < b.count(); i++) assertEquals(order[seen++], b.sampleIds()[i]);
      assertEquals(203, seen);
      probe.broken = order[3 * 40 + 33];
      five.start(2, 1);
      assertNotNull(five.next());
      assertNotNull(five.next());
      assertTrue(assertThrows(UncheckedIOException.class, five::next).getMessage().contains("sample " + probe.broken));
      probe.broken = -1;
      assertEquals(whole, epoch(five, 2, 0));
    }
    probe.together = new CountDownLatch(8);
    try (Loader eight = new Loader(probe, Sampler.training(3, 203, 128), List.of(), 8)) {
      eight.start(0, 0);
      assertNotNull(eight.next(), "the only batch, of which eight images are read at once");
      assertNull(eight.next());
    }
    probe.together = null;
    probe.delayNanos = 500_000;
    try (Loader left = new Loader(probe, sampler, List.of(), 2)) {
      for (int epoch = 0; epoch < 6; epoch++) {   // left in the middle of a batch, whichever it is
        left.start(epoch, 0);
        java.util.concurrent.locks.LockSupport.parkNanos(3_000_000L * epoch);
        left.start(epoch, 1);
        assertEquals(sampler.order(epoch)[40], left.next().sampleIds()[0]);
      }
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
      while (probe.reads.get() < 40) Thread.sleep(1);
      Thread.sleep(150);
      assertEquals(40, probe.reads.get(), "images read before the second batch was asked for; the ring has 4 batches");
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
    probe.consumer = Thread.currentThread();
    try (Loader loader = new Loader(probe, Sampler.training(0, 64, 8), List.of(), 1)) {
      loader.start(0, 0);
      loader.next();
      probe.consumer = null;
      long stalled = loader.stallNanos();
      assertTrue(stalled >= 10_000_000L, stalled + " ns for a batch that takes 16 ms");
      assertEquals(stalled / 1e9, loader.stallSeconds());
      loader.start(1, 0);
      assertEquals(0, loader.stallSeconds());
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

  /** Keeps what it is told, in order of telling. */
  private static final class Heard implements LoaderWatch {
    final List<String> lines = new ArrayList<>();

    @Override public synchronized void bad(Dataset dataset, int epoch, int index, int replacement, String why) {
      lines.add(epoch + ": " + index + " -> " + replacement);
    }

    @Override public synchronized void notice(String sentence) {
      lines.add(sentence);
    }
  }

  @Test void aBadImageIsReplacedByTheSameOtherForAnyThreadsAndResumption() {
    Probe probe = new Probe(60);
    probe.bad.addAll(List.of(7, 8, 30));
    Sampler sampler = Sampler.training(11, 60, 6);
    Heard one = new Heard(), four = new Heard();
    try (Loader first = new Loader(probe, sampler, Augmentation.cifar(), 1, one); Loader second = new Loader(probe, sampler, Augmentation.cifar(), 4, four)) {
      List<String> batches = epoch(first, 3, 0);
      assertEquals(batches, epoch(second, 3, 0));
      assertEquals(batches.subList(4, 10), epoch(second, 3, 4));
      first.start(3, 0);
      Set<Long> shown = new HashSet<>();
      for (ImageBatch b = first.next(); b != null; b = first.next()) {
        for (int i = 0; i < b.count(); i++) {
          assertEquals(probe.label((int) b.sampleIds()[i]), b.labels()[i], "the label is that of the image shown");
          shown.add(b.sampleIds()[i]);
        }
      }
      assertTrue(shown.stream().noneMatch(id -> probe.bad.contains((int) (long) id)));
      assertTrue(shown.size() >= 54 && shown.size() <= 57, shown.size() + " different images of 57 good ones");
      assertFalse(epoch(second, 4, 0).equals(batches));
    }
    assertTrue(one.lines.stream().anyMatch(l -> l.startsWith("3: 7 -> ")) && one.lines.stream().anyMatch(l -> l.startsWith("3: 30 -> ")), one.lines.toString());
    assertTrue(four.lines.containsAll(one.lines));
  }

  @Test void aBadImageOfAnOrderedEpochIsBlackAndCounts() {
    Probe probe = new Probe(20);
    probe.bad.add(13);
    Heard heard = new Heard();
    try (Loader loader = new Loader(probe, Sampler.evaluation(20, 8), List.of(), 2, heard)) {
      loader.start(0, 0);
      int seen = 0;
      for (ImageBatch b = loader.next(); b != null; b = loader.next()) {
        for (int i = 0; i < b.count(); i++, seen++) {
          assertEquals(seen, b.sampleIds()[i]);
          boolean black = true;
          for (int k = 0; k < 192; k++) black &= b.pixels()[i * 192 + k] == 0;
          assertEquals(seen == 13, black);
        }
      }
      assertEquals(20, seen);
    }
    assertEquals(List.of("0: 13 -> -1"), heard.lines);
  }

  @Test void aDiskThatFailsTwiceIsAskedAgainAndSaidOnce() {
    Probe probe = new Probe(40);
    Heard heard = new Heard();
    try (Loader loader = new Loader(probe, Sampler.training(1, 40, 8), List.of(), 1, heard)) {
      List<String> undisturbed = epoch(loader, 0, 0);
      probe.failures.set(2);
      assertEquals(undisturbed, epoch(loader, 0, 0));
      probe.failures.set(2);
      assertEquals(undisturbed, epoch(loader, 0, 0));
      assertEquals(1, heard.lines.size(), heard.lines.toString());
      assertTrue(heard.lines.getFirst().startsWith("Reading again after: probe: sample"), heard.lines.getFirst());
      probe.failures.set(3);
      loader.start(0, 0);
      UncheckedIOException e = assertThrows(UncheckedIOException.class, loader::next);
      assertTrue(e.getMessage().contains("input/output error"), e.getMessage());
    }
  }

  @Test void aFileThatWentAwayIsSaidToBeGone(@TempDir Path dir) throws IOException {
    for (String name : List.of("a/0.png", "b/1.png")) {
      Files.createDirectories(dir.resolve(name).getParent());
      ImageIO.write(new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB), "png", dir.resolve(name).toFile());
    }
    Dataset images = ImageFolderDataset.list("folder", dir, 8);
    Files.delete(dir.resolve("b/1.png"));
    try (Loader loader = new Loader(images, Sampler.evaluation(2, 2), List.of(), 1)) {
      loader.start(0, 0);
      UncheckedIOException e = assertThrows(UncheckedIOException.class, loader::next);
      assertEquals(dir.resolve("b/1.png") + " does not exist (sample 1 of epoch 0)", e.getMessage());
    }
  }

  @Test void whoWaitsForADiskThatNeverAnswersIsReleasedAndSoIsTheLoader() {
    Probe probe = new Probe(24);
    Loader loader = new Loader(probe, Sampler.evaluation(24, 8), List.of(), 2);
    loader.start(0, 0);
    loader.await(() -> false);
    assertNotNull(loader.next());
    loader.await(() -> false);
    for (int batch = 1; batch < 3; batch++) assertNotNull(loader.next());
    assertNull(loader.next(), "no thread reads any more");
    probe.silent = true;
    int before = probe.reads.get();
    loader.start(0, 0);
    while (probe.reads.get() == before) Thread.onSpinWait();   // behind this a thread waits for the disk
    int[] asked = {0};
    loader.await(() -> ++asked[0] == 3);
    assertEquals(3, asked[0]);
    assertTrue(loader.stallNanos() > 0);
    long begin = System.nanoTime();
    loader.close();
    assertTrue(System.nanoTime() - begin > 4e9, "closed before its threads could end");
    probe.silent = false;
    assertThrows(IllegalStateException.class, loader::next);
  }

  @Test void aDiskThatDoesNotAnswerIsSaidOnce() {
    Probe probe = new Probe(24);
    Heard heard = new Heard();
    try (Loader loader = new Loader(probe, Sampler.training(1, 24, 8), List.of(), 1, heard)) {
      loader.slowMillis = 20;
      probe.delayNanos = 10_000_000;
      probe.consumer = Thread.currentThread();
      assertEquals(3, epoch(loader, 0, 0).size());
      assertEquals(1, heard.lines.size(), heard.lines.toString());
      assertEquals("No batch of probe for 0.02 seconds: the disk is slow or does not answer (said once)", heard.lines.getFirst(), "training, or a prediction");
    }
  }

  /** The log of a run that is killed in the middle of epochs and resumed: every id exactly once an epoch, for any number of ranks. */
  @Test void eachIdIsShownExactlyOnceAnEpochAcrossResumptionsAndRanks() {
    int size = 157;
    java.util.Random random = new java.util.Random(6);
    for (int world : new int[] {1, 3}) {
      for (int epoch = 0; epoch < 3; epoch++) {
        List<Long> log = new ArrayList<>();
        for (int rank = 0; rank < world; rank++) {
          Sampler sampler = new Sampler(5, size, 12, true, false, rank, world);
          int from = 0;
          while (from < sampler.batches()) {
            int until = Math.min(sampler.batches(), from + 1 + random.nextInt(6));
            try (Loader loader = new Loader(new Probe(size), sampler, Augmentation.cifar(), 2)) {
              loader.start(epoch, from);
              for (; from < until; from++) {
                ImageBatch batch = loader.next();
                for (int i = 0; i < batch.count(); i++) log.add(batch.sampleIds()[i]);
              }
              assertEquals(from, loader.position(), "what a checkpoint keeps, though more was prepared");
            }
          }
        }
        assertEquals(size, log.size());
        assertEquals(size, new HashSet<>(log).size());
      }
    }
  }

  /** One thread, so that what is asked for and what is read have an order. */
  @Test void chunksAreAskedForOnceAWindowBeforeTheirImagesAreRead() {
    Sampler sampler = new Sampler(4, 203, 20, true, false, 0, 1, 8, 48);
    for (int from : new int[] {0, 5, 7}) {
      Probe probe = new Probe(203);
      try (Loader loader = new Loader(probe, sampler, List.of(), 1)) {
        assertEquals(11 - from, epoch(loader, 1, from).size());
      }
      assertEquals(Set.of(), probe.unasked, "from batch " + from);
      List<Integer> chunks = new ArrayList<>();
      for (int i = 0; i < probe.asked.size(); i += 2) {
        chunks.add(probe.asked.get(i) / 8);
        assertEquals(Math.min(203, probe.asked.get(i) + 8), probe.asked.get(i + 1));
      }
      assertEquals(Arrays.stream(sampler.chunks(1)).skip(from * 20 / 48 * 48 / 8).boxed().toList(), chunks, "from the beginning of the window in which batch " + from + " begins");
    }
    Probe paused = new Probe(4000);
    try (Loader loader = new Loader(paused, new Sampler(4, 4000, 20, true, false, 0, 1, 8, 400), List.of(), 1)) {
      loader.start(0, 0);
      loader.next();
      int chunksAhead = (6 * 20 + 400) / 8 + 2;
      assertTrue(paused.asked.size() / 2 <= chunksAhead, paused.asked.size() / 2 + " chunks asked for, the loader is at most 5 batches ahead");
    }
    Probe random = new Probe(203);
    try (Loader loader = new Loader(random, Sampler.training(4, 203, 20), List.of(), 1)) {
      epoch(loader, 1, 0);
    }
    assertEquals(List.of(), random.asked, "images of a random order are not read ahead");
  }

  /** In the second epoch a batch is asked for when images of one behind it are being read. */
  @Test void theStallShareIsThatOfTheEpochInProgress() throws InterruptedException {
    Probe probe = new Probe(64);
    probe.delayNanos = 2_000_000;
    probe.consumer = Thread.currentThread();
    try (Loader loader = new Loader(probe, Sampler.training(0, 64, 8), List.of(), 1)) {
      long begin = System.nanoTime();
      loader.start(0, 0);
      for (int i = 0; i < 8; i++) loader.next();
      double slow = loader.stallShare(), took = System.nanoTime() - begin;
      assertTrue(slow > 8 * 15e6 / took && slow <= 1, slow + " of " + took / 1e6 + " ms is waiting for a disk that takes 16 ms a batch");
      probe.consumer = null;
      probe.delayNanos = 0;
      probe.reads.set(0);
      loader.start(1, 0);
      for (int i = 0; i < 7; i++) {
        while (probe.reads.get() <= (i + 1) * 8) Thread.sleep(1);
        loader.next();
      }
      assertEquals(0, loader.stallShare(), "of an epoch whose batches wait");
    }
  }
}
