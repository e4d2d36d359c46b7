package onebit.data;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.VectorSpecies;

/** RGB rows mirrored left to right, a vector of pixels at a time: one load, one permutation, one store. */
final class VectorFlip {
  private static final VectorSpecies<Byte> BYTES = LevelVectors.Width.WINDOW;
  private static final int PIXELS = BYTES.length() / 3;
  /** Byte b of the mirrored pixels is byte PICK[b] of theirs; what a vector holds more is overwritten by what follows. */
  private static final byte[] PICK = new byte[BYTES.length()];

  static {
    for (int b = 0; b < 3 * PIXELS; b++) PICK[b] = (byte) ((PIXELS - 1 - b / 3) * 3 + b % 3);
  }

  private VectorFlip() {}

  /** Writes the mirror image of x into y, of the same shape, with three channels. */
  static void apply(Picture x, Picture y) {
    ByteVector pick = ByteVector.fromArray(BYTES, PICK, 0);
    int width = x.width();
    byte[] from = x.pixels(), to = y.pixels();
    for (int h = 0; h < x.height(); h++) {
      int row = h * width * 3, w = 0;
      for (; w + PIXELS <= width; w += PIXELS) {
        pick.selectFrom(ByteVector.fromArray(BYTES, from, row + (width - w - PIXELS) * 3)).intoArray(to, row + w * 3);
      }
      for (; w < width; w++) for (int c = 0; c < 3; c++) to[row + w * 3 + c] = from[row + (width - 1 - w) * 3 + c];
    }
  }
}
