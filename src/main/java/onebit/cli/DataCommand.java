package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.data.Datasets;
import onebit.data.Fetch;
import onebit.report.Json;
import onebit.report.Screen;
import onebit.report.SummaryTable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code onebit data}. */
@Command(
    name = "data",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    description = "Lists data sets and fetches those that can be fetched.",
    subcommands = {DataCommand.Listing.class, DataCommand.Prepare.class})
final class DataCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "which: list or prepare");
  }

  /** {@code onebit data list}. */
  @Command(name = "list", mixinStandardHelpOptions = true, description = "Lists the data sets a recipe may name.")
  static final class Listing implements Callable<Integer> {
    @Option(names = "--json", description = "Print the list as one JSON object on the last line.")
    private boolean json;

    @Override
    public Integer call() {
      SummaryTable table = new SummaryTable("name", "what", "files");
      Map<String, Object> all = new LinkedHashMap<>();
      for (Datasets.Entry entry : Datasets.list()) {
        table.row(entry.name(), entry.description(),
            !entry.needsDirectory() ? "none: drawn by the program" : entry.fetched() ? "onebit data prepare " + entry.name() : "bring your own, see datasets/");
        all.put(entry.name(), entry.description());
      }
      if (json) System.out.println(Json.object(all));
      else System.out.print(table);
      return 0;
    }
  }

  /** {@code onebit data prepare}. */
  @Command(name = "prepare", mixinStandardHelpOptions = true,
      description = "Fetches a data set from its official address, resumes a partial download, and refuses a file with a wrong checksum.")
  static final class Prepare implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "NAME", description = "A name from 'onebit data list'.")
    private String name;

    @Option(names = "--out", paramLabel = "DIR", description = "Where to put the files (default: data/NAME).")
    private Path out;

    @Option(names = "--json", description = "Print the result as one JSON object on the last line.")
    private boolean json;

    @Override
    public Integer call() throws IOException {
      Path folder = out == null ? Path.of("data", name) : out;
      Screen screen = json ? Screen.of(System.err, false) : Screen.standard(System.out);
      Fetch.prepare(name, folder, (file, bytes, total) -> {
        String text = String.format(Locale.ROOT, "%s  %.1f of %.1f MiB", file, bytes / 1048576.0, total / 1048576.0);
        if (bytes == total) screen.line(text);
        else screen.status(text);
      });
      screen.clearStatus();
      if (json) System.out.println(Json.object(Map.of("name", name, "folder", folder.toString())));
      else System.out.println(name + " is ready in " + folder);
      return 0;
    }
  }
}
