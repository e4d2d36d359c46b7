package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.OnEveryBackend;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDevice;
import onebit.ops.cuda.EmulatedDriver;
import onebit.optim.Adam;
import onebit.optim.Optimizer;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

class TrainStepTest {
  private static final int BATCH = 6;

  /** A small network with everything a step needs, on one backend. */
  private static final class Network {
    final Backend backend;
    final Model model;
    final Optimizer optimizer;
    final TrainStep step;

    Network(Backend backend) {
      this.backend = backend;
      model = new Model(new GlyphNet(8), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(BATCH, 12, 12, 1), 10, backend, 3);
      optimizer = new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, p -> 0);
      step = new TrainStep(backend, model, optimizer, BATCH, 10, 0);
    }

    Tensor images(float poison) {
      Tensor x = backend.create(Shape.image(BATCH, 12, 12, 1));
      float[] values = new float[x.size()];
      SplittableRandom random = new SplittableRandom(5);
      for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
      values[17] += poison;
      backend.write(x, values);
      return x;
    }
  }

  private static int[] labels() {
    return new int[] {0, 1, 2, 3, 4, 5};
  }

  @OnEveryBackend
  void aStepLowersTheLossOnItsOwnBatch(Backend backend) {
    Network net = new Network(backend);
    Tensor x = net.images(0);
    double first = net.step.run(x, labels(), 0.01).loss(), last = first;
    for (int i = 0; i < 30; i++) last = net.step.run(x, labels(), 0.01).loss();
    assertTrue(last < 0.5 * first, first + " -> " + last);
  }

  @OnEveryBackend
  void aStepWithNaNChangesNothingAndNamesWhatWasNotFinite(Backend backend) {
    Network net = new Network(backend);
    Object[] before = net.model.save().toArray();
    TrainStep.Outcome outcome = net.step.run(net.images(Float.NaN), labels(), 0.05);
    assertEquals("loss", outcome.notFinite());
    assertArrayEquals(before, net.model.save().toArray());
    assertEquals(0, net.optimizer.steps());
    assertNull(net.step.run(net.images(0), labels(), 0.05).notFinite());
    assertNotEquals(List.of(before), net.model.save());
    assertEquals(1, net.optimizer.steps());
  }

  @OnEveryBackend
  void outcomesTakenOneStepLaterAreThoseOfStepsTakenOneByOne(Backend backend) {
    Network direct = new Network(backend), delayed = new Network(backend);
    Tensor good = direct.images(0), bad = direct.images(Float.NaN);
    List<TrainStep.Outcome> wanted = new ArrayList<>(), got = new ArrayList<>();
    TrainStep.Running before = null;
    for (int i = 0; i < 12; i++) {
      Tensor x = i % 4 == 2 ? bad : good;
      wanted.add(direct.step.run(x, labels(), 0.01));
      TrainStep.Running now = delayed.step.start(x, labels(), 0.01);
      if (before != null) got.add(before.outcome());
      before = now;
    }
    got.add(before.outcome());
    assertEquals(wanted, got);
    assertEquals("loss", got.get(6).notFinite());
    assertArrayEquals(direct.model.save().toArray(), delayed.model.save().toArray());
    assertEquals(9, delayed.optimizer.steps());
  }

  /** Fifty steps on two alternating batches, one of them smaller, with a new slope in the middle; the parameters and running statistics after them. */
  private static Object[] fiftySteps(Network net) {
    Tensor large = net.images(0), small = net.images(0.25f).first(BATCH - 2);
    TrainStep.Running before = null;
    for (int i = 0; i < 50; i++) {
      if (i == 30) net.model.use(new AdaBin(AdaBin.Form.CODE, true, false).at(2, 4));
      TrainStep.Running now = net.step.start(i % 5 == 4 ? small : large, labels(), 0.01 / (1 + i));
      if (before != null) before.outcome();
      before = now;
    }
    assertNull(before.outcome().notFinite());
    return net.model.save().toArray();
  }

  @OnEveryBackend
  void replayedStepsGiveTheBitsOfStepsAskedCallByCall(Backend backend) {
    Network net = new Network(backend);
    backend.replay(false);
    Object[] wanted = fiftySteps(net);
    backend.replay(true);
    assertArrayEquals(wanted, fiftySteps(new Network(backend)));
  }

  @Test
  void stepsOfADeviceThatWorksAsLateAsItMayGiveTheSameBits() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (Backend backend = CudaBackend.emulated()) {
      Object[] wanted = fiftySteps(new Network(backend));
      EmulatedDevice.lazy(true);
      assertArrayEquals(wanted, fiftySteps(new Network(backend)));
    } finally {
      EmulatedDevice.lazy(false);
    }
  }
}
