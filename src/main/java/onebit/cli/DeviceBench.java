package onebit.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import onebit.ops.ConvGeometry;
import onebit.ops.Padding;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.DeviceClock;
import onebit.ops.cuda.Tuning;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * The bit products of a GPU beside cuBLAS and cuDNN in bfloat16, in the same run: random data, two sets of buffers in turn, times by events. On
 * the emulated device tiny sizes run once and nothing is timed.
 *
 * <pre>
 * Units  milliseconds; tera-operations per second of 2 M N K or 2 multiply-adds
 * </pre>
 */
final class DeviceBench {
  private static final int REPEATS = 4, WARM = 3;

  private final CudaBackend backend;
  private final int rounds;
  private final Consumer<Tuning> tune;
  private final SplittableRandom random = new SplittableRandom(3);
  /** The algorithm that was the fastest for the convolution of cuDNN in the line to come; null where none was chosen. */
  private String algorithm;

  DeviceBench(CudaBackend backend, int rounds) {
    this(backend, rounds, backend.isEmulated() ? tuning -> { } : backend::useTuning);
  }

  /** tune: lets the backend take the fastest ways, or for null the usual ones. */
  DeviceBench(CudaBackend backend, int rounds, Consumer<Tuning> tune) {
    this.backend = backend;
    this.rounds = rounds;
    this.tune = tune;
  }

  /** Sorted milliseconds of one run of a work; null where nothing is timed. */
  private record Times(float[] millis) {
    double median() {
      return millis[millis.length / 2];
    }

    String words() {
      return String.format(Locale.ROOT, "%9.4f ms (%.4f to %.4f)", median(), millis[0], millis[millis.length - 1]);
    }
  }

  /** Both works in turn; each is given the number of its run, to choose its buffers by. */
  private Times[] measure(IntConsumer ours, IntConsumer peer) {
    if (backend.isEmulated()) {
      ours.accept(0);
      peer.accept(0);
      backend.synchronize();
      return null;
    }
    float[][] millis = new float[2][rounds];
    try (DeviceClock clock = backend.clock()) {
      for (int round = -WARM; round < rounds; round++) {
        for (int which = 0; which < 2; which++) {
          IntConsumer work = which == 0 ? ours : peer;
          float all = clock.millis(() -> {
            for (int i = 0; i < REPEATS; i++) work.accept(i);
          });
          if (round >= 0) millis[which][round] = all / REPEATS;
        }
      }
    }
    for (float[] each : millis) Arrays.sort(each);
    return new Times[] {new Times(millis[0]), new Times(millis[1])};
  }

  /** The product of size M, N, K, or of 4096 and 8192 of each where size is null, by every way that the device has; the first is taken where there is no tuning file. */
  Map<String, Object> gemm(int[] size) {
    Map<String, Object> results = begin("binary matrix product, y int16, beside cuBLAS, bfloat16");
    int[][] sizes = backend.isEmulated() ? new int[][] {{130, 70, 600}} : size != null ? new int[][] {size} : new int[][] {{4096, 4096, 4096}, {8192, 8192, 8192}};
    for (int[] s : sizes) {
      int m = s[0], n = s[1], k = s[2];
      Tensor[] a = {signs(m, k), signs(m, k)}, b = {signs(n, k), signs(n, k)}, c = {backend.create(Shape.matrix(m, n), ElementType.BFLOAT16), backend.create(Shape.matrix(m, n), ElementType.BFLOAT16)};
      BitTensor[] left = {bits(a[0], m, k), bits(a[1], m, k)}, right = {bits(b[0], n, k), bits(b[1], n, k)};
      Tensor[] y = {backend.create(Shape.matrix(m, n), ElementType.INT16), backend.create(Shape.matrix(m, n), ElementType.INT16)};
      String name = m + " x " + n + " x " + k;
      for (Tuning.Choice way : backend.waysOfXnorGemm(y[0], left[0], right[0])) {
        if (!backend.isEmulated()) backend.useTuning(new Tuning(List.of(way), choice -> { }, line -> { }));
        Times[] times = measure(i -> backend.bits().xnorGemm(y[i % 2], left[i % 2], right[i % 2]),
            i -> backend.conv().gemm(c[i % 2], a[i % 2], false, b[i % 2], true, m, n, k));
        boolean usual = !results.containsKey(name);
        report(results, usual ? name : name + ", " + way.way(), times, 2e-9 * m * n * k);
        if (backend.isEmulated()) break;
        if (usual) System.out.println("  by " + way.way() + ": the usual way; those below are taken where a tuning file measured them to be the fastest");
      }
    }
    return results;
  }

  /** One of ResNet-18's binary convolutions; a small one on the emulated device. */
  private ConvGeometry geometry(int[] s, int batch) {
    if (!backend.isEmulated()) return new ConvGeometry(batch, s[1], s[1], s[0], s[2], 3, 3, s[3], 1, 1, 1);
    int extent = Math.max(2, s[1] / 14);
    return new ConvGeometry(1, extent, extent, s[0] / 8, s[2] / 8, 3, 3, s[3], 1, 1, 1);
  }

  /** Of cuDNN for each convolution the fastest algorithm, measured once, which its line names; of the gradients of bits the own kernels. */
  private Tuning tuning(List<Tuning.Choice> own) {
    return new Tuning(own, choice -> algorithm = choice.way(), line -> { });
  }

  /** The seven binary convolutions of ResNet-18 with bfloat16 results beside the fastest algorithm of cuDNN, and their sum over the shapes. */
  Map<String, Object> conv(int batch) {
    Map<String, Object> results = begin("binary convolution 3x3 forward, y bfloat16, batch " + (backend.isEmulated() ? 1 : batch)
        + ", beside the fastest of cuDNN's algorithms, bfloat16");
    double ours = 0, peer = 0;
    for (int[] s : BenchConv.RESNET18) {
      ConvGeometry g = geometry(s, batch);
      int extent = g.h(), c = g.c(), o = g.o();
      Tensor[] x = {signs(g.n() * extent * extent, c), signs(g.n() * extent * extent, c)};
      Tensor w = signs(o, g.taps());
      BitTensor[] xBits = {bits(x[0], g.n() * extent * extent, c), bits(x[1], g.n() * extent * extent, c)};
      BitTensor wBits = bits(w, o, g.taps());
      BinarySet xSet = set(1), wSet = set(o);
      Tensor[] y = {backend.create(g.y(), ElementType.BFLOAT16), backend.create(g.y(), ElementType.BFLOAT16)};
      tune.accept(tuning(List.of()));
      backend.conv().conv2d(y[0], x[0], w, g, 0);
      tune.accept(null);
      Times[] times = measure(i -> backend.bits().xnorConv2d(y[i % 2], xBits[i % 2], wBits, xSet, wSet, g, Padding.ZERO, 0),
          i -> backend.conv().conv2d(y[i % 2], x[i % 2], w, g, 0));
      report(results, g.words(), times, 2e-9 * g.macs());
      if (times == null) continue;
      ours += times[0].median();
      peer += times[1].median();
    }
    if (ours > 0) {
      results.put("timeWeightedRatio", peer / ours);
      System.out.printf(Locale.ROOT, "all seven: binary %.3f ms, cuDNN bfloat16 %.3f ms, %.2f times%n", ours, peer, peer / ours);
    }
    return results;
  }

  /**
   * Both gradients of those convolutions from bits, beside the fastest algorithm of cuDNN from values unpacked before, and their sums over the shapes; where
   * there is float8, both from it beside both from bfloat16 by the own kernels.
   */
  Map<String, Object> gradients(int batch) {
    Map<String, Object> results = begin("gradients from bits, gradW float32 and gradX bfloat16, batch " + (backend.isEmulated() ? 1 : batch)
        + ", beside the fastest of cuDNN's algorithms, bfloat16, from values unpacked before");
    List<Tuning.Choice> own = new ArrayList<>();
    for (int[] s : BenchConv.RESNET18) own.addAll(Tuning.ownGradients(geometry(s, batch)));
    tune.accept(tuning(own));
    double[][] sums = new double[3][2];
    for (int[] s : BenchConv.RESNET18) {
      ConvGeometry g = geometry(s, batch);
      int rows = g.n() * g.h() * g.w(), outputs = g.n() * g.p() * g.q();
      Tensor[] x = {signs(rows, g.c()), signs(rows, g.c())}, gradY = {signs(outputs, g.o()), signs(outputs, g.o())};
      BitTensor[] xBits = {bits(x[0], rows, g.c()), bits(x[1], rows, g.c())};
      Tensor w = signs(g.o(), g.taps()), gradW = backend.create(g.filters()), rounded = backend.create(g.filters(), ElementType.BFLOAT16);
      BitTensor wBits = bits(w, g.o(), g.taps());
      BinarySet xSet = set(1), wSet = set(g.o());
      Times[] times = measure(i -> backend.bits().xnorConv2dGradW(gradW, gradY[i % 2], xBits[i % 2], xSet, g, 0, null),
          i -> backend.conv().conv2dGradW(rounded, gradY[i % 2], x[i % 2], g, 0));
      add(sums[0], results, "gradW " + g.words(), times, g);
      times = measure(i -> backend.bits().xnorConv2dGradX(x[i % 2], gradY[i % 2], wBits, wSet, w, g), i -> backend.conv().conv2dGradX(x[i % 2], gradY[i % 2], w, g));
      add(sums[1], results, "gradX " + g.words(), times, g);
      if (backend.float8Refusal() != null) continue;
      Tensor codes = backend.create(g.y(), ElementType.UINT8);
      times = measure(i -> backend.bits().xnorConv2dGradFloat8(x[i % 2], gradW, gradY[i % 2], codes, xBits[i % 2], xSet, wBits, wSet, g, 0), i -> {
        backend.bits().xnorConv2dGradX(x[i % 2], gradY[i % 2], wBits, wSet, w, g);
        backend.bits().xnorConv2dGradW(gradW, gradY[i % 2], xBits[i % 2], xSet, g, 0, null);
      });
      add(sums[2], results, "float8, both " + g.words(), times, g);
    }
    if (backend.float8Refusal() != null) System.out.println("float8: " + backend.float8Refusal());
    for (int i = 0; i < 3; i++) {
      if (sums[i][0] == 0) continue;
      String name = i == 0 ? "gradW" : i == 1 ? "gradX" : "float8";
      results.put(name + "TimeWeightedRatio", sums[i][1] / sums[i][0]);
      System.out.printf(Locale.ROOT, "all seven %s: %s %.3f ms, %s %.3f ms, %.2f times%n", name, i == 2 ? "both gradients" : "from bits", sums[i][0],
          i == 2 ? "both from bfloat16 by the own kernels" : "cuDNN bfloat16", sums[i][1], sums[i][1] / sums[i][0]);
    }
    return results;
  }

  private void add(double[] sums, Map<String, Object> results, String name, Times[] times, ConvGeometry g) {
    report(results, name, times, 2e-9 * g.macs());
    if (times == null) return;
    for (int i = 0; i < 2; i++) sums[i] += times[i].median();
  }

  private Map<String, Object> begin(String what) {
    System.out.println(what + "; " + String.join("; ", backend.describe()));
    Map<String, Object> results = new LinkedHashMap<>();
    results.put("device", backend.name());
    return results;
  }

  private void report(Map<String, Object> results, String name, Times[] times, double gigaOperations) {
    String by = algorithm == null ? "" : " by " + algorithm;
    algorithm = null;
    if (times == null) {
      System.out.println(name + (by.isEmpty() ? "" : ", beside bfloat16" + by) + ": ran; the emulated device is not a GPU and never timed");
      return;
    }
    double ratio = times[1].median() / times[0].median();
    results.put(name, ratio);
    System.out.printf(Locale.ROOT, "%-30s binary %s %8.1f TOPS; bfloat16%s %s %7.1f TOPS; %.2f times%n", name, times[0].words(), gigaOperations / times[0].median(),
        by, times[1].words(), gigaOperations / times[1].median(), ratio);
  }

  /** Random signs as bfloat16. */
  private Tensor signs(int rows, int columns) {
    float[] values = new float[Math.multiplyExact(rows, columns)];
    for (int i = 0; i < values.length; i++) values[i] = random.nextBoolean() ? 1 : -1;
    Tensor t = backend.create(Shape.matrix(rows, columns), ElementType.BFLOAT16);
    backend.write(t, values);
    return t;
  }

  private BitTensor bits(Tensor signs, int rows, int columns) {
    BitTensor bits = backend.createBits(rows, columns);
    backend.bits().pack(bits, signs, 0);
    return bits;
  }

  private BinarySet set(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) values[i] = 0.1f + random.nextInt(100) / 100f;
    Tensor centre = backend.create(Shape.vector(count)), distance = backend.create(Shape.vector(count));
    backend.write(centre, values);
    backend.write(distance, values);
    return new BinarySet(centre, distance);
  }
}
