package onebit.binarize;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import onebit.recipe.RecordBinder;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Bits and slopes of every registered method against its table, computed once in double precision from the published formulas. */
class MethodTableTest {
  private static final RecordBinder BINDER = new RecordBinder(Map.of(Method.class, Methods.byName()));

  /** What holds a method in a recipe. */
  record Holder(Method method) {}

  static Set<String> names() {
    return Methods.byName().keySet();
  }

  @ParameterizedTest
  @MethodSource("names")
  void bitsAndSlopesAreThoseOfTheTable(String name) throws IOException {
    List<String> rows = rows(name);
    assertFalse(rows.isEmpty());
    for (String row : rows) {
      String[] cells = row.split(";", -1);
      String keys = cells[0].isBlank() ? "" : ", " + cells[0].strip();
      Method method = BINDER.bind(Holder.class, name, "method: {name: " + name + keys + "}", List.of()).method();
      Surrogates surrogates = method.at(Integer.parseInt(cells[1].strip()), Integer.parseInt(cells[2].strip()));
      Binarizer binarizer = cells[3].strip().equals("weights") ? surrogates.weights() : surrogates.activations();
      float u = Float.parseFloat(cells[4].strip());
      double slope = Double.parseDouble(cells[6].strip());
      assertEquals(cells[5].strip(), binarizer.level(u) >= 0 ? "1" : "0", row);
      assertEquals(slope, binarizer.slope(u), 1e-5 * Math.max(1, Math.abs(slope)) + (name.equals("biper") ? 2e-4 : 0), row);
    }
  }

  private static List<String> rows(String name) throws IOException {
    try (InputStream in = MethodTableTest.class.getResourceAsStream("/methods/" + name + ".csv")) {
      assertNotNull(in, "method " + name + " has no table src/test/resources/methods/" + name + ".csv");
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().filter(l -> !l.startsWith("#") && !l.isBlank()).toList();
    }
  }
}
