package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.TreeSet;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.layers.BuildContext;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Residual;
import onebit.layers.Sequential;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.ops.Backend;
import onebit.ops.OnEveryPrecision;
import onebit.ops.PoisonedRooms;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** What forward keeps and what backward computes again is all that is read: the rest of the arena holds NaN at every op, and nothing changes. */
class DeadRoomsTest {
  private static final Method ADABIN = new AdaBin(AdaBin.Form.CODE, true, false);
  private static final Method CLIPPED = new BmxNet(1.3f, false, BmxNet.Scaling.NONE);

  /** A model on some backend, whose steps begin with what is given. */
  private record Built(Backend backend, Model model, Runnable begin) {
    static Built plain(Backend backend, Network network, Optional<Network> teacher, Method method, int side, Memory memory) {
      return new Built(backend, model(backend, network, teacher, method, side, memory), () -> { });
    }

    static Built poisoned(PoisonedRooms rooms, Network network, Optional<Network> teacher, Method method, int side, Memory memory) {
      return new Built(rooms.backend(), model(rooms.backend(), network, teacher, method, side, memory), rooms::begin);
    }

    private static Model model(Backend backend, Network network, Optional<Network> teacher, Method method, int side, Memory memory) {
      Model model = new Model(network, method, Shape.image(3, side, side, 3), 4, backend, 5, new Execution(Passes.FUSED, memory), teacher);
      model.use(method.at(3, 10));
      return model;
    }

    /** Logits and gradients of a step. */
    List<float[]> step() {
      Random random = new Random(7);
      Shape input = model.input();
      Tensor x = backend.create(input, backend.activations()), gradLogits = backend.create(Shape.matrix(3, model.outputs()));
      backend.write(x, normal(x.size(), random));
      backend.write(gradLogits, normal(gradLogits.size(), random));
      begin.run();
      Tensor soft = model.teacher() == null ? null : model.teacher().forward(x, false), logits = model.forward(x, true);
      model.backward(gradLogits);
      List<float[]> all = new ArrayList<>();
      all.add(backend.read(logits));
      if (soft != null) all.add(backend.read(soft));
      for (Parameter p : model.parameters()) all.add(backend.read(p.gradient()));
      return all;
    }
  }

  /** A layer that gives 2 x, in evaluation perhaps in another room than in training, with a shortcut past it. */
  private record Elsewhere(boolean apart) implements Network {
    @Override
    public Layer layers(Method method, Shape input, int classes) {
      return Sequential.of(new Conv2d("stem", 8, 3, 1, 1, Init.KAIMING).asFirst(), Residual.identity(new Layer() {
        private Backend backend;
        private Tensor y;
        private Tensor evaluated;

        @Override
        public Shape build(BuildContext context, Shape shape) {
          backend = context.backend();
          y = context.activations(shape);
          evaluated = context.activations(shape);
          return shape;
        }

        @Override
        public Tensor forward(Tensor x, boolean training) {
          Tensor out = training || !apart ? y : evaluated;
          backend.point().add(out, x, x);
          return out;
        }

        @Override
        public Tensor backward(Tensor gradY) {
          return gradY;
        }
      }), Pool.global(), new Linear("classes", classes, Init.KAIMING, true));
    }
  }

  @OnEveryPrecision
  void whatEvaluationAloneUsesLives(Backend backend) {
    List<float[]> logits = new ArrayList<>();
    for (boolean apart : new boolean[] {false, true}) {
      Model model = Built.model(backend, new Elsewhere(apart), Optional.empty(), CLIPPED, 8, Memory.FAST);
      Tensor x = backend.create(model.input(), backend.activations());
      backend.write(x, normal(x.size(), new Random(7)));
      logits.add(backend.read(model.forward(x, false)));
    }
    assertArrayEquals(logits.getFirst(), logits.getLast());
  }

  private static float[] normal(int n, Random random) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) values[i] = (float) random.nextGaussian();
    return values;
  }

  private static void assertEqualSteps(Backend backend, Network network, Method method, int side) {
    assertEqualSteps(backend, network, Optional.empty(), method, side);
  }

  private static void assertEqualSteps(Backend backend, Network network, Optional<Network> teacher, Method method, int side) {
    List<float[]> wanted = Built.plain(backend, network, teacher, method, side, Memory.FAST).step();
    for (float[] values : wanted) for (float v : values) assertTrue(Float.isFinite(v));
    for (Memory memory : Memory.values()) {
      Built built = Built.poisoned(new PoisonedRooms(backend), network, teacher, method, side, memory);
      for (int run = 0; run < 2; run++) {
        List<float[]> got = built.step();
        for (int i = 0; i < wanted.size(); i++) assertArrayEquals(wanted.get(i), got.get(i), memory + ", run " + run + ", tensor " + i);
      }
    }
  }

  @OnEveryPrecision
  void whatThePlanGaveUpIsNotRead(Backend backend) {
    assertEqualSteps(backend, new GlyphNet(8), ADABIN, 12);
    assertEqualSteps(backend, new SmallPreNorm(8), CLIPPED, 8);
    assertEqualSteps(backend, new SmallPyramid(8), ADABIN, 8);
    assertEqualSteps(backend, new SmallDense(), CLIPPED, 8);
    assertEqualSteps(backend, new SmallPostNorm(8), CLIPPED, 8);
    assertEqualSteps(backend, new GlyphNet(8), new Rbnn(1, true), 12);
  }

  @OnEveryPrecision
  void norBesideATeacherWhoseRoomsAreTheStudentsAfterwards(Backend backend) {
    assertEqualSteps(backend, new GlyphNet(8), Optional.of(new RealResNetTest.Tiny(false)), ADABIN, 12);
    assertEqualSteps(backend, new GlyphNet(8), Optional.of(BinaryTeacherTest.with(new SmallPreNorm(8), CLIPPED)), ADABIN, 12);
    assertEqualSteps(backend, new GlyphNet(8), Optional.of(BinaryTeacherTest.with(new SmallDense(), CLIPPED)), ADABIN, 12);
    assertEqualSteps(backend, new GlyphNet(8), Optional.of(BinaryTeacherTest.with(new GlyphNet(16), new Rbnn(1, false))), ADABIN, 12);
  }

  @Test
  void norInDeeperNetworks() {
    try (Backend backend = new CpuBackend()) {
      assertEqualSteps(backend, new ResNet20(), ADABIN, 8);
      assertEqualSteps(backend, new ResNet18(), ADABIN, 8);
      assertEqualSteps(backend, new ResNet20(), new Rbnn(1, false), 8);
      assertEqualSteps(backend, new ResNet20(), new BiPer(2, 20, 0.0468f), 8);
      assertEqualSteps(backend, new DenseNet21(), CLIPPED, 16);
    }
  }

  /** What a step gives; null if it stumbles over what it reads, as over the place of a maximum that is none. */
  private static Object[] outcome(Built built) {
    try {
      return built.step().toArray();
    } catch (ArrayIndexOutOfBoundsException stumbled) {
      return null;
    }
  }

  /** Each room in turn is given up one op too early: the op that needs it last finds NaN, or bits of ones. */
  @Test
  void aRoomGivenUpTooEarlyIsSeen() {
    assertEveryRoomMatters(new GlyphNet(8), ADABIN, 12);
    assertEveryRoomMatters(new SmallPreNorm(8), CLIPPED, 8);
    assertEveryRoomMatters(new SmallPyramid(8), ADABIN, 8);
  }

  private static void assertEveryRoomMatters(Network network, Method method, int side) {
    for (Memory memory : Memory.values()) {
      try (Backend backend = new CpuBackend()) {
        PoisonedRooms rooms = new PoisonedRooms(backend);
        Built built = Built.poisoned(rooms, network, Optional.empty(), method, side, memory);
        List<float[]> wanted = built.step();
        TreeSet<String> unseen = new TreeSet<>();
        for (int i = 0; i < rooms.plan().size(); i++) {
          rooms.cutShort(i);
          if (Arrays.deepEquals(wanted.toArray(), outcome(built)) && rooms.carries(i)) unseen.add(rooms.plan().get(i).owner());
        }
        assertEquals(new TreeSet<>(), unseen, memory.toString());
      }
    }
  }
}
