package onebit.data;

/**
 * Random images of any shape, each a pure function of (seed, index): for dry runs where no data is at hand.
 *
 * <p>A class brightens the image by a little, so that a loss on them can fall.
 */
public record GeneratedDataset(String name, int size, int height, int width, int channels, int classes, long seed)
    implements Dataset {
  public GeneratedDataset {
    if (size < 1 || height < 1 || width < 1 || channels < 1 || classes < 1) {
      throw new IllegalArgumentException("GeneratedDataset: " + size + " images of " + height + "x" + width + "x" + channels
          + " in " + classes + " classes must all be positive");
    }
    Math.multiplyExact(Math.multiplyExact(height, width), channels);
  }

  @Override public int label(int index) {
    requireIndex(index);
    return (int) ((CounterRandom.bits(seed, 0, index, CounterRandom.GENERATED) & 0xFFFFFFFFL) * classes >>> 32);
  }

  @Override public void read(int index, byte[] into, int offset) {
    int brighter = label(index) * 64 / classes;
    int[] block = new int[4];
    int bytes = imageBytes();
    for (int i = 0, draw = 1; i < bytes; i += 16, draw++) {
      CounterRandom.philox(draw, index, 0, CounterRandom.GENERATED, (int) seed, (int) (seed >>> 32), block);
      int end = Math.min(16, bytes - i);
      for (int b = 0; b < end; b++) {
        int level = block[b >> 2] >>> (b & 3) * 8 & 255;
        into[offset + i + b] = (byte) (brighter + level * 191 / 255);
      }
    }
  }

  private void requireIndex(int index) {
    if (index < 0 || index >= size) throw new IndexOutOfBoundsException(name + ": sample " + index + " must be in [0, " + size + ")");
  }
}
