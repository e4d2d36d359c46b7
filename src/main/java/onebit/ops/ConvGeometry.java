package onebit.ops;

import onebit.tensor.Shape;

/**
 * Extents of one 2-d convolution: images N,H,W,C, filters O,R,S,C/groups, result N,P,Q,O.
 *
 * <pre>
 * Units   stride, pad and dilation in pixels, equal in both directions
 * Throws  IllegalArgumentException if an extent is not positive or a filter does not fit the padded image
 * </pre>
 */
public record ConvGeometry(int n, int h, int w, int c, int o, int r, int s, int stride, int pad, int dilation, int groups) {
  public ConvGeometry {
    if (n < 0 || h < 1 || w < 1 || c < 1 || o < 1 || r < 1 || s < 1 || stride < 1 || pad < 0 || dilation < 1 || groups < 1) {
      throw new IllegalArgumentException("ConvGeometry: extents, stride, dilation and groups must be >= 1 and pad >= 0, got N" + n + " H" + h + " W" + w
          + " C" + c + " O" + o + " R" + r + " S" + s + " stride" + stride + " pad" + pad + " dilation" + dilation + " groups" + groups);
    }
    if (c % groups != 0 || o % groups != 0) {
      throw new IllegalArgumentException("ConvGeometry: groups " + groups + " must divide C " + c + " and O " + o);
    }
    if (h + 2 * pad < dilation * (r - 1) + 1 || w + 2 * pad < dilation * (s - 1) + 1) {
      throw new IllegalArgumentException("ConvGeometry: a " + r + "x" + s + " filter with dilation " + dilation + " does not fit an image of "
          + h + "x" + w + " with pad " + pad);
    }
  }

  public static ConvGeometry of(Shape x, int o, int r, int s, int stride, int pad) {
    return new ConvGeometry(x.d0(), x.d1(), x.d2(), x.d3(), o, r, s, stride, pad, 1, 1);
  }

  /** Output rows. */
  public int p() {
    return (h + 2 * pad - dilation * (r - 1) - 1) / stride + 1;
  }

  /** Output columns. */
  public int q() {
    return (w + 2 * pad - dilation * (s - 1) - 1) / stride + 1;
  }

  /** Values of one filter: R*S*C/groups. */
  public int taps() {
    return r * s * (c / groups);
  }

  /** Channels, filters, extent and stride in a few words, as in {@code 64 to 128 at 56x56 stride 2}. */
  public String words() {
    return c + " to " + o + " at " + h + "x" + w + (stride == 1 ? "" : " stride " + stride);
  }

  public ConvGeometry withBatch(int batch) {
    return batch == n ? this : new ConvGeometry(batch, h, w, c, o, r, s, stride, pad, dilation, groups);
  }

  public Shape x() {
    return Shape.image(n, h, w, c);
  }

  public Shape filters() {
    return Shape.filters(o, r, s, c / groups);
  }

  public Shape y() {
    return Shape.image(n, p(), q(), o);
  }

  /** Multiply-accumulates of one forward pass over the whole batch. */
  public long macs() {
    return (long) n * p() * q() * o * taps();
  }
}
