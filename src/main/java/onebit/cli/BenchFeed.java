package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.data.Datasets;
import onebit.ops.Backend;
import onebit.recipe.Recipe;
import onebit.train.FeedMeasurement;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit bench feed}. */
@Command(
    name = "feed",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {"Does the loader keep up with the step?",
        "Times training steps of a recipe, in turn, on images that lie on the device, on images copied there before each step, and on images from the real loader; and the loader",
        "alone. The data set is read again and again; a few hundred photos are enough."})
final class BenchFeed implements Callable<Integer> {
  /** Speed on real data over that on images that lie on the device. */
  private static final double BAR = 0.9;

  @Parameters(index = "0", arity = "0..1", defaultValue = "adabin-resnet18-imagenet", paramLabel = "RECIPE", description = "Recipe (default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(names = "--data", paramLabel = "DIR", description = "Folder of the data set (default: data/NAME, where NAME is the recipe's data.name).")
  private Path data;

  @Option(names = "--rounds", paramLabel = "N", defaultValue = "3", description = "Rounds of all four measurements (default: ${DEFAULT-VALUE}).")
  private int rounds;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "30", description = "Timed steps per round (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(names = "--warmup", paramLabel = "N", defaultValue = "10", description = "Warm-up steps before them (default: ${DEFAULT-VALUE}).")
  private int warmup;

  @Option(names = "--loader-warmup", paramLabel = "SECONDS", defaultValue = "60", description = "At first the loader runs alone until it gets no faster, for at most this long (default: ${DEFAULT-VALUE}).")
  private double loaderSeconds;

  @Mixin private ComputeOptions compute;

  @Mixin private ReplayOptions replay;

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    FeedMeasurement.Plan plan = new FeedMeasurement.Plan(rounds, warmup, steps, loaderSeconds);
    Recipe recipe = compute.recipe(name);
    Path folder = Workplace.dataFolder(recipe, data);
    FeedMeasurement m;
    List<String> facts;
    try (Backend backend = compute.open(recipe)) {
      replay.use(backend, recipe, true, System.err::println);
      facts = Workplace.facts(backend, recipe);
      m = FeedMeasurement.of(recipe, folder, backend, plan);
    }
    int batch = recipe.data().batch();
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("recipe", name);
    members.put("batch", batch);
    members.put("images", m.images());
    members.put("stored", m.stored());
    members.put("workers", m.workers());
    members.put("residentImagesPerSecond", m.resident());
    members.put("copiedImagesPerSecond", m.copied());
    members.put("fedImagesPerSecond", m.fed());
    members.put("loaderImagesPerSecond", m.loader());
    members.put("ratio", m.fed() / m.resident());
    members.put("loaderStallShare", m.stallShare());
    members.put("badImages", m.bad());
    members.put("loaderWarmupSeconds", m.rise().seconds());
    members.put("loaderFirstImagesPerSecond", m.rise().first());
    members.put("loaderSteady", m.rise().steady());
    if (json.print(members)) return 0;
    System.out.printf(Locale.ROOT, "%s, batch %d, %,d images%s read again and again by %d threads, %d rounds of %d steps, medians, images/s%n", name, batch, m.images(),
        m.stored().isEmpty() ? "" : " (" + m.stored() + ")", m.workers(), rounds, steps);
    System.out.printf(Locale.ROOT, "  on the device %,.0f; copied there each step %,.0f (%.3f); from the loader %,.0f (%.3f); the loader alone %,.0f%n", m.resident(), m.copied(),
        m.copied() / m.resident(), m.fed(), m.fed() / m.resident(), m.loader());
    System.out.printf(Locale.ROOT, "  the loader's stall share %.1f %%; real data at least %.1f of the speed on the device: %s%s%n", 100 * m.stallShare(), BAR,
        m.fed() >= BAR * m.resident() ? "yes" : "no", m.bad() == 0 ? "" : "; " + m.bad() + " images could not be decoded");
    System.out.printf(Locale.ROOT, "  before all the loader ran alone for %.0f s and went from %,.0f to %,.0f images/s%s%n", m.rise().seconds(), m.rise().first(), m.rise().last(),
        m.rise().steady() ? ", where it rose no more" : "; it was still rising, so its figures are too low: --loader-warmup gives it longer");
    System.out.println(String.join("; ", facts) + "\n" + String.join("\n", Datasets.findings()));
    return 0;
  }
}
