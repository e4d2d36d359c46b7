package onebit.checkpoint;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import tools.jackson.core.json.JsonFactory;

/** Starts a main class of the tests in a process of its own. */
final class ChildJvm {
  private ChildJvm() {}

  static Process start(Class<?> main, String... arguments) throws IOException {
    return new ProcessBuilder(command(main, arguments)).redirectErrorStream(true).start();
  }

  static List<String> command(Class<?> main, String... arguments) {
    String classes = String.join(File.pathSeparator,
        Stream.of(main, CheckpointStore.class, JsonFactory.class).map(ChildJvm::place).distinct().toList());
    List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto", "-Xmx128m", "-cp", classes, main.getName()));
    command.addAll(List.of(arguments));
    return command;
  }

  private static String place(Class<?> type) {
    return Path.of(java.net.URI.create(type.getProtectionDomain().getCodeSource().getLocation().toString())).toString();
  }
}
