package onebit.ops;

import java.util.stream.Stream;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cpu.CpuBitOps;
import onebit.ops.cpu.CpuConvOps;

/** The implementations every contract test runs on. */
public final class Backends {
  private Backends() {}

  /** An implementation with the name shown in the test report. */
  public record Named<T>(String name, T ops) {
    @Override
    public String toString() {
      return name;
    }
  }

  public static Stream<Named<BitOps>> bitOps() {
    return Stream.of(new Named<>("cpu", new CpuBitOps()), new Named<>("cpu-plain", CpuBitOps.plain()));
  }

  public static Stream<Named<ConvOps>> convOps() {
    return Stream.of(new Named<>("cpu", new CpuConvOps()), new Named<>("cpu-columns", CpuConvOps.throughColumns()));
  }

  /** Whole backends; a test creates, writes and reads its tensors through them. */
  public static Stream<Backend> backends() {
    return Stream.of(new CpuBackend());
  }
}
