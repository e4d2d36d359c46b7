package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Optional;
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
    assertEquals(Launch.Kind.ALONE, Launch.detect(Map.of("SLURM_PROCID", "0", "SLURM_NTASKS", "8", "SLURM_JOB_ID", "1")).kind());
  }

  @Test
  void theFirstHostOfAListIsFound() {
    assertEquals("a1", Launch.firstHost("a1,b2"));
    assertEquals("n07", Launch.firstHost("n[07,9]"));
    assertEquals("solo", Launch.firstHost("solo"));
    assertEquals("x", Launch.firstHost("x,y[1-2]"));
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
