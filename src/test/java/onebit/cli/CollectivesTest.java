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
  @Test
  void aTaskTakesTheGpuOfItsNumberOrTheOneThatSrunShowsItAlone() {
    Map<String, String> task = Map.of("SLURM_PROCID", "5", "SLURM_STEP_NUM_TASKS", "8", "SLURM_LOCALID", "3", "SLURM_STEP_NODELIST", "a");
    Launch slurm = Launch.detect(task), torchrun = Launch.detect(Map.of("RANK", "5", "WORLD_SIZE", "8", "LOCAL_RANK", "3"));
    for (String seen : new String[] {"", "0,1,2,3", "GPU-1,GPU-2"}) assertEquals("cuda:3", Collectives.device("cuda", slurm, Map.of("CUDA_VISIBLE_DEVICES", seen)));
    assertEquals("cuda:3", Collectives.device("cuda", slurm, Map.of()));
    for (String seen : new String[] {"3", "GPU-8a1"}) assertEquals("cuda:0", Collectives.device("cuda", slurm, Map.of("CUDA_VISIBLE_DEVICES", seen)));
    assertEquals("cuda:3", Collectives.device("cuda", torchrun, Map.of("CUDA_VISIBLE_DEVICES", "3")), "torchrun shows all what it sees");
    assertEquals("cuda", Collectives.device("cuda", Launch.detect(Map.of()), Map.of("CUDA_VISIBLE_DEVICES", "3")));
    assertEquals("cuda:2", Collectives.device("cuda:2", slurm, Map.of("CUDA_VISIBLE_DEVICES", "3")), "as asked");
  }

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
