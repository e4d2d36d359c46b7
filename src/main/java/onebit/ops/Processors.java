package onebit.ops;

import java.util.Map;

/** How many threads this process may keep busy. */
public final class Processors {
  /**
   * The system property {@code onebit.threads}, else the processors of the machine, divided among the processes that mpirun or torchrun started on it; what srun gives
   * a task is its own.
   */
  public static final int COUNT = count(System.getProperty("onebit.threads"), System.getenv(), Runtime.getRuntime().availableProcessors());

  private Processors() {}

  static int count(String asked, Map<String, String> environment, int processors) {
    if (asked == null) {
      String here = environment.getOrDefault("OMPI_COMM_WORLD_LOCAL_SIZE", environment.getOrDefault("LOCAL_WORLD_SIZE", ""));
      return Math.max(1, here.matches("[1-9][0-9]{0,3}") ? processors / Integer.parseInt(here) : processors);
    }
    if (!asked.matches("[1-9][0-9]{0,3}")) throw new IllegalArgumentException("-Donebit.threads is '" + asked + "'; it must be a whole number from 1 to 9999");
    return Integer.parseInt(asked);
  }
}
