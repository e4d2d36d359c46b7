package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What a command said and how it ended. */
record Said(int code, String out, String err) {
  /** Runs a command in this process. */
  static Said by(String... arguments) {
    PrintStream out = System.out, err = System.err;
    ByteArrayOutputStream said = new ByteArrayOutputStream(), complained = new ByteArrayOutputStream();
    try {
      System.setOut(new PrintStream(said, true, StandardCharsets.UTF_8));
      System.setErr(new PrintStream(complained, true, StandardCharsets.UTF_8));
      int code = Main.execute(arguments);
      return new Said(code, said.toString(StandardCharsets.UTF_8), complained.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  String lastLine() {
    return out.strip().lines().reduce((a, b) -> b).orElse("");
  }

  /** The object on the last line of a command that did not fail. */
  JsonNode json() {
    assertEquals(0, code, err);
    return JsonMapper.shared().readTree(lastLine());
  }
}
