package onebit.data;

import static java.lang.foreign.ValueLayout.ADDRESS;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Where the two libraries of libjpeg-turbo are: in the folder {@code ONEBIT_JPEG_LIB}, else on the loader's path.
 *
 * <p>libturbojpeg decodes and encodes whole images of every kind; libjpeg decodes a box of an ordinary one, which is faster. Without the
 * first the JDK's decoder does the work, six times slower.
 */
final class JpegLibraries {
  private static final String FOLDER = System.getenv("ONEBIT_JPEG_LIB");
  private static final String INSTALL = "install it with: apt-get install libturbojpeg0 libjpeg62-turbo (Ubuntu: libturbojpeg)";

  private JpegLibraries() {}

  /** A library whose functions are asked for one by one; where it or one of them is missing, none may be called. */
  static final class Library {
    private final String soname;
    private final String oldest;
    private SymbolLookup symbols;
    private String refusal;

    /** oldest: the release of libjpeg-turbo that has all functions. */
    Library(String soname, String oldest) {
      this.soname = soname;
      this.oldest = oldest;
      try {
        symbols = load(soname);
        if (ADDRESS.byteSize() != 8) refusal = "this is not a 64-bit system";
      } catch (RuntimeException e) {
        refusal = e.getMessage();
      }
    }

    /** The function of that name; null once something was missing. */
    MethodHandle function(String name, FunctionDescriptor shape) {
      if (refusal != null) return null;
      Optional<MemorySegment> symbol = symbols.find(name);
      if (symbol.isEmpty()) refusal = soname + " has no " + name + ": it is not libjpeg-turbo " + oldest + " or later";
      return symbol.map(at -> Linker.nativeLinker().downcallHandle(at, shape)).orElse(null);
    }

    /** Why the library is not used, or null. */
    String refusal() {
      return refusal;
    }
  }

  /** Looks a library up by its soname; the message of the exception says where it was sought. */
  static SymbolLookup load(String soname) {
    if (Boolean.getBoolean("onebit.jpeg.off")) throw new IllegalArgumentException("the system property onebit.jpeg.off is set");
    if (FOLDER == null) {
      try {
        return SymbolLookup.libraryLookup(soname, Arena.global());
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(soname + " is not on the loader's path", e);
      }
    }
    Path file = Path.of(FOLDER).resolve(soname);
    if (!Files.isRegularFile(file)) throw new IllegalArgumentException("ONEBIT_JPEG_LIB is " + FOLDER + ", which has no " + soname);
    return SymbolLookup.libraryLookup(file, Arena.global());
  }

  /** Which decoders are used, and what would be faster: one sentence per library. */
  static List<String> findings() {
    if (!TurboJpeg.available()) {
      return List.of("decoder of the JDK, about six times slower than libjpeg-turbo, because " + TurboJpeg.refusal() + "; " + INSTALL);
    }
    String whole = "libturbojpeg for whole images, progressive and CMYK files, and for writing";
    return JpegBox.available() ? List.of(whole, "libjpeg of libjpeg-turbo for boxes of ordinary files")
        : List.of(whole, "no partial decode, because " + JpegBox.refusal() + "; " + INSTALL);
  }
}
