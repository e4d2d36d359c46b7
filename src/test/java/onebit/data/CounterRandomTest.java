package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CounterRandomTest {
  /** The philox4x32-10 lines of kat_vectors in the Random123 distribution. */
  @ParameterizedTest
  @CsvSource({
    "00000000 00000000 00000000 00000000, 00000000 00000000, 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff, ffffffff ffffffff, 408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344, a4093822 299f31d0, d16cfe09 94fdcceb 5001e420 24126ea1"})
  void philoxGivesThePublishedVectors(String counter, String key, String expected) {
    int[] c = words(counter);
    int[] k = words(key);
    int[] block = new int[4];
    CounterRandom.philox(c[0], c[1], c[2], c[3], k[0], k[1], block);
    assertArrayEquals(words(expected), block);
  }

  @Test void theCursorWalksTheBlocksOfItsCounter() {
    long seed = 0x1234567890ABCDEFL;
    CounterRandom random = new CounterRandom().reset(seed, 7, 4_000_000_000L, 3);
    int[] block = new int[4];
    for (int draw = 0; draw < 23; draw++) {
      CounterRandom.philox(draw / 4, (int) 4_000_000_000L, 7, 3, 0x90ABCDEF, 0x12345678, block);
      assertEquals(block[draw % 4], random.nextWord(), "draw " + draw);
    }
  }

  @Test void theStaticNumbersAreTheFirstDraws() {
    CounterRandom random = new CounterRandom().reset(5, 6, 7, 8);
    assertEquals(random.nextFloat(), CounterRandom.uniform(5, 6, 7, 8));
    random.reset(5, 6, 7, 8);
    assertEquals((random.nextWord() & 0xFFFFFFFFL) | (long) random.nextWord() << 32, CounterRandom.bits(5, 6, 7, 8));
  }

  @Test void everyPartOfTheKeyMatters() {
    long at = CounterRandom.bits(1, 2, 3, 4);
    assertNotEquals(at, CounterRandom.bits(1L << 40 | 1, 2, 3, 4));
    assertNotEquals(at, CounterRandom.bits(1, 3, 3, 4));
    assertNotEquals(at, CounterRandom.bits(1, 2, 4, 4));
    assertNotEquals(at, CounterRandom.bits(1, 2, 3, 5));
  }

  @Test void wholeNumbersAreEquallyLikelyAlsoForLargeBounds() {
    CounterRandom random = new CounterRandom().reset(9, 0, 0, 0);
    int bound = 3 << 29;
    int[] thirds = new int[3], rests = new int[3];
    int draws = 90_000;
    for (int i = 0; i < draws; i++) {
      int value = random.nextInt(bound);
      thirds[(int) ((long) value * 3 / bound)]++;
      rests[value % 3]++;
    }
    for (int third : thirds) assertEquals(draws / 3, third, 5 * Math.sqrt(draws * 2 / 9.0));
    for (int rest : rests) assertEquals(draws / 3, rest, 5 * Math.sqrt(draws * 2 / 9.0), "eight words for three values: the last has two, unless two words are drawn again");
    for (int i = 0; i < 100; i++) assertEquals(0, random.nextInt(1));
    assertThrows(IllegalArgumentException.class, () -> random.nextInt(0));
  }

  @Test void gaussiansHaveTheMomentsOfTheNormalDistribution() {
    CounterRandom random = new CounterRandom().reset(11, 0, 0, 0);
    int draws = 100_000;
    double sum = 0;
    double squares = 0;
    int outside = 0;
    for (int i = 0; i < draws; i++) {
      double g = random.nextGaussian();
      sum += g;
      squares += g * g;
      if (Math.abs(g) > 1.959964) outside++;
    }
    assertEquals(0, sum / draws, 0.016);
    assertEquals(1, squares / draws, 0.023);
    assertEquals(0.05, (double) outside / draws, 0.0035);
  }

  /** Two words make two draws; the second of them is no part of the next sample where nobody asked for it. */
  @Test void gaussiansDependOnNothingBeforeTheReset() {
    CounterRandom random = new CounterRandom().reset(11, 0, 5, 0), words = new CounterRandom().reset(11, 0, 5, 0);
    double first = random.nextGaussian();
    assertEquals(first, random.reset(11, 0, 5, 0).nextGaussian());
    random.nextGaussian();
    for (int i = 0; i < 2; i++) words.nextWord();
    assertEquals(words.nextWord(), random.nextWord());
  }

  @Test void samplesOutsideTheCounterAreRefused() {
    CounterRandom.bits(0, 0, (1L << 32) - 1, 0);
    String message = assertThrows(IllegalArgumentException.class, () -> CounterRandom.bits(0, 0, 1L << 32, 0)).getMessage();
    assertTrue(message.contains("4294967296"), message);
    assertThrows(IllegalArgumentException.class, () -> new CounterRandom().reset(0, 0, -1, 0));
  }

  private static int[] words(String hex) {
    return java.util.Arrays.stream(hex.split(" ")).mapToInt(w -> Integer.parseUnsignedInt(w, 16)).toArray();
  }
}
