package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class Cifar10DatasetTest {
  /** Records whose pixel (y, x) of channel c is 3y + x + 50c + label. */
  static byte[] batch(int... labels) {
    byte[] batch = new byte[labels.length * 3073];
    for (int i = 0; i < labels.length; i++) {
      batch[i * 3073] = (byte) labels[i];
      for (int c = 0; c < 3; c++) {
        for (int p = 0; p < 1024; p++) batch[i * 3073 + 1 + c * 1024 + p] = (byte) (p / 32 * 3 + p % 32 + 50 * c + labels[i]);
      }
    }
    return batch;
  }

  @Test void planesBecomeChannelsLast() throws IOException {
    Cifar10Dataset dataset = Cifar10Dataset.parse("cifar10", List.of("a", "b"), List.of(batch(3, 7), batch(9)));
    assertEquals(3, dataset.size());
    assertEquals(9, dataset.label(2));
    byte[] image = new byte[3072];
    dataset.read(1, image, 0);
    for (int y = 0; y < 32; y++) {
      for (int x = 0; x < 32; x++) {
        for (int c = 0; c < 3; c++) assertEquals((byte) (3 * y + x + 50 * c + 7), image[(y * 32 + x) * 3 + c]);
      }
    }
  }

  @Test void theFolderOfTheArchiveIsFoundInside(@TempDir Path dir) throws IOException {
    Path inside = Files.createDirectory(dir.resolve("cifar-10-batches-bin"));
    for (String file : Cifar10Dataset.TRAIN_FILES) Files.write(inside.resolve(file), batch(1, 2));
    Files.write(inside.resolve("test_batch.bin"), batch(5));
    assertEquals(10, Datasets.open("cifar10", dir, Split.TRAIN).size());
    assertEquals(5, Datasets.open("cifar10", inside, Split.TEST).label(0));
    Files.write(inside.resolve("data_batch_4.bin"), batch(1));
    String message = assertThrows(IOException.class, () -> Datasets.open("cifar10", dir, Split.TRAIN)).getMessage();
    assertTrue(message.contains("data_batch_4.bin") && message.contains("equally long"), message);
  }

  @Test void wrongSizesAndLabelsAreRefused() {
    List<String> file = List.of("data_batch_1.bin");
    for (int bytes : new int[] {0, 1, 3072, 3074}) {
      String message = assertThrows(IOException.class, () -> Cifar10Dataset.parse("c", file, List.of(new byte[bytes]))).getMessage();
      assertTrue(message.contains("data_batch_1.bin") && message.contains(bytes + " bytes") && message.contains("3073"), message);
    }
    String message = assertThrows(IOException.class, () -> Cifar10Dataset.parse("c", file, List.of(batch(1, 10)))).getMessage();
    assertTrue(message.contains("label 10 of record 1"), message);
  }

  @Test void theRealBatchesAreRead() throws Exception {
    Path dir = RestoredCifar10.folder();
    Cifar10Dataset train = Cifar10Dataset.open(dir, Split.TRAIN);
    Cifar10Dataset test = Cifar10Dataset.open(dir, Split.TEST);
    assertEquals(50_000, train.size());
    assertEquals(10_000, test.size());
    int[] perClass = new int[10];
    for (int i = 0; i < 50_000; i++) perClass[train.label(i)]++;
    assertArrayEquals(new int[] {5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000}, perClass);
    double[] mean = new double[3];
    byte[] image = new byte[3072];
    for (int i = 0; i < 50_000; i++) {
      train.read(i, image, 0);
      for (int p = 0; p < 3072; p++) mean[p % 3] += image[p] & 255;
    }
    for (int c = 0; c < 3; c++) mean[c] /= 255.0 * 1024 * 50_000;
    assertArrayEquals(new double[] {0.4914, 0.4822, 0.4465}, mean, 0.0001, "the published channel means");
  }
}
