package onebit.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Map;
import onebit.dist.Activity;
import onebit.dist.Communicator;
import onebit.dist.Launch;
import onebit.dist.MpiCommunicator;
import onebit.dist.Rendezvous;
import onebit.dist.SingleProcess;
import onebit.dist.nccl.NcclCommunicator;
import onebit.ops.Backend;
import onebit.ops.DeviceStreams;

/** The engine through which the processes of a launch work together: NCCL on CUDA devices, Open MPI on the CPU. */
final class Collectives {
  private Collectives() {}

  /** The device of this process: each local one takes the GPU of its number, or, where srun shows each of them a GPU of its own alone (--gpus-per-task), that. */
  static String device(String asked, Launch launch, Map<String, String> environment) {
    if (!asked.equals("cuda") || launch.kind() == Launch.Kind.ALONE) return asked;
    boolean own = launch.kind() == Launch.Kind.SLURM && environment.getOrDefault("CUDA_VISIBLE_DEVICES", "").matches("[^,]+");
    return "cuda:" + (own ? 0 : launch.localRank());
  }

  /**
   * Joins the other processes of the launch.
   *
   * @param start is told what this process waits in
   * @throws IOException if the engine is missing or not everybody comes
   * @throws IllegalArgumentException if srun told Open MPI nothing of the others
   */
  static Communicator open(Launch launch, Backend backend, Map<String, String> environment, Duration limit, Activity start) throws IOException {
    if (launch.kind() == Launch.Kind.ALONE) return new SingleProcess();
    boolean onDevices = backend instanceof DeviceStreams;
    if (!onDevices && launch.size() == 1) return new SingleProcess();
    if (!onDevices && launch.kind() == Launch.Kind.SLURM && !environment.containsKey("PMIX_RANK") && !environment.containsKey("PMI_RANK")) {
      throw new IllegalArgumentException("srun started this process as one of " + launch.size() + " without PMIx, by which those of Open MPI find one another; give srun --mpi=pmix"
          + " (srun --mpi=list says what it has), or start them with mpirun");
    }
    if (!onDevices || (launch.kind() == Launch.Kind.OPEN_MPI && launch.master().isEmpty())) {
      start.enter("start of Open MPI");
      MpiCommunicator hosts = MpiCommunicator.open(launch, backend);
      if (!onDevices) return hosts;
      start.enter("start of NCCL");
      try (hosts) {
        return NcclCommunicator.open(backend, launch.rank(), launch.size(), hosts::broadcast);
      }
    }
    try {
      return NcclCommunicator.open(backend, launch.rank(), launch.size(), id -> {
        try {
          byte[] shared = launch.size() == 1 ? id : Rendezvous.share(id, launch.rank(), launch.size(), Rendezvous.address(launch, environment), limit);
          start.enter("start of NCCL");   // the meeting before has a limit of its own, and names who did not come
          return shared;
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }
}
