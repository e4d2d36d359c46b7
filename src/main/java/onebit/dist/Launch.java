package onebit.dist;

import java.util.Map;
import java.util.Optional;

/**
 * Who started this process and as which of how many, read from the environment.
 *
 * <pre>
 * OPEN_MPI   OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK                                     mpirun
 * TORCHRUN   RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT                       torchrun, and our own --gpus N
 * SLURM      SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_NODELIST       srun; a batch script is no step and stands ALONE
 * </pre>
 *
 * @param master where rank 0 listens, for engines that need such a place
 */
public record Launch(Kind kind, int rank, int size, int localRank, Optional<Address> master) {
  /** What starts processes. */
  public enum Kind { ALONE, OPEN_MPI, TORCHRUN, SLURM }

  /** A host and a port of it. */
  public record Address(String host, int port) {}

  private static final int FIRST_PORT = 20_000, PORTS = 20_000, BETWEEN_STEPS = 7919;
  private static final String FIRST_STEP = "0";
  private static final Launch ALONE = new Launch(Kind.ALONE, 0, 1, 0, Optional.empty());

  /**
   * The launch that an environment tells of; ALONE where it tells of none.
   *
   * @throws IllegalArgumentException naming the variable if one is missing beside the others, no number, or out of range, or if another starter tells of several
   */
  public static Launch detect(Map<String, String> environment) {
    if (environment.containsKey("OMPI_COMM_WORLD_SIZE")) {
      return of(Kind.OPEN_MPI, environment, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", torchrunMaster(environment));
    }
    if (environment.containsKey("RANK") && environment.containsKey("WORLD_SIZE")) {
      return of(Kind.TORCHRUN, environment, "RANK", "WORLD_SIZE", "LOCAL_RANK", torchrunMaster(environment));
    }
    if (environment.containsKey("SLURM_PROCID") && environment.containsKey("SLURM_STEP_NUM_TASKS")) {
      return of(Kind.SLURM, environment, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", slurmMaster(environment));
    }
    if (environment.containsKey("PMI_SIZE") && number(environment, "PMI_SIZE", 1, 1 << 20) > 1) {
      throw new IllegalArgumentException("environment variable PMI_SIZE is " + environment.get("PMI_SIZE") + ": an mpiexec of MPICH or Intel MPI started this process as one of"
          + " several, and these cannot work together here; start them with Open MPI's mpirun, srun or torchrun");
    }
    return ALONE;
  }

  private static Launch of(Kind kind, Map<String, String> environment, String rankName, String sizeName, String localName, Optional<Address> master) {
    int size = number(environment, sizeName, 1, 1 << 20);
    int rank = number(environment, rankName, 0, size - 1);
    int local = environment.containsKey(localName) ? number(environment, localName, 0, size - 1) : 0;
    return new Launch(kind, rank, size, local, master);
  }

  private static Optional<Address> torchrunMaster(Map<String, String> environment) {
    if (!environment.containsKey("MASTER_ADDR")) return Optional.empty();
    return Optional.of(new Address(environment.get("MASTER_ADDR"), number(environment, "MASTER_PORT", 1, 65_535)));
  }

  /** MASTER_ADDR and MASTER_PORT where they are given; else the step's first host and a port that the numbers of its job and step choose: steps of one job may run at once. */
  private static Optional<Address> slurmMaster(Map<String, String> environment) {
    Optional<Address> given = torchrunMaster(environment);
    if (given.isPresent()) return given;
    String hosts = environment.getOrDefault("SLURM_STEP_NODELIST", environment.get("SLURM_JOB_NODELIST"));
    if (hosts == null) return Optional.empty();
    long job = environment.containsKey("SLURM_JOB_ID") ? number(environment, "SLURM_JOB_ID", 0, Integer.MAX_VALUE) : 0;
    int step = environment.getOrDefault("SLURM_STEP_ID", FIRST_STEP).hashCode() - FIRST_STEP.hashCode();
    return Optional.of(new Address(firstHost(hosts), FIRST_PORT + (int) Math.floorMod(job + (long) step * BETWEEN_STEPS, (long) PORTS)));
  }

  /** The first host of a list such as {@code gpu[03-05,9],cpu1}: gpu03; names may go on behind a bracket, and have several. */
  static String firstHost(String hosts) {
    int open = hosts.indexOf('['), comma = hosts.indexOf(',');
    if (open < 0 || (comma >= 0 && comma < open)) return comma < 0 ? hosts : hosts.substring(0, comma);
    int end = open + 1;
    while (end < hosts.length() && Character.isDigit(hosts.charAt(end))) end++;
    int close = hosts.indexOf(']', end);
    return firstHost(hosts.substring(0, open) + hosts.substring(open + 1, end) + (close < 0 ? "" : hosts.substring(close + 1)));
  }

  private static int number(Map<String, String> environment, String name, int from, int to) {
    String text = environment.get(name);
    try {
      int value = Integer.parseInt(text == null ? "" : text.strip());
      if (value >= from && value <= to) return value;
    } catch (NumberFormatException e) {
      // said below, with the rule
    }
    throw new IllegalArgumentException("environment variable " + name + " is " + (text == null ? "missing" : "'" + text + "'")
        + "; it must be a whole number from " + from + " to " + to);
  }
}
