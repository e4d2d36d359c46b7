package onebit.recipe;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.util.List;

class YamlFuzzTest {
  @FuzzTest(maxDuration = "5m")
  void anyBytesAreARecipeOrRefusedInWords(byte[] bytes) {
    Recipe recipe;
    try {
      recipe = Extensions.binder(List.of()).bind(Recipe.class, "fuzz.yaml", Recipes.decode("fuzz.yaml", bytes), List.of());
    } catch (IllegalArgumentException refused) {
      return;
    }
    assertEquals(recipe, Extensions.binder(List.of()).bind(Recipe.class, "again.yaml", Extensions.binder(List.of()).write(recipe), List.of()));
  }
}
