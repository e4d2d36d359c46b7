package onebit;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import onebit.dist.Ranks;

/** How the program ended in a process of its own, with an extension on its class path, and what it said. */
record ExtensionRun(int code, String text) {
  /**
   * Runs the program to its end. The launcher puts the extension last on the class path, here it comes before the tests' own classes.
   *
   * @param said file for what it says
   * @param extension jar or folder of classes; null for none
   */
  static ExtensionRun of(Path said, Path extension, List<String> arguments) throws Exception {
    List<String> command = new ArrayList<>(Ranks.java("onebit.cli.Main", arguments.toArray(String[]::new)));
    if (extension != null) command.set(command.indexOf("-cp") + 1, extension + ":" + System.getProperty("java.class.path"));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(said.toFile());
    if (extension != null) builder.environment().put("ONEBIT_CLASSPATH", extension.toString());
    int code = builder.start().waitFor();
    return new ExtensionRun(code, Files.readString(said));
  }
}
