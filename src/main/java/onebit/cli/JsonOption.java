package onebit.cli;

import java.util.Map;
import onebit.report.Json;
import onebit.report.Screen;
import picocli.CommandLine.Option;

/** {@code --json}: the result as one object on the last line of the standard output. */
final class JsonOption {
  @Option(names = "--json", description = "Print the result as one JSON object on the last line.")
  private boolean on;

  boolean on() {
    return on;
  }

  /** Prints the result where it was asked for as JSON; whether it was. */
  boolean print(Map<String, ?> result) {
    if (on) System.out.println(Json.object(result));
    return on;
  }

  /** Where progress is shown: beside the JSON, on standard error. */
  Screen screen() {
    return on ? Screen.of(System.err, false) : Screen.standard(System.out);
  }
}
