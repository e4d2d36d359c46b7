package onebit.data;

import static jdk.incubator.vector.VectorOperators.EQ;
import static jdk.incubator.vector.VectorOperators.F2I;
import static jdk.incubator.vector.VectorOperators.GE;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LT;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** {@link ColourDistortion#colours} on many pixels at a time, {@link LevelVectors}: the same operations on floats in the same order, so the same levels. */
final class VectorColours {
  private static final VectorSpecies<Byte> BYTES = LevelVectors.Width.WINDOW;
  private static final VectorSpecies<Integer> INTS = LevelVectors.Width.INTS;
  private static final VectorSpecies<Float> FLOATS = INTS.withLanes(float.class);
  private static final int LANES = LevelVectors.Width.LANES;
  /** Byte p of the first LANES picked is the red, green or blue of pixel p. */
  private static final byte[][] PICKS = new byte[3][BYTES.length()];
  /** Byte b of the packed pixels is byte PACK[b] of the words that hold one pixel each. */
  private static final byte[] PACK = new byte[BYTES.length()];

  static {
    for (int c = 0; c < 3; c++) for (int p = 0; p < LANES; p++) PICKS[c][p] = (byte) (3 * p + c);
    for (int b = 0; b < 3 * LANES; b++) PACK[b] = (byte) (b / 3 * 4 + b % 3);
  }

  private VectorColours() {}

  /** Writes x with its colours changed into y, another picture of the same shape, with three channels. */
  static void apply(ColourDistortion d, Picture x, Picture y) {
    ByteVector pickR = ByteVector.fromArray(BYTES, PICKS[0], 0), pickG = ByteVector.fromArray(BYTES, PICKS[1], 0), pickB = ByteVector.fromArray(BYTES, PICKS[2], 0);
    ByteVector pack = ByteVector.fromArray(BYTES, PACK, 0);
    float shift = d.shift(), early = d.early(), saturation = d.saturation(), turn = d.hue() / 60, late = d.late();
    int bitsR = 8 * d.to(0), bitsG = 8 * d.to(1), bitsB = 8 * d.to(2), bytes = x.bytes();
    byte[] from = x.pixels(), to = y.pixels();
    FloatVector one = FloatVector.broadcast(FLOATS, 1);
    for (int at = 0; at < bytes; at += 3 * LANES) {
      ByteVector window = ByteVector.fromArray(BYTES, from, at);
      IntVector red = picked(window, pickR), green = picked(window, pickG), blue = picked(window, pickB);
      FloatVector r = bright(red, shift, early), g = bright(green, shift, early), b = bright(blue, shift, early);
      // what makes levels brighter keeps their order, so the largest and the smallest may be found before it: of whole numbers that is faster
      FloatVector v = bright(red.max(green.max(blue)), shift, early), range = v.sub(bright(red.min(green.min(blue)), shift, early));
      FloatVector s = range.div(v.abs().add(ColourDistortion.SMALL)).mul(saturation), step = one.div(range.add(ColourDistortion.SMALL));
      FloatVector h = r.sub(g).mul(step).add(4).blend(b.sub(r).mul(step).add(2), v.compare(EQ, g)).blend(g.sub(b).mul(step), v.compare(EQ, r)).add(turn);
      h = h.blend(h.add(6), h.compare(LT, 0));
      h = h.blend(h.sub(6), h.compare(GE, 6));
      FloatVector rest = h.sub((FloatVector) h.convert(F2I, 0).convert(I2F, 0)), scaled = v.mul(late);
      FloatVector low = scaled.mul(one.sub(s)), falling = scaled.mul(one.sub(s.mul(rest))), rising = scaled.mul(one.sub(s.mul(one.sub(rest))));
      VectorMask<Float> under1 = h.compare(LT, 1), under2 = h.compare(LT, 2), under3 = h.compare(LT, 3), under4 = h.compare(LT, 4), under5 = h.compare(LT, 5);
      red = (IntVector) scaled.blend(rising, under5).blend(low, under4).blend(falling, under2).blend(scaled, under1).add(0.5f).convert(F2I, 0);
      green = (IntVector) low.blend(falling, under4).blend(scaled, under3).blend(rising, under1).add(0.5f).convert(F2I, 0);
      blue = (IntVector) falling.blend(scaled, under5).blend(rising, under3).blend(low, under2).add(0.5f).convert(F2I, 0);
      // rounded, then clamped: the same as clamped, then rounded
      red = red.max(0).min(255).lanewise(LSHL, bitsR);
      green = green.max(0).min(255).lanewise(LSHL, bitsG);
      blue = blue.max(0).min(255).lanewise(LSHL, bitsB);
      pack.selectFrom(red.or(green).or(blue).reinterpretAsBytes()).intoArray(to, at);
    }
  }

  private static IntVector picked(ByteVector window, ByteVector pick) {
    return (IntVector) pick.selectFrom(window).convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
  }

  private static FloatVector bright(IntVector levels, float shift, float early) {
    return ((FloatVector) levels.convert(I2F, 0)).add(shift).mul(early);
  }
}
