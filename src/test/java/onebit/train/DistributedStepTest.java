package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import onebit.dist.Ranks;
import onebit.ops.cuda.EmulatedDriver;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The same global batch on several ranks, with synchronised batch norm or in fused passes: the gradients of one process, and the same bits on every rank. */
class DistributedStepTest {
  private static final String PROBE = StepProbe.class.getName();
  private static final Path RECORDED = Path.of("../shared/golden/adabin-resnet20-cifar10.safetensors");

  @TempDir private Path folder;

  private static void assertGood(Ranks.Result result, int ranks) {
    assertEquals(0, result.exit(), result.text());
    for (int r = 0; r < ranks; r++) assertTrue(result.text().contains("rank " + r + " of " + ranks + " good"), result.text());
  }

  @ParameterizedTest
  @CsvSource({"2, synchronised", "4, synchronised", "2, fused"})
  void fromASafePointTheGradientsAreThoseOfOneProcess(int ranks, String how) throws Exception {
    Ranks.assumeMpi();
    assumeTrue(Files.exists(RECORDED), "needs the recorded steps of ../shared/golden");
    assertGood(Ranks.mpirun(ranks, 200, folder, PROBE, "mpi", RECORDED.toAbsolutePath().toString(), "2", "float32", how, folder.toString()), ranks);
  }

  /**
   * 32 images; on 3 ranks parts of unequal size; some of them learn from a teacher, which each rank evaluates on its own images. Every fourth step begins an epoch, before
   * which rotations may change.
   */
  @ParameterizedTest
  @CsvSource({"3, synchronised, drawn", "3, fused, drawn", "4, fused, taught", "2, accumulated, taught", "2, synchronised, rbnn", "3, fused, rbnn", "3, fused, biper", "2, accumulated, biper"})
  void ranksStayEqualBitForBit(int ranks, String how, String what) throws Exception {
    Ranks.assumeMpi();
    assertGood(Ranks.mpirun(ranks, 200, folder, PROBE, "mpi", what, "20", "float32", how, folder.toString()), ranks);
  }

  @Test
  void theyDoSoWithGradientsOfSixteenBits() throws Exception {
    Ranks.assumeMpi();
    assertGood(Ranks.mpirun(2, 200, folder, PROBE, "mpi", "drawn", "20", "bfloat16", "synchronised", folder.toString()), 2);
  }

  @ParameterizedTest
  @CsvSource({"2, synchronised, drawn", "2, accumulated, drawn", "3, fused, drawn", "2, fused, rbnn"})
  void ncclOnTheEmulatedDeviceDoesTheSame(int ranks, String how, String what) throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    assertGood(Ranks.torchrun(ranks, 300, folder, PROBE, "nccl", what, what.equals("rbnn") ? "9" : "5", "float32", how, folder.toString()), ranks);
  }
}
