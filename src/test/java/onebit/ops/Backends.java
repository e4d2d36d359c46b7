package onebit.ops;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.stream.Stream;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cpu.CpuBitOps;
import onebit.ops.cpu.CpuConvOps;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.tensor.ElementType;

/**
 * The implementations every contract test runs on: those named in the system property {@code onebit.test.backends}, of cpu, cuda and
 * cuda-emulated; without it the CPU with the GPU if {@code onebit.test.gpu} is true, else with the emulated device.
 */
public final class Backends {
  private static final List<String> ASKED = asked();

  private Backends() {}

  /** An implementation with the name shown in the test report. */
  public record Named<T>(String name, T ops) {
    @Override
    public String toString() {
      return name;
    }
  }

  /** The devices of the bit and convolution tests, opened once per JVM. */
  private static final List<Backend> DEVICES = devices(true);

  private static List<String> asked() {
    String names = System.getProperty("onebit.test.backends", Boolean.getBoolean("onebit.test.gpu") ? "cpu,cuda" : "cpu,cuda-emulated");
    List<String> asked = List.of(names.split(","));
    if (asked.isEmpty() || !List.of("cpu", "cuda", "cuda-emulated").containsAll(asked)) {
      throw new IllegalArgumentException("onebit.test.backends is " + names + "; it must name cpu, cuda or cuda-emulated");
    }
    return asked;
  }

  /** The host's implementations, if the CPU was asked for. */
  @SafeVarargs
  private static <T> Stream<T> host(T... implementations) {
    return ASKED.contains("cpu") ? Stream.of(implementations) : Stream.empty();
  }

  /** The GPU where one was asked for, else the emulated device, with both kinds of bit products or one. */
  private static List<Backend> devices(boolean both) {
    try {
      if (ASKED.contains("cuda")) return List.of(CudaBackend.open(0, ElementType.FLOAT32));
      if (!ASKED.contains("cuda-emulated")) return List.of();
      String refusal = EmulatedDriver.refusal();
      if (refusal == null) return both ? List.of(CudaBackend.emulated(true), CudaBackend.emulated(false)) : List.of(CudaBackend.emulated(true));
      System.err.println("contract tests run on the CPU only: " + refusal);
      return List.of();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static Stream<Named<BitOps>> bitOps() {
    return Stream.concat(host(new Named<>("cpu", new CpuBitOps()), new Named<>("cpu-plain", CpuBitOps.plain())),
        DEVICES.stream().map(device -> new Named<>(device.name(), new DeviceBitOps(device))));
  }

  public static Stream<Named<ConvOps>> convOps() {
    return Stream.concat(host(new Named<>("cpu", new CpuConvOps()), new Named<>("cpu-columns", CpuConvOps.throughColumns())),
        DEVICES.stream().limit(1).map(device -> new Named<>(device.name(), new DeviceConvOps(device))));
  }

  /** Whole backends, new for every test, which closes its own; it creates, writes and reads its tensors through them. */
  public static Stream<Backend> backends() {
    Stream<Backend> host = ASKED.contains("cpu") ? Stream.of(new CpuBackend()) : Stream.empty();
    return Stream.concat(host, devices(false).stream());
  }
}
