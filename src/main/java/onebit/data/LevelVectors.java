package onebit.data;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vectors on which this package works on levels: 512 bits where the processor permutes the bytes of so many (avx512vbmi), else 256 where it
 * has them, else none.
 *
 * <pre>
 * Shapes  WINDOW  the bytes of a whole vector, four times LANES
 *         INTS    LANES sums, also a whole vector
 *         FEW     LANES levels
 * </pre>
 */
final class LevelVectors {
  /** Why no vectors are used, or null. The other fields are loaded only where this is null. */
  static final String REFUSAL = refusal();

  private LevelVectors() {}

  private static String refusal() {
    if (Boolean.getBoolean("onebit.vector.off")) return "the system property onebit.vector.off is set";
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) return "this Java runs without the module jdk.incubator.vector";
    return Width.WIDEST >= 32 ? null : "the processor has no 256-bit vectors (AVX2)";
  }

  /** How images are resized and mirrored here, in one sentence. */
  static String finding() {
    return REFUSAL == null ? "resizing on " + 8 * Width.BYTES + "-bit vectors" : "resizing in plain Java, about ten times slower than on vectors, because " + REFUSAL;
  }

  /** Loaded only where there is the Vector API. */
  static final class Width {
    static final int WIDEST = ByteVector.SPECIES_PREFERRED.length();
    private static final int BYTES = WIDEST >= 64 && permutesBytes() ? 64 : 32;
    static final VectorSpecies<Byte> WINDOW = BYTES == 64 ? ByteVector.SPECIES_512 : ByteVector.SPECIES_256;
    static final VectorSpecies<Byte> FEW = BYTES == 64 ? ByteVector.SPECIES_128 : ByteVector.SPECIES_64;
    static final VectorSpecies<Integer> INTS = BYTES == 64 ? IntVector.SPECIES_512 : IntVector.SPECIES_256;
    static final int LANES = BYTES / 4;

    private Width() {}

    /** Whether the processor has one instruction for a permutation of 64 bytes; without it the JDK makes objects of vectors. */
    private static boolean permutesBytes() {
      try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
        return lines.anyMatch(line -> line.startsWith("flags") && (line + " ").contains(" avx512vbmi "));
      } catch (IOException | UncheckedIOException e) {
        return false;
      }
    }
  }
}
