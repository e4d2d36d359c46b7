package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricsLogTest {
  private final List<String> trouble = new ArrayList<>();
  @TempDir Path folder;

  private static Map<String, Object> record(Object... namesAndValues) {
    Map<String, Object> record = new LinkedHashMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      record.put((String) namesAndValues[i], namesAndValues[i + 1]);
    }
    return record;
  }

  private MetricsLog open(long step) throws IOException {
    return MetricsLog.open(folder, step, trouble::add);
  }

  private String text(String file) throws IOException {
    return Files.readString(folder.resolve(file));
  }

  @Test
  void aRecordIsOneJsonLineAndOneCsvRowBeforeTheLogIsClosed() throws IOException {
    try (MetricsLog log = open(0)) {
      log.append(record("epoch", 1, "step", 469L, "loss", 0.25, "learningRate", 0.1f, "phase", "a,\"b\"\nc"));
      assertEquals("{\"epoch\":1,\"step\":469,\"loss\":0.25,\"learningRate\":0.1,\"phase\":\"a,\\\"b\\\"\\nc\"}\n", text("metrics.jsonl"));
      assertEquals("epoch,step,loss,learningRate,phase\n1,469,0.25,0.1,\"a,\"\"b\"\"\nc\"\n", text("metrics.csv"));
    }
    assertEquals(List.of(), trouble);
  }

  @Test
  void aNewColumnIsAddedToTheRowsBefore() throws IOException {
    try (MetricsLog log = open(0)) {
      log.append(record("step", 1, "loss", 2.0));
      log.append(record("step", 2, "loss", 1.0, "testTop1", 0.5));
      log.append(record("step", 3, "testTop1", 0.75));
    }
    assertEquals("step,loss,testTop1\n1,2.0,\n2,1.0,0.5\n3,,0.75\n", text("metrics.csv"));
  }

  @Test
  void valuesThatAreNoNumbersAreNullWithANote() throws IOException {
    try (MetricsLog log = open(0)) {
      log.append(record("step", 1, "loss", Double.NaN, "gradient", Float.NEGATIVE_INFINITY, "note", "skipped"));
    }
    assertEquals("{\"step\":1,\"loss\":null,\"gradient\":null,\"note\":\"skipped; loss is NaN; gradient is -Infinity\"}\n", text("metrics.jsonl"));
    assertEquals("step,loss,gradient,note\n1,,,skipped; loss is NaN; gradient is -Infinity\n", text("metrics.csv"));
  }

  @Test
  void aKilledAndResumedRunHasTheSameRecordsAsAnUninterruptedOne() throws IOException {
    try (MetricsLog log = open(0)) {
      for (int step = 1; step <= 6; step++) {
        log.append(record("step", step, "loss", 1.0 / step));
      }
    }
    String jsonl = text("metrics.jsonl");
    String csv = text("metrics.csv");
    for (int resumed = 0; resumed <= 6; resumed++) {
      Files.writeString(folder.resolve("metrics.jsonl"), "{\"step\":7,\"lo", StandardOpenOption.APPEND);
      Files.writeString(folder.resolve("metrics.jsonl.tmp"), "left by a kill");
      try (MetricsLog log = open(resumed)) {
        for (int step = Math.max(1, resumed); step <= 6; step++) {
          log.append(record("step", step, "loss", 1.0 / step));
        }
      }
      assertEquals(jsonl, text("metrics.jsonl"), "resumed at " + resumed);
      assertEquals(csv, text("metrics.csv"), "resumed at " + resumed);
      assertFalse(Files.exists(folder.resolve("metrics.jsonl.tmp")));
    }
    assertEquals(7, trouble.size(), "each torn line is told");
  }

  @Test
  void anotherKindOfRecordAtTheSameStepIsKept() throws IOException {
    try (MetricsLog log = open(0)) {
      log.append(record("step", 5, "loss", 1.0));
    }
    try (MetricsLog log = open(5)) {
      log.append(record("step", 5, "testTop1", 0.5));
      log.append(record("step", 5, "loss", 1.0));
    }
    assertEquals(2, MetricsLog.read(folder.resolve("metrics.jsonl")).size());
  }

  @Test
  void aFreshStartDropsTheRecordsOfAnotherRun() throws IOException {
    Files.writeString(folder.resolve("metrics.jsonl"), "{\"step\":9,\"loss\":1}\n");
    Files.writeString(folder.resolve("metrics.csv"), "step,loss\n9,1\n");
    open(0).close();
    assertEquals("", text("metrics.jsonl"));
    assertEquals("", text("metrics.csv"));
  }

  @Test
  void readGivesBackNamesOrderAndValuesAndSkipsWhatIsNoRecord() throws IOException {
    Files.write(folder.resolve("m"), ("{\"step\":1,\"b\":2.5,\"a\":null,\"t\":\"\u00e9\"}\n{\"step\":1,\"step\":2}\n[1]\n{\"step\":1.5}\n"
        + "{\"step\":2}x\n{\"step\":{}}\n\n{\"step\":3}\n").getBytes(StandardCharsets.UTF_8));
    List<Map<String, Object>> records = MetricsLog.read(folder.resolve("m"));
    assertEquals(List.of("step", "b", "a", "t"), List.copyOf(records.getFirst().keySet()));
    assertEquals(2.5, records.getFirst().get("b"));
    assertEquals("\u00e9", records.getFirst().get("t"));
    assertEquals(List.of(1L, 3L), records.stream().map(r -> r.get("step")).toList());
    assertEquals(List.of(), MetricsLog.read(folder.resolve("absent")));
  }

  @Test
  void aFolderInPlaceOfTheRecordsIsNamed() throws IOException {
    Path inTheWay = Files.createDirectory(folder.resolve("metrics.jsonl"));
    assertEquals(inTheWay + " is a folder; it must be a file of records", assertThrows(IOException.class, () -> open(0)).getMessage());
  }

  @Test
  void recordsWaitWhileTheDiskRefusesAndFollowLater() throws IOException {
    try (MetricsLog log = open(0)) {
      Files.createDirectory(folder.resolve("metrics.jsonl"));
      log.append(record("step", 1, "loss", 2.0));
      log.append(record("step", 2, "loss", 1.0));
      assertTrue(trouble.stream().anyMatch(t -> t.startsWith("metrics.jsonl cannot be written")), trouble.toString());
      Files.delete(folder.resolve("metrics.jsonl"));
      log.append(record("step", 3, "loss", 0.5));
    }
    assertEquals(List.of(1L, 2L, 3L), MetricsLog.read(folder.resolve("metrics.jsonl")).stream().map(r -> r.get("step")).toList());
    assertEquals("step,loss\n1,2.0\n2,1.0\n3,0.5\n", text("metrics.csv"));
    assertEquals(trouble.size(), trouble.stream().distinct().count(), "each trouble is told once");
  }

  @Test
  void theLastRecordsFollowWhenTheLogIsClosed() throws IOException {
    try (MetricsLog log = open(0)) {
      Files.createDirectory(folder.resolve("metrics.jsonl"));
      log.append(record("step", 1, "loss", 2.0));
      Files.delete(folder.resolve("metrics.jsonl"));
    }
    assertEquals(1, MetricsLog.read(folder.resolve("metrics.jsonl")).size());
    assertEquals("step,loss\n1,2.0\n", text("metrics.csv"));
  }

  @Test
  void aRecordWithoutAWholeStepOrWithAListIsRefused() throws IOException {
    try (MetricsLog log = open(0)) {
      assertThrows(IllegalArgumentException.class, () -> log.append(record("loss", 1.0)));
      assertThrows(IllegalArgumentException.class, () -> log.append(record("step", 1.5)));
      assertThrows(IllegalArgumentException.class, () -> log.append(record("step", 1, "list", List.of(1))));
      assertThrows(IllegalArgumentException.class, () -> log.append(record("step", 1, "loss", null)));
    }
  }
}
