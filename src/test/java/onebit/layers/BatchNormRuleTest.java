package onebit.layers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import onebit.layers.BatchNorm.Rule;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What moves BMXNet's running variances: cuDNN, which MXNet calls on a GPU, divides a batch's squares by one less than their number, as PyTorch does; MXNet's
 * own code for CPUs, on which its LeNet runs, by their number.
 */
class BatchNormRuleTest {
  private static final Recipes RECIPES = new Recipes();

  static Stream<String> runsOfBmxnet() {
    return Recipes.names().stream().filter(name -> name.startsWith("bmxnet-"));
  }

  @ParameterizedTest
  @MethodSource("runsOfBmxnet")
  void runningVariancesAreUnbiasedButOfTheRunOnACpu(String name) {
    Recipe recipe = RECIPES.load(name, List.of());
    Shape input = Shape.image(1, recipe.data().height(), recipe.data().width(), recipe.data().channels());
    List<Rule> rules = new ArrayList<>();
    collect(recipe.network().layers(recipe.method(), input, recipe.data().classes()), rules);
    assertFalse(rules.isEmpty());
    for (Rule rule : rules) assertEquals(!name.equals("bmxnet-lenet-mnist"), rule.unbiased());
  }

  private static void collect(Layer layer, List<Rule> rules) {
    if (layer instanceof BatchNorm norm) rules.add(norm.rule());
    layer.children().forEach(child -> collect(child, rules));
  }

  @Test
  void twoValuesMoveTheRunningVarianceByTheRule() {
    Map<Rule, Double> moved = Map.of(Rule.MXNET_CPU, 0.9 + 0.1 * 2.25, Rule.MXNET_INPUT, 0.9 + 0.1 * 4.5, Rule.MXNET, 0.9 + 0.1 * 4.5);
    moved.forEach((rule, expected) -> {
      BatchNorm layer = new BatchNorm("norm", rule);
      Shape two = Shape.image(2, 1, 1, 1);
      layer.build(new BuildContext(new CpuBackend(), 1), two);
      layer.forward(Tensor.of(two, 1, 4), true);
      assertEquals(expected, layer.state().get(1).value().floats()[0], 1e-6, rule.toString());
    });
  }
}
