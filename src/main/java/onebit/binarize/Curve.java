package onebit.binarize;

import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

/**
 * sign with a slope that is given by its values at equally spaced points: straight lines between them, the value of the end beyond an end.
 *
 * <p>Any surrogate of one variable can be written so, and every backend computes the same bits of it, a GPU too. A smooth slope f is met within h^2 / 8 times
 * the largest |f''|, h = (to - from) / pieces; a jump becomes a line as long as one piece. A device keeps the values of each curve that it has seen, 4 bytes a point.
 */
public final class Curve implements Binarizer {
  /** Pieces where none are said: with from = -4 and to = 4, f'' = 1 is met within 8e-6. */
  public static final int PIECES = 1024;
  private static final int MOST_PIECES = 1 << 16;

  private final float from;
  private final float to;
  private final float piecesPerUnit;
  private final float[] values;
  private final int hash;

  private Curve(float from, float to, float[] values) {
    this.from = from;
    this.to = to;
    this.values = values;
    piecesPerUnit = (float) (pieces() / ((double) to - from));
    if (!(piecesPerUnit > 0 && Float.isFinite(piecesPerUnit))) throw new IllegalArgumentException("Curve: no " + pieces() + " pieces fit between " + from + " and " + to);
    hash = 31 * (31 * Float.hashCode(from) + Float.hashCode(to)) + Arrays.hashCode(values);
  }

  /** The same in {@link #PIECES} pieces. */
  public static Curve of(DoubleUnaryOperator slope, float from, float to) {
    return of(slope, from, to, PIECES);
  }

  /**
   * The curve through the values of a slope at from, to and the points between that cut it into so many equal pieces.
   *
   * @throws IllegalArgumentException if from is not below to, pieces are none or more than 65,536, or the slope has a value there that is no finite float
   */
  public static Curve of(DoubleUnaryOperator slope, float from, float to, int pieces) {
    if (!(from < to && Float.isFinite(from) && Float.isFinite(to))) throw new IllegalArgumentException("Curve: from must be below to, both finite; got " + from + " and " + to);
    if (pieces < 1 || pieces > MOST_PIECES) throw new IllegalArgumentException("Curve: pieces must be 1 to " + MOST_PIECES + ", got " + pieces);
    float[] values = new float[pieces + 1];
    for (int i = 0; i <= pieces; i++) {
      double u = from + ((double) to - from) * i / pieces;
      values[i] = (float) slope.applyAsDouble(u);
      if (!Float.isFinite(values[i])) throw new IllegalArgumentException("Curve: the slope at " + u + " is " + values[i] + "; it must be finite");
    }
    return new Curve(from, to, values);
  }

  private int pieces() {
    return values.length - 1;
  }

  /** The slope at u; where u is no number, that of {@code from}. Each operation is rounded to float32 by itself. */
  @Override
  public float slope(float u) {
    float x = (u - from) * piecesPerUnit;
    x = x > 0 ? Math.min(x, pieces()) : 0;
    int i = Math.min((int) x, pieces() - 1);
    return values[i] + (x - i) * (values[i + 1] - values[i]);
  }

  /** What a device reads of it: from, pieces per unit, the number of pieces, and the values in their order. */
  public float[] table() {
    float[] table = new float[3 + values.length];
    table[0] = from;
    table[1] = piecesPerUnit;
    table[2] = pieces();
    System.arraycopy(values, 0, table, 3, values.length);
    return table;
  }

  @Override
  public boolean equals(Object other) {
    return this == other || other instanceof Curve c && hash == c.hash && from == c.from && to == c.to && Arrays.equals(values, c.values);
  }

  @Override
  public int hashCode() {
    return hash;
  }

  @Override
  public String toString() {
    return "Curve[" + pieces() + " pieces from " + from + " to " + to + "]";
  }
}
