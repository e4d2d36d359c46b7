package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** The bi-rotation against a small implementation of its own: loops for the products, Newton's iteration for the nearest rotation. */
class RotationTest {
  private static double[][] transpose(double[][] a) {
    double[][] t = new double[a[0].length][a.length];
    for (int i = 0; i < a.length; i++) for (int j = 0; j < a[0].length; j++) t[j][i] = a[i][j];
    return t;
  }

  private static double[][] times(double[][] a, double[][] b) {
    double[][] c = new double[a.length][b[0].length];
    for (int i = 0; i < a.length; i++) for (int j = 0; j < b[0].length; j++) for (int k = 0; k < b.length; k++) c[i][j] += a[i][k] * b[k][j];
    return c;
  }

  /** Gauss-Jordan with the largest pivot. */
  private static double[][] inverse(double[][] m) {
    int n = m.length;
    double[][] a = new double[n][2 * n];
    for (int i = 0; i < n; i++) {
      System.arraycopy(m[i], 0, a[i], 0, n);
      a[i][n + i] = 1;
    }
    for (int c = 0; c < n; c++) {
      int pivot = c;
      for (int r = c; r < n; r++) if (Math.abs(a[r][c]) > Math.abs(a[pivot][c])) pivot = r;
      double[] row = a[pivot];
      a[pivot] = a[c];
      a[c] = row;
      double head = row[c];
      for (int j = 0; j < 2 * n; j++) row[j] /= head;
      for (int r = 0; r < n; r++) {
        double factor = a[r][c];
        if (r != c) for (int j = 0; j < 2 * n; j++) a[r][j] -= factor * row[j];
      }
    }
    double[][] result = new double[n][n];
    for (int i = 0; i < n; i++) System.arraycopy(a[i], n, result[i], 0, n);
    return result;
  }

  /** The orthogonal matrix nearest to m: X = (X + X^-T) / 2 until it stands still. */
  private static double[][] nearestRotation(double[][] m) {
    double[][] x = m;
    for (int step = 0; step < 60; step++) {
      double[][] other = transpose(inverse(x)), next = new double[x.length][x.length];
      for (int i = 0; i < x.length; i++) for (int j = 0; j < x.length; j++) next[i][j] = (x[i][j] + other[i][j]) / 2;
      x = next;
    }
    return x;
  }

  /** Filter o of O,R,S,C memory as the rows of an a x b matrix filled in C,R,S order. */
  private static double[][] matrix(float[] u, Shape shape, int o, int a, int b) {
    double[][] x = new double[a][b];
    int next = 0;
    for (int c = 0; c < shape.d3(); c++) {
      for (int r = 0; r < shape.d1(); r++) {
        for (int s = 0; s < shape.d2(); s++, next++) x[next / b][next % b] = u[((o * shape.d1() + r) * shape.d2() + s) * shape.d3() + c];
      }
    }
    return x;
  }

  private static double[][] square(float[] r, int n) {
    double[][] m = new double[n][n];
    for (int i = 0; i < n * n; i++) m[i / n][i % n] = r[i];
    return m;
  }

  private static double[][] sign(double[][] x) {
    double[][] s = new double[x.length][x[0].length];
    for (int i = 0; i < x.length; i++) for (int j = 0; j < x[0].length; j++) s[i][j] = Math.signum(x[i][j]);
    return s;
  }

  private static void addTo(double[][] sum, double[][] x) {
    for (int i = 0; i < x.length; i++) for (int j = 0; j < x[0].length; j++) sum[i][j] += x[i][j];
  }

  private static float[] rotation(Fresh fresh, int n) {
    double[][] m = nearestRotation(square(fresh.normal(n * n), n));
    float[] flat = new float[n * n];
    for (int i = 0; i < n * n; i++) flat[i] = (float) m[i / n][i % n];
    return flat;
  }

  private static double[] flat(double[][] m) {
    double[] all = new double[m.length * m[0].length];
    for (int i = 0; i < all.length; i++) all[i] = m[i / m[0].length][i % m[0].length];
    return all;
  }

  private static final int[][] CASES = {{3, 3, 4, 6, 6}, {3, 3, 2, 3, 6}, {1, 1, 8, 2, 4}, {2, 3, 6, 6, 6}, {1, 1, 7, 1, 7}};

  @OnEveryBackend
  void theMixIsMadeOfTheFilterInChannelFirstOrder(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (int[] k : CASES) {
      int filters = 5, a = k[3], b = k[4];
      Shape shape = Shape.filters(filters, k[0], k[1], k[2]);
      float[] u = fresh.normal(shape.size()), r1 = fresh.normal(a * a), r2 = fresh.normal(b * b);
      float[] angle = {0, (float) Math.PI / 2, -0.4f, 2.5f, 4};
      Tensor mixed = fresh.garbage(shape), rotated = fresh.garbage(shape);
      backend.binarize().rotateMix(mixed, rotated, fresh.tensor(shape, u), fresh.tensor(Shape.matrix(a, a), r1), fresh.tensor(Shape.matrix(b, b), r2),
          fresh.vector(angle));
      float[] v = backend.read(rotated);
      double[] mix = new double[u.length];
      for (int o = 0; o < filters; o++) {
        double[][] want = times(times(transpose(square(r1, a)), matrix(u, shape, o, a, b)), square(r2, b)), got = matrix(v, shape, o, a, b);
        for (int i = 0; i < a; i++) for (int j = 0; j < b; j++) assertEquals(want[i][j], got[i][j], 1e-4, "filter " + o + " at " + i + "," + j);
        double share = Math.abs(Math.sin(angle[o]));
        for (int i = o * shape.rowSize(); i < (o + 1) * shape.rowSize(); i++) mix[i] = (1 - share) * u[i] + share * v[i];
      }
      fresh.assertClose("mixed", mix, mixed, 1e-5);
    }
  }

  @OnEveryBackend
  void threeRoundsEqualAnIndependentProcrustes(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    for (int[] k : CASES) {
      int filters = 24, a = k[3], b = k[4];
      Shape shape = Shape.filters(filters, k[0], k[1], k[2]);
      float[] u = fresh.normal(shape.size()), start1 = rotation(fresh, a), start2 = rotation(fresh, b);
      Tensor r1 = fresh.tensor(Shape.matrix(a, a), start1), r2 = fresh.tensor(Shape.matrix(b, b), start2);
      backend.binarize().rotationRounds(r1, r2, fresh.tensor(shape, u), 3);
      double[][] q1 = square(start1, a), q2 = square(start2, b);
      for (int round = 0; round < 3; round++) {
        double[][][] signs = new double[filters][][];
        double[][] d1 = new double[a][a], d2 = new double[b][b];
        for (int o = 0; o < filters; o++) {
          double[][] x = matrix(u, shape, o, a, b);
          signs[o] = sign(times(times(transpose(q1), x), q2));
          addTo(d1, times(times(signs[o], transpose(q2)), transpose(x)));
        }
        q1 = transpose(nearestRotation(d1));
        for (int o = 0; o < filters; o++) addTo(d2, times(times(transpose(matrix(u, shape, o, a, b)), q1), signs[o]));
        q2 = nearestRotation(d2);
      }
      fresh.assertClose("R1", flat(q1), r1, 1e-4);
      fresh.assertClose("R2", flat(q2), r2, 1e-4);
    }
  }

  @OnEveryBackend
  void rotationsStayOrthogonalAndTheObjectiveNeverFalls(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    Shape shape = Shape.filters(16, 3, 3, 16);
    int a = 12, b = 12;
    float[] u = fresh.normal(shape.size());
    Tensor values = fresh.tensor(shape, u), r1 = fresh.tensor(Shape.matrix(a, a), rotation(fresh, a)), r2 = fresh.tensor(Shape.matrix(b, b), rotation(fresh, b));
    double before = objective(backend, u, shape, r1, r2, a, b), start = before;
    for (int round = 0; round < 8; round++) {
      backend.binarize().rotationRounds(r1, r2, values, 1);
      double[][] q1 = square(backend.read(r1), a), q2 = square(backend.read(r2), b), unit1 = times(transpose(q1), q1), unit2 = times(transpose(q2), q2);
      for (int i = 0; i < a; i++) {
        for (int j = 0; j < a; j++) {
          assertEquals(i == j ? 1 : 0, unit1[i][j], 1e-5);
          assertEquals(i == j ? 1 : 0, unit2[i][j], 1e-5);
        }
      }
      double after = objective(backend, u, shape, r1, r2, a, b);
      assertTrue(after >= before - 1e-3, "round " + round + ": " + before + " fell to " + after);
      before = after;
    }
    assertTrue(before > start * 1.05, "from " + start + " only to " + before);
  }

  /** The sum over filters of tr(B^T R1^T X R2) with B the signs of what is rotated: the sum of absolute values. */
  private static double objective(Backend backend, float[] u, Shape shape, Tensor r1, Tensor r2, int a, int b) {
    double sum = 0;
    for (int o = 0; o < shape.d0(); o++) {
      double[][] v = times(times(transpose(square(backend.read(r1), a)), matrix(u, shape, o, a, b)), square(backend.read(r2), b));
      for (double[] row : v) for (double x : row) sum += Math.abs(x);
    }
    return sum;
  }
}
