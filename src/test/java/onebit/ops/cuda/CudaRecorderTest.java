package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import onebit.ops.ConvGeometry;
import onebit.ops.Inlet;
import onebit.ops.PixelScale;
import onebit.ops.Readback;
import onebit.ops.Recorder;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What is recorded, replayed, thrown away and refused; and batches and results that travel beside the work. */
class CudaRecorderTest {
  private CudaBackend backend;

  @BeforeEach
  void open() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    backend = CudaBackend.emulated();
  }

  @AfterEach
  void close() {
    if (backend == null) return;
    EmulatedDevice.lazy(false);
    backend.close();
  }

  private Tensor vector(float... values) {
    Tensor x = backend.create(Shape.vector(values.length));
    backend.write(x, values);
    return x;
  }

  @Test
  void theThirdRunIsOneLaunchAndNoCallOfTheWork() {
    Tensor sum = vector(0, 0), one = vector(1, 2);
    Recorder recorder = backend.recorder();
    int[] calls = new int[1];
    Runnable work = () -> {
      calls[0]++;
      backend.point().accumulate(sum, one);
      backend.point().accumulate(sum, one);
    };
    long launches = EmulatedDriver.counter("graph_launches");
    for (int i = 1; i <= 5; i++) {
      recorder.run("sum", work);
      assertArrayEquals(new float[] {2 * i, 4 * i}, backend.read(sum));
    }
    assertEquals(2, calls[0], "once call by call, once to be captured");
    assertEquals(4, EmulatedDriver.counter("graph_launches") - launches);
    recorder.forget();
    recorder.run("sum", work);
    assertEquals(3, calls[0], "call by call again");
    recorder.run("sum", work);
    assertEquals(4, calls[0], "captured anew");
    backend.replay(false);
    recorder.run("sum", work);
    assertEquals(5, calls[0]);
    assertArrayEquals(new float[] {16, 32}, backend.read(sum));
  }

  @Test
  void memoryThatWasGivenUpIsNotUsedByAnOldRecording() {
    ConvGeometry small = new ConvGeometry(1, 8, 8, 32, 32, 3, 3, 1, 1, 1, 1), large = new ConvGeometry(64, 16, 16, 64, 64, 3, 3, 1, 1, 1, 1);
    Tensor image = backend.create(small.x()), filters = backend.create(small.filters()), out = backend.create(small.y());
    Tensor images = backend.create(large.x()), others = backend.create(large.filters()), outs = backend.create(large.y());
    backend.fill(image, 1);
    backend.fill(filters, 1);
    Recorder recorder = backend.recorder();
    int[] calls = new int[1];
    Runnable work = () -> {
      calls[0]++;
      backend.conv().conv2d(out, image, filters, small, -1);
    };
    for (int i = 0; i < 3; i++) recorder.run("conv", work);
    assertEquals(2, calls[0]);
    float[] wanted = backend.read(out);
    backend.conv().conv2d(outs, images, others, large, -1);   // its bordered copy needs more scratch
    for (int i = 0; i < 3; i++) recorder.run("conv", work);
    assertEquals(4, calls[0], "call by call, then captured anew");
    assertArrayEquals(wanted, backend.read(out));
  }

  @Test
  void ranksRecordAnewAsSoonAsTheMemoryOfOneHasMoved() {
    Tensor sum = vector(0), one = vector(1);
    Recorder recorder = backend.recorder();
    int[] calls = new int[1], asked = new int[1];
    boolean[] other = new boolean[1];
    recorder.alike(here -> {
      asked[0]++;
      return here || other[0];
    });
    Runnable work = () -> {
      calls[0]++;
      backend.point().accumulate(sum, one);
    };
    for (int i = 0; i < 4; i++) recorder.run("sum", work);
    assertEquals(List.of(2, 1), List.of(calls[0], asked[0]), "asked behind what runs call by call, and not where a graph repeats it");
    recorder.realign();
    recorder.run("sum", work);
    assertEquals(List.of(2, 2), List.of(calls[0], asked[0]), "nobody's memory has moved");
    other[0] = true;
    recorder.realign();
    other[0] = false;
    for (int i = 0; i < 3; i++) recorder.run("sum", work);
    assertEquals(List.of(4, 4), List.of(calls[0], asked[0]), "call by call, then captured anew");
    EmulatedDevice.moveMemory(backend);
    for (int i = 0; i < 2; i++) recorder.run("sum", work);
    assertEquals(List.of(6, 4), List.of(calls[0], asked[0]), "call by call, and no question that the others would not ask");
    recorder.realign();
    for (int i = 0; i < 3; i++) recorder.run("sum", work);
    assertEquals(List.of(8, 6), List.of(calls[0], asked[0]));
    assertArrayEquals(new float[] {13}, backend.read(sum));
  }

  @Test
  void workThatNeedsTheHostIsRefusedWhileItIsRecordedAndTheDeviceGoesOn() {
    Tensor x = vector(1, 2);
    record Case(String words, Runnable work) {}
    Recorder recorder = backend.recorder();
    for (Case c : new Case[] {
        new Case("cuda: values were read by the host inside work that is recorded; it belongs before or behind it", () -> backend.read(x)),
        new Case("cuda: values were written from the host inside work that is recorded; it belongs before or behind it", () -> backend.write(x, new float[2])),
        new Case("cuda: values were asked by the host inside work that is recorded; it belongs before or behind it", () -> backend.readLater(x).values()),
        new Case("cuda: memory was asked inside work that is recorded; it belongs before or behind it", () -> backend.create(Shape.vector(3))),
        new Case("cuda: the host waited inside work that is recorded; it belongs before or behind it", () -> backend.synchronize())}) {
      recorder.run(c, c.work);
      assertEquals(c.words, assertThrows(IllegalStateException.class, () -> recorder.run(c, c.work)).getMessage());
    }
    backend.point().accumulate(x, x);
    assertEquals(2, backend.read(x).length);
  }

  @Test
  void batchesAndResultsKeepTheirValuesThoughTheDeviceWorksLate() {
    Shape shape = Shape.image(4, 8, 8, 3);
    Inlet inlet = backend.inlet(shape);
    Tensor y = backend.create(shape), head = y.first(1).reshaped(Shape.vector(192));
    Tensor first = backend.create(Shape.vector(64));
    EmulatedDevice.lazy(true);
    byte[] pixels = new byte[shape.size()];
    Readback before = null;
    for (int i = 0; i < 12; i++) {
      java.util.Arrays.fill(pixels, (byte) i);
      backend.point().normalize(y, inlet.next(pixels, 4), new PixelScale(new float[3], new float[] {1 / 255f, 1 / 255f, 1 / 255f}));
      java.util.Arrays.fill(pixels, (byte) 99);
      backend.point().copy(first, new Tensor(Shape.vector(64), head.type(), y.memory()));
      Readback now = backend.readLater(first);
      if (before != null) assertEquals(i - 1, before.values()[63], 1e-4f);
      before = now;
    }
    assertEquals(11, before.values()[0], 1e-4f);
    for (int i = 0; i < 8; i++) before = backend.readLater(first);
    assertThrows(IllegalStateException.class, () -> backend.readLater(first));
  }

  @Test
  void aBatchIsNotOverwrittenBeforeItsLastReaderIsDone() {
    Shape shape = Shape.image(2, 4, 4, 1);
    Inlet inlet = backend.inlet(shape);
    Tensor[] seen = new Tensor[8];
    for (int i = 0; i < seen.length; i++) seen[i] = backend.create(shape);
    EmulatedDevice.lazy(true);
    byte[] pixels = new byte[shape.size()];
    for (int i = 0; i < seen.length; i++) {   // the host waits for copies, whose room it takes again, but never for the work behind them
      java.util.Arrays.fill(pixels, (byte) (i + 1));
      backend.point().normalize(seen[i], inlet.next(pixels, 2), new PixelScale(new float[1], new float[] {1 / 255f}));
    }
    for (int i = 0; i < seen.length; i++) assertEquals(i + 1, backend.read(seen[i])[31], 1e-4f, "batch " + i);
  }
}
