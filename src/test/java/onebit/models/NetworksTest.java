package onebit.models;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.Layer;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.tensor.Shape;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class NetworksTest {
  private static final Recipes RECIPES = new Recipes();

  static List<String> recipes() {
    return Recipes.names();
  }

  private static long binaryLayers(Layer layer) {
    return (layer instanceof BinaryConv2d ? 1 : 0) + layer.children().stream().mapToLong(NetworksTest::binaryLayers).sum();
  }

  private static long binaryLayers(String recipeName) {
    Recipe recipe = RECIPES.load(recipeName, List.of());
    Shape input = Shape.image(1, recipe.data().height(), recipe.data().width(), recipe.data().channels());
    return binaryLayers(recipe.network().layers(recipe.method(), input, recipe.data().classes()));
  }

  @ParameterizedTest
  @MethodSource("recipes")
  void everyRecipeOfTheProgramNamesANetworkWithItsKeys(String recipe) {
    assertTrue(binaryLayers(recipe) >= 2, recipe);
  }

  /** Convolutions of the papers' drawings; RBNN's CIFAR ResNet-18 also binarizes three shortcuts. */
  @ParameterizedTest
  @CsvSource({"adabin-resnet20-cifar10, 18", "adabin-resnet18-cifar10, 16", "rbnn-resnet18-cifar10, 19", "rbnn-resnet34-imagenet, 32",
      "bmxnet-resnete34-imagenet, 32", "bmxnet-resnet18v1-cifar10, 19", "bmxnet-binarydensenet28-imagenet, 23", "bmxnet-binarydensenet45-imagenet, 40",
      "bmxnet-densenet21-cifar10, 8", "bmxnet-lenet-mnist, 2", "biper-vggsmall-cifar10-stage1, 5"})
  void recipesHaveAsManyBinaryConvolutionsAsTheDrawings(String recipe, long count) {
    assertEquals(count, binaryLayers(recipe));
  }

  /**
   * Norms beside the blocks: one of the images, one in a larger stem, and one behind the stem, which in BMXNet's code of 2018 did not follow a thumbnail's,
   * and since 2019 does. The runs of ResNetE on CIFAR-10 are of 2018, the documented one of resnet18_v1 is later.
   */
  @ParameterizedTest
  @CsvSource({"bmxnet-resnete18-cifar10, 1", "bmxnet-resnete34-cifar10, 1", "bmxnet-resnet18v1-cifar10, 2", "bmxnet-resnete18-imagenet, 3", "bmxnet-resnete34-imagenet, 3"})
  void aBatchNormFollowsTheStemWhereItDidInThePublishedRun(String name, long count) {
    Recipe recipe = RECIPES.load(name, List.of());
    Shape input = Shape.image(1, recipe.data().height(), recipe.data().width(), 3);
    assertEquals(count, recipe.network().layers(recipe.method(), input, 10).children().stream().filter(BatchNorm.class::isInstance).count());
  }

  @Test
  void everyRegisteredNetworkIsUsedByARecipe() {
    Stream<Class<?>> used = Recipes.names().stream().map(name -> RECIPES.load(name, List.of()))
        .flatMap(recipe -> Stream.concat(Stream.of(recipe.network()), recipe.teacher().teaching().stream())).map(Object::getClass);
    assertEquals(Set.copyOf(Networks.byName().values()), used.collect(Collectors.toSet()));
  }
}
