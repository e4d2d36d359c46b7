package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import onebit.dist.nccl.NcclCommunicator;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every collective of every engine, each rank a process of its own. */
class CommunicatorTest {
  private static final String PROBE = CollectiveProbe.class.getName();

  @TempDir private Path folder;

  private static void assertAllGood(Ranks.Result result, int ranks) {
    assertEquals(0, result.exit(), result.text());
    for (int r = 0; r < ranks; r++) assertTrue(result.text().contains("rank " + r + " of " + ranks + " good"), result.text());
  }

  @Test
  void openMpiGivesTheMeanInRankOrderAndTheSameBitsToAll() throws Exception {
    Ranks.assumeMpi();
    assertAllGood(Ranks.mpirun(3, 120, folder, PROBE, "mpi", "FLOAT32", "300"), 3);
  }

  @Test
  void gradientsMayTravelAsBfloat16() throws Exception {
    Ranks.assumeMpi();
    assertAllGood(Ranks.mpirun(2, 120, folder, PROBE, "mpi", "BFLOAT16", "20"), 2);
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    assertAllGood(Ranks.torchrun(2, 300, folder, PROBE, "nccl", "BFLOAT16", "20"), 2);
  }

  @Test
  void ncclOfTheEmulatedDeviceDoesTheSame() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    assertAllGood(Ranks.torchrun(3, 300, folder, PROBE, "nccl", "FLOAT32", "50"), 3);
  }

  @Test
  void ncclThatIsNowhereIsRefusedInOneSentence() throws Exception {
    String refusal = NcclCommunicator.refusal(List.of(folder, folder.resolve("none")));
    assertTrue(refusal.startsWith("NCCL: missing, libnccl.so.2 was not found; mend with: "), refusal);
    assertEquals(1, refusal.lines().count());
    Files.createFile(folder.resolve("libnccl.so.2"));
    assertNull(NcclCommunicator.refusal(List.of(folder.resolve("none"), folder)));
  }

  @Test
  void ranksThatCallDifferentCollectivesAreToldSo() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Ranks.Result result = Ranks.torchrun(2, 300, folder, PROBE, "nccl", "FLOAT32", "1", "unequal");
    assertEquals(1, result.exit());
    assertTrue(result.text().contains("count 11") && result.text().contains("count 10"), result.text());
  }

  @Test
  void aMeanThatFailsOnOneRankIsToldThereAndTheNextDoesNotTakeItsPlace() throws Exception {
    Ranks.assumeMpi();
    Ranks.Result result = Ranks.mpirun(2, 60, folder, PROBE, "mpi", "FLOAT32", "1", "fail");
    assertEquals(4, result.exit(), result.text());
    assertTrue(result.text().contains("rank 1 was told"), result.text());
  }

  @Test
  void aRankThatDiesEndsTheOthers() throws Exception {
    Ranks.assumeMpi();
    Ranks.Result result = Ranks.mpirun(3, 60, folder, PROBE, "mpi", "FLOAT32", "1", "die");
    assertEquals(9, result.exit(), result.text());
  }

  @Test
  void aRankThatHangsIsNamedWithItsStepAndItsLastCollective() throws Exception {
    Ranks.assumeMpi();
    Ranks.Result result = Ranks.mpirun(3, 60, folder, PROBE, "mpi", "FLOAT32", "1", "hang" + folder);
    assertEquals(1, result.exit(), result.text());
    assertTrue(result.text().contains("it hangs because rank 1 (process ") && result.text().contains("was at step 42, last collective: agreement"), result.text());
    assertTrue(result.text().contains("for 'gradients 3'"), result.text());
  }

  @Test
  void aRunOfOneProcessIsItsOwnMean() {
    try (CpuBackend backend = new CpuBackend(); SingleProcess alone = new SingleProcess()) {
      Tensor x = backend.create(Shape.vector(2));
      backend.write(x, new float[] {1, 2});
      alone.startMean("x", List.of(x), ElementType.FLOAT32);
      alone.awaitMeans();
      assertEquals(2, backend.read(x)[1]);
      assertEquals(5, alone.sum(5)[0]);
    }
  }
}
