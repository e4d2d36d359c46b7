package onebit.data;

/**
 * word = Philox4x32-10(counter = (draw / 4, sample, epoch, stream), key = seed)[draw % 4]: random numbers without a history.
 *
 * <p>The static methods are pure functions. An instance is a cursor over the draws of one (seed, epoch, sample, stream); it
 * is reused by {@link #reset}, gives the same words in order, and allocates nothing.
 *
 * <pre>
 * Encoding  every word is uniform in [0, 2^32); a double takes 32 bits, a float 24
 * Source    Salmon et al. 2011 (Parallel Random Numbers: As Easy as 1, 2, 3, SC'11), section 4.3
 * </pre>
 */
public final class CounterRandom {
  /** Streams keep purposes apart: one key and sample give unrelated numbers in each. */
  public static final int ORDER = 1;
  public static final int AUGMENT = 2;
  public static final int GENERATED = 3;
  public static final int GLYPH_TRAIN = 4;
  public static final int GLYPH_TEST = 5;
  public static final int REPLACEMENT = 6;
  public static final int FIGURE_TRAIN = 7;
  public static final int FIGURE_TEST = 8;

  private static final long MULTIPLIER_0 = 0xD2511F53L;
  private static final long MULTIPLIER_1 = 0xCD9E8D57L;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;
  private static final long LOW = 0xFFFFFFFFL;

  private final int[] block = new int[4];
  private long seed;
  private int epoch;
  private long sample;
  private int stream;
  private int draw;
  private double spareGaussian = Double.NaN;

  /** Writes the four words of one Philox4x32-10 block. */
  public static void philox(int c0, int c1, int c2, int c3, int k0, int k1, int[] into) {
    for (int round = 0; round < 10; round++) {
      long p0 = MULTIPLIER_0 * (c0 & LOW);
      long p1 = MULTIPLIER_1 * (c2 & LOW);
      c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      c1 = (int) p1;
      c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c3 = (int) p0;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    into[0] = c0;
    into[1] = c1;
    into[2] = c2;
    into[3] = c3;
  }

  /** The first two words of (seed, epoch, sample, stream) as one number, the first one low. */
  public static long bits(long seed, int epoch, long sample, int stream) {
    requireSample(sample);
    int c0 = 0;
    int c1 = (int) sample;
    int c2 = epoch;
    int c3 = stream;
    int k0 = (int) seed;
    int k1 = (int) (seed >>> 32);
    for (int round = 0; round < 10; round++) {
      long p0 = MULTIPLIER_0 * (c0 & LOW);
      long p1 = MULTIPLIER_1 * (c2 & LOW);
      c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      c1 = (int) p1;
      c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c3 = (int) p0;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    return (c0 & LOW) | (long) c1 << 32;
  }

  /** A number in [0, 1) with 24 bits: the first draw of (seed, epoch, sample, stream). */
  public static float uniform(long seed, int epoch, long sample, int stream) {
    return ((int) bits(seed, epoch, sample, stream) >>> 8) * 0x1p-24f;
  }

  /** Puts the cursor before the first draw of (seed, epoch, sample, stream). */
  public CounterRandom reset(long seed, int epoch, long sample, int stream) {
    requireSample(sample);
    this.seed = seed;
    this.epoch = epoch;
    this.sample = sample;
    this.stream = stream;
    draw = 0;
    spareGaussian = Double.NaN;
    return this;
  }

  /** The next word: 32 random bits. */
  public int nextWord() {
    int at = draw & 3;
    if (at == 0) philox(draw >>> 2, (int) sample, epoch, stream, (int) seed, (int) (seed >>> 32), block);
    draw++;
    return block[at];
  }

  /** A whole number in [0, bound), each exactly as likely as any other. */
  public int nextInt(int bound) {
    if (bound < 1) throw new IllegalArgumentException("CounterRandom.nextInt: bound " + bound + " must be >= 1");
    long product = (nextWord() & LOW) * bound;
    if ((product & LOW) < bound) {
      long unfair = (1L << 32) % bound;
      while ((product & LOW) < unfair) product = (nextWord() & LOW) * bound;
    }
    return (int) (product >>> 32);
  }

  /** True or false, each as likely. */
  public boolean nextBoolean() {
    return nextWord() < 0;
  }

  /** A number in [0, 1) with 24 bits. */
  public float nextFloat() {
    return (nextWord() >>> 8) * 0x1p-24f;
  }

  /** A number in [0, 1) with 32 bits. */
  public double nextDouble() {
    return (nextWord() & LOW) * 0x1p-32;
  }

  /** A number in [low, high). */
  public double nextDouble(double low, double high) {
    return low + (high - low) * nextDouble();
  }

  /** A draw of the standard normal distribution, by Box and Muller; the same on every machine. */
  public double nextGaussian() {
    if (!Double.isNaN(spareGaussian)) {
      double spare = spareGaussian;
      spareGaussian = Double.NaN;
      return spare;
    }
    double radius = StrictMath.sqrt(-2 * StrictMath.log(((nextWord() & LOW) + 0.5) * 0x1p-32));
    double angle = 2 * StrictMath.PI * nextDouble();
    spareGaussian = radius * StrictMath.sin(angle);
    return radius * StrictMath.cos(angle);
  }

  private static void requireSample(long sample) {
    if (sample < 0 || sample > LOW) {
      throw new IllegalArgumentException("CounterRandom: sample " + sample + " must be in [0, 2^32)");
    }
  }
}
