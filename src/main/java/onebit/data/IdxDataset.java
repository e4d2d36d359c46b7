package onebit.data;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.zip.GZIPInputStream;

/**
 * MNIST and Fashion-MNIST from their IDX files, gzipped or not, held in memory.
 *
 * <pre>
 * images := 00 00 08 03, int32 N, int32 H, int32 W, N*H*W bytes      labels := 00 00 08 01, int32 N, N bytes
 * </pre>
 *
 * <p>Numbers are big endian; the file ends where the last value ends; a label is in [0, classes).
 */
public final class IdxDataset implements Dataset {
  private static final int IMAGES = 0x00000803;
  private static final int LABELS = 0x00000801;
  /** Deflate cannot make more than this many bytes of one. */
  private static final long DEFLATE_LIMIT = 1032;
  private static final int MAX_SIDE = 4096;

  private final String name;
  private final byte[] pixels;
  private final byte[] labels;
  private final int height;
  private final int width;
  private final int classes;

  private record Values(int[] dimensions, byte[] bytes) {}

  private IdxDataset(String name, Values images, Values labels, int classes) {
    this.name = name;
    this.pixels = images.bytes();
    this.labels = labels.bytes();
    this.height = images.dimensions()[1];
    this.width = images.dimensions()[2];
    this.classes = classes;
  }

  /** Reads {@code train-images-idx3-ubyte} and its labels, or {@code t10k-...}, each with or without {@code .gz}. */
  public static IdxDataset open(String name, Path dir, Split split) throws IOException {
    String prefix = split == Split.TRAIN ? "train" : "t10k";
    Path images = find(name, dir, prefix + "-images-idx3-ubyte");
    Path labels = find(name, dir, prefix + "-labels-idx1-ubyte");
    return parse(name, images.toString(), Files.readAllBytes(images), labels.toString(), Files.readAllBytes(labels), 10);
  }

  /** Reads the contents of two files; their names appear in messages only. */
  public static IdxDataset parse(
      String name, String imageFile, byte[] images, String labelFile, byte[] labels, int classes) throws IOException {
    Values x = read(imageFile, images, IMAGES, 3);
    Values t = read(labelFile, labels, LABELS, 1);
    if (x.dimensions()[0] != t.dimensions()[0]) {
      throw new IOException(imageFile + " has " + x.dimensions()[0] + " images, " + labelFile + " has "
          + t.dimensions()[0] + " labels; they must be equal");
    }
    for (int i = 0; i < t.bytes().length; i++) {
      if ((t.bytes()[i] & 255) >= classes) {
        throw new IOException(labelFile + ": label " + (t.bytes()[i] & 255) + " of sample " + i + " must be less than " + classes);
      }
    }
    return new IdxDataset(name, x, t, classes);
  }

  private static Path find(String name, Path dir, String file) throws IOException {
    for (String spelled : new String[] {file, file + ".gz"}) {
      if (Files.isRegularFile(dir.resolve(spelled))) return dir.resolve(spelled);
    }
    throw Datasets.missing(name, dir, file + "[.gz]");
  }

  private static Values read(String file, byte[] content, int magic, int rank) throws IOException {
    boolean zipped = content.length > 1 && (content[0] & 255) == 0x1F && (content[1] & 255) == 0x8B;
    try (InputStream in = zipped ? new GZIPInputStream(new ByteArrayInputStream(content)) : new ByteArrayInputStream(content)) {
      int found = int32(in, file);
      if (found != magic) {
        throw new IOException(String.format(Locale.ROOT, "%s: magic number is 0x%08x, an IDX file of bytes with %d dimensions has 0x%08x", file, found, rank, magic));
      }
      int[] dimensions = new int[rank];
      long values = 1;
      for (int i = 0; i < rank; i++) {
        dimensions[i] = int32(in, file);
        int most = i == 0 ? Integer.MAX_VALUE : MAX_SIDE;
        if (dimensions[i] < 1 || dimensions[i] > most) {
          throw new IOException(file + ": dimension " + i + " is " + dimensions[i] + "; it must be in [1, " + most + "]");
        }
        values *= dimensions[i];
        if (values > Integer.MAX_VALUE - 16) throw new IOException(file + ": " + values + " values are more than one array can hold");
      }
      long possible = zipped ? content.length * DEFLATE_LIMIT : content.length - 4L * (1 + rank);
      if (values > possible) {
        throw new IOException(file + ": the header promises " + values + " values, " + content.length + " bytes cannot hold them");
      }
      byte[] bytes = in.readNBytes((int) values);
      if (bytes.length != values) {
        throw new IOException(file + ": the header promises " + values + " values, the file ends after " + bytes.length);
      }
      if (in.read() != -1) throw new IOException(file + ": has bytes after its " + values + " values");
      return new Values(dimensions, bytes);
    } catch (EOFException | java.util.zip.ZipException e) {
      throw new IOException(file + ": the file is cut short or is not gzip: " + e.getMessage(), e);
    }
  }

  private static int int32(InputStream in, String file) throws IOException {
    byte[] b = in.readNBytes(4);
    if (b.length < 4) throw new IOException(file + ": the file ends inside its header");
    return (b[0] & 255) << 24 | (b[1] & 255) << 16 | (b[2] & 255) << 8 | b[3] & 255;
  }

  @Override public String name() {
    return name;
  }

  @Override public int size() {
    return labels.length;
  }

  @Override public int height() {
    return height;
  }

  @Override public int width() {
    return width;
  }

  @Override public int channels() {
    return 1;
  }

  @Override public int classes() {
    return classes;
  }

  @Override public int label(int index) {
    return labels[index];
  }

  @Override public void read(int index, byte[] into, int offset) {
    System.arraycopy(pixels, index * imageBytes(), into, offset, imageBytes());
  }
}
