package onebit.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.zip.CRC32;
import onebit.ops.ConvGeometry;
import onebit.ops.Padding;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

class CpuThreadsTest {
  /** Prints a digest of every bit and convolution op, and which kernels computed it. */
  public static void main(String[] args) {
    Random random = new Random(9);
    CRC32 digest = new CRC32();
    CpuBitOps bits = new CpuBitOps();
    for (int[] size : new int[][] {{16, 16, 9, 1}, {32, 64, 8, 2}, {3, 8, 12, 1}, {64, 64, 6, 1}}) {
      ConvGeometry g = new ConvGeometry(7, size[2], size[2], size[0], size[1], 3, 3, size[3], 1, 1, 1);
      Tensor x = tensor(random, g.x()), w = tensor(random, g.filters()), gradY = tensor(random, g.y()), y = tensor(random, g.y());
      Tensor gradX = tensor(random, g.x()), gradW = tensor(random, g.filters());
      for (CpuConvOps real : List.of(new CpuConvOps(), CpuConvOps.throughColumns())) {
        real.conv2d(y, x, w, g, 0);
        real.conv2dGradX(gradX, gradY, w, g);
        real.conv2dGradW(gradW, gradY, x, g, 0);
        for (Tensor t : List.of(y, gradX, gradW)) add(digest, t);
      }
      BitTensor xBits = new BitTensor(7 * size[2] * size[2], size[0], new long[7 * size[2] * size[2]]);
      BitTensor wBits = new BitTensor(size[1], g.taps(), new long[size[1] * BitTensor.words(g.taps())]);
      bits.pack(xBits, x, 0);
      bits.pack(wBits, w, 0);
      BinarySet set = new BinarySet(Tensor.of(Shape.vector(1), 0.25f), Tensor.of(Shape.vector(1), 1.5f));
      bits.xnorConv2d(y, xBits, wBits, set, set, g, Padding.ZERO, 0);
      add(digest, y);
    }
    System.out.println("digest " + digest.getValue());
    System.out.println("threads " + CpuThreads.count());
    System.out.println("status " + CpuBitOps.status());
  }

  private static void add(CRC32 digest, Tensor t) {
    for (float value : t.floats()) {
      int bits = Float.floatToRawIntBits(value);
      for (int shift = 0; shift < 32; shift += 8) digest.update(bits >>> shift);
    }
  }

  private static Tensor tensor(Random random, Shape shape) {
    float[] x = new float[shape.size()];
    for (int i = 0; i < x.length; i++) x[i] = (float) random.nextGaussian();
    return Tensor.of(shape, x);
  }

  @Test
  void oneThreadAndThreeThreadsGiveTheSameBits() throws Exception {
    List<String> modules = List.of("--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED");
    List<String> one = child(modules, "-Donebit.threads=1"), three = child(modules, "-Donebit.threads=3");
    assertTrue(one.contains("threads 1") && three.contains("threads 3"), one + " " + three);
    assertEquals(line(one, "digest "), line(three, "digest "));
  }

  @Test
  void withoutTheVectorModuleTheBitOpsWorkAndSayWhyTheyAreSlower() throws Exception {
    List<String> lines = child(List.of("--enable-native-access=ALL-UNNAMED"), "-Donebit.threads=2");
    line(lines, "digest ");
    assertEquals("status plain Java bit counts, because this Java runs without the module jdk.incubator.vector"
        + " (start it with --add-modules jdk.incubator.vector)", line(lines, "status "));
  }

  private static String line(List<String> lines, String start) {
    return lines.stream().filter(l -> l.startsWith(start)).findFirst().orElseThrow(() -> new AssertionError(lines.toString()));
  }

  private static List<String> child(List<String> options, String property) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java"));
    command.addAll(options);
    command.addAll(List.of(property, "-cp", System.getProperty("java.class.path"), CpuThreadsTest.class.getName()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    List<String> lines = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).lines().toList();
    assertEquals(0, process.waitFor(), lines.toString());
    return lines;
  }

  @Test
  void everyPieceRunsOnce() {
    AtomicIntegerArray runs = new AtomicIntegerArray(1000);
    for (int round = 1; round <= 2000; round++) {
      CpuThreads.range(1000, round % 300 + 1, runs, (counts, from, to) -> {
        for (int i = from; i < to; i++) counts.incrementAndGet(i);
      });
      if (round == 1 || round == 2000) for (int i = 0; i < 1000; i++) assertEquals(round, runs.get(i), "element " + i);
    }
  }

  @Test
  void piecesWithinPiecesEnd() {
    AtomicIntegerArray runs = new AtomicIntegerArray(64);
    CpuThreads.range(8, 1, runs, (counts, i, end) -> CpuThreads.range(8, 1, counts, (inner, j, last) -> inner.incrementAndGet(8 * i + j)));
    for (int i = 0; i < 64; i++) assertEquals(1, runs.get(i), "piece " + i);
  }

  @Test
  void callersAtTheSameTimeEachGetAllTheirPieces() throws Exception {
    AtomicIntegerArray runs = new AtomicIntegerArray(4);
    List<Thread> callers = new ArrayList<>();
    for (int caller = 0; caller < 4; caller++) {
      int mine = caller;
      callers.add(Thread.ofPlatform().start(() -> {
        for (int round = 0; round < 500; round++) CpuThreads.range(20, 1, runs, (counts, from, to) -> counts.incrementAndGet(mine));
      }));
    }
    for (Thread caller : callers) caller.join();
    for (int caller = 0; caller < 4; caller++) assertEquals(10_000, runs.get(caller), "caller " + caller);
  }

  @Test
  void aloneStaysOnTheCallingThread() {
    Set<Thread> threads = Collections.synchronizedSet(new HashSet<>());
    CpuThreads.alone(() -> CpuThreads.range(100, 1, threads, (seen, from, to) -> seen.add(Thread.currentThread())));
    assertEquals(Set.of(Thread.currentThread()), threads);
  }

  @Test
  void theFailureOfAPieceIsRethrown() {
    var e = assertThrows(IllegalStateException.class, () -> CpuThreads.range(50, 1, null, (none, from, to) -> {
      if (from == 17) throw new IllegalStateException("piece 17");
    }));
    assertEquals("piece 17", e.getMessage());
  }
}
