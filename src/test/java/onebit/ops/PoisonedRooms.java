package onebit.ops;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import onebit.tensor.Arena;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * A backend on which every room that the plan says is dead holds NaN, or bits of ones, before each op of a pass.
 *
 * <p>A room has memory of its own here, so that only the plan's lives decide what an op finds: an op that reads what the plan gave up before
 * reads NaN.
 */
public final class PoisonedRooms {
  private static final Set<String> OPS = Set.of("write", "read", "fill", "readLater");

  private final Backend under;
  private final Backend backend;
  private final List<Object> rooms = new ArrayList<>();
  private List<Arena.Room> plan = List.of();
  private boolean[] poisoned;
  private int op;
  private int built;
  private int cutShort = -1;

  public PoisonedRooms(Backend under) {
    this.under = under;
    backend = proxy(Backend.class, (method, arguments) -> switch (method.getName()) {
      case "plansRooms" -> true;
      case "usePlan" -> {
        usePlan((Arena) arguments[0]);
        yield null;
      }
      case "room" -> kept(under.create((Shape) arguments[0], (ElementType) arguments[1]));
      case "roomForBits" -> kept(under.createBits((int) arguments[0], (int) arguments[1]));
      default -> RecordedOps.isFamily(method) ? family(method.getReturnType(), call(under, method, arguments)) : direct(method, arguments);
    });
  }

  /** What a model is built on and runs on. */
  public Backend backend() {
    return backend;
  }

  /** What each room belongs to. */
  public List<Arena.Room> plan() {
    return plan;
  }

  /** A bug: the plan gives room i up one op too early from now on; -1 for none. */
  public void cutShort(int i) {
    cutShort = i;
  }

  /** Whether room i carries anything from one op of the last step to another; the others are of one op alone. */
  public boolean carries(int i) {
    return IntStream.range(built, op).anyMatch(use -> plan.get(i).livesAt(use) && plan.get(i).livesAt(use + 1));
  }

  /** A forward or step begins; no room holds anything. */
  public void begin() {
    op = built;
    poisoned = new boolean[rooms.size()];
    for (int i = 0; i < rooms.size(); i++) poison(i);
  }

  private void usePlan(Arena arena) {
    if (arena != null) plan = arena.rooms();
    built = op;
  }

  private Object kept(Object room) {
    rooms.add(room);
    return room;
  }

  private Object direct(Method method, Object[] arguments) throws Throwable {
    if (OPS.contains(method.getName())) next();
    return call(under, method, arguments);
  }

  private <T> T family(Class<T> type, Object ops) {
    return proxy(type, (method, arguments) -> {
      if (method.getDeclaringClass() != Object.class) next();
      return call(ops, method, arguments);
    });
  }

  /** Counts as the plan does, and poisons what died with the op before. */
  private void next() {
    op++;
    if (poisoned == null) return;
    for (int i = 0; i < rooms.size(); i++) {
      boolean lives = plan.get(i).livesAt(op) && (i != cutShort || plan.get(i).livesAt(op + 1));
      if (lives) poisoned[i] = false;
      else if (!poisoned[i]) poison(i);
    }
  }

  private void poison(int i) {
    poisoned[i] = true;
    if (rooms.get(i) instanceof BitTensor bits) {
      long[] words = new long[bits.rows() * bits.words()];
      int last = bits.bits() % 64;
      Arrays.fill(words, -1);
      for (int row = 1; last > 0 && row <= bits.rows(); row++) words[row * bits.words() - 1] = (1L << last) - 1;
      under.write(bits, words);
    } else if (rooms.get(i) instanceof Tensor tensor && tensor.type() == ElementType.UINT8) {
      byte[] ones = new byte[tensor.size()];
      Arrays.fill(ones, (byte) -1);
      under.write(tensor, ones);
    } else {
      under.fill((Tensor) rooms.get(i), Float.NaN);
    }
  }

  @FunctionalInterface
  private interface Call {
    Object of(Method method, Object[] arguments) throws Throwable;
  }

  private static <T> T proxy(Class<T> type, Call call) {
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> call.of(method, arguments)));
  }

  private static Object call(Object on, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(on, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }
}
