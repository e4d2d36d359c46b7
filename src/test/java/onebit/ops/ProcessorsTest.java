package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ProcessorsTest {
  @ParameterizedTest
  @CsvSource({"OMPI_COMM_WORLD_LOCAL_SIZE, 8, 96, 12", "LOCAL_WORLD_SIZE, 8, 96, 12", "LOCAL_WORLD_SIZE, 4, 2, 1", "LOCAL_WORLD_SIZE, 3, 16, 5", "LOCAL_WORLD_SIZE, all, 16, 16",
      "SLURM_NTASKS_PER_NODE, 8, 12, 12"})
  void processesOfOneMachineShareItsProcessors(String variable, String value, int processors, int wanted) {
    assertEquals(wanted, Processors.count(null, Map.of(variable, value), processors));
    assertEquals(7, Processors.count("7", Map.of(variable, value), processors), "who asks for threads gets them");
  }

  @Test
  void aProcessAloneHasAll() {
    assertEquals(16, Processors.count(null, Map.of(), 16));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "two", "", "10000"})
  void anOptionThatIsNoNumberIsRefused(String asked) {
    var e = assertThrows(IllegalArgumentException.class, () -> Processors.count(asked, Map.of(), 16));
    assertEquals("-Donebit.threads is '" + asked + "'; it must be a whole number from 1 to 9999", e.getMessage());
  }
}
