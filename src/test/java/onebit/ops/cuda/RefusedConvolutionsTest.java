package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import onebit.ops.Backend;
import onebit.ops.ConvGeometry;
import onebit.ops.Recorder;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** cuDNN of the emulated device refuses convolutions in bfloat16 whose filters are no multiple of 8. */
class RefusedConvolutionsTest {
  /** What native-tests/hostcuda/cudnn.cpp can refuse. */
  private static final int NO_ALGORITHM = 1, NO_WORKSPACE = 2, NO_RUN_OF_ALGORITHM_1 = 4, NO_RUN = 8, NOTHING_DETERMINISTIC = 16;
  private static final ConvGeometry HEAD = new ConvGeometry(2, 6, 5, 16, 20, 3, 3, 1, 1, 1, 1), DILATED = new ConvGeometry(1, 15, 14, 8, 12, 3, 3, 1, 6, 6, 1);
  private static final String[] RESULTS = {"forward", "gradient of x", "gradient of w"};

  private final List<String> told = new ArrayList<>();

  @BeforeEach
  void emulatedDevice() {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
  }

  @AfterEach
  void refuseNothing() throws Throwable {
    if (EmulatedDriver.isOpen()) refuse(0);
  }

  private static void refuse(int what) throws Throwable {
    SymbolLookup cudnn = SymbolLookup.libraryLookup(EmulatedDriver.folder().resolve("libcudnn.so.8"), Arena.global());
    Linker.nativeLinker().downcallHandle(cudnn.find("cudnnHostcudaRefuse").orElseThrow(), FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT)).invokeExact(what);
  }

  private static long ownConvolutions() {
    return EmulatedDriver.counter("launches:direct_conv2d_bf16") + EmulatedDriver.counter("launches:direct_conv2d_grad_x_bf16")
        + EmulatedDriver.counter("launches:direct_conv2d_grad_w_bf16");
  }

  private static Tensor values(Backend backend, Shape shape, ElementType type, int seed) {
    Random random = new Random(seed);
    float[] values = new float[shape.size()];
    for (int i = 0; i < values.length; i++) values[i] = Math.round(random.nextGaussian() * 32) / 32f;   // few digits, so that bfloat16 holds them or nearly
    Tensor made = backend.create(shape, type);
    backend.write(made, values);
    return made;
  }

  /** y, gradX and gradW; the gradient of filters of float32 beside activations of bfloat16. */
  private static float[][] results(Backend backend, ConvGeometry g, ElementType type) {
    Tensor x = values(backend, g.x(), type, 1), w = values(backend, g.filters(), ElementType.FLOAT32, 2), gradY = values(backend, g.y(), type, 3);
    Tensor y = backend.create(g.y(), type), gradX = backend.create(g.x(), type), gradW = backend.create(g.filters());
    backend.conv().conv2d(y, x, w, g, 0);
    backend.conv().conv2dGradX(gradX, gradY, w, g);
    backend.conv().conv2dGradW(gradW, gradY, x, g, 0);
    return new float[][] {backend.read(y), backend.read(gradX), backend.read(gradW)};
  }

  private static void assertEqualsTheCpu(Backend backend, ConvGeometry g) {
    float[][] wanted;
    try (CpuBackend cpu = new CpuBackend()) {
      wanted = results(cpu, g, ElementType.FLOAT32);
    }
    float[][] found = results(backend, g, ElementType.BFLOAT16);
    for (int r = 0; r < 3; r++) {
      for (int i = 0; i < wanted[r].length; i++) assertEquals(wanted[r][i], found[r][i], 0.1 + Math.abs(wanted[r][i]) / 64, RESULTS[r] + " of " + g + " at " + i);
    }
  }

  private CudaBackend backend(boolean deterministic) throws Exception {
    CudaBackend backend = CudaBackend.emulated(BitProduct.AND, new CudaMode(ElementType.BFLOAT16, deterministic));
    backend.tellTo(told::add);
    return backend;
  }

  @Test
  void whatCudnnNamesNoAlgorithmForIsDoneByTheOwnKernelsAndSaidOnce() throws Throwable {
    for (int what : new int[] {NO_ALGORITHM, NO_WORKSPACE, NO_RUN}) {
      told.clear();
      try (CudaBackend backend = backend(true)) {
        refuse(what);
        long before = ownConvolutions();
        for (int run = 0; run < 2; run++) {
          assertEqualsTheCpu(backend, HEAD);
          assertEqualsTheCpu(backend, DILATED);
        }
        assertEquals(12, ownConvolutions() - before);
        assertEquals(6, told.size(), told.toString());
        for (int r = 0; r < 3; r++) {
          boolean others = what == NO_RUN && r > 0;   // those that it named are not deterministic
          assertEquals("cuDNN 8907 has no " + (others ? "deterministic " : "") + "algorithm for the " + RESULTS[r] + " of a convolution of 3x3, 16 to 20 at 6x5, batch 2, in bfloat16, "
              + "so the own plain kernel does it, slowly; " + (others ? "it names others, which --set train.deterministic=false may take" : "a newer cuDNN may have one, or one for --precision fp32"), told.get(r));
          assertTrue(told.get(3 + r).contains("the " + RESULTS[r] + " of a convolution of 3x3, 8 to 12 at 15x14 dilation 6,"), told.get(3 + r));
        }
      }
    }
  }

  @Test
  void whereOnlyDeterministicAlgorithmsLackTheSentenceNamesTheSwitch() throws Throwable {
    try (CudaBackend backend = backend(true)) {
      refuse(NOTHING_DETERMINISTIC);
      assertEqualsTheCpu(backend, HEAD);
      assertEquals(3, told.size(), told.toString());
      for (String sentence : told) {
        assertTrue(sentence.contains("no deterministic algorithm") && sentence.endsWith("slowly; it names others, which --set train.deterministic=false may take"), sentence);
      }
    }
    told.clear();
    try (CudaBackend backend = backend(false)) {
      assertEqualsTheCpu(backend, HEAD);
      assertEquals(List.of(), told);
    }
  }

  @Test
  void anAlgorithmThatDoesNotRunGivesWayToTheNext() throws Throwable {
    try (CudaBackend backend = backend(false)) {
      refuse(NO_RUN_OF_ALGORITHM_1);
      long before = ownConvolutions();
      for (int run = 0; run < 2; run++) assertEqualsTheCpu(backend, HEAD);
      assertEquals(before, ownConvolutions());
      assertEquals(List.of(), told);
    }
  }

  /** No way was timed, so none is remembered for the next run. */
  @Test
  void aTuningThatFindsNoAlgorithmRemembersNone() throws Throwable {
    try (CudaBackend backend = backend(false)) {
      refuse(NO_RUN);
      List<Tuning.Choice> remembered = new ArrayList<>();
      backend.tune(new Tuning(List.of(), remembered::add, told::add), work -> {
        work.run();
        return 1;
      });
      assertEqualsTheCpu(backend, HEAD);
      assertEquals(List.of(), remembered);
      assertEquals(3, told.size(), told.toString());
      assertTrue(told.getFirst().startsWith("cuDNN 8907 has no algorithm for the forward of a convolution of 3x3, 16 to 20 at 6x5"), told.getFirst());
    }
  }

  /** Called, captured, launched: three runs of one piece of work of which cuDNN refuses every convolution. */
  @Test
  void aGraphHoldsTheOwnKernels() throws Throwable {
    try (CudaBackend backend = backend(true)) {
      refuse(NO_RUN);
      Tensor x = values(backend, HEAD.x(), ElementType.BFLOAT16, 1), w = values(backend, HEAD.filters(), ElementType.FLOAT32, 2), gradW = backend.create(HEAD.filters());
      Tensor y = backend.create(HEAD.y(), ElementType.BFLOAT16);
      Recorder recorder = backend.recorder();
      long graphs = EmulatedDriver.counter("graph_launches");
      float[][] first = null;
      for (int run = 0; run < 3; run++) {
        backend.fill(gradW, 77);
        recorder.run("step", () -> {
          backend.conv().conv2d(y, x, w, HEAD, 0);
          backend.conv().conv2dGradW(gradW, y, x, HEAD, 0);
        });
        float[][] found = {backend.read(y), backend.read(gradW)};
        if (first == null) first = found;
        for (int r = 0; r < 2; r++) assertArrayEquals(first[r], found[r], "run " + run);
      }
      assertEquals(2, EmulatedDriver.counter("graph_launches") - graphs);
      assertEquals(2, told.size(), told.toString());
    }
  }
}
