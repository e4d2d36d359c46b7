package onebit.ops;

/** What the border contributes to a binary convolution. */
public enum Padding {
  /** Outside taps are absent: they are left out of every sum (AdaBin, BiPer, RBNN pad with 0 after binarization). */
  ZERO,
  /** Outside taps hold the low value of the activation's set, bit 0 (BMXNet pads with -1). */
  MINUS_ONE
}
