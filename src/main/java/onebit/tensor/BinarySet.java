package onebit.tensor;

/**
 * The two values of a binary tensor: a bit means centre + distance (1) or centre - distance (0).
 *
 * <pre>
 * Shapes  centre, distance: vectors of one element (one set for the tensor) or of O elements (one per filter)
 * </pre>
 */
public record BinarySet(Tensor centre, Tensor distance) {
  public BinarySet {
    if (centre.size() != distance.size()) {
      throw new IllegalArgumentException("BinarySet: centre has " + centre.size() + " values, distance " + distance.size() + "; they must be equal");
    }
  }

  public int count() {
    return centre.size();
  }
}
