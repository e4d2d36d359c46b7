package onebit.data;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;

/**
 * What the segments before a JPEG's first scan say: its size, its components, and whether libjpeg can decode it without a fatal error.
 *
 * <p>{@code plain} is true for what nearly every file is: baseline or extended sequential Huffman coding of 8-bit grey or three-component
 * images in one interleaved scan, all tables present and valid. On such data libjpeg has warnings but no fatal error, so it may be called
 * where a fatal error could not be caught.
 *
 * <pre>
 * file    := SOI segment* SOF segment* SOS scan ... EOI
 * segment := FF marker length:u16 (2 of it its own) contents
 * Units   unit rows and columns are those of one minimum coded unit, 8 times the largest sampling factor
 * Source  ITU-T T.81, annex B
 * </pre>
 */
record JpegHeader(int height, int width, int components, int unitRows, int unitColumns, boolean plain, boolean ycck, long scan) {
  private static final int SOF0 = 0xC0, SOF1 = 0xC1, DHT = 0xC4, SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, DRI = 0xDD, APP0 = 0xE0, APP14 = 0xEE,
      APP15 = 0xEF, COM = 0xFE;

  /** libjpeg's own limit. */
  private static final int MOST_PIXELS_A_SIDE = 65_500;

  /** Walks the segments of one file. */
  private static final class Walk {
    final String name;
    final MemorySegment data;
    final long size;
    long at = 2;
    boolean plain = true;
    int height, width, components, adobe = -1, maxH, maxV;
    boolean frame;
    int[] ids = new int[0], quantisation = new int[0];
    int quantisers, dcTables, acTables;

    Walk(String name, MemorySegment data, long size) {
      this.name = name;
      this.data = data;
      this.size = size;
    }

    int u8(long i) {
      return data.get(JAVA_BYTE, i) & 255;
    }

    int u16(long i) {
      return u8(i) << 8 | u8(i + 1);
    }

    BadImageException cut() {
      return new BadImageException(name + ": the image is damaged: the JPEG file ends inside its header");
    }

    /** Puts {@code at} behind the next marker and returns it; bytes that are no marker make the file not plain. */
    int marker() throws BadImageException {
      while (true) {
        if (at + 2 > size) throw cut();
        if (u8(at) != 0xFF) {
          plain = false;
          at++;
          continue;
        }
        int marker = u8(at + 1);
        if (marker == 0xFF) {
          at++;
          continue;
        }
        at += 2;
        if (marker != 0) return marker;
        plain = false;
      }
    }

    JpegHeader read() throws BadImageException {
      while (true) {
        int marker = marker();
        if (marker == EOI) throw new BadImageException(name + ": the image is damaged: the JPEG file has no scan");
        if (marker == SOI || marker >= 0xD0 && marker < SOI || marker == 1) {
          plain = false;
          continue;
        }
        if (at + 2 > size) throw cut();
        int length = u16(at);
        long begin = at + 2, end = at + length;
        if (length < 2 || end > size) throw cut();
        switch (marker) {
          case DQT -> quantisers(begin, end);
          case DHT -> huffman(begin, end);
          case DRI -> plain &= length == 4;
          case SOS -> {
            if (!frame) throw new BadImageException(name + ": the image is damaged: the JPEG file has a scan before its size");
            scan(begin, end);
            return new JpegHeader(height, width, components, 8 * maxV, 8 * maxH, plain, components == 4 && adobe == 2, end);
          }
          case APP14 -> {
            if (length >= 14 && u8(begin) == 'A' && u8(begin + 1) == 'd' && u8(begin + 2) == 'o') adobe = u8(begin + 11);
          }
          case COM -> { }
          default -> {
            boolean sizes = marker >= SOF0 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC;
            if (sizes) frame(marker, begin, end);
            else plain &= marker >= APP0 && marker <= APP15;
          }
        }
        at = end;
      }
    }

    private void frame(int marker, long begin, long end) throws BadImageException {
      if (end - begin < 6) throw cut();
      boolean sequential = marker == SOF0 || marker == SOF1;
      plain &= !frame && sequential && u8(begin) == 8;
      frame = true;
      height = u16(begin + 1);
      width = u16(begin + 3);
      components = u8(begin + 5);
      if (height < 1 || width < 1 || components < 1) {
        throw new BadImageException(name + ": the image is damaged: its header says " + width + "x" + height + " pixels of " + components + " components");
      }
      plain &= Math.max(height, width) <= MOST_PIXELS_A_SIDE && (components == 1 || components == 3) && end - begin == 6 + 3L * components;
      if (end - begin < 6 + 3L * components) throw cut();
      ids = new int[components];
      quantisation = new int[components];
      for (int i = 0; i < components; i++) {
        ids[i] = u8(begin + 6 + 3L * i);
        int factors = u8(begin + 7 + 3L * i), h = factors >> 4, v = factors & 15;
        quantisation[i] = u8(begin + 8 + 3L * i);
        plain &= (h == 1 || h == 2) && (v == 1 || v == 2) && (i == 0 || h == 1 && v == 1) && quantisation[i] < 4;
        for (int j = 0; j < i; j++) plain &= ids[i] != ids[j];
        maxH = Math.max(maxH, h);
        maxV = Math.max(maxV, v);
      }
    }

    private void quantisers(long begin, long end) {
      long i = begin;
      while (i < end) {
        int head = u8(i), table = head & 15, bytes = head >> 4 == 0 ? 64 : 128;
        if (table > 3 || head >> 4 > 1 || i + 1 + bytes > end) {
          plain = false;
          return;
        }
        quantisers |= 1 << table;
        i += 1 + bytes;
      }
    }

    /** Notes a table as present if its code lengths form a prefix code, and refuses the whole as not plain where they do not. */
    private void huffman(long begin, long end) {
      long i = begin;
      while (i < end) {
        int head = u8(i), table = head & 15;
        boolean ac = head >> 4 == 1;
        if (head >> 4 > 1 || table > 3 || i + 17 > end) {
          plain = false;
          return;
        }
        int total = 0, code = 0;
        for (int bits = 1; bits <= 16; bits++) {
          int codes = u8(i + bits);
          total += codes;
          code += codes;  // no code may be all ones
          if (code >= 1 << bits) plain = false;
          code <<= 1;
        }
        if (total > 256 || i + 17 + total > end) {
          plain = false;
          return;
        }
        for (int s = 0; !ac && s < total; s++) plain &= u8(i + 17 + s) < 16;
        if (ac) acTables |= 1 << table;
        else dcTables |= 1 << table;
        i += 17 + total;
      }
    }

    /** One scan with all components in the frame's order, each with tables that are there. */
    private void scan(long begin, long end) {
      int n = begin < end ? u8(begin) : 0;
      if (n != components || end - begin != 4 + 2L * n) {
        plain = false;
        return;
      }
      for (int i = 0; i < n; i++) {
        int tables = u8(begin + 2 + 2L * i), dc = tables >> 4, ac = tables & 15;
        plain &= u8(begin + 1 + 2L * i) == ids[i] && dc < 4 && ac < 4 && (dcTables >> dc & 1) == 1 && (acTables >> ac & 1) == 1
            && (quantisers >> quantisation[i] & 1) == 1;
      }
      plain &= u8(end - 3) == 0 && u8(end - 2) == 63 && u8(end - 1) == 0;
    }
  }

  /** Reads the header of a file that begins with SOI. */
  static JpegHeader read(String name, MemorySegment data, long size) throws BadImageException {
    return new Walk(name, data, size).read();
  }

  /** Whether an end-of-image marker follows the scan's header: a file cut short has none. */
  boolean ends(MemorySegment data, long size) {
    for (long i = size - 2; i >= scan; i--) {
      if (data.get(JAVA_BYTE, i) == (byte) 0xFF && data.get(JAVA_BYTE, i + 1) == (byte) EOI) return true;
    }
    return false;
  }

  /** Whether the bytes begin as a JPEG does. */
  static boolean isJpeg(MemorySegment data, long size) {
    return size > 3 && data.get(JAVA_BYTE, 0) == (byte) 0xFF && data.get(JAVA_BYTE, 1) == (byte) SOI && data.get(JAVA_BYTE, 2) == (byte) 0xFF;
  }
}
