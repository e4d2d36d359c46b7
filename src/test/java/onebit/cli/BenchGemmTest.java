package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class BenchGemmTest {
  @Test
  void theLastLineIsOneObjectOfTheAgreedKeys() {
    PrintStream before = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
    try {
      assertEquals(0, new CommandLine(new BenchGemm()).execute("--json", "--rounds", "3", "--warm", "0", "--size", "32,40,128"));
    } finally {
      System.setOut(before);
    }
    JsonNode line = JsonMapper.shared().readTree(printed.toString(StandardCharsets.UTF_8).lines().toList().getLast());
    assertEquals(List.of("binaryGops", "sgemmGflops", "ratioToSgemm", "ratioPlainJavaToSgemm", "sgemmCore", "threads"), List.copyOf(line.propertyNames()));
    assertTrue(line.get("sgemmGflops").asDouble() > 0 && line.get("ratioPlainJavaToSgemm").asDouble() > 0, line.toString());
    assertEquals(line.get("ratioToSgemm").asDouble(), line.get("binaryGops").asDouble() / line.get("sgemmGflops").asDouble(), 1e-6);
    assertEquals(1, line.get("threads").asInt());
  }

  @Test
  void matricesThatNoArrayHoldsAreRefused() {
    BenchGemm bench = new BenchGemm();
    CommandLine line = new CommandLine(bench);
    line.parseArgs("--size", "8,100000,100000");
    assertTrue(assertThrows(IllegalArgumentException.class, bench::call).getMessage().contains("--size 8,100000,100000 makes a matrix of more than 1073741824 values"));
  }
}
