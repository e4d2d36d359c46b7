package onebit.ops.cuda;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;
import onebit.ops.ConvGeometry;

/**
 * Which of several ways to do one op is taken for a shape: the one the device was fastest with, measured once and remembered by the caller.
 *
 * <pre>
 * Units  milliseconds, the least of {@value #RUNS} runs after one that is not counted
 * </pre>
 */
public final class Tuning {
  private static final int RUNS = 5;

  /** One choice: the op and its shape, the way's name, and how long it took. */
  public record Choice(String shape, String way, double millis) {}

  private final Map<String, Choice> known = new HashMap<>();
  private final Set<String> told = new HashSet<>();
  private final Consumer<Choice> remember;
  private final Consumer<String> tell;

  /** Starts from choices measured before; each new one goes to remember, and every first use of one is told in words. */
  public Tuning(List<Choice> before, Consumer<Choice> remember, Consumer<String> tell) {
    for (Choice choice : before) known.put(choice.shape, choice);
    this.remember = remember;
    this.tell = tell;
  }

  /** The choice of the own kernels for both gradients of a binary convolution. */
  public static List<Choice> ownGradients(ConvGeometry g) {
    return List.of(new Choice(BitGradients.ofFilters(g), BitGradients.OWN, 0), new Choice(BitGradients.ofImages(g), BitGradients.OWN, 0));
  }

  /**
   * The place in the list of the way to take; millis runs a way once and says how long it took, for ever if it cannot; where none can, nothing is remembered. All
   * ways give the op's result.
   */
  int choose(String shape, List<String> ways, ToDoubleFunction<Integer> millis) {
    Choice choice = known.get(shape);
    int at = choice == null ? -1 : ways.indexOf(choice.way);
    if (at >= 0) {
      if (told.add(shape)) tell.accept(words(choice, "remembered"));
      return at;
    }
    if (choice != null) {
      tell.accept("tuning: " + shape + ": there is no way \"" + choice.way + "\" here; there are " + String.join(", ", ways) + ", which are measured anew");
    }
    double least = Double.POSITIVE_INFINITY;
    at = 0;
    for (int i = 0; i < ways.size(); i++) {
      double best = Double.POSITIVE_INFINITY;
      for (int run = -1; run < RUNS; run++) {
        double took = millis.applyAsDouble(i);
        if (run >= 0) best = Math.min(best, took);
      }
      if (best < least) {
        least = best;
        at = i;
      }
    }
    if (least == Double.POSITIVE_INFINITY) return at;
    choice = new Choice(shape, ways.get(at), least);
    known.put(shape, choice);
    told.add(shape);
    remember.accept(choice);
    tell.accept(words(choice, "measured among " + String.join(", ", ways)));
    return at;
  }

  private static String words(Choice choice, String how) {
    return String.format(Locale.ROOT, "chosen: %s: %s, %.4f ms, %s", choice.shape, choice.way, choice.millis, how);
  }
}
