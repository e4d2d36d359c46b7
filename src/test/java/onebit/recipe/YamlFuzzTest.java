package onebit.recipe;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.util.List;

class YamlFuzzTest {
  @FuzzTest(maxDuration = "5m")
  void anyBytesAreARecipeOrRefusedInWords(byte[] bytes) {
    Recipe recipe;
    try {
      recipe = ToyKinds.BINDER.bind(Recipe.class, "fuzz.yaml", Recipes.decode("fuzz.yaml", bytes), List.of());
    } catch (IllegalArgumentException refused) {
      return;
    }
    assertEquals(recipe, ToyKinds.BINDER.bind(Recipe.class, "again.yaml", ToyKinds.BINDER.write(recipe), List.of()));
  }
}
