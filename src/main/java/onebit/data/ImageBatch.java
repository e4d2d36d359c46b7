package onebit.data;

/**
 * A batch of labelled images in buffers that are filled again and again.
 *
 * <pre>
 * Shapes    pixels N,H,W,C; labels N; sampleIds N; boxes N or none; only the first count images are valid
 * Encoding  uint8
 * </pre>
 */
public final class ImageBatch {
  private final byte[] pixels;
  private final int[] labels;
  private final long[] sampleIds;
  private final Boxes[] boxes;
  private final int height;
  private final int width;
  private final int channels;
  private int count;

  public ImageBatch(int capacity, int height, int width, int channels) {
    this(capacity, height, width, channels, false);
  }

  /** The same, with room for boxes if the images have some. */
  public ImageBatch(int capacity, int height, int width, int channels, boolean withBoxes) {
    if (capacity < 1 || height < 1 || width < 1 || channels < 1) {
      throw new IllegalArgumentException(
          "ImageBatch: shape " + capacity + "x" + height + "x" + width + "x" + channels + " must be positive");
    }
    long bytes = (long) capacity * height * width * channels;
    if (bytes > Integer.MAX_VALUE - 16) {
      throw new IllegalArgumentException("ImageBatch: " + bytes + " bytes do not fit one array; use a smaller batch");
    }
    this.pixels = new byte[(int) bytes];
    this.labels = new int[capacity];
    this.sampleIds = new long[capacity];
    this.boxes = new Boxes[withBoxes ? capacity : 0];
    for (int i = 0; i < boxes.length; i++) boxes[i] = new Boxes();
    this.height = height;
    this.width = width;
    this.channels = channels;
  }

  public byte[] pixels() {
    return pixels;
  }

  public int[] labels() {
    return labels;
  }

  /** The index in the data set of each image, before augmentation. */
  public long[] sampleIds() {
    return sampleIds;
  }

  /** The boxes of each image, after augmentation; empty where the data set has none. */
  public Boxes[] boxes() {
    return boxes;
  }

  public int count() {
    return count;
  }

  public int capacity() {
    return labels.length;
  }

  public int height() {
    return height;
  }

  public int width() {
    return width;
  }

  public int channels() {
    return channels;
  }

  /** Bytes of one image; image i begins at {@code i * imageBytes()}. */
  public int imageBytes() {
    return height * width * channels;
  }

  /** Says how many images are valid. */
  public void count(int count) {
    if (count < 0 || count > labels.length) {
      throw new IllegalArgumentException("ImageBatch: count " + count + " must be in [0, " + labels.length + "]");
    }
    this.count = count;
  }
}
