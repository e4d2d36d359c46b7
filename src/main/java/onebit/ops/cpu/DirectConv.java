package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.ConvGeometry;

/**
 * Convolution without columns, on padded copies of the image rows: forward (and gradX as the forward pass of gradY with turned filters)
 * and gradW; dilation 1, groups 1, outputs a multiple of a vector's lanes.
 */
final class DirectConv {
  private static final int CHUNK_VALUES = 4096;
  private static final int MANY_PIXELS = 64;
  private static final int SECOND_LEVEL_VALUES = 256 * 1024;
  private static final int BLOCK_VALUES = 32 * 1024;
  private static final int GRADIENT_BLOCK_VALUES = 12 * 1024;

  private float[] padded = new float[0];

  /** Whether the filters and the machine suit the forward pass; large filters over few pixels are better loaded once for many images. */
  static boolean suitsForward(ConvGeometry g) {
    return VectorCpu.REFUSAL == null && g.o() % VectorCpu.LANES == 0 && g.dilation() == 1 && g.groups() == 1 && g.r() * g.s() > 1
        && (g.p() * g.q() >= MANY_PIXELS || g.o() * g.taps() <= SECOND_LEVEL_VALUES);
  }

  /** Whether gradX is a forward pass of gradY, by {@link #turned}. */
  static boolean canTurn(ConvGeometry g) {
    return g.stride() == 1 && g.dilation() == 1 && g.pad() < g.r() && g.pad() < g.s() && g.r() == g.s();
  }

  /** Whether the filters and the machine suit gradW, whose sums are loaded and stored once per block. */
  static boolean suitsGradW(ConvGeometry g) {
    return VectorCpu.REFUSAL == null && g.o() % 4 == 0 && g.s() * g.c() % VectorTiles.GRAD_W_VALUES == 0 && g.dilation() == 1 && g.groups() == 1
        && g.o() * g.taps() <= SECOND_LEVEL_VALUES / 4;
  }

  /** The convolution that makes gradX out of gradY. */
  static ConvGeometry turned(ConvGeometry g) {
    return new ConvGeometry(g.n(), g.p(), g.q(), g.o(), g.c(), g.r(), g.s(), 1, Math.max(0, g.r() - 1 - g.pad()), 1, g.groups());
  }

  /** Output rows of one block, so that what it reads and writes stays in the second-level cache. */
  static int blockRows(ConvGeometry g) {
    return (int) Math.clamp(BLOCK_VALUES / ((long) g.q() * g.o() + (long) g.stride() * g.w() * g.c()), 1, g.p());
  }

  /** panels[n0][r][k][n] = w[n0 + n][r][k]; n0 steps as {@link #width} says. */
  static void panels(float[] panels, float[] w, ConvGeometry g) {
    int depth = g.taps();
    for (int n0 = 0, width; n0 < g.o(); n0 += width) {
      width = width(g.o() - n0);
      for (int j = 0; j < width; j++) {
        for (int k = 0; k < depth; k++) panels[n0 * depth + k * width + j] = w[(n0 + j) * depth + k];
      }
    }
  }

  /** The same of the turned filters: turned[c][r][s][o] = w[o][R-1-r][S-1-s][c]. */
  static void turnedPanels(float[] panels, float[] w, ConvGeometry g) {
    int taps = g.r() * g.s(), depth = taps * g.o();
    for (int n0 = 0, width; n0 < g.c(); n0 += width) {
      width = width(g.c() - n0);
      for (int tap = 0; tap < taps; tap++) {
        for (int o = 0; o < g.o(); o++) {
          System.arraycopy(w, (o * taps + taps - 1 - tap) * g.c() + n0, panels, n0 * depth + (tap * g.o() + o) * width, width);
        }
      }
    }
  }

  /** Outputs of the next panel when so many are left. */
  private static int width(int left) {
    return VectorCpu.LANES * (left >= 4 * VectorCpu.LANES ? 4 : left >= 2 * VectorCpu.LANES ? 2 : 1);
  }

  /** y = the output rows [p0, p1) of one image. */
  void forward(float[] y, float[] x, float[] panels, int image, int p0, int p1, ConvGeometry g, float border) {
    int segment = g.s() * g.c(), depth = g.taps(), row = (g.w() + 2 * g.pad()) * g.c();
    boolean threeTaps = g.s() == 3 && g.stride() == 1 && segment <= CHUNK_VALUES / VectorCpu.LANES;
    pad(x, image, p0, p1, g, border);
    int to = (image * g.p() + p0) * g.q() * g.o();
    Arrays.fill(y, to, to + (p1 - p0) * g.q() * g.o(), 0);
    for (int n0 = 0, width; n0 < g.o(); n0 += width) {
      width = width(g.o() - n0);
      int chunk = CHUNK_VALUES / width;
      for (int r = 0; r < g.r(); r++) {
        for (int k = 0; k < segment; k += chunk) {
          int from = n0 * depth + (r * segment + k) * width;
          for (int p = 0; p < p1 - p0; p++) {
            int yAt = to + p * g.q() * g.o() + n0, xAt = (p * g.stride() + r) * row + k, step = g.stride() * g.c();
            int done = threeTaps && width == VectorCpu.LANES ? VectorTiles.threeTapRow(y, yAt, g.o(), g.q(), padded, xAt, g.c(), panels, from) : 0;
            VectorTiles.forwardRow(y, yAt + done * g.o(), g.o(), g.q() - done, padded, xAt + done * step, step, panels, from,
                Math.min(chunk, segment - k), width);
          }
        }
      }
    }
  }

  /** gradW += what the images [from, to) contribute, from the given offset. */
  void gradW(float[] gradW, int offset, float[] gradY, float[] x, int from, int to, ConvGeometry g, float border) {
    int segment = g.s() * g.c(), row = (g.w() + 2 * g.pad()) * g.c();
    int rows = (int) Math.clamp(GRADIENT_BLOCK_VALUES / ((long) g.q() * g.o() + (long) g.stride() * row), 1, g.p());
    for (int image = from; image < to; image++) {
      for (int p0 = 0; p0 < g.p(); p0 += rows) {
        int p1 = Math.min(g.p(), p0 + rows);
        pad(x, image, p0, p1, g, border);
        for (int r = 0; r < g.r(); r++) {
          for (int k = 0; k < segment; k += VectorTiles.GRAD_W_VALUES) {
            for (int o = 0; o < g.o(); o += 4) {
              VectorTiles.gradWTile(gradW, offset + o * g.taps() + r * segment + k, g.taps(), gradY, (image * g.p() + p0) * g.q() * g.o() + o, g.o(),
                  padded, r * row + k, g.stride() * row, g.stride() * g.c(), p1 - p0, g.q());
            }
          }
        }
      }
    }
  }

  /** padded = the image rows that output rows [p0, p1) read, with the border around them. */
  private void pad(float[] x, int image, int p0, int p1, ConvGeometry g, float border) {
    int row = (g.w() + 2 * g.pad()) * g.c(), edge = g.pad() * g.c(), inner = g.w() * g.c(), first = p0 * g.stride() - g.pad();
    int count = (p1 - 1 - p0) * g.stride() + g.r();
    if (padded.length < count * row) padded = new float[count * row];
    for (int i = 0; i < count; i++) {
      int h = first + i, at = i * row;
      if (h < 0 || h >= g.h()) {
        Arrays.fill(padded, at, at + row, border);
        continue;
      }
      Arrays.fill(padded, at, at + edge, border);
      System.arraycopy(x, (image * g.h() + h) * inner, padded, at + edge, inner);
      Arrays.fill(padded, at + edge + inner, at + row, border);
    }
  }
}
