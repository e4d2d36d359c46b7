package onebit.recipe;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** What is wrong with a recipe, gathered so that all of it is told at once. */
final class Refusals {
  /** So many are told: of a file that is no recipe at all nobody reads more. */
  static final int MOST = 20;

  private final List<IllegalArgumentException> all = new ArrayList<>();

  /** Several refusals as one, a line each. */
  private static final class Several extends IllegalArgumentException {
    private static final long serialVersionUID = 1;
    private final transient List<IllegalArgumentException> each;

    Several(List<IllegalArgumentException> each) {
      super(each.stream().limit(MOST).map(Throwable::getMessage).collect(Collectors.joining("\n"))
          + (each.size() > MOST ? "\nmore is wrong than these " + MOST + "; the rest is told when they are mended" : ""));
      this.each = List.copyOf(each);
    }
  }

  void add(IllegalArgumentException refusal) {
    if (refusal instanceof Several several) all.addAll(several.each);
    else all.add(refusal);
  }

  void tried(Runnable deed) {
    tried(() -> {
      deed.run();
      return null;
    });
  }

  /** The value; null where it is refused, which is remembered. */
  <T> T tried(Supplier<T> value) {
    try {
      return value.get();
    } catch (IllegalArgumentException refusal) {
      add(refusal);
      return null;
    }
  }

  /** Whether there are more than will be told. */
  boolean isFull() {
    return all.size() > MOST;
  }

  /** @throws IllegalArgumentException if something was refused: that refusal, or all in one */
  void throwAny() {
    if (all.size() == 1) throw all.getFirst();
    if (!all.isEmpty()) throw new Several(all);
  }
}
