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

/** Takes the fastest {@code train.memory} and {@code train.gradientAccumulation} with which a recipe's step fits so many bytes of device memory. */
record MemoryLimit(String text, long bytes) {
  private static final Pattern SIZE = Pattern.compile("(\\d{1,9}(?:\\.\\d{1,9})?)\\s*(GB|MB|GiB|MiB)");

  /** A recipe with its memory chosen, and the choice in words. */
  record Choice(Recipe recipe, String words) {}

  /** @throws IllegalArgumentException unless it is a size such as 8GB */
  static MemoryLimit of(String text) {
    Matcher found = SIZE.matcher(text);
    if (!found.matches()) throw new IllegalArgumentException("--memory-limit " + text + " is no size; write one like 8GB, 6.5GB, 900MB or 8GiB");
    double unit = switch (found.group(2)) {
      case "GB" -> 1e9;
      case "MB" -> 1e6;
      case "GiB" -> 1 << 30;
      default -> 1 << 20;
    };
    return new MemoryLimit(text, (long) (Double.parseDouble(found.group(1)) * unit));
  }

  /** @throws IllegalArgumentException on the CPU, where no rooms are planned; known before anything is opened */
  void requireDevice(String device) {
    if (device.equals("cpu")) throw refused(device);
  }

  private static IllegalArgumentException refused(String device) {
    return new IllegalArgumentException("--memory-limit is about the memory of a CUDA device; the device is " + device);
  }

  /**
   * The fastest way that fits: all images of a process at once, as batch norm's statistics want it, with the fastest memory that allows it; else in
   * as few parts as possible, doubled in number each time.
   *
   * @throws IllegalArgumentException if nothing fits; then the words say what the least is
   */
  Choice choose(String name, List<String> overrides, Backend backend, int processes) {
    if (!backend.plansRooms()) throw refused(backend.name());
    Recipe asked = Workplace.RECIPES.load(name, overrides);
    int batch = (asked.data().batch() + processes - 1) / processes, parts = asked.train().gradientAccumulation();
    long least = Long.MAX_VALUE;
    for (; ; parts = Math.min(2 * parts, batch)) {
      for (Memory memory : Memory.values()) {
        List<String> all = new ArrayList<>(overrides);
        all.addAll(List.of("train.memory=" + Recipes.word(memory), "train.gradientAccumulation=" + parts));
        Recipe recipe = Workplace.RECIPES.load(name, all);
        // one model serves training and evaluation: where batches have no parts, it is built for the larger of the two
        int images = parts > 1 ? batch : Math.max(batch, (recipe.data().evalBatch() + processes - 1) / processes);
        MemoryPlan plan = MemoryPlan.of(recipe, images, backend.activations());
        if (plan.bytes() <= bytes) return new Choice(recipe, words(recipe, plan, images));
        least = Math.min(least, plan.bytes());
      }
      if (parts >= batch) {
        throw new IllegalArgumentException("--memory-limit " + text + ": " + size(least) + " is the least that a step of " + batch + " images needs, with "
            + "train.memory and train.gradientAccumulation as high as they go; give at least that, or lower data.batch with a learning rate to match");
      }
    }
  }

  private String words(Recipe recipe, MemoryPlan plan, int images) {
    int parts = recipe.train().gradientAccumulation();
    return String.format(Locale.ROOT, "Memory: train.memory=%s, train.gradientAccumulation=%d, %s of the %s allowed for a step of %d images%s; libraries' workspaces and partial sums of a launch come on top.",
        Recipes.word(recipe.train().memory()), parts, size(plan.bytes()), text, images,
        parts == 1 ? "" : " in parts of up to " + recipe.train().part(images) + ", over each of which batch norm takes its statistics");
  }

  /** Rounded up, so that what is asked for is enough. */
  private static String size(long bytes) {
    return bytes < 100_000_000 ? String.format(Locale.ROOT, "%.1f MB", Math.ceil(bytes / 1e5) / 10) : String.format(Locale.ROOT, "%.2f GB", Math.ceil(bytes / 1e7) / 100);
  }
}
