package onebit.binarize;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import onebit.ops.Backend;
import onebit.ops.Backends;
import onebit.recipe.RecordBinder;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
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
      Surrogates surrogates = method(name, cells[0].strip()).at(Integer.parseInt(cells[1].strip()), Integer.parseInt(cells[2].strip()));
      Binarizer binarizer = cells[3].strip().equals("weights") ? surrogates.weights() : surrogates.activations();
      float u = Float.parseFloat(cells[4].strip());
      double slope = Double.parseDouble(cells[6].strip());
      assertEquals(cells[5].strip(), binarizer.level(u) >= 0 ? "1" : "0", row);
      assertEquals(slope, binarizer.slope(u), 1e-5 * Math.max(1, Math.abs(slope)) + (name.equals("biper") ? 2e-4 : 0), row);
    }
  }

  /**
   * A kernel that does not know a surrogate in all its places gives another gradient without a word: each is asked for its slopes one by one, and in a loop over many values. The second
   * is compared with the CPU's, whose mathematics has a test of its own.
   */
  @ParameterizedTest
  @MethodSource("names")
  void everyBackendHasTheSlopesOfEverySurrogate(String name) throws IOException {
    Shape shape = Shape.image(1, 4, 4, 16);
    float[] u = new float[shape.size()], ones = new float[shape.size()];
    for (int i = 0; i < u.length; i++) u[i] = (i - 127.25f) / 50;
    Arrays.fill(ones, 1);
    for (Binarizer f : surrogates(name)) {
      float[] slopes = new float[u.length];
      for (int i = 0; i < u.length; i++) slopes[i] = f.slope(u[i]);
      float[] scaled = null;
      for (Backend backend : Backends.backends().toList()) {
        try (backend) {
          Tensor x = backend.create(shape), gradQ = backend.create(shape), gradX = backend.create(shape);
          backend.write(x, u);
          backend.write(gradQ, ones);
          backend.binarize().slope(gradX, gradQ, x, f);
          assertArrayEquals(slopes, backend.read(gradX), 1e-4f, f + " on " + backend.name());
          backend.binarize().sampleScaleBackward(gradX, gradQ, x, f, 1e-5f);
          float[] got = backend.read(gradX);
          if (scaled == null) scaled = got;
          assertArrayEquals(scaled, got, 1e-3f, f + " in a loop on " + backend.name());
        }
      }
    }
  }

  /** Those of the epochs that the table has. */
  private static Set<Binarizer> surrogates(String name) throws IOException {
    Set<Binarizer> all = new LinkedHashSet<>();
    for (String row : rows(name)) {
      String[] cells = row.split(";", -1);
      Surrogates at = method(name, cells[0].strip()).at(Integer.parseInt(cells[1].strip()), Integer.parseInt(cells[2].strip()));
      all.addAll(List.of(at.weights(), at.activations()));
    }
    return all;
  }

  private static Method method(String name, String keys) {
    return BINDER.bind(Holder.class, name, "method: {name: " + name + (keys.isEmpty() ? "" : ", " + keys) + "}", List.of()).method();
  }

  private static List<String> rows(String name) throws IOException {
    try (InputStream in = MethodTableTest.class.getResourceAsStream("/methods/" + name + ".csv")) {
      assertNotNull(in, "method " + name + " has no table src/test/resources/methods/" + name + ".csv");
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().filter(l -> !l.startsWith("#") && !l.isBlank()).toList();
    }
  }
}
