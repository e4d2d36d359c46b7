package onebit.data;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/**
 * A box of a plain JPEG image by libjpeg-turbo's libjpeg.so.62: rows above it are skipped, rows below it never read, columns beside it not
 * transformed. Its pixels are those of the whole decode, bit for bit.
 *
 * <p>Only for files whose header is {@link JpegHeader#plain}: libjpeg answers a fatal error by a call that must not return, which Java
 * cannot offer; on plain headers it has none but lack of memory, and then the program ends with a sentence. Any warning of libjpeg about
 * the data is a {@link BadImageException}.
 *
 * <pre>
 * Encoding  offsets are those of jpeglib.h with JPEG_LIB_VERSION 62 on 64-bit Linux; libjpeg itself refuses another version or struct size
 * Source    libjpeg-turbo, jpeglib.h, jpeg_crop_scanline and jpeg_skip_scanlines
 * </pre>
 */
final class JpegBox {
  private static final int VERSION = 62, STRUCT_BYTES = 632, ERROR_BYTES = 168, CLIENT_DATA = 24, OUT_COLOR_SPACE = 64, RGB = 2, MESSAGE_BYTES = 256;
  private static final int ERROR_EXIT = 0, OUTPUT_MESSAGE = 16, FORMAT_MESSAGE = 24, WARNINGS = 128;
  /** Pixels on each side that smooth upsampling of colour looks at, in whole coded units of half size. */
  private static final int MARGIN = 2;
  private static final int STRIP_ROWS = 16;

  private static final JpegLibraries.Library LIBRARY = new JpegLibraries.Library("libjpeg.so.62", "1.5");
  private static final MethodHandle STD_ERROR = LIBRARY.function("jpeg_std_error", FunctionDescriptor.of(ADDRESS, ADDRESS));
  private static final MethodHandle CREATE = LIBRARY.function("jpeg_CreateDecompress", FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, JAVA_LONG));
  private static final MethodHandle SOURCE = LIBRARY.function("jpeg_mem_src", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, JAVA_LONG));
  private static final MethodHandle READ_HEADER = LIBRARY.function("jpeg_read_header", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle START = LIBRARY.function("jpeg_start_decompress", FunctionDescriptor.of(JAVA_INT, ADDRESS));
  private static final MethodHandle CROP = LIBRARY.function("jpeg_crop_scanline", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, ADDRESS));
  private static final MethodHandle SKIP = LIBRARY.function("jpeg_skip_scanlines", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle READ = LIBRARY.function("jpeg_read_scanlines", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
  private static final MethodHandle DESTROY = LIBRARY.function("jpeg_destroy_decompress", FunctionDescriptor.ofVoid(ADDRESS));
  private static final MethodHandle FORMAT = Linker.nativeLinker().downcallHandle(FunctionDescriptor.ofVoid(ADDRESS, ADDRESS));
  private static final MemorySegment ON_FATAL = stub("onFatal"), ON_WARNING = stub("onWarning");

  private final Arena arena = Arena.ofAuto();
  private final MemorySegment decoder = arena.allocate(STRUCT_BYTES, 16), error = arena.allocate(ERROR_BYTES, 16), message = arena.allocate(MESSAGE_BYTES);
  private final MemorySegment left = arena.allocate(JAVA_INT), width = arena.allocate(JAVA_INT), rows = arena.allocate(ADDRESS, STRIP_ROWS);
  private MemorySegment strip = MemorySegment.NULL;

  /** What libjpeg may call: a method of this class that takes the decoder. */
  private static MemorySegment stub(String method) {
    try {
      MethodHandle handle = MethodHandles.lookup().findStatic(JpegBox.class, method, MethodType.methodType(void.class, MemorySegment.class));
      return Linker.nativeLinker().upcallStub(handle, FunctionDescriptor.ofVoid(ADDRESS), Arena.global());
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  static boolean available() {
    return LIBRARY.refusal() == null;
  }

  /** Why boxes are not decoded by libjpeg, or null. */
  static String refusal() {
    return LIBRARY.refusal();
  }

  /** Decodes a box of a plain file. */
  void decode(String name, MemorySegment data, long size, JpegHeader header, Box box, Picture into) throws IOException {
    if (!header.plain()) throw new IllegalArgumentException(name + ": JpegBox is for plain headers");
    into.resize(box, header.height(), header.width(), 3);
    message.set(JAVA_BYTE, 0, (byte) 0);
    try {
      MemorySegment same = (MemorySegment) STD_ERROR.invokeExact(error);
      error.set(ADDRESS, ERROR_EXIT, ON_FATAL);
      error.set(ADDRESS, OUTPUT_MESSAGE, ON_WARNING);
      decoder.set(ADDRESS, 0, error);
      decoder.set(ADDRESS, CLIENT_DATA, message);
      CREATE.invokeExact(decoder, VERSION, (long) STRUCT_BYTES);
      try {
        rows(data, size, header, box, into.pixels());
      } finally {
        DESTROY.invokeExact(decoder);
      }
    } catch (RuntimeException e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException("libjpeg failed on " + name, e);
    }
    if (error.get(JAVA_LONG, WARNINGS) != 0) throw new BadImageException(name + ": the image is damaged: " + message.getString(0));
  }

  private void rows(MemorySegment data, long size, JpegHeader header, Box box, byte[] y) throws Throwable {
    SOURCE.invokeExact(decoder, data, size);
    int found = (int) READ_HEADER.invokeExact(decoder, 1);
    decoder.set(JAVA_INT, OUT_COLOR_SPACE, RGB);
    int started = (int) START.invokeExact(decoder);
    int from = Math.max(0, box.left() - MARGIN), to = Math.min(header.width(), box.left() + box.width() + MARGIN);
    left.set(JAVA_INT, 0, from);
    width.set(JAVA_INT, 0, to - from);
    CROP.invokeExact(decoder, left, width);
    int line = width.get(JAVA_INT, 0) * 3, skip = (box.left() - left.get(JAVA_INT, 0)) * 3, row = box.width() * 3;
    if (strip.byteSize() < (long) line * STRIP_ROWS) strip = arena.allocate((long) line * STRIP_ROWS);
    for (int i = 0; i < STRIP_ROWS; i++) rows.setAtIndex(ADDRESS, i, strip.asSlice((long) i * line));
    if (box.top() > 0) {
      int skipped = (int) SKIP.invokeExact(decoder, box.top());
    }
    for (int h = 0; h < box.height(); ) {
      int want = Math.min(STRIP_ROWS, box.height() - h), have = 0;
      while (have < want) have += (int) READ.invokeExact(decoder, rows.asSlice(8L * have), want - have);
      for (int i = 0; i < want; i++, h++) MemorySegment.copy(strip, JAVA_BYTE, (long) i * line + skip, y, h * row, row);
    }
  }

  /** Called by libjpeg at the first warning: leaves the words in the decode's message. */
  @SuppressWarnings("restricted")
  private static void onWarning(MemorySegment decoder) {
    words(decoder);
  }

  /** Called by libjpeg where it cannot go on, from where no call may return. */
  private static void onFatal(MemorySegment decoder) {
    String why = words(decoder);
    System.getLogger(JpegBox.class.getName()).log(System.Logger.Level.ERROR, "libjpeg cannot go on and Onebit ends: " + why);
    Runtime.getRuntime().halt(1);
  }

  private static String words(MemorySegment decoder) {
    try {
      MemorySegment whole = decoder.reinterpret(STRUCT_BYTES);
      MemorySegment error = whole.get(ADDRESS, 0).reinterpret(ERROR_BYTES), message = whole.get(ADDRESS, CLIENT_DATA).reinterpret(MESSAGE_BYTES);
      FORMAT.invokeExact(error.get(ADDRESS, FORMAT_MESSAGE), decoder, message);
      return message.getString(0);
    } catch (Throwable e) {
      return String.valueOf(e);
    }
  }
}
