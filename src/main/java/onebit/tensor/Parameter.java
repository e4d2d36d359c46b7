package onebit.tensor;

/**
 * A learnable tensor with its gradient, under the name of the authors' state dictionary; that of a teacher has none.
 *
 * <pre>
 * Shapes  value and gradient: equal, where there is one; fileShape is what a state dictionary shows (filters O,C,R,S; scalars rank 0)
 * </pre>
 */
public record Parameter(String name, Tensor value, Tensor gradient, Kind kind, FileLayout layout, int[] fileShape) {
  /** What a parameter is to the optimizer, the summary and the weight-decay groups. */
  public enum Kind { LATENT_WEIGHT, REAL_WEIGHT, BIAS, NORM, BINARY_SET, NONLINEARITY }

  public Parameter {
    if (gradient != null && !value.shape().equals(gradient.shape())) {
      throw new IllegalArgumentException("Parameter " + name + ": value " + value.shape() + " and gradient " + gradient.shape() + " must agree");
    }
  }

  public int size() {
    return value.size();
  }
}
