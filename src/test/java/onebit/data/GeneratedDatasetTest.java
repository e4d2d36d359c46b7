package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class GeneratedDatasetTest {
  @Test void anImageIsAFunctionOfSeedAndIndex() {
    GeneratedDataset dataset = new GeneratedDataset("g", 100, 7, 5, 3, 10, 4);
    byte[] image = new byte[105];
    dataset.read(17, image, 0);
    byte[] shifted = new byte[110];
    new GeneratedDataset("h", 1000, 7, 5, 3, 10, 4).read(17, shifted, 5);
    assertArrayEquals(image, Arrays.copyOfRange(shifted, 5, 110));
    byte[] other = new byte[105];
    new GeneratedDataset("g", 100, 7, 5, 3, 10, 5).read(17, other, 0);
    assertFalse(Arrays.equals(image, other));
    dataset.read(18, other, 0);
    assertFalse(Arrays.equals(image, other));
  }

  @Test void everyClassOccursAboutEquallyOftenAndIsBrighterThanTheOneBefore() {
    GeneratedDataset dataset = new GeneratedDataset("g", 8000, 4, 4, 3, 4, 1);
    int[] count = new int[4];
    double[] mean = new double[4];
    byte[] image = new byte[48];
    for (int i = 0; i < 8000; i++) {
      dataset.read(i, image, 0);
      count[dataset.label(i)]++;
      for (byte b : image) mean[dataset.label(i)] += (b & 255) / 48.0;
    }
    for (int c = 0; c < 4; c++) {
      assertEquals(2000, count[c], 200);
      assertEquals(95.2 + 16 * c, mean[c] / count[c], 2);
    }
  }

  @Test void impossibleShapesAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new GeneratedDataset("g", 0, 1, 1, 1, 1, 0));
    String message = assertThrows(IndexOutOfBoundsException.class, () -> new GeneratedDataset("g", 3, 1, 1, 1, 2, 0).label(3)).getMessage();
    assertTrue(message.contains("sample 3"), message);
  }
}
