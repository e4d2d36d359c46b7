package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IdxDatasetTest {
  static byte[] images(int n, int h, int w) {
    ByteBuffer b = ByteBuffer.allocate(16 + n * h * w).putInt(0x803).putInt(n).putInt(h).putInt(w);
    while (b.hasRemaining()) b.put((byte) (b.position() * 7));
    return b.array();
  }

  static byte[] labels(int... labels) {
    ByteBuffer b = ByteBuffer.allocate(8 + labels.length).putInt(0x801).putInt(labels.length);
    for (int label : labels) b.put((byte) label);
    return b.array();
  }

  static byte[] gzip(byte[] content) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (GZIPOutputStream zip = new GZIPOutputStream(out)) {
      zip.write(content);
    }
    return out.toByteArray();
  }

  private static IdxDataset parse(byte[] images, byte[] labels) throws IOException {
    return IdxDataset.parse("tiny", "images", images, "labels", labels, 10);
  }

  private static void refused(byte[] images, byte[] labels, String... words) {
    String message = assertThrows(IOException.class, () -> parse(images, labels)).getMessage();
    for (String word : words) assertTrue(message.contains(word), message);
  }

  @Test void zippedAndPlainFilesAreTheSame(@TempDir Path dir) throws IOException {
    byte[] images = images(3, 4, 5);
    Files.write(dir.resolve("train-images-idx3-ubyte"), images);
    Files.write(dir.resolve("train-labels-idx1-ubyte.gz"), gzip(labels(9, 0, 4)));
    Files.write(dir.resolve("t10k-images-idx3-ubyte.gz"), gzip(images));
    Files.write(dir.resolve("t10k-labels-idx1-ubyte"), labels(1, 2, 3));
    for (Split split : Split.values()) {
      Dataset dataset = Datasets.open("mnist", dir, split);
      assertEquals(3, dataset.size());
      assertEquals(4, dataset.height());
      assertEquals(5, dataset.width());
      assertEquals(split == Split.TRAIN ? 9 : 1, dataset.label(0));
      byte[] image = new byte[22];
      dataset.read(2, image, 2);
      assertArrayEquals(Arrays.copyOfRange(images, 56, 76), Arrays.copyOfRange(image, 2, 22));
    }
  }

  @Test void wrongHeadersAreRefusedByFileValueAndRule() throws IOException {
    byte[] good = images(2, 2, 2);
    byte[] two = labels(1, 2);
    refused(two, two, "images", "0x00000801", "0x00000803");
    refused(good, good, "labels", "0x00000803");
    refused(good, labels(1, 2, 3), "2 images", "3 labels");
    refused(good, labels(1, 10), "label 10 of sample 1", "less than 10");
    refused(Arrays.copyOf(good, good.length - 1), two, "images");
    refused(Arrays.copyOf(good, good.length + 1), two, "after its 8 values");
    refused(Arrays.copyOf(good, 9), two, "ends inside its header");
    refused(gzip(Arrays.copyOf(good, good.length - 1)), two, "promises 8 values", "after 7");
    refused(gzip(Arrays.copyOf(good, good.length + 1)), two, "after its 8 values");
    byte[] zipped = gzip(good);
    refused(Arrays.copyOf(zipped, zipped.length - 12), two, "images");
    byte[] flipped = zipped.clone();
    flipped[flipped.length - 6] ^= 1;
    refused(flipped, two, "images");
  }

  @Test void aHeaderCannotMakeUsAllocateMoreThanItsFileJustifies() throws IOException {
    byte[] huge = ByteBuffer.allocate(16).putInt(0x803).putInt(60_000).putInt(1000).putInt(30).array();
    refused(huge, labels(1), "promises 1800000000 values");
    refused(gzip(huge), labels(1), "promises 1800000000 values");
    refused(ByteBuffer.allocate(16).putInt(0x803).putInt(-1).putInt(2).putInt(2).array(), labels(1), "dimension 0 is -1");
    refused(ByteBuffer.allocate(16).putInt(0x803).putInt(1 << 30).putInt(4096).putInt(4096).array(), labels(1), "more than one array");
  }

  @Test void theRealFilesOfMnistAreRead() throws IOException {
    Path dir = Path.of("../shared/data/mnist");
    assumeTrue(Files.isDirectory(dir), "needs the real files in ../shared/data/mnist");
    IdxDataset train = IdxDataset.open("mnist", dir, Split.TRAIN);
    IdxDataset test = IdxDataset.open("mnist", dir, Split.TEST);
    assertEquals(60_000, train.size());
    assertEquals(10_000, test.size());
    int[] first = new int[10];
    for (int i = 0; i < 10; i++) first[i] = train.label(i);
    assertArrayEquals(new int[] {5, 0, 4, 1, 9, 2, 1, 3, 1, 4}, first);
    long sum = 0;
    byte[] image = new byte[784];
    for (int i = 0; i < train.size(); i++) {
      train.read(i, image, 0);
      for (byte b : image) sum += b & 255;
    }
    assertEquals(0.1307, sum / 255.0 / 784 / 60_000, 0.00005, "the published mean of the training pixels");
  }
}
