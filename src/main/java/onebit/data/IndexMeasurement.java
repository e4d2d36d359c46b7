package onebit.data;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * How long a data set of so many images takes to open, and how much heap: its index read and checked, the size of every shard looked at, every
 * class read, the order of an epoch drawn. The shards are files of the right length without content.
 *
 * <pre>
 * Units  peakHeapBytes: the sum of the most that each part of the heap held meanwhile, which is no less than the heap held at any time
 * </pre>
 */
public record IndexMeasurement(int images, int shards, double seconds, long peakHeapBytes) {
  private static final int IMAGES_PER_SHARD = 1300, IMAGE_BYTES = 110_000, CLASSES = 1000;

  /** Writes an index into a temporary folder, opens it, and removes the folder. */
  public static IndexMeasurement of(int images) throws IOException {
    Path folder = Files.createTempDirectory("onebit-index");
    try {
      int shards = write(folder, images);
      List<MemoryPoolMXBean> heap = ManagementFactory.getMemoryPoolMXBeans().stream().filter(p -> p.getType() == MemoryType.HEAP).toList();
      System.gc();
      heap.forEach(MemoryPoolMXBean::resetPeakUsage);
      long begin = System.nanoTime();
      ShardDataset dataset = ShardDataset.find(folder, Split.TRAIN, 224);
      int[] counts = new int[CLASSES];
      for (int image : Sampler.training(1, dataset.size(), 1).order(0)) counts[dataset.label(image)]++;
      double seconds = (System.nanoTime() - begin) / 1e9;
      long peak = heap.stream().mapToLong(p -> p.getPeakUsage().getUsed()).sum();
      if (IntStream.of(counts).sum() != images) throw new IllegalStateException("the index of " + images + " images gave " + IntStream.of(counts).sum());
      return new IndexMeasurement(images, shards, seconds, peak);
    } finally {
      try (Stream<Path> all = Files.walk(folder)) {
        for (Path file : all.sorted(Comparator.reverseOrder()).toList()) Files.delete(file);
      }
    }
  }

  private static int write(Path folder, int images) throws IOException {
    List<String> classes = IntStream.range(0, CLASSES).mapToObj(c -> String.format(Locale.ROOT, "n%08d", c)).toList();
    List<ShardIndex> parts = new ArrayList<>();
    for (int from = 0; from < images; from += IMAGES_PER_SHARD) {
      int some = Math.min(IMAGES_PER_SHARD, images - from), label = from / IMAGES_PER_SHARD % CLASSES;
      String name = String.format(Locale.ROOT, "train-%05d.tar", parts.size());
      long bytes = (long) some * IMAGE_BYTES;
      List<ShardIndex.Image> all = new ArrayList<>();
      for (int i = 0; i < some; i++) all.add(new ShardIndex.Image((long) i * IMAGE_BYTES + 512, IMAGE_BYTES - 512, label, i));
      parts.add(ShardIndex.of("measured", name, bytes, classes, all));
      try (RandomAccessFile file = new RandomAccessFile(folder.resolve(name).toFile(), "rw")) {
        file.setLength(bytes);
      }
    }
    ShardIndex.joined(parts).write(folder.resolve("train.index"));
    return parts.size();
  }
}
