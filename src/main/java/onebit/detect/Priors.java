package onebit.detect;

import java.util.List;

/**
 * The boxes that a network predicts offsets from, and the offsets of boxes from them.
 *
 * <pre>
 * offsets of a box: (x - cx) / (0.1 w), (y - cy) / (0.1 h), ln(width / w) / 0.2, ln(height / h) / 0.2, its centre x, y, the prior's cx, cy, w, h
 * Shapes  centres and corners count,4: cx, cy, w, h and left, top, right, bottom; order: map, row, column, kind
 * Units   parts of the image's width and height
 * Source  Liu et al. 2016 (SSD, arXiv 1512.02325); code ssd.pytorch layers/functions/prior_box.py and layers/box_utils.py
 * </pre>
 */
public final class Priors {
  /** Units of offsets: of a centre in widths or heights of the prior, of an extent in natural logarithms. */
  public static final float CENTRE = 0.1f, EXTENT = 0.2f;

  private final List<Level> levels;
  private final float[] centres;
  private final float[] corners;

  /**
   * One map of a network: its priors have their centres in the middle of each step x step pixels; kinds are a square of least, one of
   * sqrt(least most), and for each ratio r one of least sqrt(r) x least / sqrt(r) and the same turned.
   *
   * <pre>
   * Units  side in positions; step, least and most in pixels
   * </pre>
   */
  public record Level(int side, int step, int least, int most, List<Integer> ratios) {
    public Level {
      if (side < 1 || step < 1 || least < 1 || most < least) {
        throw new IllegalArgumentException("Priors: a map of " + side + " positions of " + step + " pixels with boxes of " + least + " to " + most
            + " pixels; all must be positive, and most not below least");
      }
      ratios = List.copyOf(ratios);
    }

    /** Priors at each position. */
    public int kinds() {
      return 2 + 2 * ratios.size();
    }

    /** Priors of the whole map. */
    public int count() {
      return side * side * kinds();
    }
  }

  /**
   * The priors of these maps.
   *
   * <pre>
   * Units    image: its side in pixels
   * Differs  as ssd.pytorch, and unlike the authors' code, centres and extents are cut at 1, and not the corners: boxes may reach beyond the image
   * </pre>
   */
  public Priors(int image, List<Level> levels) {
    this.levels = List.copyOf(levels);
    int count = levels.stream().mapToInt(Level::count).sum(), at = 0;
    centres = new float[4 * count];
    for (Level level : levels) {
      double size = image, cells = size / level.step;
      double[] sides = sides(level, size);
      for (int row = 0; row < level.side; row++) {
        for (int column = 0; column < level.side; column++) {
          for (int kind = 0; kind < level.kinds(); kind++) {
            centres[at++] = cut((column + 0.5) / cells);
            centres[at++] = cut((row + 0.5) / cells);
            centres[at++] = cut(sides[2 * kind]);
            centres[at++] = cut(sides[2 * kind + 1]);
          }
        }
      }
    }
    corners = new float[centres.length];
    for (int i = 0; i < centres.length; i += 4) {
      for (int axis = 0; axis < 2; axis++) {
        corners[i + axis] = centres[i + axis] - centres[i + 2 + axis] / 2;
        corners[i + 2 + axis] = centres[i + axis] + centres[i + 2 + axis] / 2;
      }
    }
  }

  /** Width and height of each kind. */
  private static double[] sides(Level level, double size) {
    double[] sides = new double[2 * level.kinds()];
    double least = level.least / size;
    sides[0] = sides[1] = least;
    sides[2] = sides[3] = Math.sqrt(least * (level.most / size));
    int at = 4;
    for (int ratio : level.ratios) {
      double root = Math.sqrt(ratio);
      sides[at] = sides[at + 3] = least * root;
      sides[at + 1] = sides[at + 2] = least / root;
      at += 4;
    }
    return sides;
  }

  private static float cut(double value) {
    return Math.clamp((float) value, 0f, 1f);
  }

  /** The 8,732 of SSD for images of 300x300. */
  public static Priors ssd300() {
    return new Priors(300, List.of(new Level(38, 8, 30, 60, List.of(2)), new Level(19, 16, 60, 111, List.of(2, 3)), new Level(10, 32, 111, 162, List.of(2, 3)),
        new Level(5, 64, 162, 213, List.of(2, 3)), new Level(3, 100, 213, 264, List.of(2)), new Level(1, 300, 264, 315, List.of(2))));
  }

  public List<Level> levels() {
    return levels;
  }

  public int count() {
    return centres.length / 4;
  }

  public float centreX(int prior) {
    return centres[4 * prior];
  }

  public float centreY(int prior) {
    return centres[4 * prior + 1];
  }

  public float width(int prior) {
    return centres[4 * prior + 2];
  }

  public float height(int prior) {
    return centres[4 * prior + 3];
  }

  public float left(int prior) {
    return corners[4 * prior];
  }

  public float top(int prior) {
    return corners[4 * prior + 1];
  }

  public float right(int prior) {
    return corners[4 * prior + 2];
  }

  public float bottom(int prior) {
    return corners[4 * prior + 3];
  }

  /** Writes the four offsets of a box from a prior. */
  public void encode(int prior, float left, float top, float right, float bottom, float[] offsets, int at) {
    float width = width(prior), height = height(prior);
    offsets[at] = ((left + right) / 2 - centreX(prior)) / (CENTRE * width);
    offsets[at + 1] = ((top + bottom) / 2 - centreY(prior)) / (CENTRE * height);
    offsets[at + 2] = (float) Math.log((right - left) / width) / EXTENT;
    offsets[at + 3] = (float) Math.log((bottom - top) / height) / EXTENT;
  }

  /** Writes left, top, right and bottom of the box that lies at these offsets from a prior; it may reach beyond the image. */
  public void decode(int prior, float[] offsets, int from, float[] box, int at) {
    float x = centreX(prior) + offsets[from] * CENTRE * width(prior), y = centreY(prior) + offsets[from + 1] * CENTRE * height(prior);
    float width = width(prior) * (float) Math.exp(offsets[from + 2] * EXTENT), height = height(prior) * (float) Math.exp(offsets[from + 3] * EXTENT);
    box[at] = x - width / 2;
    box[at + 1] = y - height / 2;
    box[at + 2] = x + width / 2;
    box[at + 3] = y + height / 2;
  }
}
