package onebit.report;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The columns of the terminal that the standard output is, asked anew each time: a window changes its size. */
final class TerminalWidth {
  /** Linux's request for the window's size: rows, columns, and both in pixels, two bytes each. */
  private static final long TIOCGWINSZ = 0x5413;
  private static final int STDOUT = 1, SIZE_BYTES = 8, COLUMNS_AT = 2;
  private static final MethodHandle IOCTL = ioctl();

  private TerminalWidth() {}

  private static MethodHandle ioctl() {
    Linker linker = Linker.nativeLinker();
    return linker.defaultLookup().find("ioctl")
        .map(at -> linker.downcallHandle(at, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS), Linker.Option.firstVariadicArg(2))).orElse(null);
  }

  /** The columns; 0 where the standard output is no terminal or does not tell. */
  static int now() {
    if (IOCTL == null) return 0;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment size = arena.allocate(SIZE_BYTES);
      return (int) IOCTL.invokeExact(STDOUT, TIOCGWINSZ, size) != 0 ? 0 : Short.toUnsignedInt(size.get(JAVA_SHORT, COLUMNS_AT));
    } catch (Throwable e) {
      return 0;
    }
  }
}
