package onebit.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import onebit.models.Execution.Memory;
import onebit.ops.Backend;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.train.MemoryPlan;

/** Takes the fastest {@code train.memory} with which a recipe's step fits so many bytes of device memory. */
record MemoryLimit(String text, long bytes) {
  private static final Pattern SIZE = Pattern.compile("(\\d{1,9}(?:\\.\\d{1,9})?)\\s*(GB|MB|GiB|MiB)");

  /** A recipe with its memory chosen, and the choice in words. */
  record Choice(Recipe recipe, String words) {}

  /** @throws IllegalArgumentException unless it is a size such as 8GB */
  static MemoryLimit of(String text) {
    Matcher size = SIZE.matcher(text);
    if (!size.matches()) throw new IllegalArgumentException("--memory-limit " + text + " is no size; write one like 8GB, 6.5GB, 900MB or 8GiB");
    double unit = switch (size.group(2)) {
      case "GB" -> 1e9;
      case "MB" -> 1e6;
      case "GiB" -> 1 << 30;
      default -> 1 << 20;
    };
    return new MemoryLimit(text, (long) (Double.parseDouble(size.group(1)) * unit));
  }

  /** @throws IllegalArgumentException if nothing fits; then the words say which batch would */
  Choice choose(String name, List<String> overrides, Backend backend, int processes) {
    if (!backend.plansRooms()) {
      throw new IllegalArgumentException("--memory-limit is about the memory of a CUDA device; the device is " + backend.name());
    }
    MemoryPlan last = null;
    for (Memory memory : Memory.values()) {
      List<String> all = new ArrayList<>(overrides);
      all.add("train.memory=" + Recipes.word(memory));
      Recipe recipe = Workplace.RECIPES.load(name, all);
      last = plan(recipe, largestBatch(recipe, processes), backend);
      if (last.bytes() <= bytes) {
        return new Choice(recipe, String.format(Locale.ROOT, "Memory: train.memory=%s, %s of the %s allowed for a step of %d images; cuDNN's workspaces come on top.",
            Recipes.word(memory), gigabytes(last.bytes()), text, last.batch()));
      }
      if (memory == Memory.values()[Memory.values().length - 1]) refuse(recipe, last, backend);
    }
    throw new IllegalStateException("--memory-limit: no way to run was tried");
  }

  /** Images of one process's step; evaluation runs on the same tensors. */
  private static int largestBatch(Recipe recipe, int processes) {
    return (Math.max(recipe.data().batch(), recipe.data().evalBatch()) + processes - 1) / processes;
  }

  private static MemoryPlan plan(Recipe recipe, int batch, Backend backend) {
    return MemoryPlan.of(recipe, batch, backend.activations());
  }

  /** Memory grows with the batch in a line, but for rounding. */
  private void refuse(Recipe recipe, MemoryPlan smallest, Backend backend) {
    long one = plan(recipe, 1, backend).bytes();
    long fits = smallest.batch() > 1 ? 1 + (long) ((bytes - one) / ((smallest.bytes() - one) / (smallest.batch() - 1.0))) : 0;
    throw new IllegalArgumentException("--memory-limit " + text + ": a step of " + smallest.batch() + " images needs " + gigabytes(smallest.bytes())
        + " even with train.memory=" + Recipes.word(recipe.train().memory()) + (fits < 1 ? "; one image needs " + gigabytes(one)
            : "; about " + fits + " images of a process fit: lower data.batch and data.evalBatch, with a learning rate to match"));
  }

  private static String gigabytes(long bytes) {
    return String.format(Locale.ROOT, "%.2f GB", bytes / 1e9);
  }
}
