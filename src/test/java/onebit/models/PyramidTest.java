package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import onebit.binarize.AdaBin;
import onebit.layers.BuildContext;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Pool;
import onebit.layers.Pyramid;
import onebit.layers.Pyramid.Level;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PyramidTest {
  private static final Shape IMAGES = Shape.image(3, 8, 8, 3);

  static float[] normal(int n, long seed) {
    Random random = new Random(seed);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) values[i] = (float) random.nextGaussian();
    return values;
  }

  /** Pictures of 2x2 pixels and their means; each convolution is of the middle tap only, so that a value is a multiple of its pixel. */
  @Test
  void allLocationsStandBeforeAllConfidencesMapByMapPixelByPixel() {
    try (Backend cpu = new CpuBackend()) {
      Pyramid pyramid = new Pyramid(List.of(new Level(Pool.max(1, 1, 0), null, head("l1", 2), head("k1", 1)), new Level(Pool.average(2, 2), null, head("l2", 1), head("k2", 3))));
      assertEquals(Shape.matrix(2, 8 + 1 + 4 + 3), pyramid.build(new BuildContext(cpu, 1), Shape.image(2, 2, 2, 1)));
      set(pyramid, 0, 10, 100);
      set(pyramid, 1, 1000);
      set(pyramid, 2, 1);
      set(pyramid, 3, 5, 6, 7);
      float[] y = cpu.read(pyramid.forward(Tensor.of(Shape.image(2, 2, 2, 1), 1, 2, 3, 6, 2, 4, 6, 12), false));
      float[] first = {10, 100, 20, 200, 30, 300, 60, 600, 3, 1000, 2000, 3000, 6000, 15, 18, 21}, both = new float[32];
      for (int i = 0; i < 16; i++) {
        both[i] = first[i];
        both[16 + i] = 2 * first[i];
      }
      assertArrayEquals(both, y);
    }
  }

  private static Conv2d head(String name, int filters) {
    return new Conv2d(name, filters, 3, 1, 1, 1, true, Init.XAVIER_NORMAL);
  }

  /** Gives the middle taps of a head their values, in the order l1, k1, l2, k2. */
  private static void set(Pyramid pyramid, int head, float... middle) {
    Parameter weight = pyramid.children().stream().filter(Conv2d.class::isInstance).toList().get(head).parameters().getFirst();
    java.util.Arrays.fill(weight.value().floats(), 0);
    for (int i = 0; i < middle.length; i++) weight.value().floats()[9 * i + 4] = middle[i];
  }

  /** A process may send a group's gradients on as soon as it is told of them. */
  @ParameterizedTest
  @EnumSource(value = Passes.class, names = {"SIMPLE", "FUSED"})
  void everyGroupOfGradientsIsFinishedWhenItIsLeftTheLastFirst(Passes passes) {
    AdaBin method = new AdaBin(AdaBin.Form.CODE, true, false);
    try (Backend cpu = new CpuBackend()) {
      Model model = new Model(new SmallPyramid(8), method, IMAGES, 4, cpu, 5, new Execution(passes, Memory.FAST));
      model.use(method.at(3, 10));
      model.splitGradients(1);
      List<List<Tensor>> groups = model.gradientGroups();
      Set<Tensor> all = Collections.newSetFromMap(new IdentityHashMap<>());
      groups.forEach(all::addAll);
      assertEquals(model.parameters().size(), groups.stream().mapToInt(List::size).sum());
      assertTrue(model.parameters().stream().allMatch(p -> all.contains(p.gradient())));
      assertTrue(groups.size() > 8, groups.size() + " groups: the pieces of chains within stages, too");
      Tensor x = cpu.create(IMAGES), gradY = cpu.create(Shape.matrix(3, model.outputs()));
      cpu.write(x, normal(x.size(), 1));
      cpu.write(gradY, normal(gradY.size(), 2));
      model.forward(x, true);
      List<Integer> told = new ArrayList<>();
      List<List<float[]>> then = new ArrayList<>();
      model.backward(gradY, group -> {
        told.add(group);
        then.add(groups.get(group).stream().map(g -> g.floats().clone()).toList());
      });
      assertEquals(IntStream.range(0, groups.size()).boxed().collect(Collectors.toCollection(ArrayList::new)).reversed(), told);
      Set<Float> sums = new HashSet<>();
      for (int i = 0; i < told.size(); i++) {
        for (int k = 0; k < then.get(i).size(); k++) {
          float[] now = groups.get(told.get(i)).get(k).floats();
          assertArrayEquals(now, then.get(i).get(k), "group " + told.get(i));
          for (float g : now) if (g != 0) sums.add(g);
        }
      }
      assertTrue(sums.size() > 1000, "gradients that are there");
    }
  }
}
