package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SamplerTest {
  @Test void anEpochShowsEveryImageExactlyOnceInAnOrderOfItsOwn() {
    Sampler sampler = Sampler.training(3, 1000, 10);
    int[] first = sampler.order(0);
    int[] sorted = first.clone();
    Arrays.sort(sorted);
    assertArrayEquals(IntStream.range(0, 1000).toArray(), sorted);
    assertArrayEquals(first, Sampler.training(3, 1000, 25).order(0), "a function of seed, size and epoch only");
    assertFalse(Arrays.equals(first, sampler.order(1)));
    assertFalse(Arrays.equals(first, Sampler.training(4, 1000, 10).order(0)));
  }

  @Test void everyOrderOfThreeIsEquallyLikely() {
    int[] seen = new int[27];
    int epochs = 12_000;
    Sampler sampler = Sampler.training(1, 3, 1);
    for (int epoch = 0; epoch < epochs; epoch++) {
      int[] o = sampler.order(epoch);
      seen[o[0] * 9 + o[1] * 3 + o[2]]++;
    }
    assertEquals(6, Arrays.stream(seen).filter(s -> s > 0).count());
    for (int s : seen) if (s > 0) assertEquals(epochs / 6.0, s, 5 * Math.sqrt(epochs * 5 / 36.0));
  }

  @ParameterizedTest
  @CsvSource({"100, 8, 1", "100, 8, 2", "100, 7, 3", "101, 16, 5", "9, 9, 4"})
  void theRanksSlicesPutTogetherAreTheGlobalOrder(int size, int batch, int world) {
    for (boolean dropLast : new boolean[] {false, true}) {
      Sampler whole = new Sampler(1, size, batch, true, dropLast, 0, 1);
      int position = 0, largest = 0;
      for (int b = 0; b < whole.batches(); b++) {
        for (int rank = 0; rank < world; rank++) {
          Sampler mine = whole.shard(rank, world);
          assertEquals(position, mine.from(b));
          position = mine.to(b);
          largest = Math.max(largest, position - mine.from(b));
        }
        assertEquals(whole.to(b), position);
      }
      assertEquals(dropLast ? size / batch * batch : size, position);
      assertEquals(whole.visited(), position);
      assertEquals(whole.shard(0, world).localBatch(), largest);
    }
  }

  @Test void evaluationIsInOrderAndKeepsTheLastBatch() {
    Sampler sampler = Sampler.evaluation(10, 4);
    assertArrayEquals(IntStream.range(0, 10).toArray(), sampler.order(5));
    assertEquals(3, sampler.batches());
    assertEquals(8, sampler.from(2));
    assertEquals(10, sampler.to(2));
    assertEquals(2, Sampler.evaluation(8, 4).batches());
  }

  @Test void impossibleSettingsAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> Sampler.training(0, 5, 6));
    assertThrows(IllegalArgumentException.class, () -> Sampler.training(0, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> Sampler.training(0, 10, 2).shard(2, 2));
    assertThrows(IllegalArgumentException.class, () -> Sampler.training(0, 10, 2).shard(0, 3));
    assertThrows(IllegalArgumentException.class, () -> Sampler.training(0, 10, 2).from(5));
  }
}
