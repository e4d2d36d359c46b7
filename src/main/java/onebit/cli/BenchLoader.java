package onebit.cli;

import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import javax.imageio.ImageIO;
import onebit.data.Augmentation;
import onebit.data.Augmenter;
import onebit.data.Box;
import onebit.data.CounterRandom;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.ImageFolderDataset;
import onebit.data.JpegLibraries;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
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
    description = {"Times the input pipeline alone.", "With a recipe: reading, decoding, augmentation and batching on all its threads.",
        "With --jpegs: one thread on the JPEG files of a folder, random resized crop to 224, flip; beside it the JDK's decoder and its bilinear scaling on the same boxes."})
final class BenchLoader implements Callable<Integer> {
  private static final int SIDE = 224;

  @Parameters(index = "0", arity = "0..1", defaultValue = "default", paramLabel = "RECIPE", description = "Recipe (default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(names = "--data", paramLabel = "DIR", description = "Folder of the data set (default: data/NAME).")
  private Path data;

  @Option(names = "--jpegs", paramLabel = "DIR", description = "Measure decoding and resizing of the files in this folder, per core, against the JDK.")
  private Path jpegs;

  @Option(names = "--seconds", paramLabel = "S", defaultValue = "5", description = "How long to measure (default: ${DEFAULT-VALUE}).")
  private double seconds;

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable.")
  private List<String> overrides = new ArrayList<>();

  @Option(names = "--json", description = "Print the result as one JSON object on the last line.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    if (!(seconds > 0)) throw new IllegalArgumentException("--seconds must be > 0, got " + seconds);
    Map<String, Object> members = new LinkedHashMap<>();
    String sentence = jpegs != null ? chains(members) : pipeline(members);
    if (json) System.out.println(Json.object(members));
    else System.out.println(sentence);
    return 0;
  }

  private String pipeline(Map<String, Object> members) throws IOException {
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    long seed = recipe.train().seed();
    Dataset dataset = InputPipeline.open(recipe.data(), Workplace.dataFolder(recipe, data), Split.TRAIN, seed);
    long images = 0, begin = 0;
    double took = 0;
    try (Loader loader = InputPipeline.training(recipe.data(), dataset, recipe.data().batch(), seed, LoaderWatch.STRICT)) {
      for (int epoch = 0; took < seconds; epoch++) {
        loader.start(epoch, 0);
        for (ImageBatch batch = loader.next(); batch != null && took < seconds; batch = loader.next()) {
          if (begin == 0) begin = System.nanoTime();
          else images += batch.count();
          took = (System.nanoTime() - begin) / 1e9;
        }
      }
    }
    members.put("recipe", name);
    members.put("images", images);
    members.put("seconds", took);
    members.put("imagesPerSecond", images / took);
    return String.format(Locale.ROOT, "%s: %,d images in %.2f s, %,.0f images/s", name, images, took, images / took);
  }

  /** Both chains in turn over all files; the least processor time of a round counts, so that other programs disturb neither. */
  private String chains(Map<String, Object> members) throws IOException {
    ImageFolderDataset files = ImageFolderDataset.flat(jpegs, SIDE);
    List<Augmentation> steps = Augmentation.imagenet(SIDE, 0.08, 1);
    Augmenter ours = new Augmenter(steps, 1);
    byte[] image = new byte[SIDE * SIDE * 3];
    ThreadMXBean clock = ManagementFactory.getThreadMXBean();
    double best = Double.MAX_VALUE, jdk = Double.MAX_VALUE;
    int rounds = 0;
    for (long begin = System.nanoTime(); rounds < 3 || (System.nanoTime() - begin) / 1e9 < seconds; rounds++) {
      long start = clock.getCurrentThreadCpuTime();
      for (int i = 0; i < files.size(); i++) ours.read(files, i, rounds, image, 0);
      long middle = clock.getCurrentThreadCpuTime();
      for (int i = 0; i < files.size(); i++) byJdk(files.file(i), steps.getFirst(), i, rounds);
      long end = clock.getCurrentThreadCpuTime();
      best = Math.min(best, (middle - start) / 1e9 / files.size());
      jdk = Math.min(jdk, (end - middle) / 1e9 / files.size());
    }
    members.put("files", files.size());
    members.put("rounds", rounds);
    members.put("decoder", JpegLibraries.findings());
    members.put("imagesPerSecondPerCore", 1 / best);
    members.put("jdkImagesPerSecondPerCore", 1 / jdk);
    members.put("ratio", jdk / best);
    return String.format(Locale.ROOT, "%,d files, best of %d rounds, one thread's processor time: %,.0f images/s; the JDK's decoder and scaling %,.0f images/s; ratio %.2f%n%s",
        files.size(), rounds, 1 / best, 1 / jdk, jdk / best, String.join("\n", JpegLibraries.findings()));
  }

  private static void byJdk(Path file, Augmentation crop, int index, int epoch) throws IOException {
    BufferedImage whole = ImageIO.read(file.toFile()), small = new BufferedImage(SIDE, SIDE, BufferedImage.TYPE_3BYTE_BGR);
    Box box = crop.needs(whole.getHeight(), whole.getWidth(), new CounterRandom().reset(1, epoch, index, CounterRandom.AUGMENT | 1 << 8));
    Graphics2D canvas = small.createGraphics();
    canvas.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR);
    canvas.drawImage(whole, 0, 0, SIDE, SIDE, box.left(), box.top(), box.left() + box.width(), box.top() + box.height(), null);
    canvas.dispose();
  }
}
