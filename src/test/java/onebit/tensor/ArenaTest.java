package onebit.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class ArenaTest {
  /** A room that is used from op `first` to op `last`; ops run in order. */
  private record Life(int first, int last, long bytes) {}

  private static Arena planned(Life... lives) {
    Arena arena = new Arena();
    Arena.Room[] rooms = new Arena.Room[lives.length];
    for (int i = 0; i < lives.length; i++) rooms[i] = arena.add("room " + i, lives[i].bytes);
    int end = 0;
    for (Life life : lives) end = Math.max(end, life.last);
    for (int use = 1; use <= end; use++) {
      assertEquals(use, arena.next());
      for (int i = 0; i < lives.length; i++) if (lives[i].first == use || lives[i].last == use) arena.use(rooms[i]);
    }
    arena.plan();
    return arena;
  }

  @Test
  void roomsThatLiveAtTheSameOpNeverOverlapAndNoneLeavesTheArena() {
    Random random = new Random(1);
    for (int trial = 0; trial < 200; trial++) {
      Life[] lives = new Life[1 + random.nextInt(40)];
      for (int i = 0; i < lives.length; i++) {
        int first = 1 + random.nextInt(30);
        lives[i] = new Life(first, first + random.nextInt(10), 1 + random.nextInt(5000));
      }
      Arena arena = planned(lives);
      for (int i = 0; i < lives.length; i++) {
        Arena.Room a = arena.rooms().get(i);
        assertEquals(0, a.offset() % 256);
        assertTrue(a.offset() + a.bytes() <= arena.bytes());
        for (int k = 0; k < i; k++) {
          Arena.Room b = arena.rooms().get(k);
          boolean together = lives[i].first <= lives[k].last && lives[k].first <= lives[i].last;
          boolean apart = a.offset() + a.bytes() <= b.offset() || b.offset() + b.bytes() <= a.offset();
          assertTrue(!together || apart, "rooms " + i + " and " + k + " of trial " + trial);
        }
      }
      for (int use = 1; use <= 40; use++) assertTrue(arena.liveBytes(use) <= arena.bytes());
    }
  }

  @Test
  void aRoomTakesTheMemoryOfOnesThatAreGone() {
    Arena arena = planned(new Life(1, 2, 1000), new Life(3, 5, 1024), new Life(2, 3, 256));
    assertEquals(0, arena.rooms().get(0).offset());
    assertEquals(0, arena.rooms().get(1).offset());
    assertEquals(1024, arena.rooms().get(2).offset());
    assertEquals(1280, arena.bytes());
    assertEquals(1256, arena.liveBytes(2));
    assertEquals(3, arena.fullest());
  }

  @Test
  void aRoomThatIsReadAndOneThatIsWrittenByTheSameOpShareNothing() {
    Arena arena = planned(new Life(1, 2, 512), new Life(2, 3, 512));
    assertEquals(1024, arena.bytes());
  }

  @Test
  void placesAreKnownOnceTheArenaIsPlanned() {
    assertThrows(IllegalStateException.class, () -> new Arena().bytes());
  }

  @Test
  void anotherPassOverTheSameRoomsTakesNoMorePlace() {
    Arena arena = new Arena();
    Arena.Room first = arena.add("first", 512), second = arena.add("second", 512);
    for (int pass = 0; pass < 2; pass++) {
      arena.restart();
      arena.next();
      arena.use(first);
      arena.next();
      arena.use(second);
    }
    arena.plan();
    assertEquals(512, arena.bytes());
  }
}
