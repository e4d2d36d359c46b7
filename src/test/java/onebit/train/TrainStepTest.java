package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.ops.cpu.CpuBackend;
import onebit.optim.Optimizer;
import onebit.optim.Sgd;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

class TrainStepTest {
  private static final int BATCH = 6;
  private final CpuBackend backend = new CpuBackend();
  private final Model model = new Model(new GlyphNet(8), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(BATCH, 12, 12, 1), 10, backend, 3);
  private final Optimizer optimizer = new Sgd(backend, model.parameters(), 0.9, p -> 0);
  private final TrainStep step = new TrainStep(backend, model, optimizer, BATCH, 10, 0);

  private Tensor images(float poison) {
    Tensor x = backend.create(Shape.image(BATCH, 12, 12, 1));
    float[] values = new float[x.size()];
    SplittableRandom random = new SplittableRandom(5);
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    values[17] += poison;
    backend.write(x, values);
    return x;
  }

  private static int[] labels() {
    return new int[] {0, 1, 2, 3, 4, 5};
  }

  @Test
  void aStepLowersTheLossOnItsOwnBatch() {
    Tensor x = images(0);
    double first = step.run(x, labels(), 0.05).loss(), last = first;
    for (int i = 0; i < 30; i++) last = step.run(x, labels(), 0.05).loss();
    assertTrue(last < 0.5 * first, first + " -> " + last);
  }

  @Test
  void aStepWithNaNChangesNothingAndNamesWhatWasNotFinite() {
    Object[] before = model.save().toArray();
    TrainStep.Outcome outcome = step.run(images(Float.NaN), labels(), 0.05);
    assertEquals("loss", outcome.notFinite());
    assertArrayEquals(before, model.save().toArray());
    assertEquals(0, optimizer.steps());
    assertNull(step.run(images(0), labels(), 0.05).notFinite());
    assertNotEquals(List.of(before), model.save());
  }
}
