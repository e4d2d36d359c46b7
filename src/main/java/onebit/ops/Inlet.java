package onebit.ops;

import onebit.tensor.Tensor;

/** A way in for batch after batch: the values of the next go to the device while it still works on those before. */
public interface Inlet {
  /**
   * The first n rows of a tensor that holds these values for the work asked from now on until the next call.
   *
   * @throws IllegalArgumentException if there are fewer values than n rows have, or n is more than the inlet has room for
   */
  Tensor next(byte[] values, int n);
}
