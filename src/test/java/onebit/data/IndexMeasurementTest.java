package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;

class IndexMeasurementTest {
  /** A tenth of ImageNet in a tenth of the time and of the memory that the whole may take. */
  @Test
  void aTenthOfImageNetsIndexIsOpenedWithinATenthOfTheBars() throws IOException {
    IndexMeasurement m = IndexMeasurement.of(128_117);
    assertEquals(128_117, m.images());
    assertEquals(99, m.shards());
    assertTrue(m.seconds() < 1, m.toString());
    assertTrue(m.peakHeapBytes() > 20 * 128_117 && m.peakHeapBytes() < 1L << 30, m.toString());
  }
}
