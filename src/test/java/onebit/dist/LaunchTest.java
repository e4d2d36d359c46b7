package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class LaunchTest {
  @Test
  void aPlainEnvironmentIsOneProcess() {
    assertEquals(new Launch(Launch.Kind.ALONE, 0, 1, 0, Optional.empty()), Launch.detect(Map.of("PATH", "/bin")));
  }

  @Test
  void mpirunIsUnderstood() {
    Launch launch = Launch.detect(Map.of("OMPI_COMM_WORLD_RANK", "3", "OMPI_COMM_WORLD_SIZE", "8", "OMPI_COMM_WORLD_LOCAL_RANK", "1"));
    assertEquals(new Launch(Launch.Kind.OPEN_MPI, 3, 8, 1, Optional.empty()), launch);
  }

  @Test
  void torchrunIsUnderstood() {
    Launch launch = Launch.detect(Map.of("RANK", "9", "WORLD_SIZE", "16", "LOCAL_RANK", "1", "MASTER_ADDR", "node1", "MASTER_PORT", "29500"));
    assertEquals(new Launch(Launch.Kind.TORCHRUN, 9, 16, 1, Optional.of(new Launch.Address("node1", 29500))), launch);
  }

  @Test
  void aStepOfSlurmIsUnderstoodAndABatchScriptIsNone() {
    Launch launch = Launch.detect(Map.of("SLURM_PROCID", "5", "SLURM_STEP_NUM_TASKS", "8", "SLURM_LOCALID", "1", "SLURM_STEP_NODELIST", "gpu[03-06,9],cpu1",
        "SLURM_JOB_ID", "123456"));
    assertEquals(new Launch(Launch.Kind.SLURM, 5, 8, 1, Optional.of(new Launch.Address("gpu03", 20_000 + 123456 % 20_000))), launch);
    Map<String, String> steps = new HashMap<>(Map.of("SLURM_PROCID", "0", "SLURM_STEP_NUM_TASKS", "2", "SLURM_STEP_NODELIST", "a", "SLURM_JOB_ID", "123456"));
    Set<Integer> ports = new HashSet<>();
    for (String step : List.of("0", "1", "2", "10", "11", "4294967290")) {
      steps.put("SLURM_STEP_ID", step);
      int port = Launch.detect(steps).master().orElseThrow().port();
      assertTrue(port >= 20_000 && port < 40_000 && ports.add(port), step + " has port " + port);
    }
    assertTrue(ports.contains(20_000 + 123456 % 20_000), ports.toString());
    assertEquals(Launch.Kind.ALONE, Launch.detect(Map.of("SLURM_PROCID", "0", "SLURM_NTASKS", "8", "SLURM_JOB_ID", "1")).kind());
  }

  @Test
  void aStepOfSlurmTakesTheAddressItIsGivenAndMayHaveNone() {
    Map<String, String> step = new HashMap<>(Map.of("SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS", "2"));
    assertEquals(new Launch(Launch.Kind.SLURM, 1, 2, 0, Optional.empty()), Launch.detect(step));
    step.putAll(Map.of("SLURM_JOB_NODELIST", "b[7-8]", "SLURM_STEP_ID", "3"));
    assertEquals(Optional.of(new Launch.Address("b7", 20_000 + 3 * 7919 % 20_000)), Launch.detect(step).master());
    step.putAll(Map.of("MASTER_ADDR", "a", "MASTER_PORT", "29500"));
    assertEquals(Optional.of(new Launch.Address("a", 29500)), Launch.detect(step).master());
  }

  /** srun says SLURM_* whatever its --mpi is; with pmi2 it says PMI_* beside. */
  @Test
  void anMpiexecThatIsNotOpenMpisIsRefusedAndSrunWithPmi2IsNot() {
    Map<String, String> mpich = Map.of("PMI_RANK", "1", "PMI_SIZE", "4", "PMI_FD", "7", "MPI_LOCALRANKID", "1");
    String message = assertThrows(IllegalArgumentException.class, () -> Launch.detect(mpich)).getMessage();
    assertEquals("environment variable PMI_SIZE is 4: an mpiexec of MPICH or Intel MPI started this process as one of several, and these cannot work together here; "
        + "start them with Open MPI's mpirun, srun or torchrun", message);
    assertEquals(Launch.Kind.ALONE, Launch.detect(Map.of("PMI_RANK", "0", "PMI_SIZE", "1")).kind());
    Launch pmi2 = Launch.detect(Map.of("PMI_RANK", "1", "PMI_SIZE", "2", "SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS", "2", "SLURM_LOCALID", "0", "SLURM_STEP_NODELIST", "a,b"));
    assertEquals(List.of(Launch.Kind.SLURM, 1, 2), List.of(pmi2.kind(), pmi2.rank(), pmi2.size()));
  }

  @Test
  void theFirstHostOfAListIsFound() {
    assertEquals("a1", Launch.firstHost("a1,b2"));
    assertEquals("n07", Launch.firstHost("n[07,9]"));
    assertEquals("solo", Launch.firstHost("solo"));
    assertEquals("x", Launch.firstHost("x,y[1-2]"));
    assertEquals("n1-ib", Launch.firstHost("n[1-4]-ib,m[1-2]"));
    assertEquals("rack2n08", Launch.firstHost("rack[2,5]n[08-11],x"));
    assertEquals("n3", Launch.firstHost("n[3-"));
  }

  @Test
  void aWrongVariableIsNamed() {
    Map<String, String> environment = Map.of("RANK", "4", "WORLD_SIZE", "4");
    String message = assertThrows(IllegalArgumentException.class, () -> Launch.detect(environment)).getMessage();
    assertEquals("environment variable RANK is '4'; it must be a whole number from 0 to 3", message);
    String missing = assertThrows(IllegalArgumentException.class, () -> Launch.detect(Map.of("OMPI_COMM_WORLD_SIZE", "2"))).getMessage();
    assertTrue(missing.contains("OMPI_COMM_WORLD_RANK is missing"), missing);
  }
}
