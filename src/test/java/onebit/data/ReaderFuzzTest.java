package onebit.data;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/** Any bytes give a data set that can be read whole, or an IOException that names the file; nothing else. */
class ReaderFuzzTest {
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
