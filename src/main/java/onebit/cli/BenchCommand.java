package onebit.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code onebit bench}. */
@Command(
    name = "bench",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    description = "Measures speed and memory, beside a peer in the same run where there is one.",
    subcommands = {BenchGemm.class, BenchConv.class, BenchStep.class, BenchFeed.class, BenchLoader.class, BenchScale.class})
final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "which benchmark: gemm, conv, step, feed, loader or scale");
  }
}
