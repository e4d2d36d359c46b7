package onebit.cli;

import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
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
import onebit.data.Datasets;
import onebit.data.ImageBatch;
import onebit.data.ImageFolderDataset;
import onebit.data.IndexMeasurement;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Picture;
import onebit.data.ShardDataset;
import onebit.data.Split;
import onebit.recipe.Recipe;
import onebit.train.InputPipeline;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit bench loader}. */
@Command(
    name = "loader",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {"Times the input pipeline alone.", "With a recipe: reading, decoding, augmentation and batching on all its threads.",
        "With --jpegs or --shards: one thread on the JPEG files of a folder, or on the images in shards, random resized crop to 224, flip; beside it the JDK's decoder and its bilinear scaling on the same boxes (of PPM images, its scaling alone).",
        "With --index: writes an index of N images and opens it as a data set."})
final class BenchLoader implements Callable<Integer> {
  private static final int SIDE = 224;

  @Parameters(index = "0", arity = "0..1", defaultValue = "default", paramLabel = "RECIPE", description = "Recipe (default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(names = "--data", paramLabel = "DIR", description = "Folder of the data set (default: data/NAME, where NAME is the recipe's data.name).")
  private Path data;

  @Option(names = "--jpegs", paramLabel = "DIR", description = "Measure decoding and resizing of the files in this folder, per core, against the JDK.")
  private Path jpegs;

  @Option(names = "--shards", paramLabel = "DIR", description = "The same for the training images in the shards of this folder.")
  private Path shards;

  @Option(names = "--index", paramLabel = "N", description = "Measure opening an index of N images; ImageNet has 1281167.")
  private Integer index;

  @Option(names = "--seconds", paramLabel = "S", defaultValue = "5", description = "How long to measure (default: ${DEFAULT-VALUE}).")
  private double seconds;

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable.")
  private List<String> overrides = new ArrayList<>();

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    if (!(seconds > 0)) throw new IllegalArgumentException("--seconds must be > 0, got " + seconds);
    if (index != null && index < 1) throw new IllegalArgumentException("--index must be >= 1, got " + index);
    Map<String, Object> members = new LinkedHashMap<>();
    List<String> sentences = new ArrayList<>();
    if (jpegs != null) {
      ImageFolderDataset files = ImageFolderDataset.flat(jpegs, SIDE);
      sentences.add("JPEG files: " + chains(files, i -> Files.readAllBytes(files.file(i)), members));
    }
    if (shards != null) {
      if (!(Datasets.open("folder", shards, Split.TRAIN) instanceof ShardDataset all)) throw new IOException(shards + ": has no shards of training images");
      Map<String, Object> own = jpegs == null ? members : new LinkedHashMap<>();
      own.put("stored", all.stored());
      sentences.add("Shards (" + all.stored() + "): " + chains(all, all::encoded, own));
      if (own != members) members.put("shards", own);
    }
    if (jpegs != null || shards != null) {
      members.put("decoder", Datasets.findings());
      sentences.addAll(Datasets.findings());
    }
    if (index != null) sentences.add(scan(members));
    if (sentences.isEmpty()) sentences.add(pipeline(members));
    if (!json.print(members)) sentences.forEach(System.out::println);
    return 0;
  }

  private String scan(Map<String, Object> members) throws IOException {
    IndexMeasurement m = IndexMeasurement.of(index);
    members.put("indexImages", m.images());
    members.put("indexSeconds", m.seconds());
    members.put("indexPeakHeapBytes", m.peakHeapBytes());
    return String.format(Locale.ROOT, "An index of %,d images in %,d shards, opened, its shards looked at, all classes read and an epoch's order drawn: %.2f s, at most %,d MiB of heap, of which the JVM may take %,d",
        m.images(), m.shards(), m.seconds(), m.peakHeapBytes() >> 20, Runtime.getRuntime().maxMemory() >> 20);
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
    long resident = peakResidentBytes();
    members.put("recipe", name);
    members.put("stored", dataset.stored());
    members.put("images", images);
    members.put("seconds", took);
    members.put("imagesPerSecond", images / took);
    members.put("peakResidentBytes", resident);
    return String.format(Locale.ROOT, "%s: %,d images in %.2f s, %,.0f images/s; the process held at most %,d MiB of memory, the JVM and its code among them%s", name, images, took,
        images / took, resident >> 20, dataset.stored().isEmpty() ? "" : "; the images: " + dataset.stored());
  }

  /** The most memory this process has held, by the kernel's count; 0 where it is not told. */
  private static long peakResidentBytes() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) return 0;
    return Files.readAllLines(status).stream().filter(line -> line.startsWith("VmHWM:")).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10).findFirst().orElse(0);
  }

  /** Where the bytes of an image's file come from. */
  private interface Encoded {
    byte[] of(int image) throws IOException;
  }

  /** Both chains in turn over all images; the least processor time of a round counts, so that other programs disturb neither. */
  private String chains(Dataset images, Encoded encoded, Map<String, Object> members) throws IOException {
    List<Augmentation> steps = Augmentation.imagenet(SIDE, 0.08, 1);
    Augmenter ours = new Augmenter(steps, 1);
    byte[] image = new byte[SIDE * SIDE * 3];
    ThreadMXBean clock = ManagementFactory.getThreadMXBean();
    double best = Double.MAX_VALUE, jdk = Double.MAX_VALUE;
    int rounds = 0;
    for (long begin = System.nanoTime(); rounds < 3 || (System.nanoTime() - begin) / 1e9 < seconds; rounds++) {
      long start = clock.getCurrentThreadCpuTime();
      for (int i = 0; i < images.size(); i++) ours.read(images, i, rounds, image, 0);
      long middle = clock.getCurrentThreadCpuTime();
      for (int i = 0; i < images.size(); i++) byJdk(encoded.of(i), images, steps.getFirst(), i, rounds);
      long end = clock.getCurrentThreadCpuTime();
      best = Math.min(best, (middle - start) / 1e9 / images.size());
      jdk = Math.min(jdk, (end - middle) / 1e9 / images.size());
    }
    members.put("files", images.size());
    members.put("rounds", rounds);
    members.put("imagesPerSecondPerCore", 1 / best);
    members.put("jdkImagesPerSecondPerCore", 1 / jdk);
    members.put("ratio", jdk / best);
    return String.format(Locale.ROOT, "%,d images, best of %d rounds, one thread's processor time: %,.0f images/s; the JDK's decoder and scaling %,.0f images/s; ratio %.2f",
        images.size(), rounds, 1 / best, 1 / jdk, jdk / best);
  }

  private static void byJdk(byte[] encoded, Dataset images, Augmentation crop, int index, int epoch) throws IOException {
    BufferedImage read = ImageIO.read(new ByteArrayInputStream(encoded)), whole = read != null ? read : levels(images, index), small = new BufferedImage(SIDE, SIDE, BufferedImage.TYPE_3BYTE_BGR);
    Box box = crop.needs(whole.getHeight(), whole.getWidth(), new CounterRandom().reset(1, epoch, index, CounterRandom.AUGMENT | 1 << 8));
    Graphics2D canvas = small.createGraphics();
    canvas.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR);
    canvas.drawImage(whole, 0, 0, SIDE, SIDE, box.left(), box.top(), box.left() + box.width(), box.top() + box.height(), null);
    canvas.dispose();
  }

  /** An image of a kind that the JDK has no decoder for, PPM, as our own gives it. */
  private static BufferedImage levels(Dataset images, int index) throws IOException {
    Picture x = new Picture();
    images.decode(index, Box.Choice.WHOLE, x);
    BufferedImage image = new BufferedImage(x.width(), x.height(), BufferedImage.TYPE_3BYTE_BGR);
    byte[] bgr = ((DataBufferByte) image.getRaster().getDataBuffer()).getData();
    for (int i = 0; i < bgr.length; i += 3) for (int c = 0; c < 3; c++) bgr[i + c] = x.pixels()[i + 2 - c];
    return image;
  }
}
