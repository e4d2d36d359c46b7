package onebit.dist;

import java.util.List;

/**
 * How long a step takes on R ranks: a model, not a measurement.
 *
 * <pre>
 * reduce(R) = latency buckets + 2 (R - 1) / R bytes / bandwidth
 * step(R)   = compute + max(reduce(R) / buckets, reduce(R) - overlap (2/3) compute)       the last bucket hides behind nothing
 * Units     seconds, bytes, bytes per second; overlap: the share of backward (two thirds of compute) that hides reduction
 * Source    the bus bandwidth of nccl-tests; Li et al. 2020 (arXiv 2006.15704) for the buckets
 * </pre>
 */
public record ScalingModel(double latency, double bandwidth, double overlap) {
  /** Share of a step below which measurements do not tell models apart. */
  private static final double TELLING = 0.01;

  /** What was measured on so many ranks. */
  public record Point(int ranks, double compute, double step, double reduce, long bytes, int buckets) {}

  /** The seconds that the means of all gradients take. */
  public double reduce(int ranks, long bytes, int buckets) {
    return ranks == 1 ? 0 : latency * buckets + 2.0 * (ranks - 1) / ranks * bytes / bandwidth;
  }

  /** The seconds of a step whose computation takes so long. */
  public double step(int ranks, double compute, long bytes, int buckets) {
    if (ranks == 1) return compute;
    double reduce = reduce(ranks, bytes, buckets);
    return compute + Math.max(reduce / buckets, reduce - overlap * 2 / 3 * compute);
  }

  /**
   * The model nearest to measurements: latency and bandwidth by least squares over the reductions, neither below 0, overlap by least squares
   * over the steps in hundredths.
   *
   * @throws IllegalArgumentException if there is no measurement on more than one rank
   */
  public static ScalingModel fit(List<Point> points) {
    List<Point> several = points.stream().filter(p -> p.ranks() > 1).toList();
    if (several.isEmpty()) throw new IllegalArgumentException("a model needs a measurement on at least two processes");
    double aa = 0, ab = 0, bb = 0, ay = 0, by = 0;
    for (Point p : several) {
      double a = p.buckets(), b = 2.0 * (p.ranks() - 1) / p.ranks() * p.bytes();
      aa += a * a;
      ab += a * b;
      bb += b * b;
      ay += a * p.reduce();
      by += b * p.reduce();
    }
    double determinant = aa * bb - ab * ab, latency = 0, perByte = by / bb;
    if (determinant > 1e-9 * aa * bb) {
      double l = (ay * bb - by * ab) / determinant, q = (aa * by - ab * ay) / determinant;
      if (l >= 0 && q > 0) {
        latency = l;
        perByte = q;
      }
    }
    ScalingModel best = null;
    double least = Double.POSITIVE_INFINITY;
    for (int percent = 0; percent <= 100; percent++) {
      ScalingModel model = new ScalingModel(latency, 1 / perByte, percent / 100.0);
      double error = model.error(several);
      if (error < least) {
        least = error;
        best = model;
      }
    }
    return best;
  }

  /** How far the model's steps are from measured ones on more than one rank: the root of the mean square of the shares by which they differ. */
  public double error(List<Point> points) {
    return Math.sqrt(points.stream().filter(p -> p.ranks() > 1).mapToDouble(p -> Math.pow(stepOf(p) / p.step() - 1, 2))
        .average().orElse(0));
  }

  private double stepOf(Point p) {
    return step(p.ranks(), p.compute(), p.bytes(), p.buckets());
  }

  /** Why the points say nothing of the overlap, so that the one fitted to them means nothing; null where they do. */
  public String overlapUnknown(List<Point> points) {
    List<Point> several = points.stream().filter(p -> p.ranks() > 1).toList();
    if (several.stream().allMatch(p -> p.buckets() <= 1)) return "the gradients left in one bucket, and the last bucket hides behind nothing";
    if (several.stream().allMatch(p -> p.step() - p.compute() > p.reduce())) {
      return "a step together took longer than one alone by more than all means of gradients take: the processes wait for each other or share cores";
    }
    double differs = several.stream().mapToDouble(p -> (hiding(0).stepOf(p) - hiding(1).stepOf(p)) / p.step()).max().orElse(0);
    return differs >= TELLING ? null : String.format(java.util.Locale.ROOT, "between nothing and all hidden the model's steps differ by %.1f %% at most, too little to be told from noise", 100 * differs);
  }

  /** The same latency and bandwidth with another overlap. */
  public ScalingModel hiding(double share) {
    return new ScalingModel(latency, bandwidth, share);
  }
}
