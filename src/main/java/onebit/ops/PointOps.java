package onebit.ops;

import onebit.tensor.Tensor;

/** Element-wise ops, with what varies per channel; results overwrite their destination unless said. */
public interface PointOps {
  /** y = x. */
  void copy(Tensor y, Tensor x);

  /** y = a + b. */
  void add(Tensor y, Tensor a, Tensor b);

  /** y = y + x. */
  default void accumulate(Tensor y, Tensor x) {
    Shapes.requireEqual("accumulate", "x", x, "y", y);
    add(y, y, x);
  }

  /** y = y + factor x. */
  void accumulateScaled(Tensor y, Tensor x, float factor);

  /** y = x + bias of the channel. */
  void addBias(Tensor y, Tensor x, Tensor bias);

  /** gradBias = the sum of gradY over all rows; rounded, where not null, = gradY as bfloat16. */
  void biasBackward(Tensor gradBias, Tensor rounded, Tensor gradY);

  /** y = f(x). */
  void activate(Tensor y, Tensor x, Activation f);

  /** gradX = gradY f'(x); the derivative at a kink is 0 (PyTorch's rule for ReLU and hardtanh). */
  void activateBackward(Tensor gradX, Tensor gradY, Tensor x, Activation f);

  /**
   * y = positive max(x, 0) - negative max(-x, 0), per channel.
   *
   * <pre>
   * Shapes  positive, negative: C values
   * Source  Tu et al. 2022 (AdaBin, arXiv 2208.08084), nonlinearity "Maxout" of the released code
   * </pre>
   */
  void maxout(Tensor y, Tensor x, Tensor positive, Tensor negative);

  /** gradX = gradY ({@code positive if x > 0, negative if x < 0, 0 at 0}); the slopes' gradients are sums of gradY max(x,0) and -gradY max(-x,0). */
  void maxoutBackward(Tensor gradX, Tensor gradPositive, Tensor gradNegative, Tensor gradY, Tensor x, Tensor positive, Tensor negative);

  /** y = a and b side by side in the innermost extent. */
  void concat(Tensor y, Tensor a, Tensor b);

  /** The two parts of gradY, as concat joined them. */
  void split(Tensor gradA, Tensor gradB, Tensor gradY);

  /** y = x from N,H,W,C to N,C,H,W order: what a PyTorch flatten sees. */
  void toPlanar(Tensor y, Tensor x);

  /** y = x from N,C,H,W to N,H,W,C order; y has the image shape. */
  void fromPlanar(Tensor y, Tensor x);

  /** y = the rows of x from number first on: as many as y has. */
  void rows(Tensor y, Tensor x, int first);

  /**
   * y[n][column + i] = x[n][i] + the bias of its channel, in float32; the other columns of y stay as they are.
   *
   * <pre>
   * Shapes  y [N][M] float32; x N rows of at most M - column values, an image's as they lie in memory, of activations' type; bias x's channels
   * </pre>
   */
  void place(Tensor y, Tensor x, Tensor bias, int column);

  /** gradX[n][i] = gradY[n][column + i], rounded to gradX's type: from where place left its values. */
  void take(Tensor gradX, Tensor gradY, int column);

  /** y = (pixels / 255 - mean) / deviation, per channel. */
  void normalize(Tensor y, Tensor pixels, PixelScale scale);

  /**
   * y = (pixel / 255 - mean) / deviation per channel, of images cropped from a border of black and flipped from left to right.
   *
   * <pre>
   * Shapes  y N,H,W,C; pixels N,Hin,Win,C bytes; choices [N][3] whole numbers: top and left of the crop, negative inside the border, and 1 to flip
   * </pre>
   */
  void augment(Tensor y, Tensor pixels, Tensor choices, PixelScale scale);

  /** A parameter-free nonlinearity. */
  enum Activation { RELU, HARD_TANH, TANH }
}
