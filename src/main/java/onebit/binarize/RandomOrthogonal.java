package onebit.binarize;

import java.util.random.RandomGenerator;

/** Random orthogonal matrices, uniform over the group: Gram-Schmidt of Gaussian rows (Stewart 1980). */
final class RandomOrthogonal {
  private RandomOrthogonal() {}

  /** n x n values, row by row. */
  static float[] draw(int n, RandomGenerator random) {
    double[][] rows = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) rows[i][j] = random.nextGaussian();
      for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < i; k++) subtractProjection(rows[i], rows[k]);
      }
      double norm = Math.sqrt(dot(rows[i], rows[i]));
      for (int j = 0; j < n; j++) rows[i][j] /= norm;
    }
    float[] flat = new float[n * n];
    for (int i = 0; i < n * n; i++) flat[i] = (float) rows[i / n][i % n];
    return flat;
  }

  private static void subtractProjection(double[] row, double[] unit) {
    double along = dot(row, unit);
    for (int j = 0; j < row.length; j++) row[j] -= along * unit[j];
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int j = 0; j < a.length; j++) sum += a[j] * b[j];
    return sum;
  }
}
