package onebit.recipe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import onebit.binarize.BiPer;
import onebit.binarize.BiReal;
import onebit.models.ResNet20;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class RecipesTest {
  private static final Recipes RECIPES = new Recipes();

  static Stream<String> names() {
    return Recipes.names().stream();
  }

  private static Recipe load(String name, String... overrides) {
    return RECIPES.load(name, List.of(overrides));
  }

  @Test
  void everyNamedRecipeIsThereOnce() {
    List<String> names = Recipes.names();
    assertEquals(names.size(), new HashSet<>(names).size());
    for (String name : List.of("default", "adabin-resnet20-cifar10", "adabin-resnet18-cifar10", "adabin-resnet18-imagenet", "adabin-resnet34-imagenet",
        "bmxnet-lenet-mnist", "bmxnet-resnet18v1-cifar10", "bmxnet-resnete18-cifar10", "bmxnet-densenet21-cifar10", "bmxnet-resnete18-imagenet",
        "bmxnet-resnete34-imagenet", "bmxnet-binarydensenet28-imagenet", "bmxnet-binarydensenet37-imagenet", "bmxnet-binarydensenet45-imagenet",
        "biper-resnet18-cifar10-stage1", "biper-resnet18-cifar10-stage2", "biper-resnet20-cifar10-stage1", "biper-vggsmall-cifar10-stage1",
        "biper-resnet18-imagenet-stage1", "rbnn-resnet18-cifar10", "rbnn-resnet20-cifar10", "rbnn-resnet20-bireal-cifar10", "rbnn-vggsmall-cifar10",
        "rbnn-resnet18-imagenet", "rbnn-resnet34-imagenet", "adabin-ssd300-voc", "adabin-ssd300backbone-imagenet")) {
      assertTrue(names.contains(name), name);
    }
    assertEquals(44, names.size());
  }

  @ParameterizedTest
  @MethodSource("names")
  void noRecipeHasKeysWithoutEffect(String name) {
    assertEquals(List.of(), load(name).idle());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "adabin-resnet20-cifar10 | optimizer.name=adam optimizer.momentum=0.8 | optimizer.momentum is 0.8 and has no effect, because optimizer.name is adam.",
      "bmxnet-lenet-mnist | optimizer.name=radam optimizer.momentum=0.8 | optimizer.momentum is 0.8 and has no effect, because optimizer.name is radam.",
      "adabin-resnet20-cifar10 | optimizer.beta1=0.5 | optimizer.beta1 is 0.5 and has no effect, because optimizer.name is sgd.",
      "adabin-resnet20-cifar10 | optimizer.beta2=0.5 | optimizer.beta2 is 0.5 and has no effect, because optimizer.name is sgd.",
      "adabin-resnet20-cifar10 | optimizer.epsilon=0.5 | optimizer.epsilon is 0.5 and has no effect, because optimizer.name is sgd.",
      "adabin-resnet20-cifar10 | schedule.factor=0.5 | schedule.factor is 0.5 and has no effect, because schedule.name is cosine.",
      "adabin-resnet20-cifar10 | schedule.warmupEpochs=3 train.epochs=3 | schedule.name is cosine and has no effect, because schedule.warmupEpochs is 3 and train.epochs is 3.",
      "bmxnet-resnete18-cifar10 | train.epochs=101 | schedule.milestones is [101, 126] and has no effect, because train.epochs is 101.",
      "adabin-resnet20-cifar10 | data.evalResize=40 | data.evalResize is 40 and has no effect, because data.evalCrop is 0.",
      "adabin-resnet20-cifar10 | train.float8Limit=0.2 | train.float8Limit is 0.2 and has no effect, because train.gradients is bfloat16.",
      "adabin-ssd300-voc | train.labelSmoothing=0.1 | train.labelSmoothing is 0.1 and has no effect, because the network finds boxes.",
      "adabin-resnet18-imagenet-stage1 | train.labelSmoothing=0.1 | train.labelSmoothing is 0.1 and has no effect, because teacher.hardLabels is 0."})
  void aKeyWithoutEffectIsSaid(String name, String overrides, String said) {
    assertEquals(List.of(said), load(name, overrides.split(" ")).idle());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "adabin-resnet20-cifar10 | optimizer.name=adam", "adabin-resnet20-cifar10 | optimizer.momentum=0.8", "bmxnet-lenet-mnist | optimizer.beta1=0.5",
      "bmxnet-resnete18-cifar10 | schedule.factor=0.5", "adabin-resnet20-cifar10 | schedule.warmupEpochs=2 train.epochs=3",
      "adabin-resnet20-cifar10 | schedule.name=constant schedule.warmupEpochs=3 train.epochs=3", "bmxnet-resnete18-cifar10 | train.epochs=127",
      "adabin-resnet20-cifar10 | train.gradients=float8 train.float8Limit=0.2", "adabin-resnet20-cifar10 | train.labelSmoothing=0.1",
      "adabin-resnet20-cifar10 | data.evalResize=40 data.evalCrop=32",
      "adabin-resnet18-imagenet-stage1 | train.labelSmoothing=0.1 teacher.hardLabels=0.5"})
  void aKeyWithAnEffectIsNotSaid(String name, String overrides) {
    assertEquals(List.of(), load(name, overrides.split(" ")).idle());
  }

  @ParameterizedTest
  @MethodSource("names")
  void everyRecipeIsReadAndWrittenAndReadEqual(String name) {
    Recipe recipe = load(name);
    String yaml = RECIPES.write(recipe);
    assertEquals(recipe, Extensions.binder(List.of()).bind(Recipe.class, name, yaml, List.of()), yaml);
  }

  @ParameterizedTest
  @MethodSource("names")
  void theNameSaysMethodAndDataAndStage(String name) {
    Recipe recipe = load(name);
    if (name.equals(Recipes.DEFAULT)) return;
    assertTrue(name.startsWith(recipe.method().getClass().getSimpleName().toLowerCase(java.util.Locale.ROOT) + "-"));
    assertTrue(name.replaceFirst("-stage[12]$", "").endsWith("-" + Scalars.kebab(recipe.data().name())));
    boolean second = name.endsWith("-stage2");
    boolean detects = recipe.network().detects();
    assertEquals(second ? Optional.of(name.replace("-stage2", "-stage1")) : detects ? Optional.of("adabin-ssd300backbone-imagenet") : Optional.empty(),
        recipe.train().initFrom());
    assertEquals(detects ? Optional.of("backbone.") : Optional.empty(), recipe.train().initPart());
    recipe.train().initFrom().ifPresent(first -> assertTrue(Recipes.names().contains(first), first));
    if (recipe.method() instanceof BiPer biper) assertEquals(second ? 2 : 1, biper.stage());
  }

  @ParameterizedTest
  @MethodSource("names")
  void everyRecipeRunsShortOnGeneratedImages(String name) {
    DataRecipe.Source drawn = load(name).network().detects() ? DataRecipe.Source.FIGURES : DataRecipe.Source.GENERATED;
    Recipe recipe = load(name, "data.name=" + Recipes.word(drawn), "data.batch=4", "data.evalBatch=4", "train.stopAfter=1");
    assertEquals(drawn, recipe.data().name());
    int epoch = recipe.train().firstEpoch();
    double rate = recipe.schedule().over(recipe.train().epochs(), recipe.optimizer().learningRate()).learningRate(epoch, 1, 2);
    assertTrue(rate > 0 && rate <= recipe.optimizer().learningRate(), "first learning rate " + rate);
  }

  @Test
  void dataShapesFollowFromTheDataSet() {
    Map<DataRecipe.Source, List<Integer>> shapes = Map.of(DataRecipe.Source.GLYPHS, List.of(28, 28, 1, 10), DataRecipe.Source.MNIST, List.of(28, 28, 1, 10),
        DataRecipe.Source.CIFAR10, List.of(32, 32, 3, 10), DataRecipe.Source.IMAGENET, List.of(224, 224, 3, 1000), DataRecipe.Source.VOC, List.of(300, 300, 3, 20));
    for (String name : Recipes.names()) {
      DataRecipe data = load(name).data();
      assertEquals(shapes.get(data.name()), List.of(data.height(), data.width(), data.channels(), data.classes()), name);
    }
  }

  @Test
  void bmxnetsImageNetMeansAreOnTheUnitScale() {
    DataRecipe data = load("bmxnet-resnete18-imagenet").data();
    double[] mean = {123.68, 116.779, 103.939};
    double[] std = {58.393, 57.12, 57.375};
    for (int c = 0; c < 3; c++) {
      assertEquals(mean[c], 255 * data.mean().get(c), 1e-4);
      assertEquals(std[c], 255 * data.std().get(c), 1e-4);
    }
  }

  /** larq_zoo, training/data.py and training/basic_experiments.py: means of ImageNet, rates that fall with the epoch of their step, counted from 0. */
  @ParameterizedTest
  @CsvSource({"bmxnet-binarydensenet37dilated-imagenet, 4e-3, 60, 70", "bmxnet-binarydensenet45-imagenet, 8e-3, 80, 100"})
  void runsOfLarqAreNormalisedAndSlowedDownAsThere(String name, double rate, int first, int second) {
    Recipe recipe = load(name);
    assertEquals(List.of(List.of(0.485, 0.456, 0.406), List.of(0.229, 0.224, 0.225)), List.of(recipe.data().mean(), recipe.data().std()));
    assertEquals(List.of(rate, 1e-8), List.of(recipe.optimizer().learningRate(), recipe.optimizer().epsilon()));
    assertEquals(List.of(first, second), recipe.schedule().milestones());
  }

  @ParameterizedTest
  @CsvSource({
      "adabin-resnet20-cifar10, 88.1, , 400, 128, README", "adabin-resnet18-cifar10, 93.1, , 400, 128, THIRD_PARTY",
      "adabin-vggsmall-cifar10, 92.3, , , , README", "adabin-resnet18-imagenet, 63.1, 84.3, 120, 256, README",
      "adabin-resnet34-imagenet, 66.4, 86.6, 120, 256, README", "adabin-resnet18-imagenet-stage2, 66.4, 86.5, 256, 512, README",
      "bmxnet-resnet18v1-cifar10, 90.0, , 150, 128, WIKI", "bmxnet-resnete18-cifar10, 86.1, , 150, 128, WIKI",
      "bmxnet-resnete18e2-cifar10, 87.6, , 150, 128, WIKI", "bmxnet-resnete34-cifar10, 86.2, , 150, 128, WIKI",
      "bmxnet-densenet21-cifar10, 90.3, , 150, 128, WIKI", "bmxnet-resnete18-imagenet, 60.0, 81.9, 120, 256, WIKI",
      "bmxnet-resnete18y2018-imagenet, 56.7, 79.2, 40, 128, WIKI", "bmxnet-resnete34y2018-imagenet, 59.5, 81.5, 40, 128, WIKI",
      "bmxnet-resnete18gs-imagenet, 60.6, 82.4, 120, 64, WIKI", "bmxnet-resnete34-imagenet, 63.2, 84.7, 120, 128, WIKI",
      "bmxnet-resnete34gs-imagenet, 63.7, 84.9, 120, 64, WIKI", "bmxnet-binarydensenet28-imagenet, 61.7, 83.3, 120, 64, WIKI",
      "bmxnet-binarydensenet28gs-imagenet, 62.6, 84.0, 120, 64, WIKI", "bmxnet-binarydensenet37-imagenet, 63.3, 84.4, 120, 32, WIKI",
      "bmxnet-binarydensenet37gs-imagenet, 64.2, 85.1, 120, 32, WIKI", "bmxnet-binarydensenet37dilated-imagenet, 64.34, 85.15, 80, 256, LARQ",
      "bmxnet-binarydensenet45-imagenet, 64.59, 85.21, 125, 384, LARQ", "biper-resnet18-cifar10-stage2, 93.75, , 900, 256, README",
      "biper-resnet20-cifar10-stage2, 86.98, , , , README", "biper-vggsmall-cifar10-stage2, 92.46, , , , README",
      "biper-resnet18-imagenet-stage2, 61.40, 83.1, 300, 512, README", "biper-resnet34-imagenet-stage2, 65.73, 86.4, , , README",
      "rbnn-resnet18-cifar10, 92.2, , 1000, 256, README", "rbnn-resnet20-cifar10, 86.5, , 1000, 256, README",
      "rbnn-resnet20-bireal-cifar10, 87.8, , 1000, 256, README", "rbnn-vggsmall-cifar10, 91.3, , 1000, 256, README",
      "rbnn-resnet18-imagenet, 59.9, 81.9, 150, 512, README", "rbnn-resnet34-imagenet, 63.1, 84.4, 150, 512, README"})
  void publishedNumbersAreTheTables(String name, double top1, Double top5, Integer epochs, Integer batch, Published.Status status) {
    Published published = load(name).published().orElseThrow();
    assertEquals(Optional.of(top1), published.top1());
    assertEquals(Optional.ofNullable(top5), published.top5());
    assertEquals(Optional.ofNullable(epochs), published.epochs());
    assertEquals(Optional.ofNullable(batch), published.batch());
    assertEquals(status, published.status());
    boolean remembered = name.startsWith("biper") && name.contains("imagenet");
    assertEquals(remembered ? Optional.of(Published.Status.FROM_MEMORY) : Optional.empty(), published.top5Status());
  }

  @Test
  void onlyRunsWithoutAResultOfTheirOwnPublishNone() {
    List<String> without = Recipes.names().stream().filter(name -> load(name).published().isEmpty()).toList();
    assertEquals(List.of("adabin-resnet18-imagenet-stage1", "adabin-ssd300backbone-imagenet", "biper-resnet18-cifar10-stage1", "biper-resnet18-imagenet-stage1", "biper-resnet20-cifar10-stage1",
        "biper-resnet34-imagenet-stage1", "biper-vggsmall-cifar10-stage1", "bmxnet-lenet-mnist", "default"), without);
  }

  @Test
  void theDetectorsNumberIsAMeanAveragePrecision() {
    Published published = load("adabin-ssd300-voc").published().orElseThrow();
    assertEquals(Optional.of(69.4), published.map());
    assertEquals(69.4, published.score());
    assertEquals(Optional.empty(), published.top1());
    String both = assertThrows(IllegalArgumentException.class, () -> load("adabin-ssd300-voc", "published.top1=60")).getMessage();
    assertTrue(both.contains("published has top1 or map, one of the two"), both);
  }

  @Test
  void networksAndImagesBelongTogether() {
    String boxes = assertThrows(IllegalArgumentException.class, () -> load("adabin-ssd300-voc", "data.name=generated", "data.augment={}")).getMessage();
    assertTrue(boxes.contains("data.name is generated, whose images have no boxes; the network finds boxes: give it voc or figures"), boxes);
    String classes = assertThrows(IllegalArgumentException.class, () -> load("adabin-ssd300-voc", "network.name=resnet18")).getMessage();
    assertTrue(classes.contains("data.name is voc, whose images have boxes; the network finds a class for each image: give it another data set"), classes);
    String part = assertThrows(IllegalArgumentException.class, () -> load("adabin-resnet18-imagenet", "train.initPart=backbone.")).getMessage();
    assertTrue(part.contains("initPart is backbone. without an initFrom to take it from"), part);
  }

  @ParameterizedTest
  @CsvSource({
      "adabin-resnet20-cifar10, SGD, 0.1, 1e-4, ALL, 400, 128", "adabin-resnet18-imagenet, SGD, 0.1, 1e-5, ALL, 120, 256",
      "adabin-resnet18-imagenet-stage1, ADAM, 2.5e-3, 1e-5, CONV_WEIGHTS, 128, 512", "bmxnet-lenet-mnist, ADAM, 1e-3, 0, NONE, 10, 100",
      "bmxnet-resnete18-cifar10, ADAM, 0.01, 0, NONE, 150, 128", "bmxnet-resnete18-imagenet, RADAM, 2e-3, 0, NONE, 120, 256",
      "biper-resnet18-cifar10-stage1, SGD, 0.021, 0.0016, ALL, 600, 256", "biper-resnet18-cifar10-stage2, SGD, 0.0037, 0.00016, ALL, 300, 256",
      "biper-resnet20-cifar10-stage1, SGD, 0.1, 5e-4, ALL, 600, 256", "biper-resnet18-imagenet-stage1, SGD, 0.1, 1e-4, CONV_AND_FC_NAMES, 200, 512",
      "biper-resnet18-imagenet-stage2, SGD, 0.01, 1e-4, CONV_AND_FC_NAMES, 100, 512", "rbnn-resnet20-cifar10, SGD, 0.1, 1e-4, ALL, 1000, 256",
      "adabin-ssd300-voc, ADAM, 1e-3, 0, NONE, 580, 32"})
  void optimizersAreThePublishedOnes(String name, OptimizerRecipe.Kind kind, double rate, double decay, OptimizerRecipe.Decay which, int epochs, int batch) {
    Recipe recipe = load(name);
    assertEquals(kind, recipe.optimizer().name());
    assertEquals(rate, recipe.optimizer().learningRate());
    assertEquals(decay, recipe.optimizer().weightDecay());
    assertEquals(which, recipe.optimizer().decay());
    assertEquals(epochs, recipe.train().epochs());
    assertEquals(batch, recipe.data().batch());
  }

  /**
   * cifar10/main.py of AdaBin: DataLoader(..., drop_last=True) for training too; those of RBNN and BiPer on CIFAR-10 and AdaBin's on ImageNet keep the last
   * batch. DALI (RBNN and BiPer on ImageNet) and MXNet's ImageRecordIter fill it up, so that no batch is smaller.
   */
  @ParameterizedTest
  @CsvSource({"adabin-resnet18-cifar10, true", "adabin-resnet20-cifar10, true", "adabin-vggsmall-cifar10, true", "rbnn-resnet20-cifar10, false",
      "biper-resnet18-cifar10-stage1, false", "adabin-resnet18-imagenet, false", "adabin-resnet18-imagenet-stage1, false", "bmxnet-resnet18v1-cifar10, true",
      "rbnn-resnet18-imagenet, true", "rbnn-resnet34-imagenet, true", "biper-resnet18-imagenet-stage1, true", "biper-resnet34-imagenet-stage2, true",
      "bmxnet-binarydensenet37-imagenet, true", "bmxnet-resnete18-imagenet, true", "bmxnet-resnete34y2018-imagenet, true"})
  void noBatchIsSmallerWhereTheAuthorsLoaderMakesNone(String name, boolean left) {
    assertEquals(left, load(name).data().dropLast());
  }

  /**
   * BMXNet-v2-examples in 2018, image_classification.py and datasets/data.py: CIFAR-10 gets the augmentation level (3 by default), ImageNet the default 1;
   * iterators get the batch of all devices from --batch-size; the rate falls where a step is below the epoch, which counts from 0. The wiki's
   * post_process.csv show the jumps: training accuracy 95.6 and 97.0 in CIFAR's epochs 76 and 77, 59.6 and 63.1 in ImageNet's 35 and 36. And the batch:
   * ImageNet's first 0.229999 are 11,511 of 50,048 images, 391 batches of 128, and of no number of whole batches of 256.
   */
  @Test
  void experimentsOf2018AreThoseOfTheirScript() {
    var affine = Optional.of(new AugmentRecipe.AffineJitter(10, 0.1, 0.25));
    var colours = Optional.of(new AugmentRecipe.HslJitter(36, 50, 50));
    for (String name : List.of("bmxnet-resnete18-cifar10", "bmxnet-resnete18e2-cifar10", "bmxnet-resnete34-cifar10", "bmxnet-densenet21-cifar10")) {
      Recipe recipe = load(name);
      AugmentRecipe augment = recipe.data().augment();
      assertEquals(List.of(affine, colours, 0, 0.5), List.of(augment.affineJitter(), augment.hslJitter(), augment.cropPad(), augment.flip()), name);
      assertEquals(List.of(76, 101, 126), recipe.schedule().milestones(), name);
      requireLevels(recipe.data());
    }
    for (String name : List.of("bmxnet-resnete18y2018-imagenet", "bmxnet-resnete34y2018-imagenet")) {
      Recipe recipe = load(name);
      AugmentRecipe augment = recipe.data().augment();
      assertEquals(List.of(Optional.empty(), Optional.empty(), 256, 0.5), List.of(augment.affineJitter(), augment.hslJitter(), augment.shortSideCrop(), augment.flip()), name);
      assertEquals(List.of(35, 38), recipe.schedule().milestones(), name);
      assertEquals(128, recipe.data().batch(), name);
      requireLevels(recipe.data());
    }
  }

  /** What a network of these data sees is levels of 0 to 255. */
  private static void requireLevels(DataRecipe data) {
    for (int c = 0; c < 3; c++) assertEquals(List.of(0.0, 1.0), List.of(data.mean().get(c), 255 * data.std().get(c)));
  }

  @Test
  void theTwoStagesOfBiPerDifferAsItsScriptsDo() {
    assertEquals(new BiPer(1, 20, 0.037f), load("biper-resnet18-cifar10-stage1").method());
    assertEquals(new BiPer(2, 20, 0.0468f), load("biper-resnet18-cifar10-stage2").method());
    assertEquals(new BiPer(1, 20, 0), load("biper-resnet34-imagenet-stage1").method());
    assertEquals(1, load("biper-resnet18-cifar10-stage2").train().firstEpoch());
    assertEquals(1, load("biper-resnet18-cifar10-stage2").schedule().cosineStart());
    assertTrue(load("biper-vggsmall-cifar10-stage1").description().contains("fallback"));
  }

  /** ReActNet's utils.py: img + eigvec (0.1 randn eigval), clipped to 0..255 and cut to whole levels, so that a channel loses one level or none. */
  @Test
  void theTwoStepsTakeNoLightingFromReactnetWhichHasNone() {
    for (String stage : List.of("1", "2")) assertEquals(Optional.empty(), load("adabin-resnet18-imagenet-stage" + stage).data().augment().lighting());
  }

  @Test
  void radamHasBmxnetsConstants() {
    OptimizerRecipe radam = load("bmxnet-binarydensenet28-imagenet").optimizer();
    assertEquals(List.of(0.95, 0.999, 1e-5), List.of(radam.beta1(), radam.beta2(), radam.epsilon()));
  }

  @ParameterizedTest
  @CsvSource({"lr, optimizer.learningRate", "train.lr, optimizer.learningRate", "optimizer.lr, optimizer.learningRate", "learning_rate, optimizer.learningRate", "wd, optimizer.weightDecay", "d,"})
  void otherToolsWordsForAKeyLeadToIt(String word, String meant) {
    String message = assertThrows(IllegalArgumentException.class, () -> load("adabin-resnet20-cifar10", word + "=1")).getMessage();
    assertEquals(meant != null, message.contains("; did you mean " + meant + "?"), message);
    assertEquals(meant != null, message.contains("did you mean"), message);
  }

  @Test
  void overridesReachTheMethod() {
    assertEquals(new BiPer(1, 25, 0.037f), load("biper-resnet18-cifar10-stage1", "method.omega0=25").method());
    String message = assertThrows(IllegalArgumentException.class, () -> load("biper-resnet18-cifar10-stage1", "method.omega=25")).getMessage();
    assertEquals("--set method.omega=25: unknown key method.omega; did you mean method.omega0? Keys here: name, omega0, stage, tau", message);
  }

  @Test
  void anotherMethodOrNetworkTakesThePlaceOfTheRecipes() {
    for (String name : Recipes.names()) assertEquals(BiReal.class, RECIPES.load(name, List.of("method.name=bireal")).method().getClass(), name);
    Recipe recipe = RECIPES.load("default", List.of("method.name=bireal", "method.weightClip=2", "network.name=resnet20"));
    assertEquals(new BiReal(2), recipe.method());
    assertEquals(ResNet20.class, recipe.network().getClass());
    String message = assertThrows(IllegalArgumentException.class, () -> RECIPES.load("default", List.of("method.name=bireal", "method.form=code"))).getMessage();
    assertTrue(message.contains("unknown key method.form; it is a key where method.name is adabin."), message);
    message = assertThrows(IllegalArgumentException.class, () -> RECIPES.load("default", List.of("method.forn=code", "method.name=bireal"))).getMessage();
    assertTrue(message.contains("unknown key method.forn"), message);
  }

  @Test
  void unknownRecipesAreRefusedWithTheNearestName() {
    String message = assertThrows(IllegalArgumentException.class, () -> load("adabin-resnet20-cifar")).getMessage();
    assertEquals("there is no recipe adabin-resnet20-cifar; did you mean adabin-resnet20-cifar10?", message);
    assertEquals("there is no recipe nonsense; `onebit recipes` lists them", assertThrows(IllegalArgumentException.class, () -> load("nonsense")).getMessage());
    String part = assertThrows(IllegalArgumentException.class, () -> load("ResNet20")).getMessage();
    assertTrue(part.startsWith("there is no recipe ResNet20; with ResNet20 in the name: ") && part.contains("rbnn-resnet20-cifar10"), part);
    assertThrows(IllegalArgumentException.class, () -> load("nowhere/to/be/found.yaml"));
    assertThrows(IllegalArgumentException.class, () -> load(""));
  }

  @Test
  void recipesAreReadFromFiles(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("mine.yaml");
    Files.writeString(file, RECIPES.write(load("default", "train.epochs=2")));
    assertEquals(2, load(file.toString()).train().epochs());
    Files.write(file, "description: \u00e9".getBytes(StandardCharsets.ISO_8859_1));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> load(file.toString())).getMessage().endsWith("mine.yaml: is not UTF-8 text"));
    Files.write(file, new byte[(1 << 20) + 1]);
    assertTrue(assertThrows(IllegalArgumentException.class, () -> load(file.toString())).getMessage().endsWith("is larger than 1 MiB; a recipe is not"));
  }

  @Test
  void recipesAreListedFromAJarToo(@TempDir Path folder) throws Exception {
    Path classes = Path.of(Recipes.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    Path jar = folder.resolve("program.jar");
    try (var out = new JarOutputStream(Files.newOutputStream(jar)); Stream<Path> files = Files.walk(classes)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        String entry = classes.relativize(file).toString();
        if (!entry.startsWith("onebit/recipe/") && !entry.startsWith("recipes/")) continue;
        out.putNextEntry(new ZipEntry(entry));
        Files.copy(file, out);
      }
    }
    try (var loader = new URLClassLoader(new URL[] {jar.toUri().toURL()}, ClassLoader.getPlatformClassLoader())) {
      assertEquals(Recipes.names(), loader.loadClass(Recipes.class.getName()).getMethod("names").invoke(null));
    }
  }

  @Test
  void keysThatDoNotFitEachOtherAreRefused() {
    for (String wrong : List.of("data.mean=[0.5, 0.5]", "data.evalCrop=200", "train.firstEpoch=400", "schedule.milestones=[3]", "schedule.cosineStart=1",
        "data.augment.randomResizedCrop={area: [0.08, 1]}", "data.augment={randomResizedCrop: {area: [1, 0.5]}}")) {
      assertThrows(IllegalArgumentException.class, () -> load("adabin-resnet20-cifar10", wrong), wrong);
    }
  }

  @Test
  void keysListEveryKeyARecipeMayHold() {
    List<String> keys = RECIPES.keys().stream().map(RecordKey::key).toList();
    assertTrue(keys.containsAll(List.of("description", "method.name", "method[biper].omega0", "network[resnete].depth", "data.augment.hslJitter.hue",
        "optimizer.decay", "schedule.warmupEpochs", "train.seed", "checkpoint.keep", "published.top1")), keys.toString());
    assertFalse(keys.contains("method"));
  }
}
