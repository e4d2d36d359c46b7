package onebit.ops;

import onebit.binarize.Binarizer;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Running;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * A dense block whose values lie side by side in one buffer that each convolution adds to, so that nothing is copied twice or kept normalised.
 *
 * <pre>
 * Shapes  images N,H,W,C; vectors of C values
 * Source  Huang et al. 2017 (DenseNet, arXiv 1608.06993); Bethge et al. 2019 (arXiv 1906.08637): norm, sign, convolution, concatenation
 * </pre>
 */
public interface DenseOps {
  /** Channels from number from on, so many, of images with more. */
  record Channels(Tensor of, int from, int count) {
    public static Channels first(int count, Tensor of) {
      return new Channels(of, 0, count);
    }

    /** Images times pixels. */
    public int rows() {
      return of.size() / of.shape().channels();
    }
  }

  /** Of every channel of a buffer: the batch's mean and inverse deviation, and the variance that running ones move to. */
  record Moments(Tensor mean, Tensor inverse, Tensor var, float epsilon, boolean unbiased) {}

  /** These channels = y, and their moments; moments is null where nobody asks for them. */
  void append(Channels to, Tensor y, Moments moments);

  /** These channels = the product, and their moments; moments is null where nobody asks for them. */
  void appendOf(Channels to, Product product, Moments moments);

  /** Running statistics move to the mean and the variance of as many channels, the first. */
  void moveRunning(Running running, Moments moments);

  /** y = these channels. */
  void take(Tensor y, Channels from);

  /**
   * bit = [batchNorm(x) >= 0] by the norm's mean and inverse; running statistics move to the norm's mean and to var.
   *
   * <p>x is the first channels of its buffer, of which var and the norm's vectors hold at least as many; var and running are null where nothing moves.
   */
  void normSign(BitTensor bits, Channels x, Norm norm, Tensor var, Running running);

  /**
   * gradX += the gradient through batch norm and sign from gradQ at the bits, slope(batchNorm(x)) in place of the sign's; gradGamma, gradBeta too.
   *
   * <p>gradX and x are the first channels of their buffers.
   */
  void normSignBackward(Channels gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradQ, Channels x, Norm norm, Binarizer slope);
}
