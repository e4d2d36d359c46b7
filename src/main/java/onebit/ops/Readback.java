package onebit.ops;

/** A few values on their way to the host: asked now, taken once, later. */
@FunctionalInterface
public interface Readback {
  /** The values as they were when they were asked; waits until they are there. */
  float[] values();
}
