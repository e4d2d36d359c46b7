package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class JsonTest {
  @Test
  void anObjectIsOneLineInTheOrderOfTheMap() {
    Map<String, Object> worst = new LinkedHashMap<>();
    worst.put("name", "conv1.weight");
    worst.put("error", 1e-9);
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("pass", true);
    members.put("worst", worst);
    members.put("list", Arrays.asList(1, 2L, 0.1f, null, "x\n\"y\""));
    members.put("nan", Double.NaN);
    members.put("infinite", Float.POSITIVE_INFINITY);
    members.put("shape", new int[] {1, 2});
    members.put("values", new double[] {0.5, Double.NaN});
    assertEquals("{\"pass\":true,\"worst\":{\"name\":\"conv1.weight\",\"error\":1.0E-9},\"list\":[1,2,0.1,null,\"x\\n\\\"y\\\"\"],"
        + "\"nan\":null,\"infinite\":null,\"shape\":[1,2],\"values\":[0.5,null]}", Json.object(members));
  }

  @Test
  void aValueWithoutAJsonFormIsRefusedByName() {
    var failure = assertThrows(IllegalArgumentException.class, () -> Json.object(Map.of("thread", new Thread())));
    assertEquals("Json: member 'thread' is a Thread; it must be a number, text, boolean, list or map", failure.getMessage());
  }

  @Test
  void whatIsWrittenReadsBackEqual() {
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("z", 1L);
    members.put("a", -0.1);
    members.put("m", "\u0000\u2028\ud83d\ude00");
    members.put("n", null);
    assertEquals(members, Json.flat(Json.object(members)));
    assertEquals(List.copyOf(members.keySet()), List.copyOf(Json.flat(Json.object(members)).keySet()));
  }

  @Test
  void textThatIsNotExactlyOneFlatObjectIsRefused() {
    for (String text : List.of("", "[]", "{", "{\"a\":1", "{\"a\":1}}", "{\"a\":1} {}", "{\"a\":1,\"a\":2}", "{\"a\":[1]}", "nonsense")) {
      assertThrows(IllegalArgumentException.class, () -> Json.flat(text), text);
    }
  }
}
