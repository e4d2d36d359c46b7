package onebit.binarize;

/**
 * Level and slope of one binarization: the sign of the level decides the bit, the slope replaces its derivative.
 *
 * <p>Implementations are records without state; {@code u} is the value after the method's own normalisation.
 */
public interface Binarizer {
  /** The bit is [level(u) >= 0]; level(u) = u where the surrogate says no other. */
  default float level(float u) {
    return u;
  }

  /** Whether it says another level than u. */
  default boolean hasLevel() {
    try {
      return getClass().getMethod("level", float.class).getDeclaringClass() != Binarizer.class;
    } catch (NoSuchMethodException e) {
      throw new AssertionError(e);
    }
  }

  /** What backward uses for d sign(level(u)) / du. */
  float slope(float u);

  /** The bit itself is sign(u); the gradient passes unchanged (BMXNet's latent weights). */
  record Identity() implements Binarizer {
    @Override
    public float slope(float u) {
      return 1;
    }
  }

  /** sign with slope 1 where {@code |u| <= clip}, else 0: gradient cancelling (Hubara et al. 2016; BMXNet gradient_cancel-inl.h). */
  record Clipped(float clip) implements Binarizer {
    public Clipped {
      if (!(clip > 0)) throw new IllegalArgumentException("Clipped: clip must be > 0, got " + clip);
    }

    @Override
    public float slope(float u) {
      return Math.abs(u) <= clip ? 1 : 0;
    }
  }

  /** sign with slope max(0, 2 - 2|u|), the derivative of a piecewise polynomial (Liu et al. 2018, Bi-Real Net, arXiv 1808.00278). */
  record Polynomial() implements Binarizer {
    @Override
    public float slope(float u) {
      return Math.max(0, 2 - 2 * Math.abs(u));
    }
  }
}
