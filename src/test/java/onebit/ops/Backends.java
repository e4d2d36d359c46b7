package onebit.ops;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cpu.CpuBitOps;
import onebit.ops.cpu.CpuConvOps;
import onebit.ops.cuda.BitProduct;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.CudaMode;
import onebit.ops.cuda.EmulatedDriver;
import onebit.tensor.Bfloat16;

/**
 * The implementations every contract test runs on: those named in the system property {@code onebit.test.backends}, of cpu, cuda and
 * cuda-emulated; without it the CPU with the GPU if {@code onebit.test.gpu} is true, else with the emulated device.
 */
public final class Backends {
  private static final List<String> ASKED = asked();

  private Backends() {}

  /** An implementation with the name shown in the test report; one that rounds holds activations as bfloat16. */
  public record Named<T>(String name, T ops, boolean rounds) {
    Named(String name, T ops) {
      this(name, ops, false);
    }

    /** What the implementation holds of this value: a reference starts from it. */
    float held(float value) {
      return rounds ? Bfloat16.round(value) : value;
    }

    /** How far a right result may be off beside the order of sums: half a step of bfloat16. */
    double step(double wanted) {
      return rounds ? Math.abs(wanted) / 256 : 0;
    }

    @Override
    public String toString() {
      return name;
    }
  }

  /** The devices of the bit and convolution tests, each with tensors of its own. */
  private static final List<Named<BitOps>> BIT_DEVICES = Stream.concat(
      devices(true, CudaMode.FLOAT32).stream().map(DeviceBitOps::new).map(d -> new Named<BitOps>(d.name(), d)),
      devices(false, CudaMode.BFLOAT16).stream().map(DeviceBitOps::new).map(d -> new Named<BitOps>(d.name(), d, true))).toList();
  private static final List<Named<ConvOps>> CONV_DEVICES = Stream.concat(
      devices(false, CudaMode.FLOAT32).stream().flatMap(open -> Stream.of(open.get(), ((CudaBackend) open.get()).useOwnProducts()))
          .map(d -> new Named<ConvOps>(d.toString(), new DeviceConvOps(d))),
      devices(false, CudaMode.BFLOAT16).stream().map(Supplier::get).map(d -> new Named<ConvOps>(d.toString(), new DeviceConvOps(d), true))).toList();

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

  /** What opens the GPU where one was asked for, else the emulated device, with every kind of bit product or one. */
  private static List<Supplier<Backend>> devices(boolean all, CudaMode mode) {
    if (ASKED.contains("cuda")) return List.of(() -> opened(null, mode));
    if (!ASKED.contains("cuda-emulated")) return List.of();
    String refusal = EmulatedDriver.refusal();
    if (refusal == null) return (all ? List.of(BitProduct.values()) : List.of(BitProduct.AND)).stream().map(p -> (Supplier<Backend>) () -> opened(p, mode)).toList();
    System.err.println("contract tests run on the CPU only: " + refusal);
    return List.of();
  }

  private static Backend opened(BitProduct emulated, CudaMode mode) {
    try {
      return emulated == null ? CudaBackend.open(0, mode) : CudaBackend.emulated(emulated, mode);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static Stream<Named<BitOps>> bitOps() {
    return Stream.concat(host(new Named<BitOps>("cpu", new CpuBitOps()), new Named<BitOps>("cpu-plain", CpuBitOps.plain())), BIT_DEVICES.stream())
        .map(named -> new Named<>(named.name(), RecordedOps.of(BitOps.class, named.name(), named.ops()), named.rounds()));
  }

  public static Stream<Named<ConvOps>> convOps() {
    return Stream.concat(host(new Named<ConvOps>("cpu", new CpuConvOps()), new Named<ConvOps>("cpu-columns", CpuConvOps.throughColumns())), CONV_DEVICES.stream())
        .map(named -> new Named<>(named.name(), RecordedOps.of(ConvOps.class, named.name(), named.ops()), named.rounds()));
  }

  /** Whole backends, new for every test, which closes its own; it creates, writes and reads its tensors through them. */
  public static Stream<Backend> backends() {
    Stream<Backend> host = ASKED.contains("cpu") ? Stream.of(new CpuBackend()) : Stream.empty();
    return Stream.concat(host, devices(false, CudaMode.FLOAT32).stream().map(Supplier::get)).map(RecordedOps::of);
  }

  /** What opens the device with bfloat16 activations, with every kind of bit product it has or with one; nothing where there is no device. */
  public static List<Supplier<Backend>> rounding(boolean all) {
    return devices(all, CudaMode.BFLOAT16);
  }

  /** The same, and the device with bfloat16 activations. */
  public static Stream<Backend> precisions() {
    return Stream.concat(backends(), devices(false, CudaMode.BFLOAT16).stream().map(Supplier::get).map(RecordedOps::of));
  }
}
