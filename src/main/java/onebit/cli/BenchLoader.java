package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.Split;
import onebit.recipe.Recipe;
import onebit.report.Json;
import onebit.train.InputPipeline;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit bench loader}. */
@Command(
    name = "loader",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = "Times the input pipeline of a recipe alone: reading, decoding, augmentation, batching.")
final class BenchLoader implements Callable<Integer> {
  @Parameters(index = "0", arity = "0..1", defaultValue = "default", paramLabel = "RECIPE", description = "Recipe (default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(names = "--data", paramLabel = "DIR", description = "Folder of the data set (default: data/NAME).")
  private Path data;

  @Option(names = "--seconds", paramLabel = "S", defaultValue = "5", description = "How long to measure (default: ${DEFAULT-VALUE}).")
  private double seconds;

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable.")
  private List<String> overrides = new ArrayList<>();

  @Option(names = "--json", description = "Print the result as one JSON object on the last line.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    if (!(seconds > 0)) throw new IllegalArgumentException("--seconds must be > 0, got " + seconds);
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    long seed = recipe.train().seed();
    Dataset dataset = InputPipeline.open(recipe.data(), Workplace.dataFolder(recipe, data), Split.TRAIN, seed);
    long images = 0, begin = 0;
    double took = 0;
    try (Loader loader = InputPipeline.training(recipe.data(), dataset, recipe.data().batch(), seed)) {
      for (int epoch = 0; took < seconds; epoch++) {
        loader.start(epoch, 0);
        for (ImageBatch batch = loader.next(); batch != null && took < seconds; batch = loader.next()) {
          if (begin == 0) begin = System.nanoTime();
          else images += batch.count();
          took = (System.nanoTime() - begin) / 1e9;
        }
      }
    }
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("recipe", name);
    members.put("images", images);
    members.put("seconds", took);
    members.put("imagesPerSecond", images / took);
    if (json) System.out.println(Json.object(members));
    else System.out.printf(Locale.ROOT, "%s: %,d images in %.2f s, %,.0f images/s%n", name, images, took, images / took);
    return 0;
  }
}
