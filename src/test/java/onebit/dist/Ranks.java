package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Programs run as several ranks: under mpirun, or as processes with the environment of torchrun. */
public final class Ranks {
  private static final Map<String, String> MPIRUN = Map.of("OMPI_ALLOW_RUN_AS_ROOT", "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1",
      "OMPI_MCA_btl_vader_single_copy_mechanism", "none", "OMPI_MCA_rmaps_base_oversubscribe", "1", "OMPI_MCA_hwloc_base_binding_policy", "none",
      "OMPI_MCA_mpi_yield_when_idle", "1");

  private Ranks() {}

  /** What all ranks said, and the exit code. */
  public record Result(int exit, String text) {}

  public static void assumeMpi() {
    boolean there = MpiCommunicator.refusal() == null && onPath("mpirun");
    assumeTrue(there, "Open MPI is not installed (openmpi-bin)");
  }

  private static boolean onPath(String program) {
    for (String folder : System.getenv().getOrDefault("PATH", "").split(":")) if (!folder.isEmpty() && Files.isExecutable(Path.of(folder, program))) return true;
    return false;
  }

  /**
   * The command of a JVM of this test's class path that starts soon and has little to compute: no long compiling, one thread, and plain loops,
   * which beat vectors that are not compiled.
   */
  public static List<String> java(String main, String... arguments) {
    List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--add-modules",
        "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-XX:TieredStopAtLevel=1", "-Donebit.vector.off=true", "-Donebit.threads=1",
        "-XX:+UseSerialGC", "-Xmx512m", "-cp", System.getProperty("java.class.path"), main));
    command.addAll(List.of(arguments));
    return command;
  }

  /** Runs a program as so many ranks of Open MPI. */
  public static Result mpirun(int ranks, int seconds, Path folder, String main, String... arguments) throws Exception {
    Path output = Files.createTempFile(folder, "mpirun", ".out");
    return await(List.of(mpirun(ranks, output, java(main, arguments))), List.of(output), seconds);
  }

  /** The ranks that mpirun has started for this supervisor so far. */
  public static List<ProcessHandle> of(Process supervisor) {
    return supervisor.descendants().filter(p -> p.info().command().filter(c -> c.endsWith("java")).isPresent())
        .filter(p -> p.parent().filter(starter -> starter.pid() != supervisor.pid()).isPresent()).toList();
  }

  /** Sends a process the signal of that name, such as STOP; other than 0 where it was gone. */
  public static int signal(String name, ProcessHandle process) throws Exception {
    return new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).redirectErrorStream(true).start().waitFor();
  }

  /** Starts a command as so many ranks of Open MPI. */
  public static Process mpirun(int ranks, Path output, List<String> words) throws IOException {
    List<String> command = new ArrayList<>(List.of("mpirun", "-np", Integer.toString(ranks)));
    command.addAll(words);
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
    builder.environment().putAll(MPIRUN);
    return builder.start();
  }

  /** Runs a program as so many processes that meet as torchrun's do. */
  public static Result torchrun(int ranks, int seconds, Path folder, String main, String... arguments) throws Exception {
    List<Process> processes = new ArrayList<>();
    List<Path> outputs = new ArrayList<>();
    String port = Integer.toString(freePort());
    for (int r = 0; r < ranks; r++) {
      Path output = Files.createTempFile(folder, "rank" + r, ".out");
      ProcessBuilder builder = new ProcessBuilder(java(main, arguments)).redirectErrorStream(true).redirectOutput(output.toFile());
      builder.environment().putAll(Map.of("RANK", Integer.toString(r), "WORLD_SIZE", Integer.toString(ranks), "LOCAL_RANK", Integer.toString(r),
          "MASTER_ADDR", "127.0.0.1", "MASTER_PORT", port, "HOSTCUDA_THREADS", "1"));
      processes.add(builder.start());
      outputs.add(output);
    }
    return await(processes, outputs, seconds);
  }

  private static Result await(List<Process> processes, List<Path> outputs, int seconds) throws Exception {
    int worst = 0;
    boolean inTime = true;
    long end = System.nanoTime() + seconds * 1_000_000_000L;
    for (Process process : processes) {
      inTime &= process.waitFor(Math.max(0, end - System.nanoTime()), TimeUnit.NANOSECONDS);
      if (!inTime) break;
      worst = Math.max(worst, process.exitValue());
    }
    for (Process process : processes) process.destroyForcibly();
    StringBuilder text = new StringBuilder();
    for (Path output : outputs) text.append(Files.readString(output));
    assertTrue(inTime, "the ranks did not end: " + text);
    return new Result(worst, text.toString());
  }

  public static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
