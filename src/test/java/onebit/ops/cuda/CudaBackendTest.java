package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import onebit.binarize.Binarizer;
import onebit.ops.ConvGeometry;
import onebit.ops.FusedOps;
import onebit.ops.Padding;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** The backend around the ops: memory, refusals, words of errors. */
class CudaBackendTest {
  /** A binarizer that no kernel knows. */
  private record Cubic() implements Binarizer {
    @Override
    public float level(float u) {
      return u * u * u;
    }

    @Override
    public float slope(float u) {
      return 3 * u * u;
    }
  }

  @BeforeEach
  void needsTheEmulatedDevice() {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
  }

  @Test
  void freshTensorsAreZeroAndValuesComeBackAsWritten() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated()) {
      Tensor x = backend.create(Shape.vector(5_000_001));
      assertArrayEquals(new float[5_000_001], backend.read(x));
      float[] values = new float[5_000_001];
      for (int i = 0; i < values.length; i++) values[i] = i;
      backend.write(x, values);
      assertArrayEquals(values, backend.read(x), "more than one piece of staging memory");
      backend.fill(x, -0.5f);
      assertEquals(-0.5f, backend.read(x)[5_000_000]);
    }
  }

  /** A count and what is added to it stand in the mantissa of a float: longer rows are refused by each way to a bit product, and nothing is done for them. */
  @Test
  void rowsOfTooManyBitsAreRefusedBeforeAnythingIsAllocatedOrLaunched() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated()) {
      ConvGeometry g = new ConvGeometry(1, 2, 2, 1 << 19, 1, 2, 2, 1, 0, 1, 1);
      Tensor y = backend.create(g.y()), product = backend.create(Shape.matrix(1, 1)), value = backend.create(Shape.vector(1));
      BitTensor row = backend.createBits(1, 1 << 21), x = backend.createBits(4, 1 << 19);
      BinarySet set = new BinarySet(value, value);
      CudaBitOps bits = (CudaBitOps) backend.bits();
      backend.read(value);
      long allocated = backend.allocatedBytes(), launches = EmulatedDriver.counter("launches");
      for (Executable way : List.<Executable>of(() -> bits.xnorGemm(product, row, row), () -> bits.xnorConv2d(y, x, row, set, set, g, Padding.ZERO, 0),
          () -> bits.prepare(new FusedOps.Product(x, row, set, set, g, Padding.ZERO, 0)))) {
        String said = assertThrows(IllegalArgumentException.class, way).getMessage();
        assertEquals("bit products: a row has 65536 words of 32 bits; on the device it must have fewer than 65536", said);
      }
      assertEquals(launches, EmulatedDriver.counter("launches"));
      assertEquals(allocated, backend.allocatedBytes());
    }
  }

  @Test
  void theDeviceSaysThatItIsNoGpu() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated()) {
      assertEquals("cuda-emulated", backend.name());
      assertTrue(backend.describe().getFirst().contains("not a GPU"), backend.describe().toString());
    }
  }

  @Test
  void tensorsOfAnotherBackendAreRefused() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated(); CudaBackend other = CudaBackend.emulated(); CpuBackend cpu = new CpuBackend()) {
      Tensor here = backend.create(Shape.vector(3));
      for (Tensor foreign : new Tensor[] {other.create(Shape.vector(3)), cpu.create(Shape.vector(3))}) {
        var e = assertThrows(IllegalArgumentException.class, () -> backend.point().add(here, here, foreign));
        assertEquals("cuda: the tensor [3] do not live on this device; create and write them through this backend", e.getMessage());
      }
      backend.write(here, new float[] {1, 2, 3});
      backend.point().add(here, here, here);
      assertArrayEquals(new float[] {2, 4, 6}, backend.read(here), "a refused op leaves no arguments behind");
    }
  }

  @Test
  void aBinarizerWithoutADeviceTwinIsRefusedSayingWhatToAdd() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated()) {
      Tensor x = backend.create(Shape.vector(3));
      var e = assertThrows(IllegalArgumentException.class, () -> backend.binarize().level(x, x, new Cubic()));
      assertEquals("cuda: the binarizer Cubic[] has no device twin; give its slope as a Curve, or add its level and slope to kernels/slope.cuh, its kind there to those that are not plain, and to SlopeCode", e.getMessage());
    }
  }

  @Test
  void tooMuchMemoryIsRefusedWithTheBytesAskedAndFree() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated()) {
      var e = assertThrows(CudaException.class, () -> backend.create(Shape.vector(2_000_000_000)));
      assertEquals(2, e.code());
      assertTrue(e.getMessage().contains("8000000000 bytes asked") && e.getMessage().contains("--memory-limit SIZE"), e.getMessage());
    }
  }

  @Test
  void kernelsThatADriverCannotLoadAreSaidToBeOfAnotherDeviceOrANewerCuda() {
    for (int code : new int[] {200, 209, 218, 222}) {
      String message = CudaException.driver("cuModuleLoadData", code, "").getMessage();
      assertTrue(message.contains("not for this device, or its driver is older than the CUDA that compiled them") && message.contains("update the driver"), message);
    }
  }

  @Test
  void wrongTypesAndShortValuesAreRefused() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated()) {
      Tensor labels = backend.create(Shape.vector(2), ElementType.INT32);
      assertThrows(IllegalArgumentException.class, () -> backend.write(labels, new float[2]));
      assertThrows(IllegalArgumentException.class, () -> backend.write(labels, new int[1]));
      assertThrows(IllegalArgumentException.class, () -> backend.read(labels));
    }
  }

  @Test
  void valuesOfBfloat16AreRoundedOnTheWayInAndExactOnTheWayOut() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated(BitProduct.AND, CudaMode.BFLOAT16)) {
      assertEquals(ElementType.BFLOAT16, backend.activations());
      assertTrue(backend.describe().toString().contains("precision bf16"), backend.describe().toString());
      float[] values = {1.00390625f, 1.01171875f, -1.00390625f, 3.4e38f, Float.NaN, -0f, Float.MIN_VALUE, 0.1f};
      float[] rounded = {1, 1.015625f, -1, Float.POSITIVE_INFINITY, Float.NaN, -0f, 0, 0.10009765625f};
      Tensor small = backend.create(Shape.vector(8), ElementType.BFLOAT16), wide = backend.create(Shape.vector(8)), back = backend.create(Shape.vector(8));
      backend.write(small, values);
      assertArrayEquals(rounded, backend.read(small));
      backend.point().copy(back, small);
      assertArrayEquals(rounded, backend.read(back), "widened on the device");
      backend.write(wide, values);
      backend.fill(small, 7);
      assertArrayEquals(new float[] {7, 7, 7, 7, 7, 7, 7, 7}, backend.read(small));
      backend.point().copy(small, wide);
      assertArrayEquals(rounded, backend.read(small), "rounded on the device");
    }
  }

  @Test
  void tensorsOfTwoTypesInOneOpAreRefusedAndLeaveNoArgumentsBehind() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated(BitProduct.AND, CudaMode.BFLOAT16)) {
      Tensor small = backend.create(Shape.image(1, 1, 1, 2), ElementType.BFLOAT16), wide = backend.create(Shape.image(1, 1, 1, 2));
      var e = assertThrows(IllegalArgumentException.class, () -> backend.point().add(small, small, wide));
      assertEquals("cuda: add_bf16: the tensor [1, 1, 1, 2] is FLOAT32; it must be BFLOAT16", e.getMessage());
      e = assertThrows(IllegalArgumentException.class, () -> backend.point().maxout(small, small, small.reshaped(Shape.vector(2)), wide));
      assertEquals("cuda: maxout_bf16: the tensor [2] is BFLOAT16; it must be FLOAT32", e.getMessage());
      ConvGeometry g = new ConvGeometry(1, 1, 1, 2, 2, 1, 1, 1, 0, 1, 1);
      Tensor filters = backend.create(g.filters());
      e = assertThrows(IllegalArgumentException.class, () -> backend.conv().conv2d(wide, small, filters, g, 0));
      assertEquals("conv2d: x is BFLOAT16, y is FLOAT32; they must be equal", e.getMessage());
      backend.write(small, new float[] {1, 2});
      backend.point().add(small, small, small);
      assertArrayEquals(new float[] {2, 4}, backend.read(small), "a refused op leaves no arguments behind");
    }
  }

  @Test
  void onlyOutsideDeterministicModeTheFasterAlgorithmIsTaken() throws Exception {
    // the stand-in's deterministic algorithm for filter gradients wants 4 bytes of workspace per tap and channel, its faster one none
    ConvGeometry g = new ConvGeometry(1, 3, 3, 4096, 1, 3, 3, 1, 1, 1, 1);
    long[] grown = new long[2];
    for (int i = 0; i < 2; i++) {
      try (CudaBackend backend = CudaBackend.emulated(BitProduct.AND, new CudaMode(ElementType.FLOAT32, i == 0))) {
        assertTrue(backend.describe().toString().contains(i == 0 ? "deterministic algorithms" : "fastest algorithms"), backend.describe().toString());
        Tensor x = backend.create(g.x()), gradY = backend.create(g.y()), gradW = backend.create(g.filters());
        long before = EmulatedDriver.counter("live_bytes");
        backend.conv().conv2dGradW(gradW, gradY, x, g, 0);
        grown[i] = EmulatedDriver.counter("live_bytes") - before;
      }
    }
    assertTrue(grown[0] >= 4L * 9 * 4096, grown[0] + " bytes of workspace");
    assertTrue(grown[1] < grown[0], grown[1] + " bytes of workspace, " + grown[0] + " in deterministic mode");
  }

  @Test
  void aClosedBackendRefusesWork() throws Exception {
    CudaBackend backend = CudaBackend.emulated();
    Tensor x = backend.create(Shape.vector(2));
    backend.conv().gemm(x, x, false, backend.create(Shape.matrix(1, 1)), false, 2, 1, 1);
    backend.close();
    backend.close();
    assertThrows(IllegalStateException.class, () -> backend.read(x));
    assertThrows(IllegalStateException.class, () -> backend.point().add(x, x, x));
  }

  @Test
  void float8GradientsNeedTheirInstructionsAndBfloat16() {
    for (int code : new int[] {89, 90, 120}) assertNull(CudaBackend.float8Refusal(code, code, ElementType.BFLOAT16));
    assertEquals("this GPU has compute capability 8.6, products of float8 need 8.9 or newer; leave train.gradients at bfloat16",
        CudaBackend.float8Refusal(86, 86, ElementType.BFLOAT16));
    assertEquals("this build's kernels for this GPU are of compute capability 8.0, products of float8 need 8.9; build with ONEBIT_ARCHS that names 89, "
        + "or leave train.gradients at bfloat16", CudaBackend.float8Refusal(80, 89, ElementType.BFLOAT16));
    assertTrue(CudaBackend.float8Refusal(80, 90, ElementType.BFLOAT16).contains("ONEBIT_ARCHS that names 90a,"), "as kernels/build.sh has it");
    assertTrue(CudaBackend.float8Refusal(90, 90, ElementType.FLOAT32).contains("give --precision bf16"));
  }

  @Test
  void aKernelTellsTheCapabilityThatItsCodeIsOf() throws Exception {
    try (CudaDevice device = CudaDevice.emulated()) {
      assertEquals(80, device.kernel("float8_peak", ElementType.BFLOAT16).capability(), "as the emulated driver tells of all its code");
    }
  }
}
