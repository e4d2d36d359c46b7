package onebit.data;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;

/** A JPEG of four inks, coded by libturbojpeg as YCCK with Adobe's marker, or with the marker's transform taken out, which makes it CMYK. */
final class CmykFile {
  private CmykFile() {}

  /** Inverted inks: cyan 60 + column, magenta and yellow 255 (none), black 128 + row. */
  static byte[] coded(int height, int width, boolean ycck) {
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup library = JpegLibraries.load("libturbojpeg.so.0");
      Linker linker = Linker.nativeLinker();
      var a = ValueLayout.ADDRESS;
      var i = ValueLayout.JAVA_INT;
      MemorySegment encoder = (MemorySegment) linker.downcallHandle(library.findOrThrow("tjInitCompress"), FunctionDescriptor.of(a)).invokeExact();
      MemorySegment inks = arena.allocate(4L * height * width), pointer = arena.allocate(a), length = arena.allocate(ValueLayout.JAVA_LONG), out = arena.allocate(1 << 20);
      for (int p = 0; p < height * width; p++) {
        byte[] one = {(byte) (60 + p % width), (byte) 255, (byte) 255, (byte) (128 + p / width)};
        MemorySegment.copy(one, 0, inks, ValueLayout.JAVA_BYTE, 4L * p, 4);
      }
      pointer.set(a, 0, out);
      length.set(ValueLayout.JAVA_LONG, 0, 1 << 20);
      int rc = (int) linker.downcallHandle(library.findOrThrow("tjCompress2"), FunctionDescriptor.of(i, a, a, i, i, i, i, a, a, i, i, i))
          .invokeExact(encoder, inks, width, 4 * width, height, 11, pointer, length, 0, 95, 1024);
      if (rc != 0) throw new AssertionError("not coded");
      byte[] file = out.asSlice(0, length.get(ValueLayout.JAVA_LONG, 0)).toArray(ValueLayout.JAVA_BYTE);
      for (int at = 0; !ycck && at + 12 < file.length; at++) {
        if (file[at] == 'A' && file[at + 1] == 'd' && file[at + 2] == 'o' && file[at + 3] == 'b') file[at + 11] = 0;
      }
      return file;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
