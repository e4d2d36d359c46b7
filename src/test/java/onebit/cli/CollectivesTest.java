package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.Map;
import onebit.dist.Activity;
import onebit.dist.Launch;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import org.junit.jupiter.api.Test;

class CollectivesTest {
  /** Open MPI itself would end the process in twenty lines that say how to build it anew. */
  @Test
  void srunWithoutPmixIsRefusedOnTheCpuBeforeOpenMpiStarts() throws Exception {
    Map<String, String> environment = Map.of("SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS", "2", "SLURM_LOCALID", "1", "SLURM_STEP_NODELIST", "a");
    try (Backend backend = new CpuBackend()) {
      assertEquals("srun started this process as one of 2 without PMIx, by which those of Open MPI find one another; give srun --mpi=pmix (srun --mpi=list says what it has), "
          + "or start them with mpirun", assertThrows(IllegalArgumentException.class,
          () -> Collectives.open(Launch.detect(environment), backend, environment, Duration.ofSeconds(1), new Activity())).getMessage());
      Map<String, String> alone = Map.of("SLURM_PROCID", "0", "SLURM_STEP_NUM_TASKS", "1", "SLURM_LOCALID", "0", "SLURM_STEP_NODELIST", "a");
      assertEquals(1, Collectives.open(Launch.detect(alone), backend, alone, Duration.ofSeconds(1), new Activity()).size());
    }
  }
}
