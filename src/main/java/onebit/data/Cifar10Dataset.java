package onebit.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * CIFAR-10 from its binary batches, held in memory with the channels last.
 *
 * <pre>
 * batch := record*        record := label byte, red plane, green plane, blue plane; a plane is 32 rows of 32 bytes
 * </pre>
 */
public final class Cifar10Dataset extends SquareDataset {
  public static final List<String> TRAIN_FILES =
      List.of("data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin");
  public static final List<String> TEST_FILES = List.of("test_batch.bin");
  /** The folder inside the published archive. */
  public static final String FOLDER = "cifar-10-batches-bin";

  private static final int SIDE = 32;
  private static final int PLANE = SIDE * SIDE;
  private static final int RECORD = 1 + 3 * PLANE;
  private static final int CLASSES = 10;

  private final byte[] pixels;
  private final byte[] labels;

  private Cifar10Dataset(String name, int size) {
    super(name, size, SIDE, 3, CLASSES);
    this.pixels = new byte[Math.multiplyExact(size, 3 * PLANE)];
    this.labels = new byte[size];
  }

  /** Reads the five training batches or the test batch in DIR or in DIR/cifar-10-batches-bin. */
  public static Cifar10Dataset open(Path dir, Split split) throws IOException {
    List<String> files = split == Split.TRAIN ? TRAIN_FILES : TEST_FILES;
    Path inside = dir.resolve(FOLDER);
    Path folder = Files.isRegularFile(inside.resolve(files.getFirst())) ? inside : dir;
    List<byte[]> batches = new ArrayList<>();
    for (String file : files) {
      Path path = folder.resolve(file);
      if (!Files.isRegularFile(path)) throw Datasets.missing("cifar10", dir, file);
      byte[] batch = Files.readAllBytes(path);
      if (!batches.isEmpty() && batch.length != batches.getFirst().length) {
        throw new IOException(path + ": has " + batch.length + " bytes, " + files.getFirst() + " has "
            + batches.getFirst().length + "; the training batches must be equally long");
      }
      batches.add(batch);
    }
    return parse("cifar10", files.stream().map(f -> folder.resolve(f).toString()).toList(), batches);
  }

  /** Reads the contents of some batch files; their names appear in messages only. */
  public static Cifar10Dataset parse(String name, List<String> files, List<byte[]> batches) throws IOException {
    long size = 0;
    for (int f = 0; f < batches.size(); f++) {
      int bytes = batches.get(f).length;
      if (bytes == 0 || bytes % RECORD != 0) {
        throw new IOException(files.get(f) + ": has " + bytes + " bytes; a batch is one or more records of " + RECORD + " bytes");
      }
      size += bytes / RECORD;
    }
    if (size * 3 * PLANE > Integer.MAX_VALUE - 16) throw new IOException(name + ": " + size + " images are more than one array can hold");
    Cifar10Dataset dataset = new Cifar10Dataset(name, (int) size);
    int image = 0;
    for (int f = 0; f < batches.size(); f++) {
      byte[] batch = batches.get(f);
      for (int at = 0; at < batch.length; at += RECORD, image++) {
        int label = batch[at] & 255;
        if (label >= CLASSES) {
          throw new IOException(files.get(f) + ": label " + label + " of record " + at / RECORD + " must be less than " + CLASSES);
        }
        dataset.labels[image] = (byte) label;
        int to = image * 3 * PLANE;
        for (int i = 0; i < PLANE; i++, to += 3) {
          dataset.pixels[to] = batch[at + 1 + i];
          dataset.pixels[to + 1] = batch[at + 1 + PLANE + i];
          dataset.pixels[to + 2] = batch[at + 1 + 2 * PLANE + i];
        }
      }
    }
    return dataset;
  }

  @Override public int label(int index) {
    return labels[index];
  }

  @Override public void read(int index, byte[] into, int offset) {
    System.arraycopy(pixels, index * 3 * PLANE, into, offset, 3 * PLANE);
  }
}
