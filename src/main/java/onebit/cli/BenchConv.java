package onebit.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import onebit.ops.ConvGeometry;
import onebit.ops.Padding;
import onebit.ops.cpu.CpuBitOps;
import onebit.ops.cpu.CpuConvOps;
import onebit.ops.cpu.CpuThreads;
import onebit.ops.cpu.OpenBlas;
import onebit.ops.cuda.CudaBackend;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Binary 3x3 convolution beside the same one through im2col + sgemm, and the real-valued gradients of ResNet-20; on a GPU beside cuDNN in bfloat16. */
@Command(name = "conv", mixinStandardHelpOptions = true,
    description = "Times the binary 3x3 convolutions of ResNet-18 beside im2col + sgemm, and the gradients of ResNet-20's convolutions; on a GPU both with gradients from bits, beside cuDNN in bfloat16.")
public final class BenchConv implements Callable<Integer> {
  /** Channels, extent, filters, stride. */
  static final int[][] RESNET18 = {{64, 56, 64, 1}, {128, 28, 128, 1}, {256, 14, 256, 1}, {512, 7, 512, 1}, {64, 56, 128, 2}, {128, 28, 256, 2}, {256, 14, 512, 2}};
  /** Channels, extent, filters, stride, how many such layers. */
  private static final int[][] RESNET20 = {{16, 32, 16, 1, 6}, {16, 32, 32, 2, 1}, {32, 16, 32, 1, 5}, {32, 16, 64, 2, 1}, {64, 8, 64, 1, 5}};

  @Option(names = "--rounds", paramLabel = "N", defaultValue = "15", description = "Runs of each convolution; the median counts (default: ${DEFAULT-VALUE}).")
  private int rounds = 15;

  @Option(names = "--warm", paramLabel = "SECONDS", defaultValue = "1", description = "Seconds of warm-up of each convolution (default: ${DEFAULT-VALUE}).")
  private double warmSeconds = 1;

  @Option(names = "--batch", paramLabel = "N", description = "Images of the forward convolutions (default: 8; on a GPU 256).")
  private Integer batch;

  @Option(names = "--device", paramLabel = "NAME", defaultValue = "cpu", description = "Where to compute: " + Workplace.DEVICES + " (default: ${DEFAULT-VALUE}).")
  private String device = "cpu";

  @Mixin private JsonOption json;

  private final Random random = new Random(2);

  @Override
  public Integer call() {
    if (batch == null) batch = device.equals("cpu") ? 8 : 256;
    if (rounds < 1 || batch < 1) throw new IllegalArgumentException("bench conv: --rounds and --batch must be >= 1, got " + rounds + " and " + batch);
    if (!device.equals("cpu")) {
      try (CudaBackend backend = (CudaBackend) Workplace.open(device, Precision.AUTO, false)) {
        DeviceBench bench = new DeviceBench(backend, rounds);
        Map<String, Object> line = bench.conv(batch);
        line.putAll(bench.gradients(batch));
        json.print(line);
      }
      return 0;
    }
    Map<String, Object> line = new LinkedHashMap<>();
    System.out.println("binary: " + CpuBitOps.status() + "; sgemm: " + OpenBlas.status());
    CpuThreads.alone(() -> line.put("oneThread", forward(1)));
    line.put("allThreads", forward(CpuThreads.count()));
    CpuThreads.alone(() -> line.put("resnet20GradientMillisOneThread", gradients(1)));
    line.put("resnet20GradientMillis", gradients(CpuThreads.count()));
    line.put("sgemmCore", OpenBlas.core());
    line.put("threads", CpuThreads.count());
    json.print(line);
    return 0;
  }

  /** Ratio per shape and the geometric mean over the four shapes of stride 1. */
  private Map<String, Object> forward(int threads) {
    CpuBitOps bits = new CpuBitOps();
    CpuConvOps real = CpuConvOps.throughColumns();
    Map<String, Object> ratios = new LinkedHashMap<>();
    double logs = 0;
    System.out.printf(Locale.ROOT, "%n%-28s %12s %14s %10s %8s %14s%n", "forward, threads " + threads, "binary Gop/s", "sgemm Gflop/s", "ratio", "spread",
        "by CPU time");
    for (int[] shape : RESNET18) {
      ConvGeometry g = new ConvGeometry(batch, shape[1], shape[1], shape[0], shape[2], 3, 3, shape[3], 1, 1, 1);
      BitTensor x = BenchGemm.bits(random, g.n() * g.h() * g.w(), g.c()), w = BenchGemm.bits(random, g.o(), g.taps());
      BinarySet xSet = set(1), wSet = set(g.o());
      Tensor realX = tensor(g.x()), realW = tensor(g.filters()), y = tensor(g.y());
      Stopwatch.Times[] times = Stopwatch.measure(warmSeconds, rounds, () -> bits.xnorConv2d(y, x, w, xSet, wSet, g, Padding.ZERO, 0),
          () -> real.conv2d(y, realX, realW, g, 0));
      double work = 2e-9 * g.macs(), ratio = times[1].median() / times[0].median();
      String name = g.words();
      System.out.printf(Locale.ROOT, "%-28s %12.0f %14.1f %10.2f %7.1f%% %14.2f%n", name, work / times[0].median(), work / times[1].median(), ratio,
          100 * Math.max(times[0].spread(), times[1].spread()), times[1].cpuMedian() / times[0].cpuMedian());
      ratios.put(name, ratio);
      if (shape[3] == 1) logs += Math.log(ratio) / 4;
    }
    System.out.printf(Locale.ROOT, "%-28s %12s %14s %10.2f%n", "geometric mean, stride 1", "", "", Math.exp(logs));
    ratios.put("geometricMean", Math.exp(logs));
    return ratios;
  }

  /** Milliseconds of gradX and gradW over the 18 binary convolutions of ResNet-20 at batch 128. */
  private double gradients(int threads) {
    CpuConvOps ops = new CpuConvOps();
    List<String> lines = new ArrayList<>();
    double total = 0;
    for (int[] shape : RESNET20) {
      ConvGeometry g = new ConvGeometry(128, shape[1], shape[1], shape[0], shape[2], 3, 3, shape[3], 1, 1, 1);
      Tensor x = tensor(g.x()), w = tensor(g.filters()), gradY = tensor(g.y()), gradX = tensor(g.x()), gradW = tensor(g.filters());
      Stopwatch.Times[] times = Stopwatch.measure(warmSeconds, rounds, () -> ops.conv2dGradX(gradX, gradY, w, g), () -> ops.conv2dGradW(gradW, gradY, x, g, 0));
      double work = 2e-9 * g.macs(), sum = 1e3 * (times[0].median() + times[1].median());
      total += shape[4] * sum;
      lines.add(String.format(Locale.ROOT, "%-28s %12.1f %14.1f %10.2f %8d", g.words(),
          work / times[0].median(), work / times[1].median(), sum, shape[4]));
    }
    System.out.printf(Locale.ROOT, "%n%-28s %12s %14s %10s %8s%n", "gradients, threads " + threads, "gradX Gflop/s", "gradW Gflop/s", "millis", "layers");
    lines.forEach(System.out::println);
    System.out.printf(Locale.ROOT, "%-28s %12s %14s %10.1f%n", "ResNet-20, batch 128", "", "", total);
    return total;
  }

  private Tensor tensor(Shape shape) {
    return Tensor.of(shape, BenchGemm.values(random, shape.size()));
  }

  private BinarySet set(int count) {
    return new BinarySet(tensor(Shape.vector(count)), tensor(Shape.vector(count)));
  }
}
