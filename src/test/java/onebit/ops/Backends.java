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

  /** The devices of the bit and convolution tests, opened once per JVM. */
  private static final List<Backend> DEVICES = devices(true);

  /** The GPU where one was asked for, else the emulated device, with both kinds of bit products or one. */
  private static List<Backend> devices(boolean both) {
    try {
      if (Boolean.getBoolean("onebit.test.gpu")) return List.of(CudaBackend.open(0));
      String refusal = EmulatedDriver.refusal();
      if (refusal == null) return both ? List.of(CudaBackend.emulated(true), CudaBackend.emulated(false)) : List.of(CudaBackend.emulated(true));
      System.err.println("contract tests run on the CPU only: " + refusal);
      return List.of();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static Stream<Named<BitOps>> bitOps() {
    return Stream.concat(Stream.of(new Named<>("cpu", new CpuBitOps()), new Named<>("cpu-plain", CpuBitOps.plain())),
        DEVICES.stream().map(device -> new Named<>(device.name(), new DeviceBitOps(device))));
  }

  public static Stream<Named<ConvOps>> convOps() {
    return Stream.concat(Stream.of(new Named<>("cpu", new CpuConvOps()), new Named<>("cpu-columns", CpuConvOps.throughColumns())),
        DEVICES.stream().limit(1).map(device -> new Named<>(device.name(), new DeviceConvOps(device))));
  }

  /** Whole backends, new for every test, which closes its own; it creates, writes and reads its tensors through them. */
  public static Stream<Backend> backends() {
    return Stream.concat(Stream.of(new CpuBackend()), devices(false).stream());
  }
}
