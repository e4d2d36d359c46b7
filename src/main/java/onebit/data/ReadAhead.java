package onebit.data;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Asks the kernel to bring a part of a file into the page cache, and does not wait for it.
 *
 * <pre>
 * Source  madvise(2) with MADV_WILLNEED; the kernel brings at most the device's read-ahead of one call, 128 KiB unless it was set otherwise
 * </pre>
 */
final class ReadAhead {
  private static final int WILL_NEED = 3;
  private static final long PAGE = 4096, PIECE = 128 << 10;
  private static final MethodHandle MADVISE = Linker.nativeLinker().downcallHandle(Linker.nativeLinker().defaultLookup().findOrThrow("madvise"),
      FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));

  private ReadAhead() {}

  /** Bytes [from, to) of a file that is mapped from its beginning; what the kernel does not bring is read when it is needed. */
  static void ask(MemorySegment file, long from, long to) {
    try {
      for (long at = from - from % PAGE; at < to; at += PIECE) {
        long bytes = Math.min(PIECE, to - at);
        int ignored = (int) MADVISE.invokeExact(file.asSlice(at, bytes), bytes, WILL_NEED);
      }
    } catch (Throwable e) {
      throw new IllegalStateException("madvise: " + e, e);
    }
  }
}
