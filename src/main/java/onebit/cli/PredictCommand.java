package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.stream.IntStream;
import onebit.data.Dataset;
import onebit.data.ImageFiles;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Split;
import onebit.detect.Detection;
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
import onebit.train.Prediction;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit predict}. */
@Command(
    name = "predict",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = "Classifies your own JPEG and PNG files with trained weights, or finds objects in them. Images are prepared like the recipe's test images.",
    footer = {"", "Example: onebit predict --weights runs/adabin-resnet20-cifar10/best photo.jpg holiday/"})
final class PredictCommand implements Callable<Integer> {
  /** COCO's detectors are judged by so many boxes of an image, too. */
  private static final int TOP_BOXES = 100, TOP_CLASSES = 3;

  @Mixin private TrainedOptions trained;

  @Parameters(arity = "1..*", paramLabel = "IMAGE", description = "Image files, or folders of them.")
  private List<Path> images;

  @Option(names = "--data", paramLabel = "DIR", description = "Folder of the data set: gives names to the classes where neither the run nor the data set's name does.")
  private Path data;

  @Option(names = "--top", paramLabel = "N", description = "Likeliest classes to show for each image (default: " + TOP_CLASSES + "); for a detector, likeliest boxes (default: " + TOP_BOXES + ").")
  private Integer top;

  @Option(names = "--least-score", paramLabel = "P", defaultValue = "0.5", description = "For a detector: show boxes of at least this probability; those of 0.01 or less are never shown (default: ${DEFAULT-VALUE}).")
  private double leastScore;

  @Mixin private ComputeOptions compute;

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    Recipe recipe = compute.recipe(trained, System.err::println);
    DataRecipe described = recipe.data();
    if (!(leastScore >= 0 && leastScore <= 1)) throw new IllegalArgumentException("--least-score must be in [0, 1], got " + leastScore);
    if (top != null && top < 1) throw new IllegalArgumentException("--top must be >= 1, got " + top);
    if (described.height() != described.width()) {
      throw new IllegalArgumentException("predict takes square images; the recipe says " + described.height() + "x" + described.width());
    }
    List<Path> files = ImageFiles.find(images);
    List<String> classes = classes(recipe);
    var tensors = trained.tensors();
    int batch = Math.min(files.size(), described.evalBatch());
    ImageFiles dataset = new ImageFiles(files, described.height(), described.channels());
    Bad bad = new Bad();
    try (Backend backend = compute.open(recipe); Loader loader = InputPipeline.evaluation(described, dataset, batch, bad)) {
      Model model = trained.model(recipe, batch, backend, tensors);
      Prediction prediction = Prediction.of(backend, model, new PixelScale(described.mean(), described.std()), batch);
      WorkLine line = new WorkLine(Screen.of(System.err, false));
      Evaluation.Progress progress = done -> line.at("predicting", done, files.size());
      if (model.detects()) printBoxes(files, dataset, prediction.detect(loader, progress), classes, bad.why);
      else print(files, prediction.run(loader, progress), classes, bad.why);
    }
    bad.why.values().forEach(why -> System.err.println("onebit: " + why));
    return bad.why.isEmpty() ? 0 : CommandLine.ExitCode.SOFTWARE;
  }

  /** Images that are not there or cannot be decoded are named at the end; the others are looked at. */
  private static final class Bad implements LoaderWatch {
    private final Map<Integer, String> why = new ConcurrentSkipListMap<>();

    @Override
    public void bad(Dataset dataset, int epoch, int index, int replacement, String text) {
      why.put(index, text.replace(" (sample " + index + " of epoch " + epoch + ")", ""));
    }

    @Override
    public void notice(String sentence) {
      System.err.println(sentence);
    }
  }

  private List<String> classes(Recipe recipe) throws IOException {
    List<String> known = trained.classes(recipe.data());
    return data == null || !known.isEmpty() ? known : InputPipeline.open(recipe.data(), Workplace.dataFolder(recipe, data), Split.TEST, recipe.train().seed()).classNames();
  }

  private static Map<String, Object> failed(Path file, String why) {
    Map<String, Object> image = new LinkedHashMap<>();
    image.put("image", file.toString());
    image.put("error", why);
    return image;
  }

  private void printBoxes(List<Path> files, ImageFiles dataset, List<List<Detection>> found, List<String> classes, Map<Integer, String> bad) {
    SummaryTable table = new SummaryTable("image", "class", ">probability", ">left", ">top", ">right", ">bottom");
    List<Map<String, Object>> all = new ArrayList<>();
    int most = top == null ? TOP_BOXES : top, leftOut = 0, crowded = 0;
    for (int i = 0; i < files.size(); i++) {
      if (bad.containsKey(i)) {
        all.add(failed(files.get(i), bad.get(i)));
        continue;
      }
      int width = dataset.imageWidth(i), height = dataset.imageHeight(i);
      List<Map<String, Object>> boxes = new ArrayList<>();
      List<Detection> probable = found.get(i).stream().filter(d -> d.score() >= leastScore).toList();
      int more = Math.max(0, probable.size() - most);
      leftOut += more;
      if (more > 0) crowded++;
      for (Detection one : probable.subList(0, probable.size() - more)) {
        String called = InputPipeline.className(classes, one.label());
        long[] corners = {Math.round((double) one.left() * width), Math.round((double) one.top() * height), Math.round((double) one.right() * width),
          Math.round((double) one.bottom() * height)};
        table.row(boxes.isEmpty() ? files.get(i) : "", called, String.format(Locale.ROOT, "%.2f %%", 100 * one.score()), corners[0], corners[1], corners[2], corners[3]);
        Map<String, Object> box = new LinkedHashMap<>();
        box.put("class", one.label());
        box.put("name", called);
        box.put("probability", one.score());
        box.put("pixels", corners);
        boxes.add(box);
      }
      if (boxes.isEmpty()) table.row(files.get(i), "nothing", "", "", "", "", "");
      Map<String, Object> image = new LinkedHashMap<>();
      image.put("image", files.get(i).toString());
      image.put("boxes", boxes);
      image.put("leftOut", more);
      all.add(image);
    }
    show("detections", all, table, bad);
    if (leftOut > 0 && !json.on()) {
      System.out.printf(Locale.ROOT, "Left out: %,d less probable boxes of %,d image%s; --top N shows so many of each image, --least-score P fewer and surer ones.%n", leftOut, crowded, crowded == 1 ? "" : "s");
    }
  }

  private void print(List<Path> files, List<double[]> probabilities, List<String> classes, Map<Integer, String> bad) {
    SummaryTable table = new SummaryTable("image", "class", ">probability");
    List<Map<String, Object>> all = new ArrayList<>();
    for (int i = 0; i < files.size(); i++) {
      if (bad.containsKey(i)) {
        all.add(failed(files.get(i), bad.get(i)));
        continue;
      }
      double[] of = probabilities.get(i);
      List<Integer> likeliest = IntStream.range(0, of.length).boxed().sorted((a, b) -> Double.compare(of[b], of[a])).limit(top == null ? TOP_CLASSES : top).toList();
      List<Map<String, Object>> guesses = new ArrayList<>();
      for (int c : likeliest) {
        String called = InputPipeline.className(classes, c);
        table.row(guesses.isEmpty() ? files.get(i) : "", called, String.format(Locale.ROOT, "%.2f %%", 100 * of[c]));
        Map<String, Object> guess = new LinkedHashMap<>();
        guess.put("class", c);
        guess.put("name", called);
        guess.put("probability", of[c]);
        guesses.add(guess);
      }
      Map<String, Object> image = new LinkedHashMap<>();
      image.put("image", files.get(i).toString());
      image.put("likeliest", guesses);
      all.add(image);
    }
    show("predictions", all, table, bad);
  }

  /** The result; no table where no image could be looked at. */
  private void show(String name, List<Map<String, Object>> all, SummaryTable table, Map<Integer, String> bad) {
    if (!json.print(Map.of(name, all)) && bad.size() < all.size()) System.out.print(table);
  }
}
