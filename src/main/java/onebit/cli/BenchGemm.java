package onebit.cli;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import onebit.ops.cpu.CpuBitOps;
import onebit.ops.cpu.CpuThreads;
import onebit.ops.cpu.OpenBlas;
import onebit.ops.cuda.CudaBackend;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Binary GEMM, the same in plain Java and OpenBLAS sgemm, in turn on one thread; on a GPU beside cuBLAS in bfloat16.
 *
 * <pre>
 * Units  giga-operations per second, 2 M N K / median time
 * </pre>
 */
@Command(name = "gemm", mixinStandardHelpOptions = true,
    description = "Times the binary matrix product beside OpenBLAS sgemm on one thread, or on a GPU beside cuBLAS in bfloat16.")
public final class BenchGemm implements Callable<Integer> {
  private static final int MOST_VALUES = 1 << 30;

  @Option(names = "--rounds", paramLabel = "N", defaultValue = "31", description = "Runs of each product; the median counts (default: ${DEFAULT-VALUE}).")
  private int rounds = 31;

  @Option(names = "--warm", paramLabel = "SECONDS", defaultValue = "1.5", description = "Seconds of warm-up of each product (default: ${DEFAULT-VALUE}).")
  private double warmSeconds = 1.5;

  @Option(names = "--size", split = ",", paramLabel = "M,N,K", description = "Sizes of the product (default: 1024,1024,4096; on a GPU 4096 and 8192 for all three).")
  private int[] size;

  @Option(names = "--device", paramLabel = "NAME", defaultValue = "cpu", description = "Where to compute: " + Workplace.DEVICES + " (default: ${DEFAULT-VALUE}).")
  private String device = "cpu";

  @Mixin private JsonOption json;

  @Override
  public Integer call() {
    if (rounds < 1) throw new IllegalArgumentException("bench gemm: --rounds must be >= 1, got " + rounds);
    if (size != null && (size.length != 3 || size[0] < 1 || size[1] < 1 || size[2] < 1)) throw new IllegalArgumentException("bench gemm: --size wants three positive numbers M,N,K");
    if (size != null && Math.max((long) size[0] * size[1], (long) size[2] * Math.max(size[0], size[1])) > MOST_VALUES) {
      throw new IllegalArgumentException("bench gemm: --size " + size[0] + "," + size[1] + "," + size[2] + " makes a matrix of more than " + MOST_VALUES + " values");
    }
    if (!device.equals("cpu")) {
      try (CudaBackend backend = (CudaBackend) Workplace.open(device, Precision.AUTO, false)) {
        Map<String, Object> line = new DeviceBench(backend, rounds).gemm(size);
        json.print(line);
      }
      return 0;
    }
    if (size == null) size = new int[] {1024, 1024, 4096};
    int m = size[0], n = size[1], k = size[2];
    Random random = new Random(1);
    BitTensor a = bits(random, m, k), b = bits(random, n, k);
    float[] as = values(random, m * k), bs = values(random, n * k), cs = new float[m * n];
    Tensor y = Tensor.of(Shape.matrix(m, n), new float[m * n]);
    CpuBitOps fast = new CpuBitOps(), plain = CpuBitOps.plain();
    Stopwatch.Times[][] result = new Stopwatch.Times[1][];
    CpuThreads.alone(() -> result[0] = Stopwatch.measure(warmSeconds, rounds, () -> fast.xnorGemm(y, a, b), () -> plain.xnorGemm(y, a, b),
        () -> OpenBlas.sgemm(false, true, m, n, k, as, 0, k, bs, 0, k, 0, cs, 0, n)));
    report(result[0], 2e-9 * m * n * k);
    return 0;
  }

  private void report(Stopwatch.Times[] times, double gigaOperations) {
    String[] names = {"binary", "binary, plain Java", "sgemm " + OpenBlas.core()};
    double sgemm = times[2].median(), sgemmCpu = times[2].cpuMedian();
    System.out.println("binary: " + CpuBitOps.status() + "; sgemm: " + OpenBlas.status());
    System.out.printf(Locale.ROOT, "%-22s %10s %10s %8s %10s %12s%n", "one thread", "Gop/s", "best", "spread", "x sgemm", "x by CPU time");
    for (int i = 0; i < 3; i++) {
      System.out.printf(Locale.ROOT, "%-22s %10.0f %10.0f %7.1f%% %10.2f %12.2f%n", names[i], gigaOperations / times[i].median(), gigaOperations / times[i].best(),
          100 * times[i].spread(), sgemm / times[i].median(), sgemmCpu / times[i].cpuMedian());
    }
    if (!json.on()) return;
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("binaryGops", gigaOperations / times[0].median());
    line.put("sgemmGflops", gigaOperations / sgemm);
    line.put("ratioToSgemm", sgemm / times[0].median());
    line.put("ratioPlainJavaToSgemm", sgemm / times[1].median());
    line.put("sgemmCore", OpenBlas.core());
    line.put("threads", 1);
    json.print(line);
  }

  static BitTensor bits(Random random, int rows, int bits) {
    int words = BitTensor.words(bits);
    long[] memory = new long[rows * words];
    long tail = bits % 64 == 0 ? -1L : (1L << bits % 64) - 1;
    for (int i = 0; i < memory.length; i++) memory[i] = random.nextLong() & (i % words == words - 1 ? tail : -1L);
    return new BitTensor(rows, bits, memory);
  }

  static float[] values(Random random, int count) {
    float[] x = new float[count];
    for (int i = 0; i < count; i++) x[i] = random.nextFloat() - 0.5f;
    return x;
  }
}
