package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import onebit.binarize.Binarizer;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

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
      assertEquals("cuda: the binarizer Cubic[] has no device twin; add its level and slope to kernels/slope.cuh and its kind to SlopeCode", e.getMessage());
    }
  }

  @Test
  void tooMuchMemoryIsRefusedWithTheBytesAskedAndFree() throws Exception {
    try (CudaBackend backend = CudaBackend.emulated()) {
      var e = assertThrows(CudaException.class, () -> backend.create(Shape.vector(2_000_000_000)));
      assertEquals(2, e.code());
      assertTrue(e.getMessage().contains("8000000000 bytes asked") && e.getMessage().contains("smaller batch"), e.getMessage());
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
  void aClosedBackendRefusesWork() throws Exception {
    CudaBackend backend = CudaBackend.emulated();
    Tensor x = backend.create(Shape.vector(2));
    backend.close();
    backend.close();
    assertThrows(IllegalStateException.class, () -> backend.read(x));
    assertThrows(IllegalStateException.class, () -> backend.point().add(x, x, x));
  }
}
