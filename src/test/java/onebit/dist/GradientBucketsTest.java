package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.models.Execution;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.models.Network;
import onebit.models.ResNet18;
import onebit.models.ResNet18V1;
import onebit.models.ResNet20;
import onebit.ops.Backend;
import onebit.ops.Backends;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class GradientBucketsTest {
  private final List<String> sent = new ArrayList<>();

  /** A communicator that only notes what is sent. */
  private Communicator noting() {
    return (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, (proxy, method, arguments) -> {
      if (method.getName().equals("startMean")) sent.add(arguments[0] + ":" + ((List<?>) arguments[1]).size());
      return method.getReturnType() == int.class ? 2 : null;
    });
  }

  private static Tensor of(int size) {
    return Tensor.of(Shape.vector(size), new float[size]);
  }

  @Test
  void aBucketLeavesWhenItsLastGroupIsReadyAndNotBefore() {
    List<List<Tensor>> groups = List.of(List.of(of(10)), List.of(), List.of(of(300), of(5)), List.of(of(100)), List.of(of(250)));
    GradientBuckets buckets = new GradientBuckets(noting(), groups, 1000, ElementType.FLOAT32);
    for (int step = 0; step < 2; step++) {
      sent.clear();
      buckets.ready(4);
      assertEquals(List.of("gradients 1:1"), sent);
      buckets.ready(3);
      assertEquals(1, sent.size(), "100 values do not fill a bucket");
      buckets.ready(2);
      assertEquals(List.of("gradients 1:1", "gradients 2:3"), sent);
      buckets.ready(1);
      buckets.ready(0);
      assertEquals("gradients 3:1", sent.getLast());
      buckets.finish();
      assertEquals(3, sent.size());
    }
  }

  /** 46.8 MB in buckets of at least 4 MB, closed by a tensor of at most 9.4 MB, in simple and in fused passes. */
  @ParameterizedTest
  @EnumSource(value = Passes.class, names = {"SIMPLE", "FUSED"})
  void theGradientsOfResNet18TravelInSeveralBuckets(Passes passes) {
    try (CpuBackend backend = new CpuBackend()) {
      Model model = new Model(new ResNet18(), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(1, 64, 64, 3), 1000, backend, 1,
          new Execution(passes, Memory.FAST));
      model.splitGradients(4 << 20);
      List<List<Tensor>> groups = model.gradientGroups();
      GradientBuckets buckets = new GradientBuckets(noting(), groups, 4 << 20, ElementType.FLOAT32);
      assertTrue(buckets.count() >= 5 && buckets.count() <= 12, buckets.count() + " buckets");
      assertEquals(model.parameters().size(), groups.stream().mapToInt(List::size).sum());
      Set<Tensor> different = Collections.newSetFromMap(new IdentityHashMap<>());
      groups.forEach(different::addAll);
      assertEquals(model.parameters().size(), different.size());
    }
  }

  private record Case(Backend backend, Network network, Method method, Execution execution) {
    @Override
    public String toString() {
      return backend + " " + network + " " + method + " " + execution;
    }
  }

  static List<Case> cases() {
    Execution fused = new Execution(Passes.FUSED, Memory.FAST);
    List<Case> all = new ArrayList<>();
    Backends.precisions().forEach(backend -> {
      all.add(new Case(backend, new GlyphNet(8), new AdaBin(AdaBin.Form.CODE, true, false), new Execution(Passes.FUSED, Memory.TINY)));
      if (!backend.name().equals("cpu")) return;
      all.add(new Case(backend, new ResNet20(), new AdaBin(AdaBin.Form.PAPER, true, true), fused));
      all.add(new Case(backend, new ResNet20(), new BiPer(1, 20, 1e-4f), fused));
      all.add(new Case(backend, new ResNet20(), new Rbnn(1, false), fused));
      all.add(new Case(backend, new ResNet18V1(), new BmxNet(1.3f, false, BmxNet.Scaling.BINET), fused));
      all.add(new Case(backend, new ResNet20(), new AdaBin(AdaBin.Form.CODE, true, false), new Execution(Passes.SIMPLE, Memory.FAST)));
    });
    return all;
  }

  /** Every gradient has its last bits when its bucket leaves, and most buckets leave before backward has come to the first layer. */
  @ParameterizedTest
  @MethodSource("cases")
  void gradientsLeaveWholeWhileBackwardGoesOn(Case test) {
    Backend backend = test.backend;
    Model model = new Model(test.network, test.method, Shape.image(2, 16, 16, 3), 4, backend, 5, test.execution);
    model.use(test.method.at(3, 10));
    Random random = new Random(7);
    Tensor x = backend.create(model.input(), backend.activations()), gradLogits = backend.create(Shape.matrix(2, 4));
    for (Tensor tensor : List.of(x, gradLogits)) {
      float[] values = new float[tensor.size()];
      for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
      backend.write(tensor, values);
    }
    model.forward(x, true);
    model.backward(gradLogits);
    Map<Tensor, float[]> wanted = new IdentityHashMap<>();
    for (Parameter p : model.parameters()) wanted.put(p.gradient(), backend.read(p.gradient()));
    long bytes = model.parameters().stream().mapToLong(p -> 4L * p.size()).sum();
    Tensor last = model.parameters().getFirst().gradient();
    int[] left = new int[2];
    Communicator observing = (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, (proxy, method, given) -> {
      if (!method.getName().equals("startMean")) return method.getReturnType() == int.class ? 2 : null;
      left[Float.isNaN(backend.read(last)[0]) ? 0 : 1]++;
      for (Object tensor : (List<?>) given[1]) assertArrayEquals(wanted.remove(tensor), backend.read((Tensor) tensor), given[0] + " left too early");
      return null;
    });
    model.splitGradients(bytes / 8);
    GradientBuckets buckets = new GradientBuckets(observing, model.gradientGroups(), bytes / 8, ElementType.FLOAT32);
    model.parameters().forEach(p -> backend.fill(p.gradient(), Float.NaN));
    model.forward(x, true);
    model.backward(gradLogits, buckets::ready);
    buckets.finish();
    assertTrue(wanted.isEmpty(), wanted.size() + " gradients never left");
    assertTrue(left[0] >= 3 && left[1] == 1, left[0] + " buckets left before backward ended, " + left[1] + " after it");
  }
}
