package onebit.data;

/**
 * One digit as antialiased strokes under a random affine map, on a sloping background with clutter and noise.
 *
 * <p>Only operations that are exact or the same on every machine are used, so a seed gives the same bytes everywhere.
 * An instance keeps its buffers and belongs to one thread.
 *
 * <pre>
 * Units  strokes in a box of x in [-0.6, 0.6] and y in [-1, 1], downwards; lengths in pixels; levels 0..255
 * </pre>
 */
final class GlyphRenderer {
  private static final int SIDE = GlyphDataset.SIDE;
  private static final int STEPS = 5;

  /** Variants of each digit; "s" is a smooth curve through its points, "l" straight lines between them. */
  private static final String[][] STROKES = {
    {"s 0,-1 .5,-.62 .55,.1 .3,.85 -.1,1 -.5,.6 -.55,-.1 -.3,-.8 .1,-1",
     "s .15,-1 -.4,-.7 -.6,0 -.4,.7 0,1 .4,.7 .6,0 .45,-.65 0,-.98"},
    {"l 0,-1 0,1", "l -.35,-.6 .05,-1 .05,1", "l -.38,-.65 0,-1 0,1 | l -.42,1 .42,1"},
    {"s -.5,-.6 -.25,-.93 .15,-1 .5,-.65 .35,-.15 -.1,.45 -.52,.95 | l -.52,.95 .56,.95",
     "s -.5,-.6 -.1,-1 .42,-.75 .32,-.15 -.1,.5 -.48,.92 -.5,.68 -.15,.72 .2,.97 .58,.85"},
    {"s -.5,-.75 -.05,-1 .42,-.72 .32,-.25 -.12,-.05 | s -.12,-.05 .4,.12 .53,.55 .2,.95 -.2,1 -.55,.72",
     "l -.48,-.95 .45,-.95 -.05,-.15 | s -.05,-.15 .4,.1 .5,.55 .1,.97 -.5,.8"},
    {"l .28,1 .28,-1 -.58,.35 .6,.35", "l -.38,-.95 -.48,.12 .55,.12 | l .32,-.8 .28,1"},
    {"l .5,-.95 -.36,-.95 -.43,-.1 | s -.43,-.1 0,-.27 .45,0 .5,.5 .1,.97 -.52,.8",
     "l .48,-1 -.4,-.92 -.4,-.05 | s -.4,-.05 .1,-.2 .5,.25 .35,.78 -.08,1 -.5,.85"},
    {"s .4,-.95 -.1,-.7 -.45,-.1 -.5,.5 -.12,.98 .38,.78 .45,.3 .05,.02 -.45,.35",
     "s .15,-1 -.3,-.35 -.52,.4 -.2,.95 .3,.92 .47,.47 .1,.1 -.42,.4"},
    {"l -.52,-.95 .52,-.95 -.1,1", "l -.52,-.95 .52,-.95 -.1,1 | l -.28,.05 .42,.05",
     "l -.5,-.88 .5,-.95 | s .5,-.95 .2,-.3 .02,.3 -.08,1"},
    {"s 0,-.08 -.4,-.4 -.3,-.88 .02,-1 .36,-.85 .38,-.42 0,-.05 -.46,.35 -.4,.85 0,1 .42,.82 .46,.35 0,-.08",
     "s .42,-.8 0,-1 -.42,-.72 -.2,-.2 .3,.1 .5,.55 .1,1 -.42,.8 -.42,.3 .1,-.1 .42,-.5 .36,-.85"},
    {"s .42,-.55 .25,-.95 -.15,-1 -.46,-.65 -.3,-.15 .1,-.1 .42,-.5 | s .42,-.62 .42,.1 .32,.6 .12,1",
     "s .4,-.6 .1,-1 -.38,-.85 -.42,-.3 .02,-.08 .42,-.5 | s .42,-.6 .46,.2 .25,.85 -.2,1 -.46,.78",
     "s .42,-.6 .1,-1 -.36,-.88 -.42,-.35 0,-.12 .42,-.55 | l .42,-.75 .36,1"}};

  private record Stroke(boolean smooth, double[] points) {}

  private static final Stroke[][][] DIGITS = parse();

  private final CounterRandom random = new CounterRandom();
  private final float[] ink = new float[SIDE * SIDE];
  private final float[] clutter = new float[SIDE * SIDE];
  private final double[] points = new double[32];
  private double xx;
  private double xy;
  private double yx;
  private double yy;
  private double centreX;
  private double centreY;

  private static Stroke[][][] parse() {
    Stroke[][][] digits = new Stroke[STROKES.length][][];
    for (int d = 0; d < digits.length; d++) {
      digits[d] = new Stroke[STROKES[d].length][];
      for (int v = 0; v < digits[d].length; v++) {
        String[] strokes = STROKES[d][v].split(" \\| ");
        digits[d][v] = new Stroke[strokes.length];
        for (int s = 0; s < strokes.length; s++) {
          String[] words = strokes[s].split("[ ,]");
          double[] points = new double[words.length - 1];
          for (int i = 0; i < points.length; i++) points[i] = Double.parseDouble(words[i + 1]);
          digits[d][v][s] = new Stroke(words[0].equals("s"), points);
        }
      }
    }
    return digits;
  }

  /** Draws one digit into SIDE x SIDE bytes. */
  void draw(int digit, long seed, int index, int stream, byte[] into, int offset) {
    random.reset(seed, 0, index, stream);
    java.util.Arrays.fill(ink, 0);
    java.util.Arrays.fill(clutter, 0);
    place();
    double radius = random.nextDouble(0.75, 1.75);
    Stroke[][] variants = DIGITS[digit];
    for (Stroke stroke : variants[random.nextInt(variants.length)]) stroke(stroke, radius);
    scatter();
    shade(into, offset);
  }

  /** Chooses the affine map from stroke coordinates to pixels. */
  private void place() {
    double half = random.nextDouble(7, 10);
    double wide = half * random.nextDouble(0.85, 1.25);
    double angle = random.nextDouble(-0.3, 0.3);
    double shear = random.nextDouble(-0.3, 0.3);
    double cos = StrictMath.cos(angle);
    double sin = StrictMath.sin(angle);
    xx = wide * cos;
    xy = half * (shear * cos - sin);
    yx = wide * sin;
    yy = half * (shear * sin + cos);
    double roomX = Math.max(0, 12.5 - 0.5 * Math.abs(xx) - Math.abs(xy));
    double roomY = Math.max(0, 12.5 - 0.5 * Math.abs(yx) - Math.abs(yy));
    centreX = 13.5 + Math.min(4, roomX) * random.nextDouble(-1, 1);
    centreY = 13.5 + Math.min(4, roomY) * random.nextDouble(-1, 1);
  }

  private void stroke(Stroke stroke, double radius) {
    int n = stroke.points.length / 2;
    for (int i = 0; i < n; i++) {
      double x = stroke.points[2 * i] + 0.06 * (random.nextDouble(-1, 1) + random.nextDouble(-1, 1));
      double y = stroke.points[2 * i + 1] + 0.06 * (random.nextDouble(-1, 1) + random.nextDouble(-1, 1));
      points[2 * i] = centreX + xx * x + xy * y;
      points[2 * i + 1] = centreY + yx * x + yy * y;
    }
    for (int i = 0; i + 1 < n; i++) {
      if (!stroke.smooth) {
        line(ink, points[2 * i], points[2 * i + 1], points[2 * i + 2], points[2 * i + 3], radius);
        continue;
      }
      double fromX = points[2 * i];
      double fromY = points[2 * i + 1];
      for (int step = 1; step <= STEPS; step++) {
        double t = (double) step / STEPS;
        double toX = spline(i, n, 0, t);
        double toY = spline(i, n, 1, t);
        line(ink, fromX, fromY, toX, toY, radius);
        fromX = toX;
        fromY = toY;
      }
    }
  }

  /** One coordinate of the Catmull-Rom curve between points i and i + 1. */
  private double spline(int i, int n, int axis, double t) {
    double p0 = points[2 * Math.max(0, i - 1) + axis];
    double p1 = points[2 * i + axis];
    double p2 = points[2 * i + 2 + axis];
    double p3 = points[2 * Math.min(n - 1, i + 2) + axis];
    return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
  }

  /** Strokes that belong to no digit: short and faint. */
  private void scatter() {
    int marks = 2 + random.nextInt(4);
    for (int m = 0; m < marks; m++) {
      double x = random.nextDouble(0, SIDE - 1);
      double y = random.nextDouble(0, SIDE - 1);
      double dx = random.nextDouble(-5, 5);
      double dy = random.nextDouble(-5, 5);
      line(clutter, x, y, x + dx, y + dy, random.nextDouble(0.4, 1.1));
    }
  }

  /** Raises the coverage of pixels near a segment: 1 within the radius, falling to 0 over one pixel. */
  private static void line(float[] cover, double x0, double y0, double x1, double y1, double radius) {
    double reach = radius + 0.5;
    int left = Math.max(0, (int) Math.ceil(Math.min(x0, x1) - reach));
    int right = Math.min(SIDE - 1, (int) Math.floor(Math.max(x0, x1) + reach));
    int top = Math.max(0, (int) Math.ceil(Math.min(y0, y1) - reach));
    int bottom = Math.min(SIDE - 1, (int) Math.floor(Math.max(y0, y1) + reach));
    double dx = x1 - x0;
    double dy = y1 - y0;
    double inverse = 1 / Math.max(dx * dx + dy * dy, 1e-9);
    for (int y = top; y <= bottom; y++) {
      for (int x = left; x <= right; x++) {
        double t = Math.clamp(((x - x0) * dx + (y - y0) * dy) * inverse, 0.0, 1.0);
        double ex = x - x0 - t * dx;
        double ey = y - y0 - t * dy;
        double square = ex * ex + ey * ey;
        if (square >= reach * reach) continue;
        float value = (float) Math.min(1, reach - Math.sqrt(square));
        int at = y * SIDE + x;
        if (value > cover[at]) cover[at] = value;
      }
    }
  }

  /** Turns coverage into levels: background and slope, clutter, ink, noise. */
  private void shade(byte[] into, int offset) {
    double ground = random.nextDouble(10, 80);
    double slopeX = random.nextDouble(-1.5, 1.5);
    double slopeY = random.nextDouble(-1.5, 1.5);
    double contrast = random.nextDouble(95, 160);
    double faint = contrast * random.nextDouble(0.25, 0.6);
    double noise = random.nextDouble(6, 22) / 104;
    int word = 0;
    for (int y = 0; y < SIDE; y++) {
      for (int x = 0; x < SIDE; x++) {
        int at = y * SIDE + x;
        if ((at & 1) == 0) word = random.nextWord();
        else word >>>= 16;
        double grain = ((word & 255) + (word >>> 8 & 255) - 255) * noise;
        double level = ground + slopeX * (x - 13.5) + slopeY * (y - 13.5) + grain
            + Math.max(contrast * ink[at], faint * clutter[at]);
        into[offset + at] = (byte) Math.clamp((int) Math.rint(level), 0, 255);
      }
    }
  }
}
