package onebit.data;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/** Any bytes give a data set that can be read whole, or an IOException that names the file; nothing else. */
class ReaderFuzzTest {
  private static final Path TEMPORARY = temporary();

  private static Path temporary() {
    try {
      Path folder = Files.createTempDirectory("onebit-fuzz");
      Runtime.getRuntime().addShutdownHook(new Thread(() -> {
        try (Stream<Path> all = Files.walk(folder)) {
          for (Path path : all.sorted(Comparator.reverseOrder()).toList()) Files.delete(path);
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }));
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The first two bytes say how many of the others are the images; the rest are the labels. */
  @FuzzTest(maxDuration = "5m")
  void idxFilesAreReadOrRefused(byte[] data) {
    if (data.length < 2) return;
    int cut = 2 + Math.min((data[0] & 255) << 8 | data[1] & 255, data.length - 2);
    byte[] images = Arrays.copyOfRange(data, 2, cut);
    byte[] labels = Arrays.copyOfRange(data, cut, data.length);
    try {
      readWhole(IdxDataset.parse("fuzz", "images.idx", images, "labels.idx", labels, 10));
    } catch (IOException e) {
      requireNamed(e, "images.idx", "labels.idx");
    }
  }

  @FuzzTest(maxDuration = "5m")
  void cifarBatchesAreReadOrRefused(byte[] data) {
    int half = data.length / 3073 / 2 * 3073;
    try {
      readWhole(Cifar10Dataset.parse("fuzz", List.of("one.bin"), List.of(data)));
      if (half > 0) {
        readWhole(Cifar10Dataset.parse("fuzz", List.of("one.bin", "two.bin"), List.of(Arrays.copyOf(data, half), Arrays.copyOfRange(data, half, data.length))));
      }
    } catch (IOException e) {
      requireNamed(e, "one.bin", "two.bin");
    }
  }

  @FuzzTest(maxDuration = "5m")
  void tarArchivesAreReadOrRefused(byte[] data) throws IOException {
    Path file = Files.write(TEMPORARY.resolve("fuzz.tar"), data);
    try (FileChannel channel = FileChannel.open(file)) {
      walk(TarReader.of("fuzz.tar", new ByteArrayInputStream(data)));
      walk(TarReader.of("fuzz.tar", channel, 0, data.length));
    } catch (IOException e) {
      requireNamed(e, "fuzz.tar");
    }
    try {
      readWhole(ShardDataset.scanned(TEMPORARY, List.of(file), 8));
    } catch (IOException e) {
      requireNamed(e, "fuzz.tar", TEMPORARY.toString());
    }
  }

  private static void walk(TarReader tar) throws IOException {
    for (TarReader.Entry entry = tar.next(); entry != null; entry = tar.next()) if (entry.size() < 1000) tar.contents(entry, 1000);
  }

  /** The data between a right magic and a right checksum, so that the parser behind them is reached. */
  @FuzzTest(maxDuration = "5m")
  void shardIndexesAreReadOrRefused(byte[] data) {
    byte[] magic = "onebit shards 1\n".getBytes(StandardCharsets.US_ASCII);
    ByteBuffer whole = ByteBuffer.allocate(magic.length + data.length + 4).put(magic).put(data);
    CRC32C crc = new CRC32C();
    crc.update(whole.array(), 0, whole.position());
    whole.putInt((int) crc.getValue());
    try {
      ShardIndex index = ShardIndex.parse("fuzz.index", whole.array());
      for (int i = 0; i < index.size(); i++) {
        ShardIndex.Shard shard = index.shards.get(index.shardOf(i));
        if (index.at[i] + index.length[i] > shard.bytes() || index.label[i] >= index.classes.size()) throw new AssertionError("image " + i + " cannot be");
      }
    } catch (IOException e) {
      requireNamed(e, "fuzz.index");
    }
  }

  @FuzzTest(maxDuration = "5m")
  void listsOfLabelsAreReadOrRefused(byte[] data) throws IOException {
    Path list = Files.write(TEMPORARY.resolve("labels.txt"), data);
    try {
      for (int label : ValidationLabels.read(list, List.of("n01440764", "n02119789"), 3)) if (label < 0 || label > 1) throw new AssertionError("label " + label);
    } catch (IOException e) {
      requireNamed(e, "labels.txt");
    }
    try {
      MatStructs.read("meta.mat", data, "ILSVRC2012_ID", "WNID");
    } catch (IOException e) {
      requireNamed(e, "meta.mat");
    }
    Files.createDirectories(TEMPORARY.resolve("tiny/train/n01440764/images"));
    Files.createDirectories(TEMPORARY.resolve("tiny/val"));
    Files.write(TEMPORARY.resolve("tiny/val/val_annotations.txt"), data);
    try {
      ImageFolderDataset tiny = ImageFolderDataset.open(TEMPORARY.resolve("tiny"), Split.TEST, 8);
      for (int i = 0; i < tiny.size(); i++) if (tiny.label(i) != 0 || !tiny.file(i).startsWith(TEMPORARY.resolve("tiny/val/images"))) throw new AssertionError(tiny.file(i).toString());
    } catch (IOException e) {
      requireNamed(e, "val_annotations.txt");
    }
  }

  @FuzzTest(maxDuration = "5m")
  void imagesAreDecodedOrRefused(byte[] data) throws IOException {
    try {
      new ImageDecoder().decode("fuzz.jpg", data, new Picture());
    } catch (BadImageException e) {
      requireNamed(e, "fuzz.jpg");
    }
  }

  private static void readWhole(Dataset dataset) throws IOException {
    byte[] image = new byte[dataset.imageBytes()];
    for (int i = 0; i < dataset.size(); i++) {
      dataset.read(i, image, 0);
      if (dataset.label(i) < 0 || dataset.label(i) >= dataset.classes()) throw new AssertionError("label " + dataset.label(i));
    }
  }

  private static void requireNamed(IOException e, String... files) {
    if (Arrays.stream(files).noneMatch(f -> e.getMessage() != null && e.getMessage().contains(f))) throw new AssertionError("no file named", e);
  }
}
