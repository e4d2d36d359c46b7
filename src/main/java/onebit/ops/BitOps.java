package onebit.ops;

import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/** Packed bits and the products of packed bits. */
public interface BitOps {
  /**
   * bit = [x >= threshold], row by row; 0 and -0 give 1 at threshold 0, NaN gives 0.
   *
   * <pre>
   * Shapes  x: rows * bits values; bits: rows x bits
   * </pre>
   */
  void pack(BitTensor bits, Tensor x, float threshold);

  /** x = centre + distance or centre - distance by bit; set of one element or one per row. */
  void unpack(Tensor x, BitTensor bits, BinarySet set);

  /**
   * counts[at] = the ones of now, and how many bits differ from before; then before = now.
   *
   * <pre>
   * Shapes  counts [K][2] float32; before and now of the same rows and bits
   * Source  Helwegen et al. 2019 (arXiv 1906.02107): the flip ratio
   * </pre>
   */
  void changedBits(Tensor counts, int at, BitTensor before, BitTensor now);

  /**
   * y[m][n] = sum over k of a[m][k] * b[n][k] with a, b in {-1, +1}, exact.
   *
   * <pre>
   * Shapes  a [M][K] bits, b [N][K] bits, y [M][N] float32
   * Source  Rastegari et al. 2016 (XNOR-Net, arXiv 1603.05279)
   * </pre>
   */
  void xnorGemm(Tensor y, BitTensor a, BitTensor b);

  /**
   * y = dx dw {@code <bx,bw>} + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, over the V valid taps of each position.
   *
   * <pre>
   * Shapes    x N*H*W rows of C bits, w O rows of R*S*C bits, y N,P,Q,O; xSet of 1, wSet of 1 or O
   * Encoding  bit 1 = +1; the sets give the values c + d and c - d
   * Padding   ZERO: outside taps leave every sum; MINUS_ONE: they are bit 0
   * Cost      groups must be 1
   * </pre>
   */
  void xnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset);

  /**
   * gradW = the gradient of that convolution's filters as real values; outside taps of x hold the value border.
   *
   * <pre>
   * Shapes  gradY N,P,Q,O; x N*H*W rows of C bits, xSet of 1; gradW O,R,S,C, float32 or rounded to the type of gradY
   * Units   values: room for x unpacked, where gradY is FLOAT32; null where it is BFLOAT16, for there the product reads the bits
   * Cost    groups must be 1
   * </pre>
   */
  void xnorConv2dGradW(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border, Tensor values);

  /**
   * gradX = the gradient of that convolution's images; gradients of outside taps are dropped.
   *
   * <pre>
   * Shapes  gradX N,H,W,C and gradY N,P,Q,O of one type; w O rows of R*S*C bits, wSet of 1 or O; values O,R,S,C: those of w
   * Units   values: as {@link #unpack} gives them; what is multiplied where the product does not read the bits
   * Cost    groups must be 1
   * </pre>
   */
  void xnorConv2dGradX(Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, Tensor values, ConvGeometry g);

  /**
   * Both gradients of that convolution, gradX first, with gradY rounded to float8: the nearest codes of gradY times its filter's distance times the
   * power of two that brings the largest of all just below 448. Sets are exact, for bits are +-1 in float8 and the rest is done in float32.
   *
   * <pre>
   * Shapes   as in the two ops above; codes N,P,Q,O UINT8: room for the codes
   * Units    what is not finite in gradY makes NaN of what it reaches; a distance of 0 is not multiplied
   * Cost     two launches more than the two ops, gradY read twice and its codes written once and read twice. With the largest value of the step before
   *          the pass that makes gradY could write codes at once, but then a run would not depend on its weights alone: what a checkpoint holds
   *          and parts of a batch see would have to grow
   * Differs  a device of capability 8.9 has products of float8; before there are none, and from 9.0 on codes are widened to float16 in registers
   * Source   Micikevicius et al. 2022 (arXiv 2209.05433); performance.md section 0: binary operands are exact in float8
   * </pre>
   * @throws IllegalArgumentException on a device, if gradY is not BFLOAT16
   */
  void xnorConv2dGradFloat8(Tensor gradX, Tensor gradW, Tensor gradY, Tensor codes, BitTensor x, BinarySet xSet, BitTensor w, BinarySet wSet, ConvGeometry g,
      float border);
}
