package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
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

  @Test void aQuasiRandomOrderReadsAWindowFromFewChunksAndMixesIt() {
    Sampler sampler = new Sampler(7, 1003, 20, true, false, 0, 1, 8, 64);
    int[] order = sampler.order(2), chunks = sampler.chunks(2), sorted = order.clone();
    Arrays.sort(sorted);
    assertArrayEquals(IntStream.range(0, 1003).toArray(), sorted);
    assertEquals(1003, sampler.end(125));
    int neighbours = 0;
    for (int from = 0; from < order.length; from += 64) {
      int first = from / 8, last = Math.min(chunks.length, first + 10);
      for (int p = from; p < Math.min(order.length, from + 64); p++) {
        int chunk = order[p] / 8;
        assertTrue(Arrays.stream(chunks, Math.max(0, first - 1), last).anyMatch(c -> c == chunk), "position " + p + " shows an image of chunk " + chunk);
        if (p > from && order[p] == order[p - 1] + 1) neighbours++;
      }
    }
    assertTrue(neighbours < 40, neighbours + " images follow their neighbour in the file, where some 14 would by chance");
    assertArrayEquals(order, new Sampler(7, 1003, 64, true, true, 1, 2, 8, 64).order(2), "a function of seed, size, epoch, chunk and window only");
    assertFalse(Arrays.equals(chunks, sampler.chunks(3)));
    int[] inWindow = Arrays.stream(order, 0, 64).map(i -> i % 8).toArray(), next = Arrays.stream(order, 64, 128).map(i -> i % 8).toArray();
    assertFalse(Arrays.equals(inWindow, next), "each window has a shuffle of its own");
  }

  @Test void everyWindowHasImagesOfAllClassesWhereFilesHoldClassAfterClass() {
    int[] order = new Sampler(7, 5000, 50, true, true, 0, 1, 5, 200).order(1);
    for (int from = 0; from < 5000; from += 200) {
      int[] ofClass = new int[10];
      for (int p = from; p < from + 200; p++) ofClass[order[p] / 500]++;
      assertEquals(List.of(20), Arrays.stream(ofClass).distinct().boxed().toList(), "from position " + from);
    }
    int[] uneven = new Sampler(7, 203, 20, true, false, 0, 1, 8, 50).order(0);
    assertEquals(203, Arrays.stream(uneven).distinct().count());
    assertTrue(Arrays.stream(uneven, 0, 48).map(i -> i / 8).distinct().count() <= 7, "six whole chunks in a window of 50, or seven with the one that is not full");
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
    assertThrows(IllegalArgumentException.class, () -> new Sampler(0, 10, 2, true, true, 0, 1, 8, 7));
    assertThrows(IllegalArgumentException.class, () -> new Sampler(0, 10, 2, false, true, 0, 1, 8, 8), "an order without a shuffle has no chunks");
  }
}
