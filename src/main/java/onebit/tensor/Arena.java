package onebit.tensor;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Places for all that lives only within one step: rooms whose lives do not overlap share memory.
 *
 * <p>A room lives from its first to its last use, both counted in ops of the step. Places are whole numbers of 256 bytes; larger rooms are
 * placed first, each at the lowest place that is free all its life, so the plan is the same on every run and nothing is ever moved.
 *
 * <pre>
 * Units  bytes; uses: number of the op within the step
 * </pre>
 */
public final class Arena {
  private static final long GRAIN = 256;

  /** One tensor's life and place. */
  public static final class Room {
    private final String owner;
    private final long bytes;
    private int first = Integer.MAX_VALUE;
    private int last = -1;
    private long offset;

    private Room(String owner, long bytes) {
      this.owner = owner;
      this.bytes = bytes;
    }

    /** What the room belongs to, as a plan prints it. */
    public String owner() {
      return owner;
    }

    public long bytes() {
      return bytes;
    }

    /** Where the room begins; known once the arena is planned. */
    public long offset() {
      return offset;
    }

    public boolean livesAt(int use) {
      return first <= use && use <= last;
    }

    private boolean meets(Room other) {
      return first <= other.last && other.first <= last;
    }

    private long end() {
      return offset + (bytes + GRAIN - 1) / GRAIN * GRAIN;
    }
  }

  private final List<Room> rooms = new ArrayList<>();
  private int uses;
  private int longest;
  private boolean over;
  private long bytes = -1;

  /** A new room of so many bytes. */
  public Room add(String owner, long size) {
    Room room = new Room(owner, size);
    rooms.add(room);
    return room;
  }

  /** The next op begins; returns its number. */
  public int next() {
    longest = Math.max(longest, ++uses);
    return uses;
  }

  /** The ops from now on are another pass that finds nothing of the one before in the rooms; they are counted from 1 again. */
  public void restart() {
    uses = 0;
  }

  /** The step is over: a room that it left alone and evaluation uses lives all the time. */
  public void endStep() {
    over = true;
  }

  /** The op that runs now uses the room. */
  public void use(Room room) {
    if (over && room.last >= 0) return;
    room.first = over ? 0 : Math.min(room.first, uses);
    room.last = over ? Integer.MAX_VALUE : Math.max(room.last, uses);
  }

  /** Gives every room its place; a room that was never used shares the first. */
  public void plan() {
    List<Room> placed = new ArrayList<>(), order = new ArrayList<>(rooms);
    order.sort(Comparator.comparingLong((Room r) -> -r.bytes).thenComparingInt(r -> r.first));
    bytes = 0;
    for (Room room : order) {
      List<Room> neighbours = placed.stream().filter(room::meets).sorted(Comparator.comparingLong(Room::offset)).toList();
      long at = 0;
      for (Room other : neighbours) {
        if (at + room.bytes <= other.offset) break;
        at = Math.max(at, other.end());
      }
      room.offset = at;
      placed.add(room);
      bytes = Math.max(bytes, room.end());
    }
  }

  /** All rooms in the order they were asked for. */
  public List<Room> rooms() {
    return List.copyOf(rooms);
  }

  /** Bytes of the whole; known once the arena is planned. */
  public long bytes() {
    if (bytes < 0) throw new IllegalStateException("Arena: not planned yet");
    return bytes;
  }

  /** The op during which the rooms in use hold most. */
  public int fullest() {
    long most = -1;
    int at = 0;
    for (int use = 1; use <= longest; use++) {
      long live = liveBytes(use);
      if (live > most) {
        most = live;
        at = use;
      }
    }
    return at;
  }

  /** Bytes in use during an op: no plan can need less than the largest of these. */
  public long liveBytes(int use) {
    long sum = 0;
    for (Room room : rooms) if (room.livesAt(use)) sum += room.bytes;
    return sum;
  }
}
