package onebit.ops;

import onebit.tensor.Tensor;

/**
 * Pooling and the parameter-free shortcuts.
 *
 * <pre>
 * Shapes  x N,H,W,C; y N,P,Q,C, or N,P,Q,D with D >= C where channels are padded
 * Units   window, stride, pad in pixels
 * </pre>
 */
public interface PoolOps {
  /** y = the largest value of each window; outside pixels never win. */
  void maxPool(Tensor y, Tensor x, int window, int stride, int pad);

  /** Adds each gradient to the first largest value of its window in row order (PyTorch's rule for ties). */
  void maxPoolBackward(Tensor gradX, Tensor gradY, Tensor x, int window, int stride, int pad);

  /** y = the mean of each window over the pixels inside the image; windows cut by the far border count when y has room (ceil mode). */
  void averagePool(Tensor y, Tensor x, int window, int stride);

  void averagePoolBackward(Tensor gradX, Tensor gradY, int window, int stride);

  /**
   * y = every stride-th pixel of x, its channels centred between equally many zero channels.
   *
   * <pre>
   * Source  He et al. 2016, shortcut option A; AdaBin cifar10/nets/resnet20.py
   * </pre>
   */
  void subsamplePad(Tensor y, Tensor x, int stride);

  void subsamplePadBackward(Tensor gradX, Tensor gradY, int stride);

  /** y = the 2x2 mean of x (window = stride), its channels centred between equally many zero channels (BiPer's shortcut). */
  void poolPad(Tensor y, Tensor x, int stride);

  void poolPadBackward(Tensor gradX, Tensor gradY, int stride);
}
