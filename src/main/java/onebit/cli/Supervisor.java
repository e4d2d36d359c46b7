package onebit.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.RunLock;
import onebit.dist.MpiCommunicator;
import onebit.dist.RankStatus;
import onebit.dist.nccl.NcclCommunicator;
import onebit.ops.cuda.CudaDoctor;
import onebit.ops.cuda.CudaLibraries;
import onebit.train.RunFolder;

/**
 * Starts the workers of one computer, shows what they say, and starts them again when one fails: on the CPU through mpirun, on GPUs one
 * process per device that meet as torchrun's do.
 *
 * <p>One fails: all are stopped, the rank is named with its step and its last collective, and all start again from the last good
 * checkpoint. A signal is passed on as SIGUSR1 or SIGTERM, and the workers' checkpoint and exit code 75 are waited for; a worker that it ended had not begun.
 */
final class Supervisor {
  /** Tells a worker who started it. */
  static final String STARTER = "ONEBIT_SUPERVISOR";
  private static final Pattern TAGGED = Pattern.compile("^\\[\\d+,(\\d+)]<std(?:out|err)>:(.*)$");
  /** mpirun's tag where it read a line in pieces. */
  private static final Pattern TAG = Pattern.compile("\\[\\d+,\\d+]<std(?:out|err)>:");
  private static final Pattern DIED = Pattern.compile("process rank (\\d+) with PID .*exited on (signal \\d+[^.]*)");
  private static final int USAGE = 2, LONGEST_BACKOFF_SECONDS = 60, END_SECONDS = 40, LINGER_SECONDS = 5, USR1 = 10, TERM = 15;

  private final int workers;
  private final boolean gpus;
  private final int restarts;
  private final Path run;
  private final List<String> arguments;
  private final Consumer<String> say;
  private final List<Process> processes = new ArrayList<>();
  /** What workers of this start have said of their failure. */
  private final Set<String> failures = ConcurrentHashMap.newKeySet();
  private volatile List<Thread> readers = List.of();
  private volatile String died;
  private volatile boolean stopping;
  /** Whether a worker had to be killed after the signal, which is said once for all of them. */
  private boolean forced;

  /**
   * @param arguments the command line of a worker after the program's name
   * @param say       shows a line
   */
  Supervisor(int workers, boolean gpus, int restarts, Path run, List<String> arguments, Consumer<String> say) {
    this.workers = workers;
    this.gpus = gpus;
    this.restarts = restarts;
    this.run = run;
    this.arguments = List.copyOf(arguments);
    this.say = say;
  }

  /** @throws IOException if this machine shows no so many GPUs, or has no NCCL: that is no failure to start again after */
  static void requireDevices(int workers) throws IOException {
    String refusal = CudaDoctor.refusal(workers);
    if (refusal == null) refusal = NcclCommunicator.refusal(CudaLibraries.find().searched());
    if (refusal != null) throw new IOException("--gpus " + workers + ": " + refusal);
  }

  /**
   * Runs the workers to their end; their exit code.
   *
   * @throws IOException if the workers cannot be started, or another run has the run folder in use: that is no failure to start again after
   */
  int run() throws IOException {
    if (!gpus && MpiCommunicator.refusal() != null) throw new IOException("--procs: " + MpiCommunicator.refusal());
    requireFree(0);
    RunFolder folder = new RunFolder(run);
    Path made = folder.missing();
    Thread hook = new Thread(this::passSignalOn, "onebit-supervisor-signal");
    Runtime.getRuntime().addShutdownHook(hook);
    try {
      return attempts();
    } finally {
      StopSignal.remove(hook);
      withdraw(folder, made);
    }
  }

  /** What rank 0 could not take away of a start that never began, for another had ended it or wrote later; a folder that is in use by now stays. */
  private static void withdraw(RunFolder folder, Path made) {
    try {
      RunLock.requireFree(folder.path());
      folder.withdraw(made);
    } catch (IOException e) {
      // an empty folder may be left
    }
  }

  private int attempts() throws IOException {
    for (int attempt = 0; ; attempt++) {
      int code = attempt();
      if (code == 0 || code == Main.STOPPED || code == USAGE || stopping) return code;
      String where = where(code);
      if (attempt >= restarts) {
        say.accept("The run failed" + where + (restarts == 0 ? new RunFolder(run).holdsRun() ? "; --restarts N starts it again by itself." : "." : " and was started again " + restarts + " times."));
        return code;
      }
      try {
        requireFree(LINGER_SECONDS);
      } catch (CheckpointException e) {
        say.accept("The run failed" + where + ".");
        throw e;
      }
      int seconds = (int) Math.min(LONGEST_BACKOFF_SECONDS, 1L << Math.min(attempt, 10));
      say.accept("The run failed" + where + "; start " + (attempt + 1) + " of " + restarts + " from the last good checkpoint in " + seconds + " s.");
      pause(seconds);
    }
  }

  /** Looks at the run folder's lock; a worker that has just ended may hold it so long. */
  private void requireFree(int patienceSeconds) throws IOException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(patienceSeconds);
    while (!stopping) {
      try {
        RunLock.requireFree(run);
        return;
      } catch (CheckpointException e) {
        if (System.nanoTime() >= end) throw e;
        sleep(100);
      }
    }
  }

  /** Who failed first, as far as mpirun or the ranks' files tell. */
  private String where(int code) {
    if (died == null) return code > 128 ? ": a process ended by signal " + (code - 128) : "";
    Matcher matcher = DIED.matcher(died);
    if (!matcher.find()) return ": " + died;
    int rank = Integer.parseInt(matcher.group(1));
    return ": " + RankStatus.read(run, rank).map(RankStatus::describe).orElse("rank " + rank) + "; it ended by " + matcher.group(2).strip();
  }

  private int attempt() throws IOException {
    died = null;
    failures.clear();
    RankStatus.forget(run);
    synchronized (processes) {
      processes.clear();
      if (stopping) return Main.STOPPED;
      if (gpus) startDevices();
      else processes.add(mpirun());
    }
    List<Thread> all = new ArrayList<>();
    for (int i = 0; i < processes.size(); i++) all.add(reader(processes.get(i), i));
    readers = all;
    int code = await();
    showRest();
    return code;
  }

  /** Returns when what the ended workers have said is shown. */
  private void showRest() {
    for (Thread reader : readers) {
      try {
        reader.join(TimeUnit.SECONDS.toMillis(5));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** The first exit code that is not 0; then the others are stopped. */
  private int await() {
    int code = 0, left = processes.size();
    boolean[] ended = new boolean[left];
    while (left > 0) {
      for (int i = 0; i < ended.length; i++) {
        Process process = processes.get(i);
        if (ended[i] || process.isAlive()) continue;
        ended[i] = true;
        left--;
        if (process.exitValue() == 0 || code != 0) continue;
        code = told(process);
        if (gpus && code != Main.STOPPED) {
          String status = RankStatus.read(run, i).filter(s -> s.pid() == process.pid()).map(RankStatus::describe).orElse("rank " + i);
          died = status + "; it ended " + (code > 128 ? "by signal " + (code - 128) : "with code " + code);
          stopAll();
        }
      }
      sleep(20);
    }
    return code;
  }

  private void stopAll() {
    for (Process other : processes) other.destroyForcibly();
  }

  private Process mpirun() throws IOException {
    List<String> command = new ArrayList<>(List.of("setsid", "mpirun", "--tag-output", "-np", Integer.toString(workers)));
    command.addAll(java());
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectInput(Path.of("/dev/null").toFile());
    Map<String, String> environment = builder.environment();
    environment.put(STARTER, Long.toString(ProcessHandle.current().pid()));
    environment.putIfAbsent("OMPI_MCA_rmaps_base_oversubscribe", "1");
    environment.putIfAbsent("OMPI_MCA_hwloc_base_binding_policy", "none");
    environment.putIfAbsent("OMPI_MCA_mpi_yield_when_idle", "1");   // who waits in a collective leaves the core to those who compute
    environment.putIfAbsent("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    environment.putIfAbsent("OMPI_MCA_orte_abort_on_non_zero_status", "1");
    if ("root".equals(System.getProperty("user.name"))) {
      environment.put("OMPI_ALLOW_RUN_AS_ROOT", "1");
      environment.put("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
    return start(builder);
  }

  private void startDevices() throws IOException {
    String port = Integer.toString(freePort());
    for (int rank = 0; rank < workers; rank++) {
      ProcessBuilder builder = new ProcessBuilder(java()).redirectErrorStream(true).redirectInput(Path.of("/dev/null").toFile());
      builder.environment().putAll(Map.of(STARTER, Long.toString(ProcessHandle.current().pid()), "RANK", Integer.toString(rank), "LOCAL_RANK",
          Integer.toString(rank), "WORLD_SIZE", Integer.toString(workers), "LOCAL_WORLD_SIZE", Integer.toString(workers), "MASTER_ADDR", "127.0.0.1", "MASTER_PORT", port));
      processes.add(start(builder));
    }
  }

  private static Process start(ProcessBuilder builder) throws IOException {
    try {
      return builder.start();
    } catch (IOException e) {
      throw new IOException(builder.command().getFirst() + " could not be started: " + e.getMessage(), e);
    }
  }

  /** This JVM's own options, its share of the memory, and the worker's command line; its share of the cores it knows from how many there are ({@link onebit.ops.Processors}). */
  private List<String> java() {
    List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java")));
    List<String> options = ManagementFactory.getRuntimeMXBean().getInputArguments();
    command.addAll(options);
    if (options.stream().noneMatch(o -> o.startsWith("-Xmx"))) {
      command.add("-XX:MaxRAMPercentage=" + Math.max(1, 70 / workers));
      // of the launcher's options the last holds: short-lived objects leave room for the others in a small share, too
      command.add("-XX:MaxNewSize=" + Math.min(1L << 30, Runtime.getRuntime().maxMemory() / workers / 4));
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(arguments);
    return command;
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  private Thread reader(Process process, int index) {
    return Thread.ofPlatform().daemon().name("onebit-supervisor-reader-" + index).start(() -> {
      try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
        for (String line = lines.readLine(); line != null; line = lines.readLine()) show(line, index);
      } catch (IOException e) {
        // the process is gone, and await knows
      }
    });
  }

  private void show(String line, int index) {
    Matcher tagged = TAGGED.matcher(line);
    boolean fromRank = gpus || tagged.matches();
    String text = gpus ? line : fromRank ? TAG.matcher(tagged.group(2)).replaceAll("") : line;
    if (text.startsWith("WARNING: Using incubator modules")) return;
    if (text.startsWith("onebit: ") && !failures.add(text)) return;   // what is wrong for one is often wrong for all
    if (fromRank) {
      say.accept("[" + (gpus ? index : tagged.group(1)) + "] " + text);
      return;
    }
    if (DIED.matcher(line).find()) died = line;
  }

  /** A worker's exit code; one that the signal passed on has ended was not ready to hear of it, and has changed nothing. */
  private int told(Process process) {
    int code = process.exitValue();
    return stopping && (code == 128 + USR1 || code == 128 + TERM) ? Main.STOPPED : code;
  }

  /** SIGTERM or Ctrl-C: the workers write a checkpoint, and this process ends as they do; where there are none just now, nothing is lost. */
  private void passSignalOn() {
    stopping = true;
    List<Process> all;
    synchronized (processes) {
      all = processes.stream().filter(Process::isAlive).toList();
    }
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(END_SECONDS);
    int code = all.isEmpty() ? Main.STOPPED : 0;
    for (Process process : all) signal(process);
    for (Process process : all) {
      int ended = end(process, end);
      if (code == 0) code = ended;
    }
    showRest();
    Runtime.getRuntime().halt(code);
  }

  /** How a worker ended, by force behind {@code end}. The signal is passed on every second: an mpirun that has yet to start its processes tells them nothing. */
  int end(Process process, long end) {
    try {
      while (!process.waitFor(1, TimeUnit.SECONDS)) {
        if (System.nanoTime() >= end) {
          if (!forced) say.accept("The run did not end within " + END_SECONDS + " seconds of the signal and is killed; the same command goes on from its last good checkpoint.");
          forced = true;
          process.destroyForcibly().waitFor();
          break;
        }
        signal(process);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return 1;
    }
    return told(process);
  }

  /** mpirun passes SIGUSR1 on to its processes; SIGTERM it would follow by SIGKILL after a second. */
  private void signal(Process process) {
    if (gpus) {
      process.toHandle().destroy();   // Process.destroy would close the pipe that its last words come through
      return;
    }
    try {
      new ProcessBuilder("kill", "-USR1", Long.toString(process.pid())).start();
    } catch (IOException e) {
      process.destroy();
    }
  }

  private void pause(int seconds) {
    for (int i = 0; i < seconds * 50 && !stopping; i++) sleep(20);
  }

  private static void sleep(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
