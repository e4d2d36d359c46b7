package onebit.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Map;
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

  /** The device of this process: each local one takes the GPU of its number. */
  static String device(String asked, Launch launch) {
    return asked.equals("cuda") && launch.kind() != Launch.Kind.ALONE ? "cuda:" + launch.localRank() : asked;
  }

  /**
   * Joins the other processes of the launch.
   *
   * @throws IOException if the engine is missing or not everybody comes
   */
  static Communicator open(Launch launch, Backend backend, Map<String, String> environment, Duration limit) throws IOException {
    if (launch.kind() == Launch.Kind.ALONE) return new SingleProcess();
    if (!(backend instanceof DeviceStreams)) return launch.size() == 1 ? new SingleProcess() : MpiCommunicator.open(launch, backend);
    if (launch.kind() == Launch.Kind.OPEN_MPI && launch.master().isEmpty()) {
      try (MpiCommunicator hosts = MpiCommunicator.open(launch, backend)) {
        return NcclCommunicator.open(backend, launch.rank(), launch.size(), hosts::broadcast);
      }
    }
    try {
      return NcclCommunicator.open(backend, launch.rank(), launch.size(), id -> {
        try {
          return launch.size() == 1 ? id : Rendezvous.share(id, launch.rank(), launch.size(), Rendezvous.address(launch, environment), limit);
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }
}
