package onebit.data;

import java.util.stream.IntStream;

/**
 * 28x28 grey images of hand-like digits that the program draws itself: 60,000 to learn from and 10,000 to judge on.
 *
 * <p>Image i of a split is a function of (seed, split, i); its class is i mod 10. The two splits draw from different random
 * streams, so no image is in both. All images are drawn together by all cores at the first read.
 */
public final class GlyphDataset extends SquareDataset {
  public static final int TRAIN_SIZE = 60_000;
  public static final int TEST_SIZE = 10_000;
  static final int SIDE = 28;
  private static final int BYTES = SIDE * SIDE;
  private static final int CHUNK = 250;

  private final long seed;
  private final Split split;
  private volatile byte[] pixels;

  public GlyphDataset(long seed, Split split) {
    this(seed, split, split == Split.TRAIN ? TRAIN_SIZE : TEST_SIZE);
  }

  /** The first {@code size} images of a split. */
  public GlyphDataset(long seed, Split split, int size) {
    if (size < 1 || size > 1_000_000) throw new IllegalArgumentException("GlyphDataset: size " + size + " must be in [1, 1000000]");
    super("glyphs", size, SIDE, 1, 10);
    this.seed = seed;
    this.split = split;
  }

  private byte[] pixels() {
    byte[] drawn = pixels;
    if (drawn != null) return drawn;
    synchronized (this) {
      if (pixels == null) {
        byte[] all = new byte[size() * BYTES];
        int stream = split == Split.TRAIN ? CounterRandom.GLYPH_TRAIN : CounterRandom.GLYPH_TEST;
        IntStream.range(0, (size() + CHUNK - 1) / CHUNK).parallel().forEach(chunk -> {
          GlyphRenderer renderer = new GlyphRenderer();
          for (int i = chunk * CHUNK; i < Math.min(size(), (chunk + 1) * CHUNK); i++) {
            renderer.draw(label(i), seed, i, stream, all, i * BYTES);
          }
        });
        pixels = all;
      }
      return pixels;
    }
  }

  @Override public int label(int index) {
    return index % 10;
  }

  @Override public void read(int index, byte[] into, int offset) {
    System.arraycopy(pixels(), index * BYTES, into, offset, BYTES);
  }
}
