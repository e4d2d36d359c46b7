package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.dist.nccl.NcclCommunicator;
import onebit.ops.Backend;
import onebit.ops.Backends;
import onebit.ops.DeviceStreams;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;

class ScalingMeasurementTest {
  private static final Recipe RECIPE = new Recipes().load("default", List.of("dist.bucketMegabytes=0.01"));

  static Stream<Backend> backends() {
    return Backends.backends();
  }

  /** Five steps alone and five together, each of which a device replays from its third on. */
  @ParameterizedTest
  @MethodSource("backends")
  void oneRankOfNcclReducesItsGradientsAndOneProcessHasNobodyToReduceWith(Backend backend) throws IOException {
    try (backend; Communicator one = backend instanceof DeviceStreams ? NcclCommunicator.open(backend, 0, 1, id -> id) : new SingleProcess()) {
      ScalingMeasurement m = ScalingMeasurement.of(RECIPE, backend, one, 2, 3, 2);
      assertEquals(1, m.ranks());
      assertTrue(m.compute() > 0 && m.step() > 0, m.toString());
      assertEquals(backend instanceof DeviceStreams, m.buckets() > 1 && m.reduce() > 0, m.toString());
    }
  }
}
