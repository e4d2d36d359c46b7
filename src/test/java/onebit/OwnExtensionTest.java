package onebit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.jar.JarOutputStream;
import java.util.zip.ZipEntry;
import javax.imageio.ImageIO;
import onebit.binarize.Binarizer;
import onebit.binarize.BinaryActivations;
import onebit.binarize.BinaryWeights;
import onebit.binarize.Curve;
import onebit.binarize.Method;
import onebit.binarize.SignWeights;
import onebit.binarize.Surrogates;
import onebit.data.Boxes;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.OwnDataset;
import onebit.data.Split;
import onebit.dist.Ranks;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Residual;
import onebit.layers.Sequential;
import onebit.models.Network;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.DataRecipe;
import onebit.recipe.Extension;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;
import onebit.tensor.Shape;
import onebit.train.InputPipeline;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** A method, a network and a data set in a jar of their own, trained by name from the command line; and jars that do not fit. */
class OwnExtensionTest {
  /** Signs whose slope is that of tanh(k u); k grows from 1 to {@code sharpest}. */
  public record Tanh(@Default("4") @Range(min = 1) float sharpest) implements Method {
    @Override public BinaryWeights weights() {
      return new SignWeights(SignWeights.Scale.MEAN_ABSOLUTE);
    }

    @Override public BinaryActivations activations() {
      return new BinaryActivations.Sign();
    }

    @Override public Surrogates at(int epoch, int epochs) {
      float k = 1 + (sharpest - 1) * epoch / Math.max(1, epochs - 1);
      return new Surrogates(new Binarizer.Clipped(1), Curve.of(u -> k / Math.pow(Math.cosh(k * u), 2), -4, 4), Map.of("k", (double) k, "loss", -1.0));
    }
  }

  /** A real stem, a binary convolution with a shortcut, a real classifier. */
  public record Tiny(@Default("16") @Range(min = 1, max = 512) int width) implements Network {
    @Override public Layer layers(Method method, Shape input, int classes) {
      return Sequential.of(new Conv2d("stem", width, 3, 2, 1, Init.KAIMING).asFirst(), new BatchNorm("norm", BatchNorm.Rule.TORCH),
          Residual.identity(Sequential.of(new BinaryConv2d("binary", method, width, 3, 1, 1, 1, Init.KAIMING), new BatchNorm("after", BatchNorm.Rule.TORCH))),
          Pool.global(), new Linear("classes", classes, Init.KAIMING, true));
    }
  }

  /** Stripes one pixel wide, as many images as said: lying in class 0, standing in class 1; in the folder a file says how bright they are. */
  public record Stripes(@Default("64") @Range(min = 1) int images) implements OwnDataset {
    @Override public Dataset open(Path folder, Split split, int height, int width) throws IOException {
      if (folder == null) throw new IllegalArgumentException("stripes: --data must name a folder with a file bright");
      return new Striped(images, height, width, Integer.parseInt(Files.readString(folder.resolve("bright")).strip()));
    }
  }

  /** The images of it. */
  public record Striped(int size, int height, int width, int bright) implements Dataset {
    @Override public String name() {
      return "stripes";
    }

    @Override public int channels() {
      return 1;
    }

    @Override public int classes() {
      return 2;
    }

    @Override public List<String> classNames() {
      return List.of("lying", "standing");
    }

    @Override public int label(int index) {
      return index % 2;
    }

    @Override public void read(int index, byte[] into, int offset) {
      for (int i = 0; i < imageBytes(); i++) {
        int across = label(index) == 0 ? i / width : i % width;
        into[offset + i] = (byte) (across % 2 == 0 ? bright - index % 99 : 0);
      }
    }
  }

  /** A grey image with a box all around it, of 25 classes; without {@code boxes} it does not hold what it says. */
  public record Framed(boolean boxes) implements OwnDataset {
    @Override public boolean hasBoxes() {
      return true;
    }

    @Override public Dataset open(Path folder, Split split, int height, int width) {
      return split == Split.TEST ? null : new Frame(height, width, boxes);
    }
  }

  /** The image of it. */
  public record Frame(int height, int width, boolean hasBoxes) implements Dataset {
    @Override public String name() {
      return "framed";
    }

    @Override public int size() {
      return 1;
    }

    @Override public int channels() {
      return 3;
    }

    @Override public int classes() {
      return 25;
    }

    @Override public int label(int index) {
      return 0;
    }

    @Override public void boxes(int index, Boxes into) {
      into.clear(height, width).add(24, false, 0, 0, 1, 1);
    }

    @Override public void read(int index, byte[] into, int offset) {
      Arrays.fill(into, offset, offset + imageBytes(), (byte) 128);
    }
  }

  /** All of them, by name. */
  public static final class Own implements Extension {
    @Override public Map<String, Class<? extends OwnDataset>> datasets() {
      return Map.of("stripes", Stripes.class, "framed", Framed.class);
    }

    @Override public Map<String, Class<? extends Method>> methods() {
      return Map.of("tanh", Tanh.class);
    }

    @Override public Map<String, Class<? extends Network>> networks() {
      return Map.of("tiny", Tiny.class);
    }
  }

  /** Takes a name of the program's. */
  public static final class Taken implements Extension {
    @Override public Map<String, Class<? extends Method>> methods() {
      return Map.of("adabin", Tanh.class);
    }
  }

  /** Has a name that no recipe could say. */
  public static final class Spelled implements Extension {
    @Override public Map<String, Class<? extends Network>> networks() {
      return Map.of("Tiny Net", Tiny.class);
    }
  }

  /** Implements a network by something else than a record. */
  public static final class Plain implements Extension {
    /** A class. */
    public static final class NoRecord implements Network {
      @Override public Layer layers(Method method, Shape input, int classes) {
        throw new UnsupportedOperationException();
      }
    }

    @Override public Map<String, Class<? extends Network>> networks() {
      return Map.of("plain", NoRecord.class);
    }
  }

  /** Implements a network by a record one of whose keys is taken. */
  public static final class Keyed implements Extension {
    /** A record. */
    public record Named(String name) implements Network {
      @Override public Layer layers(Method method, Shape input, int classes) {
        throw new UnsupportedOperationException();
      }
    }

    @Override public Map<String, Class<? extends Network>> networks() {
      return Map.of("keyed", Named.class);
    }
  }

  /** Cannot be made. */
  public static final class Fails implements Extension {
    public Fails() {
      throw new IllegalStateException("no licence");
    }
  }

  private static final String RECIPE = """
      description: An extension's method on its network.
      method: {name: tanh}
      network: {name: tiny, width: 8}
      data: {name: own, own: {name: stripes, images: 640}, batch: 32, evalBatch: 64, height: 12, width: 12, channels: 1, classes: 2, mean: [0.5], std: [0.25], workers: 1}
      optimizer: {name: adam, learningRate: 0.01}
      schedule: {name: cosine, per: iteration}
      train: {epochs: 2, seed: 7}
      """;

  @TempDir Path folder;
  private Path recipe;
  private Path images;

  @BeforeEach
  void writeRecipe() throws Exception {
    recipe = Files.writeString(folder.resolve("own.yaml"), RECIPE);
    images = Files.createDirectory(folder.resolve("images"));
    Files.writeString(images.resolve("bright"), "240\n");
  }

  /** A jar of those classes that names this one as its extension. */
  private Path jar(String extension) throws Exception {
    Path jar = folder.resolve("own.jar");
    try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
      for (Class<?> type : List.of(Own.class, Tanh.class, Tiny.class, Stripes.class, Striped.class, Framed.class, Frame.class)) {
        String name = type.getName().replace('.', '/') + ".class";
        out.putNextEntry(new ZipEntry(name));
        try (InputStream bytes = type.getClassLoader().getResourceAsStream(name)) {
          bytes.transferTo(out);
        }
      }
      out.putNextEntry(new ZipEntry("onebit/Damaged.class"));
      out.write(new byte[] {1, 2, 3});
      out.putNextEntry(new ZipEntry("META-INF/services/onebit.recipe.Extension"));
      out.write(extension.getBytes(StandardCharsets.UTF_8));
      out.putNextEntry(new ZipEntry("onebit/recipe-keys.properties"));
      out.write("method[tanh].sharpest=How steep the slope is in the last epoch.".getBytes(StandardCharsets.UTF_8));
    }
    return jar;
  }

  private ExtensionRun onebit(Path jar, String... arguments) throws Exception {
    return ExtensionRun.of(folder.resolve("said"), jar, List.of(arguments));
  }

  private String trained(Path jar, Path run, String... more) throws Exception {
    List<String> words = new ArrayList<>(List.of("train", recipe.toString(), "--out", run.toString(), "--data", images.toString()));
    words.addAll(List.of(more));
    ExtensionRun said = onebit(jar, words.toArray(String[]::new));
    assertEquals(0, said.code(), said.text());
    assertTrue(said.text().contains("Extension onebit.OwnExtensionTest$Own of " + jar + ", methods tanh, networks tiny, data sets framed stripes."), said.text());
    return Files.readString(run.resolve("metrics.csv"));
  }

  @Test
  void whatItAddsIsTrainedAndJudgedByName() throws Exception {
    Path jar = jar(Own.class.getName()), run = folder.resolve("run");
    String metrics = trained(jar, run);
    assertEquals(List.of("1.0", "4.0"), columns(metrics, "k"), metrics);
    assertTrue(columns(metrics, "loss").stream().allMatch(loss -> Double.parseDouble(loss) > 0), metrics);
    assertTrue(Files.readString(run.resolve("recipe.yaml")).contains("sharpest: 4.0"));
    ExtensionRun eval = onebit(jar, "eval", "--weights", run.toString());
    assertEquals(0, eval.code(), eval.text());
    assertTrue(eval.text().contains("Images: those of " + images) && eval.text().contains("640 of 640 correct"), eval.text());
    assertEquals("lying\nstanding\n", Files.readString(run.resolve("classes.txt")));
    ExtensionRun student = onebit(jar, "train", recipe.toString(), "--out", folder.resolve("student").toString(), "--data", images.toString(), "--epochs", "1", "--set", "method={name: adabin}",
        "--set", "teacher.network=run", "--set", "teacher.weights=" + run);
    assertTrue(student.code() == 0 && student.text().contains("Teacher run of Tiny[width=8] with Tanh[sharpest=4.0], "), student.text());
    ExtensionRun without = onebit(null, "eval", "--weights", run.toString());
    assertEquals(2, without.code(), without.text());
    assertTrue(without.text().contains("line 3: method.name is the text \"tanh\"; it must be one of adabin, biper") && without.text().contains("an extension adds others, if ONEBIT_CLASSPATH names its jar"),
        without.text());
  }

  /** A jar of other bytes, as one that was built again, does not go on without a word. */
  @Test
  void aRunThatGoesOnWithAnotherJarSaysSo() throws Exception {
    Path jar = jar(Own.class.getName()), run = folder.resolve("run");
    trained(jar, run, "--epochs", "1");
    String before = Files.readString(run.resolve("extensions.txt"));
    assertTrue(before.matches("own\\.jar [0-9a-f]{64}\n"), before);
    try (var zip = FileSystems.newFileSystem(jar)) {
      Files.writeString(zip.getPath("more"), "other bytes");
    }
    List<String> words = List.of("train", recipe.toString(), "--out", run.toString(), "--data", images.toString());
    ExtensionRun second = onebit(jar, words.toArray(String[]::new));
    String now = Files.readString(run.resolve("extensions.txt"));
    assertTrue(second.text().contains("Jars of extensions are not those that the run had so far: " + now.strip() + "; before " + before.strip() + "."), second.text());
    assertEquals(1, Files.readString(run.resolve("log.txt")).lines().filter(line -> line.contains("Jars of extensions")).count(), "and not at the first start");
  }

  /** Once, and goes on; with the run's own jar not a word. */
  @Test
  void whoUsesWeightsOfARunWithAnotherJarIsTold() throws Exception {
    Path jar = jar(Own.class.getName()), run = folder.resolve("run"), image = folder.resolve("image.png");
    trained(jar, run, "--epochs", "1");
    ImageIO.write(new BufferedImage(12, 12, BufferedImage.TYPE_BYTE_GRAY), "png", image.toFile());
    String before = Files.readString(run.resolve("extensions.txt")).strip(), onnx = folder.resolve("own.onnx").toString();
    List<List<String>> uses = List.of(List.of("eval", "--weights", run.toString()), List.of("predict", "--weights", run.resolve("best").toString(), image.toString()),
        List.of("export", "--weights", run.toString(), onnx), List.of("train", recipe.toString(), "--out", folder.resolve("student").toString(), "--data", images.toString(), "--dev-run",
            "--set", "teacher.network=run", "--set", "teacher.weights=" + run));
    for (List<String> words : uses.subList(0, 3)) assertFalse(onebit(jar, words.toArray(String[]::new)).text().contains("Jars of extensions"), words.toString());
    try (var zip = FileSystems.newFileSystem(jar)) {
      Files.writeString(zip.getPath("more"), "other bytes");
    }
    for (List<String> words : uses) {
      ExtensionRun said = onebit(jar, words.toArray(String[]::new));
      assertEquals(0, said.code(), said.text());
      List<String> told = said.text().lines().filter(line -> line.contains("Jars of extensions")).toList();
      assertEquals(1, told.size(), said.text());
      assertTrue(told.getFirst().matches(".*Jars of extensions are not those that the run of " + run + "(/best)? had so far: own\\.jar [0-9a-f]{64}; before " + before
          + "\\. What their code computes otherwise, its weights compute otherwise here\\."), told.getFirst());
    }
    assertEquals(before, Files.readString(run.resolve("extensions.txt")).strip(), "the run's own stay");
  }

  /** The workers that {@code --procs} starts have the jar as well. */
  @Test
  void severalProcessesTrainIt() throws Exception {
    Ranks.assumeMpi();
    trained(jar(Own.class.getName()), folder.resolve("run"), "--procs", "2", "--epochs", "1");
  }

  /** Its slope is another in each epoch, so what the device recorded is recorded anew. */
  @Test
  void aDeviceTrainsItBySurrogatesOfItsOwn() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Path run = folder.resolve("run");
    trained(jar(Own.class.getName()), run, "--device", "cuda-emulated");
    for (String device : List.of("cuda-emulated", "cpu")) {
      ExtensionRun eval = onebit(jar(Own.class.getName()), "eval", "--weights", run.toString(), "--device", device);
      assertTrue(eval.text().contains("640 of 640 correct"), eval.text());
      assertEquals(device.equals("cpu"), eval.text().contains("Trained in bfloat16; --device cpu computes in float32.\n"), eval.text());
    }
    ExtensionRun named = onebit(jar(Own.class.getName()), "eval", "--weights", run.toString(), "--precision", "bf16");
    assertTrue(named.code() == 2 && named.text().endsWith("precision bf16: --device cpu computes in float32 only; give --precision fp32\n"), named.text());
  }

  @Test
  void doctorAndKeysShowIt() throws Exception {
    Path jar = jar(Own.class.getName());
    assertTrue(onebit(jar, "doctor").text().contains("onebit.OwnExtensionTest$Own of " + jar + ", methods tanh, networks tiny, data sets framed stripes"));
    String keys = onebit(jar, "recipes", "--keys").text();
    assertTrue(keys.contains("method[tanh].sharpest  (number: >= 1; default 4)\n    How steep the slope is in the last epoch.\n") && keys.contains("network[tiny].width  "), keys);
    assertTrue(keys.contains("method[adabin].form  (") && keys.contains("adabin, biper, bireal, bmxnet, rbnn, tanh"), keys);
  }

  @Test
  void whatADataSetSaysIsShown() throws Exception {
    ExtensionRun said = onebit(jar(Own.class.getName()), "train", recipe.toString(), "--out", folder.resolve("run").toString());
    assertEquals(2, said.code(), said.text());
    assertTrue(said.text().endsWith("onebit: stripes: --data must name a folder with a file bright\n"), said.text());
  }

  @Test
  void aJarThatIsNotThereIsNamed() throws Exception {
    Path none = folder.resolve("none.jar"), run = folder.resolve("run");
    ExtensionRun said = onebit(none, "train", recipe.toString(), "--out", run.toString());
    assertEquals(2, said.code(), said.text());
    assertTrue(said.text().endsWith("onebit: ONEBIT_CLASSPATH names " + none + ", which does not exist\n"), said.text());
    assertFalse(Files.exists(run));
  }

  /** Java says nothing of a jar whose file of services is missing or empty. */
  @Test
  void aJarThatNamesNoExtensionIsShownAsSuch() throws Exception {
    Path jar = jar("");
    String doctor = onebit(jar, "doctor").text(), none = "none, although ONEBIT_CLASSPATH is " + jar + ": no jar or folder of it names one in META-INF/services/onebit.recipe.Extension\n";
    assertTrue(doctor.contains(none), doctor);
    ExtensionRun said = onebit(jar, "summary", recipe.toString());
    assertTrue(said.code() == 2 && said.text().contains("if ONEBIT_CLASSPATH names its jar (onebit doctor shows which were found)"), said.text());
  }

  /** The recipes where a jar with that extension is on the class path. */
  private Recipes recipes(String extension) throws Exception {
    ClassLoader before = Thread.currentThread().getContextClassLoader();
    try (URLClassLoader loader = new URLClassLoader(new URL[] {jar(extension).toUri().toURL()}, before)) {
      Thread.currentThread().setContextClassLoader(loader);
      return new Recipes();
    } finally {
      Thread.currentThread().setContextClassLoader(before);
    }
  }

  private static String refused(Executable act) {
    return assertThrows(IllegalArgumentException.class, act).getMessage();
  }

  /** What is said of a jar with that extension. */
  private void refused(String extension, String sentence) {
    String said = refused(() -> recipes(extension));
    assertTrue(said.startsWith(sentence), said);
  }

  private static DataRecipe framed(Recipes recipes, boolean boxes, String... more) {
    List<String> all = new ArrayList<>(List.of("data.name=own", "data.own={name: framed, boxes: " + boxes + "}", "data.classes=25"));
    all.addAll(List.of(more));
    return recipes.load("adabin-ssd300-voc", all).data();
  }

  @Test
  void aDataSetWithBoxesFeedsADetector() throws Exception {
    Recipes recipes = recipes(Own.class.getName());
    DataRecipe data = framed(recipes, true);
    try (Loader loader = InputPipeline.training(data, InputPipeline.open(data, null, Split.TRAIN, 1), 1, 1, LoaderWatch.STRICT)) {
      loader.start(0, 0);
      ImageBatch batch = loader.next();
      assertEquals(List.of(300 * 300 * 3, 1, 24), List.of(batch.pixels().length, batch.boxes()[0].count(), batch.boxes()[0].label(0)));
    }
    assertEquals("data.own has no images for the evaluation", refused(() -> InputPipeline.open(data, null, Split.TEST, 1)));
    String otherwise = refused(() -> InputPipeline.open(framed(recipes, false), null, Split.TRAIN, 1));
    assertEquals("images of framed have no boxes, and its record says otherwise", otherwise);
    assertTrue(refused(() -> framed(recipes, true, "data.augment={cropPad: 4}")).contains("augment.cropPad moves pixels without the boxes on them; images of own have boxes"));
    assertTrue(refused(() -> recipes.load("default", List.of("data.name=own", "data.own={name: framed, boxes: true}", "data.channels=3", "data.mean=[0, 0, 0]", "data.std=[1, 1, 1]")))
        .contains("data.name is own, whose images have boxes; the network finds a class for each image"));
  }

  @Test
  void aDataSetThatIsNotThereIsRefused() throws Exception {
    String none = "data.own.name is the text \"stripes\"; it must be one that an extension adds, if ONEBIT_CLASSPATH names its jar (onebit doctor shows which were found)";
    assertTrue(refused(() -> new Recipes().load("default", List.of("data.name=own", "data.own.name=stripes"))).contains(none));
    String together = "data: own is %s where name is %s; name: own and a section own go together (without it: own: null)";
    Recipes recipes = recipes(Own.class.getName());
    assertTrue(refused(() -> recipes.load("default", List.of("data.name=own"))).contains(String.format(together, "missing", "own")));
    assertTrue(refused(() -> recipes.load("default", List.of("data.own.name=stripes"))).contains(String.format(together, "a data set", "glyphs")));
    assertTrue(refused(() -> recipes.load("default", List.of("data.name=own", "data.own={}"))).contains("data.own.name is missing; it picks one of framed, stripes"));
    Recipe merged = recipes.load("default", List.of("data.name=own", "data.own.name=stripes", "data.own.images=7"));
    assertEquals(Map.of("name", "stripes", "images", 7), ((Map<?, ?>) recipes.tree(merged).get("data")).get("own"));
    Path written = Files.writeString(folder.resolve("merged.yaml"), recipes.write(merged));
    assertEquals(merged, recipes.load(written.toString(), List.of()));
  }

  @Test
  void aJarThatDoesNotFitIsRefusedInOneSentence() throws Exception {
    refused(Taken.class.getName(), "onebit.OwnExtensionTest$Tanh: the method name adabin is taken by onebit.binarize.AdaBin");
    refused(Spelled.class.getName(), "onebit.OwnExtensionTest$Tiny: the network name 'Tiny Net' must be of small letters, digits and hyphens");
    refused(Plain.class.getName(), "onebit.OwnExtensionTest$Plain$NoRecord is no record of onebit.models.Network");
    refused(Keyed.class.getName(), "onebit.OwnExtensionTest$Keyed$Named has a component called name, the key that picks the record; call it otherwise");
    String broken = "an extension on the class path cannot be loaded: ";
    refused("onebit.Missing", broken + "onebit.recipe.Extension: Provider onebit.Missing not found");
    refused(Fails.class.getName(), broken + "onebit.recipe.Extension: Provider onebit.OwnExtensionTest$Fails could not be instantiated (java.lang.IllegalStateException: no licence)");
    refused("onebit.Damaged", broken + "java.lang.ClassFormatError: ");
    refused("onebit.LibraryTest", broken + "onebit.recipe.Extension: onebit.LibraryTest not a subtype");
  }

  private static List<String> columns(String csv, String name) {
    List<String> lines = csv.lines().toList();
    int at = List.of(lines.getFirst().split(",")).indexOf(name);
    return lines.stream().skip(1).map(l -> l.split(",", -1)[at]).toList();
  }
}
