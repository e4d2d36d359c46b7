package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import onebit.data.Dataset;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Split;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.report.Screen;
import onebit.report.SummaryTable;
import onebit.report.WorkLine;
import onebit.train.Evaluation;
import onebit.train.InputPipeline;
import onebit.train.Score;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code onebit eval}. */
@Command(
    name = "eval",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = "Evaluates trained weights on the whole test set, each image once: accuracy, or the mean average precision of boxes. Binary layers run on packed bits.",
    footer = {"", "Example: onebit eval --weights runs/adabin-resnet20-cifar10/best"})
final class EvalCommand implements Callable<Integer> {
  @Mixin private TrainedOptions trained;

  @Option(names = "--data", paramLabel = "DIR", description = "Folder of the data set (default: that of the run that the weights belong to, else data/NAME, where NAME is the recipe's data.name).")
  private Path data;

  @Mixin private ComputeOptions compute;

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    Consumer<String> say = (json.on() ? System.err : System.out)::println;
    Recipe recipe = compute.recipe(trained, say);
    DataRecipe described = recipe.data();
    Path folder = trained.data(recipe, data, say);
    var tensors = trained.tensors();
    Dataset dataset = InputPipeline.open(described, folder, Split.TEST, recipe.train().seed());
    trained.requireSameClasses(dataset);
    Screen screen = json.screen();
    WorkLine line = new WorkLine(screen);
    int batch = described.evalBatch();
    try (Backend backend = compute.open(recipe); Loader loader = InputPipeline.evaluation(described, dataset, batch, LoaderWatch.strict(System.err::println))) {
      Model model = trained.model(recipe, batch, backend, tensors);
      Score score = Evaluation.of(backend, model, new PixelScale(described.mean(), described.std()), trained.classes(described), batch).run(loader, Integer.MAX_VALUE,
          images -> line.at("evaluating", images, dataset.size()));
      screen.clearStatus();
      if (!json.print(score.members())) {
        if (score instanceof Score.Precision boxes) System.out.print(classes(boxes));
        System.out.printf(Locale.ROOT, "%s (%.1f s on %s)%n", score.words(), score.seconds(), backend.name());
      }
    }
    return 0;
  }

  /** The average precision of each class. */
  private static SummaryTable classes(Score.Precision boxes) {
    SummaryTable table = new SummaryTable("class", ">average precision, 11 points", ">area");
    for (int label = 0; label < boxes.points().average().length; label++) {
      table.row(boxes.className(label), percent(boxes.points().average()[label]), percent(boxes.area().average()[label]));
    }
    return table;
  }

  private static String percent(double precision) {
    return Double.isNaN(precision) ? "no boxes" : String.format(Locale.ROOT, "%.2f %%", 100 * precision);
  }
}
