package onebit.cli;

import com.google.common.base.Throwables;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Locale;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/**
 * The command {@code onebit}.
 *
 * <p>Exit codes: 0 done; 1 a file, disk or device failed; 2 wrong words from the user; 75 stopped by a signal, with a checkpoint written or before there was anything to write.
 */
@Command(
    name = "onebit",
    description = "Trains binary neural networks: AdaBin, BMXNet-v2, BiPer, RBNN.",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    footer = {"", "First run:  onebit train", "Recipes:    onebit recipes", "Help:       onebit COMMAND --help", "Memory:     ONEBIT_JAVA_OPTS=-Xmx4g onebit ..."},
    subcommands = {
      TrainCommand.class, EvalCommand.class, PredictCommand.class, CompareCommand.class, SummaryCommand.class, RecipesCommand.class, ImportCommand.class, ExportCommand.class, CheckStepCommand.class,
      BenchCommand.class, DoctorCommand.class, DataCommand.class, AutoComplete.GenerateCompletion.class
    })
public final class Main implements Runnable {
  /** Says that a stop was asked for and nothing is lost: the same command goes on (EX_TEMPFAIL). */
  static final int STOPPED = 75;

  @Spec private CommandSpec spec;

  /** The program's version. */
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"onebit " + onebit.report.Environment.version()};
    }
  }

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "a command is missing");
  }

  public static void main(String[] args) {
    // numbers and names look the same everywhere; where digits are not ASCII the JDK's Vector API does not even find its own functions
    Locale.setDefault(Locale.ROOT);
    StandardOutput output = StandardOutput.install();
    int code = execute(args);
    String failure = output.failure();
    // what train makes is in files, and a run goes on when nobody reads along
    if (code == 0 && failure != null && !args[0].equals("train")) {
      System.err.println("onebit: the standard output could not be written (" + failure + "): what was printed is lost");
      code = CommandLine.ExitCode.SOFTWARE;
    }
    System.exit(code);
  }

  /** Runs one command line and returns its exit code. */
  static int execute(String... args) {
    CommandLine line = new CommandLine(new Main())
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(Main::refuse)
        .setExecutionExceptionHandler((e, command, parsed) -> fail(e, command.getErr()));
    try {
      return line.execute(args);
    } catch (Error e) {
      return fail(e instanceof ExceptionInInitializerError && e.getCause() != null ? e.getCause() : e, line.getErr());
    }
  }

  private static int refuse(CommandLine.ParameterException e, String[] args) {
    PrintWriter err = e.getCommandLine().getErr();
    err.println("onebit: " + e.getMessage());
    if (!CommandLine.UnmatchedArgumentException.printSuggestions(e, err)) {
      err.println("Try '" + e.getCommandLine().getCommandSpec().qualifiedName() + " --help'.");
    }
    return CommandLine.ExitCode.USAGE;
  }

  /** Says what failed and ends this process at once: one of several, whose others wait for it and would wait for ever. */
  static void failAndHalt(Throwable e) {
    PrintWriter err = new PrintWriter(System.err, true);
    int code = fail(e, err);
    err.flush();
    Runtime.getRuntime().halt(code);
  }

  private static int fail(Throwable e, PrintWriter err) {
    Throwable root = Throwables.getRootCause(e);
    boolean usage = e instanceof IllegalArgumentException && ExtensionError.refuses(root);
    boolean known = usage || e instanceof IOException || e instanceof UncheckedIOException;
    if (!known && root instanceof OutOfMemoryError) return outOfMemory(root, err);
    String message = words(e), place = known ? null : ExtensionError.place(root);
    if (place != null) {
      String error = root.getClass().getSimpleName(), first = words(root), all = message.contains(first) ? message : message + ": " + first;
      message = "error in " + place + ": " + (all.equals(error) ? "" : error + ": ") + all + (traced() ? "" : "; ONEBIT_STACKTRACE=1 shows the stack trace");
    } else if (!known) {
      message = "internal error: " + e.getClass().getSimpleName() + ": " + message;
    }
    err.println("onebit: " + (usage ? message.replace("\n", "\nonebit: ") : message));
    if (traced()) e.printStackTrace(err);
    else if (!known && place == null) err.println("Please report it with the output of ONEBIT_STACKTRACE=1.");
    return usage ? CommandLine.ExitCode.USAGE : CommandLine.ExitCode.SOFTWARE;
  }

  private static boolean traced() {
    return System.getenv("ONEBIT_STACKTRACE") != null;
  }

  /** What a failure says; the JDK's own failures of files often say no more than the file's name. */
  private static String words(Throwable e) {
    Throwable told = e instanceof UncheckedIOException unchecked && unchecked.getCause().toString().equals(e.getMessage()) ? unchecked.getCause() : e;
    if (told instanceof FileSystemException file && file.getReason() == null && file.getFile() != null) {
      return file.getFile() + switch (file) {
        case NoSuchFileException none -> " does not exist";
        case AccessDeniedException denied -> " may not be read or written by this user";
        case NotDirectoryException plain -> " is not a folder";
        case FileAlreadyExistsException there -> Files.isDirectory(Path.of(file.getFile())) ? " is there already" : " is there already, and is no folder";
        default -> " failed: " + file.getClass().getSimpleName();
      };
    }
    return told.getMessage() == null ? told.getClass().getSimpleName() : told.getMessage();
  }

  private static int outOfMemory(Throwable e, PrintWriter err) {
    err.println("onebit: memory is full (" + e.getMessage() + "): this process may take " + (Runtime.getRuntime().maxMemory() >> 20)
        + " MiB; give it more with ONEBIT_JAVA_OPTS=-Xmx4g, or lower data.batch and data.evalBatch with --set");
    if (traced()) e.printStackTrace(err);
    return CommandLine.ExitCode.SOFTWARE;
  }
}
