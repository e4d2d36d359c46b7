package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BiReal;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BatchNorm.Rule;
import onebit.layers.BinaryConv2d;
import onebit.layers.Concat;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.L2Norm;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Maxout;
import onebit.layers.Pool;
import onebit.layers.Residual;
import onebit.layers.Sequential;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.ops.Backend;
import onebit.ops.OnEveryPrecision;
import onebit.ops.PointOps.Activation;
import onebit.ops.PoisonedRooms;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * Networks drawn at random, of layers in orders that no recipe has: fused passes, and what memory modes compute again, give the bits of the simple ops.
 *
 * <p>The property {@code onebit.test.networks} asks for more of them, {@code onebit.test.seed} for others.
 */
class RandomNetworksTest {
  private static final int NETWORKS = Integer.getInteger("onebit.test.networks", 0), CLASSES = 3;
  private static final long SEED = Long.getLong("onebit.test.seed", 0);

  /** Draws layers one after the other; h, w, c is what the last of them gives. */
  private static final class Draw {
    private static final int[] CHANNELS = {1, 2, 3, 8, 16, 31, 32, 33};
    private final SplittableRandom random;
    private final Method method;
    private final List<Layer> all = new ArrayList<>();
    private int h;
    private int w;
    private int c;
    private int names;

    Draw(long seed, Method method, Shape input) {
      random = new SplittableRandom(seed);
      this.method = method;
      h = input.d1();
      w = input.d2();
      c = input.d3();
    }

    private String name(String kind) {
      return kind + names++;
    }

    private boolean once(int in) {
      return random.nextInt(in) == 0;
    }

    private int channels() {
      return CHANNELS[random.nextInt(CHANNELS.length)];
    }

    private Layer norm() {
      return new BatchNorm(name("norm"), once(6) ? Rule.MXNET_CPU : Rule.TORCH);
    }

    private Layer nonlinearity() {
      return once(2) ? new Maxout(name("maxout")) : new Activate(Activation.values()[random.nextInt(3)]);
    }

    private Layer binary(int filters, int stride) {
      int taps = 1 + 2 * random.nextInt(3), dilation = once(4) ? 2 : 1;
      return new BinaryConv2d(name("binary"), method, filters, taps, stride, dilation * (taps / 2), dilation, Init.gaussian(0.5));
    }

    private Layer real(int filters, int taps, int stride) {
      return new Conv2d(name("real"), filters, taps, stride, taps / 2, 1, once(4), Init.KAIMING);
    }

    private void narrowed(int channels, int stride) {
      h = (h + stride - 1) / stride;
      w = (w + stride - 1) / stride;
      c = channels;
    }

    private Layer units(int filters, int stride) {
      List<Layer> body = new ArrayList<>();
      for (int i = random.nextInt(3); i > 0; i--) {
        body.add(binary(channels(), 1));
        body.add(norm());
        if (once(2)) body.add(nonlinearity());
      }
      body.add(binary(filters, stride));
      body.add(norm());
      return new Sequential(body);
    }

    private void pool() {
      int size = 1 + random.nextInt(3);
      if (Math.min(h, w) < size) return;
      all.add(once(2) ? Pool.max(size, size, 0) : Pool.average(size, size));
      h /= size;
      w /= size;
    }

    private void block() {
      int stride = 1 + random.nextInt(2), filters = channels();
      switch (random.nextInt(8)) {
        case 0 -> {
          all.addAll(List.of(binary(filters, stride), norm()));
          narrowed(filters, stride);
        }
        case 1 -> all.add(Residual.identity(units(c, 1)));
        case 2 -> {
          filters = c + 2 * random.nextInt(4);
          all.add(new Residual(units(filters, stride), Pool.subsamplePad(stride, filters)));
          narrowed(filters, stride);
        }
        case 3 -> {
          all.add(new Residual(units(filters, stride), Sequential.of(once(3) ? new BinaryConv2d(name("side"), method, filters, 1, stride, 0, 1, Init.KAIMING)
              : new Conv2d(name("side"), filters, 1, stride, 0, Init.KAIMING), norm())));
          narrowed(filters, stride);
        }
        case 4 -> {
          for (int i = random.nextInt(3); i >= 0; i--) all.add(Residual.identity(Sequential.of(norm(), binary(c, 1))));
          all.add(norm());
        }
        case 5 -> {
          for (int i = random.nextInt(3); i >= 0; i--) {
            int growth = once(3) ? filters = channels() : filters;
            all.add(new Concat(Sequential.of(norm(), binary(growth, 1))));
            c += growth;
          }
          if (once(2)) all.add(norm());
        }
        case 6 -> {
          all.addAll(List.of(real(filters, 1 + 2 * random.nextInt(2), stride), norm()));
          narrowed(filters, stride);
        }
        default -> all.addAll(List.of(new Residual(Residual.identity(units(c, 1)), Sequential.of(nonlinearity(), binary(c, 1))), new L2Norm(name("length"), 3)));
      }
      if (once(2)) all.add(nonlinearity());
      if (once(4)) pool();
    }

    Layer network(int classes) {
      if (!once(6)) {
        c = channels();
        all.addAll(List.of(new Conv2d(name("stem"), c, 3, 1, 1, Init.KAIMING).asFirst(), norm()));
      }
      for (int i = 1 + random.nextInt(4); i > 0; i--) block();
      all.add(new Linear("classes", classes, Init.KAIMING, true));
      return new Sequential(all);
    }
  }

  private record Drawn(long seed, Method method, Shape images) implements Network {
    static Drawn of(long seed) {
      SplittableRandom random = new SplittableRandom(seed * 1_000_003 + 7);
      Method method = switch (random.nextInt(6)) {
        case 0 -> new AdaBin(AdaBin.Form.CODE, true, random.nextInt(3) == 0);
        case 1 -> new BiPer(1 + random.nextInt(2), 20, 0.05f);
        case 2 -> new Rbnn(1, false);
        case 3 -> new BiReal(1);
        default -> new BmxNet(1, random.nextBoolean(), BmxNet.Scaling.values()[random.nextInt(3)]);
      };
      return new Drawn(random.nextLong(), method, Shape.image(2 + random.nextInt(2), 1 + random.nextInt(9), 1 + random.nextInt(9), 1 + random.nextInt(4)));
    }

    @Override
    public Layer layers(Method ignored, Shape input, int classes) {
      return new Draw(seed, method, input).network(classes);
    }
  }

  /** Logits, gradients and statistics of a step and of a smaller one; then, unless rooms are poisoned between a step's ops, logits of evaluation. */
  private static List<float[]> steps(Backend backend, Drawn network, Passes passes, Memory memory, Runnable begin) {
    SplittableRandom random = new SplittableRandom(5);
    Model model = new Model(network, network.method, network.images, CLASSES, backend, 5, new Execution(passes, memory));
    for (Parameter p : model.parameters()) {
      float[] values = backend.read(p.value());
      if (p.value().shape().rank() == 1) for (int i = 0; i < values.length; i++) values[i] += (float) random.nextDouble(p.kind() == Parameter.Kind.NORM && random.nextInt(8) == 0 ? -2 : -0.2, 0.2);
      backend.write(p.value(), values);
    }
    Tensor x = backend.create(network.images, backend.activations()), gradient = backend.create(Shape.matrix(network.images.d0(), CLASSES));
    backend.write(x, normal(x.size(), random));
    backend.write(gradient, normal(gradient.size(), random));
    List<float[]> all = new ArrayList<>();
    for (int n = network.images.d0(); n >= network.images.d0() - 1; n--) {
      model.use(network.method.at(9 - n, 10));
      begin.run();
      Tensor logits = model.forward(x.first(n), true);
      model.backward(gradient.first(n));
      all.add(backend.read(logits));
      for (Parameter p : model.parameters()) all.add(backend.read(p.gradient()));
      for (StateTensor s : model.state()) all.add(backend.read(s.value()));
    }
    if (begin == NOTHING) all.add(backend.read(model.forward(x, false)));
    return all;
  }

  private static final Runnable NOTHING = () -> { };

  private static float[] normal(int n, SplittableRandom random) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) values[i] = (float) random.nextGaussian();
    return values;
  }

  /** In bfloat16 the simple ops round what fused passes do not store, so that only the memory modes are compared there. */
  @OnEveryPrecision
  void fusedPassesAndMemoryModesGiveTheBitsOfTheSimpleOps(Backend backend) {
    boolean cpu = backend.name().equals("cpu"), rounds = backend.activations() == ElementType.BFLOAT16;
    for (long seed = SEED; seed < SEED + (NETWORKS > 0 ? NETWORKS : cpu ? 48 : 2); seed++) {
      Drawn network = Drawn.of(seed);
      List<float[]> wanted = steps(backend, network, rounds ? Passes.FUSED : Passes.SIMPLE, Memory.FAST, NOTHING);
      for (Memory memory : Memory.values()) {
        if (rounds && memory == Memory.FAST) continue;
        String what = "network " + seed + ", " + network.method + " " + network.images + ", " + memory + " on " + backend;
        // on a device a set's two gradients are summed per channel first; BiPer's steps are held to equal bits on the CPU alone, as in FusedModelTest
        boolean sums = !cpu && !rounds && (network.method instanceof AdaBin || network.method instanceof BiPer);
        assertSame(wanted, steps(backend, network, Passes.FUSED, memory, NOTHING), sums ? 1e-4f : 0, what);
        if (!cpu || memory == Memory.COMPACT) continue;
        PoisonedRooms rooms = new PoisonedRooms(backend);
        assertSame(wanted.subList(0, wanted.size() - 1), steps(rooms.backend(), network, Passes.FUSED, memory, rooms::begin), 0, what + ", dead rooms poisoned");
      }
    }
  }

  private static void assertSame(List<float[]> wanted, List<float[]> got, float tolerance, String what) {
    for (int i = 0; i < wanted.size(); i++) {
      float largest = 1;
      for (float value : wanted.get(i)) largest = Math.max(largest, Math.abs(value));
      assertArrayEquals(wanted.get(i), got.get(i), tolerance * largest, "tensor " + i + " of " + what);
    }
  }
}
