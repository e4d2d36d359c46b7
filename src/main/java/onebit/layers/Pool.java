package onebit.layers;

import onebit.ops.Backend;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Window;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Pooling, and the shortcuts that subsample and pad channels with zeros. */
public final class Pool implements Layer {
  /** What a window gives; the two pads also widen the channels. */
  public enum Kind { MAX, AVERAGE, AVERAGE_CEIL, SUBSAMPLE_PAD, AVERAGE_PAD }

  private final Kind kind;
  private final int window;
  private final int stride;
  private final int pad;
  private final int channels;
  private Backend backend;
  private Tensor y;
  private Tensor gradX;
  private Tensor x;

  private Pool(Kind kind, int window, int stride, int pad, int channels) {
    this.kind = kind;
    this.window = window;
    this.stride = stride;
    this.pad = pad;
    this.channels = channels;
  }

  public static Pool max(int window, int stride, int pad) {
    return new Pool(Kind.MAX, window, stride, pad, 0);
  }

  /** The mean of each window; windows that would leave the image are not made. */
  public static Pool average(int window, int stride) {
    return new Pool(Kind.AVERAGE, window, stride, 0, 0);
  }

  /** The mean of each window over its pixels inside the image; the last window may be cut. */
  public static Pool averageCeil(int window, int stride) {
    return new Pool(Kind.AVERAGE_CEIL, window, stride, 0, 0);
  }

  /** The mean of every channel over the whole image. */
  public static Pool global() {
    return new Pool(Kind.AVERAGE, 0, 0, 0, 0);
  }

  /** Every stride-th pixel, channels padded with zeros on both sides to the given number. */
  public static Pool subsamplePad(int stride, int channels) {
    return new Pool(Kind.SUBSAMPLE_PAD, 1, stride, 0, channels);
  }

  /** The mean of stride x stride pixels, channels padded with zeros on both sides to the given number. */
  public static Pool averagePad(int stride, int channels) {
    return new Pool(Kind.AVERAGE_PAD, stride, stride, 0, channels);
  }

  /** The window of a max pooling; null for every other pooling. */
  Window maxWindow() {
    return kind == Kind.MAX ? new Window(window, stride, pad) : null;
  }

  /** Whether this is a shortcut to fewer pixels and more channels. */
  boolean narrows() {
    return kind == Kind.SUBSAMPLE_PAD || kind == Kind.AVERAGE_PAD;
  }

  /** The same over its source or over the gradient at its result, as fused passes take it. */
  Shortcut shortcut(Tensor over) {
    return new Shortcut(kind == Kind.SUBSAMPLE_PAD ? Shortcut.Kind.SUBSAMPLE_PAD : Shortcut.Kind.AVERAGE_PAD, over, stride);
  }

  private int windowOf(Shape input) {
    return window == 0 ? input.d1() : window;
  }

  private int strideOf(Shape input) {
    return stride == 0 ? input.d1() : stride;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    int p = out(input.d1(), windowOf(input), strideOf(input)), q = out(input.d2(), window == 0 ? input.d2() : window, window == 0 ? input.d2() : stride);
    if (window == 0 && input.d1() != input.d2()) throw new IllegalArgumentException("Pool: global pooling wants square images, got " + input);
    if (channels != 0 && (channels < input.d3() || (channels - input.d3()) % 2 != 0)) {
      throw new IllegalArgumentException("Pool: cannot pad " + input.d3() + " channels evenly to " + channels);
    }
    if (p < 1 || q < 1) throw new IllegalArgumentException("Pool: a window of " + windowOf(input) + " does not fit " + input);
    Shape output = Shape.image(input.d0(), p, q, channels == 0 ? input.d3() : channels);
    y = context.activations(output);
    gradX = context.gradients(input);
    return output;
  }

  private int out(int extent, int windowExtent, int step) {
    if (kind == Kind.AVERAGE_CEIL) {
      int count = (extent - windowExtent + step - 1) / step + 1;
      return (count - 1) * step >= extent ? count - 1 : count;
    }
    return kind == Kind.SUBSAMPLE_PAD ? (extent + step - 1) / step : Math.floorDiv(extent + 2 * pad - windowExtent, step) + 1;
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    Tensor out = y.first(input.shape().d0());
    switch (kind) {
      case MAX -> backend.pool().maxPool(out, input, window, stride, pad);
      case AVERAGE, AVERAGE_CEIL -> backend.pool().averagePool(out, input, windowOf(input.shape()), strideOf(input.shape()));
      case SUBSAMPLE_PAD -> backend.pool().subsamplePad(out, input, stride);
      case AVERAGE_PAD -> backend.pool().poolPad(out, input, stride);
    }
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradInput = gradX.first(gradY.shape().d0());
    switch (kind) {
      case MAX -> backend.pool().maxPoolBackward(gradInput, gradY, x, window, stride, pad);
      case AVERAGE, AVERAGE_CEIL -> backend.pool().averagePoolBackward(gradInput, gradY, windowOf(x.shape()), strideOf(x.shape()));
      case SUBSAMPLE_PAD -> backend.pool().subsamplePadBackward(gradInput, gradY, stride);
      case AVERAGE_PAD -> backend.pool().poolPadBackward(gradInput, gradY, stride);
    }
    return gradInput;
  }
}
