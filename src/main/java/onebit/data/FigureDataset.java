package onebit.data;

/**
 * Coloured figures on noise that the program draws itself, with their boxes: for trying detection without a download.
 *
 * <p>Image i of a split is a function of (seed, split, i, side, classes); the two splits draw from different random streams. One to four figures lie in an image
 * and hardly overlap; a class is a form with a texture, and has a colour of its own. One figure in twelve, but never the first, is faint: it is
 * difficult, and in training its box is left out.
 *
 * <pre>
 * Classes  c: form c % 5 of rectangle, ellipse, triangle, cross, frame; texture (c / 5 + c % 5) % 4 of plain, rows, columns, checks; hue 360 c / classes
 * Boxes    exact: the first pixel of a figure to one past its last, in parts of the side
 * </pre>
 */
public final class FigureDataset extends SquareDataset {
  public static final int TRAIN_SIZE = 4096;
  public static final int TEST_SIZE = 512;
  public static final int MOST_CLASSES = 20;
  private static final int LEAST_SIDE = 32, MOST_FIGURES = 4, FAINT = 12, PLACES = 10, FORMS = 5, TEXTURES = 4;

  private final long seed;
  private final Split split;

  /** All images of a split. */
  public FigureDataset(long seed, Split split, int side, int classes) {
    this(seed, split, side, classes, split == Split.TRAIN ? TRAIN_SIZE : TEST_SIZE);
  }

  /** The first {@code size} images of a split. */
  public FigureDataset(long seed, Split split, int side, int classes, int size) {
    if (side < LEAST_SIDE || side > 4096) throw new IllegalArgumentException("figures: side " + side + " must be in [" + LEAST_SIDE + ", 4096]");
    if (classes < 1 || classes > MOST_CLASSES) throw new IllegalArgumentException("figures: classes " + classes + " must be in [1, " + MOST_CLASSES + "]");
    if (size < 1 || size > 1_000_000) throw new IllegalArgumentException("figures: size " + size + " must be in [1, 1000000]");
    super("figures", size, side, 3, classes);
    this.seed = seed;
    this.split = split;
  }

  /** Where a figure lies, in pixels, and how it looks; levels of red, green and blue. */
  private record Figure(int label, boolean faint, int left, int top, int width, int height, float red, float green, float blue) {
    /** Whether a pixel belongs to the form; every form reaches all four sides of its box. */
    boolean covers(int x, int y) {
      float dx = x - left + 0.5f - width / 2f, dy = y - top + 0.5f - height / 2f, w = width / 2f, h = height / 2f;
      return switch (label % FORMS) {
        case 0 -> true;
        case 1 -> dx * dx / (w * w) + dy * dy / (h * h) <= 1;
        case 2 -> Math.abs(dx) <= Math.max(0.5f, w * (y - top + 1) / height);
        case 3 -> Math.abs(dx) <= w / 3 || Math.abs(dy) <= h / 3;
        default -> Math.abs(dx) >= 0.6f * w || Math.abs(dy) >= 0.6f * h;
      };
    }

    /** How bright the texture is at a pixel. */
    float shade(int x, int y, int period) {
      boolean row = (y - top) / period % 2 == 0, column = (x - left) / period % 2 == 0;
      boolean light = switch ((label / FORMS + label % FORMS) % TEXTURES) {
        case 0 -> true;
        case 1 -> row;
        case 2 -> column;
        default -> row == column;
      };
      return light ? 1 : 0.4f;
    }
  }

  private CounterRandom random(int index, int purpose) {
    if (index < 0 || index >= size()) throw new IndexOutOfBoundsException("figures: sample " + index + " must be in [0, " + size() + ")");
    return new CounterRandom().reset(seed, purpose, index, split == Split.TRAIN ? CounterRandom.FIGURE_TRAIN : CounterRandom.FIGURE_TEST);
  }

  private Figure[] figures(int index) {
    CounterRandom random = random(index, 0);
    Figure[] all = new Figure[1 + random.nextInt(MOST_FIGURES)];
    int count = 0;
    for (int i = 0; i < all.length; i++) {
      Figure figure = place(all, count, random);
      if (figure != null) all[count++] = figure;
    }
    return java.util.Arrays.copyOf(all, count);
  }

  /** A figure that hardly overlaps those before it, or null after ten tries. */
  private Figure place(Figure[] before, int count, CounterRandom random) {
    int label = random.nextInt(classes());
    boolean faint = random.nextInt(FAINT) == 0 && count > 0;
    double hue = (360.0 * label / classes() + random.nextDouble(-6, 6) + 360) % 360 / 60, value = random.nextDouble(190, 255);
    for (int attempt = 0; attempt < PLACES; attempt++) {
      int width = (int) (side * random.nextDouble(0.15, 0.55)), height = Math.clamp((int) (width * random.nextDouble(0.6, 1.7)), side / 8, side / 2);
      int left = random.nextInt(side - width + 1), top = random.nextInt(side - height + 1);
      boolean free = true;
      for (int i = 0; i < count; i++) {
        long common = (long) common(left, width, before[i].left, before[i].width) * common(top, height, before[i].top, before[i].height);
        free &= 8 * common <= Math.min((long) width * height, (long) before[i].width * before[i].height);
      }
      if (free) return new Figure(label, faint, left, top, width, height, (float) (value * channel(hue, 0)), (float) (value * channel(hue, 2)), (float) (value * channel(hue, 4)));
    }
    return null;
  }

  private static int common(int begin, int length, int otherBegin, int otherLength) {
    return Math.max(0, Math.min(begin + length, otherBegin + otherLength) - Math.max(begin, otherBegin));
  }

  /** One channel of a full colour, by its distance on the circle of six: 0.15 to 1. */
  private static double channel(double hue, double place) {
    double distance = Math.abs(hue - place);
    return Math.clamp(2 - Math.min(distance, 6 - distance), 0.15, 1);
  }

  @Override public void boxes(int index, Boxes into) {
    into.clear(side, side);
    float s = side;
    for (Figure f : figures(index)) {
      if (f.faint && split == Split.TRAIN) continue;
      into.add(f.label, f.faint, f.left / s, f.top / s, (f.left + f.width) / s, (f.top + f.height) / s);
    }
  }

  @Override public void read(int index, byte[] into, int offset) {
    CounterRandom random = random(index, 1);
    float ground = (float) random.nextDouble(40, 170), slopeX = (float) random.nextDouble(-40, 40) / side, slopeY = (float) random.nextDouble(-40, 40) / side;
    float[] cast = {(float) random.nextDouble(-12, 12), (float) random.nextDouble(-12, 12), (float) random.nextDouble(-12, 12)};
    float noise = (float) random.nextDouble(0.1, 0.35);
    float[] levels = new float[imageBytes()];
    for (int y = 0, at = 0; y < side; y++) {
      for (int x = 0; x < side; x++) for (int c = 0; c < 3; c++) levels[at++] = ground + slopeX * x + slopeY * y + cast[c];
    }
    int period = Math.max(2, side / 30);
    for (Figure f : figures(index)) {
      float share = f.faint ? 0.2f : 1;
      for (int y = f.top; y < f.top + f.height; y++) {
        for (int x = f.left; x < f.left + f.width; x++) {
          if (!f.covers(x, y)) continue;
          float shade = f.shade(x, y, period) * share;
          int at = (y * side + x) * 3;
          levels[at] += shade * f.red - share * levels[at];
          levels[at + 1] += shade * f.green - share * levels[at + 1];
          levels[at + 2] += shade * f.blue - share * levels[at + 2];
        }
      }
    }
    for (int at = 0; at < levels.length; at += 3) {
      int word = random.nextWord();
      for (int c = 0; c < 3; c++, word >>>= 8) into[offset + at + c] = (byte) Math.clamp(Math.round(levels[at + c] + noise * ((word & 255) - 127.5f)), 0, 255);
    }
  }

  @Override public boolean hasBoxes() {
    return true;
  }

  /** 0: an image has a class for each box. */
  @Override public int label(int index) {
    return 0;
  }
}
