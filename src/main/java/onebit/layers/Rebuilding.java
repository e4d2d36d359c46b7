package onebit.layers;

/** Which values between fused units backward computes again instead of keeping them: of those that can be, in the order of the network, the first so many. */
public final class Rebuilding {
  private final int most;
  private int count;

  public Rebuilding(int most) {
    this.most = most;
  }

  /** Whether the next value that can be computed again is. */
  boolean next() {
    if (count >= most) return false;
    count++;
    return true;
  }

  public int most() {
    return most;
  }

  /** How many values are computed again in the layers built so far. */
  public int count() {
    return count;
  }
}
