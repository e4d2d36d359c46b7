package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import onebit.data.Augmentation;
import onebit.data.Dataset;
import onebit.data.Datasets;
import onebit.data.Expand;
import onebit.data.GeneratedDataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.OverlapCrop;
import onebit.data.Photometric;
import onebit.data.ResizeTo;
import onebit.data.Sampler;
import onebit.data.Split;
import onebit.data.TarFile;
import onebit.data.VocFolder;
import onebit.ops.Processors;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a run says of a loader that its steps wait for, and which steps images with boxes go through. */
class InputPipelineTest {
  @Test
  void stepsThatWaitForImagesAreToldWithWhatHelps(@TempDir Path dir) throws IOException {
    var data = new Recipes().load("default", List.of("data.workers=3")).data();
    Dataset digits = InputPipeline.open(data, null, Split.TEST, 1);
    assertNull(InputPipeline.waiting(data, digits, 0.1, 500, 1), "real data at nine tenths of the speed of none");
    assertNull(InputPipeline.waiting(data, digits, 0.9, 9, 1), "the first batch of a short run");
    var fewSteps = new Recipes().load("default", List.of("data.batch=1001")).data();
    assertNull(InputPipeline.waiting(fewSteps, digits, 1, 25, 1), "nine steps for which nobody could have worked ahead");
    String told = InputPipeline.waiting(data, digits, 0.634, 61.6, 0.5);
    assertTrue(told.startsWith("Training waited for images 63 % of this epoch (62 s): 3 threads on "), told);
    assertTrue(told.contains(digits.name()) && told.endsWith("`onebit bench feed` measures it. This is said once."), told);
    assertEquals(-1, told.indexOf("--encoding"), told);
    int processors = Processors.COUNT;
    assertEquals(processors > 3, told.contains("--set data.workers=" + processors), told);
    assertEquals(processors <= 3, told.contains("More processors help."), told);
    String disk = InputPipeline.waiting(data, digits, 0.634, 61.6, 0.12);
    assertTrue(disk.startsWith("Training waited for images 63 % of this epoch (62 s): the loader's threads waited themselves, 88 % of their time, for the disk that holds " + digits.name()), disk);
    assertEquals(-1, disk.indexOf("quasiRandom"), "images that do not lie in shards: " + disk);
    TarFile tar = new TarFile();
    for (int i = 0; i < 10; i++) tar.add(i + ".ppm", new byte[9]).add(i + ".cls", new byte[] {'1'});
    Files.write(dir.resolve("train-0.tar"), tar.end());
    Dataset shards = Datasets.open("folder", dir, Split.TRAIN);
    List<String> keys = new ArrayList<>(List.of("data.name=folder", "data.batch=1"));
    String together = InputPipeline.waiting(new Recipes().load("adabin-resnet18-imagenet", keys).data(), shards, 1, 30, 0.49);
    assertTrue(together.contains("(made elsewhere: 10 ppm), or for") && together.contains("--set data.quasiRandom.chunk=16, which reads neighbours together, "), together);
    keys.add("data.quasiRandom.chunk=16");
    assertEquals(-1, InputPipeline.waiting(new Recipes().load("adabin-resnet18-imagenet", keys).data(), shards, 1, 30, 0.49).indexOf("quasiRandom"));
  }

  private static DataRecipe boxes(String... overrides) {
    List<String> all = new ArrayList<>(List.of("data.mean=[0.482, 0.459, 0.408]", "data.workers=2"));
    all.addAll(List.of(overrides));
    for (String name : List.of("data.name=folder", "data.name=cifar10")) if (all.contains(name)) all.add("network.name=resnet18");
    return new Recipes().load("adabin-ssd300-voc", all).data();
  }

  @Test
  void imagesWithBoxesGetTheStepsOfSsdInItsOrder() {
    assertEquals(List.of(new Photometric(32, 0.5, 0.5, 18), new Expand(4, 123, 117, 104), new OverlapCrop(), new Augmentation.Flip(0.5), new ResizeTo(300)), InputPipeline.steps(boxes()));
    assertEquals(List.of(new ResizeTo(300), new Augmentation.Lighting(0.1)), InputPipeline.steps(boxes("data.augment={lighting: 0.1}")));
    assertEquals(List.of(new Augmentation.Flip(0.5), new Photometric(2, 0.5, 0.5, 18)), InputPipeline.steps(boxes("data.name=folder", "data.augment={flip: 0.5, photometric: {brightness: 2}}")));
  }

  @Test
  void stepsOfClassificationAreThoseOfTheRecipeInTheirOrder() {
    Augmentation flip = new Augmentation.Flip(0.5), affine = new Augmentation.AffineJitter(10, 0.1, 0.25), colours = new Augmentation.HslJitter(36, 50, 50);
    Augmentation resize = new Augmentation.ResizeShort(256), crop = new Augmentation.RandomCrop(224), part = new Augmentation.RandomResizedCrop(224, 0.08, 1, 0.75, 4 / 3.0);
    assertSteps(List.of(new Augmentation.PadCrop(4), flip), List.of(), "adabin-resnet20-cifar10");
    assertSteps(List.of(affine, flip, colours), List.of(), "bmxnet-resnete18-cifar10");
    assertSteps(List.of(resize, crop, flip), List.of(new Augmentation.ResizeCentreCrop(256, 224)), "bmxnet-resnete18y2018-imagenet");
    assertSteps(List.of(resize, affine, crop, flip, colours), List.of(new Augmentation.ResizeCentreCrop(224, 224)), "bmxnet-resnete18y2018-imagenet",
        "data.augment.affineJitter={rotate: 10, shear: 0.1, aspect: 0.25}", "data.augment.hslJitter={hue: 36, saturation: 50, lightness: 50}", "data.evalResize=0");
    assertSteps(List.of(part, flip, new Augmentation.Lighting(0.1)), List.of(new Augmentation.ResizeCentreCrop(256, 224)), "adabin-resnet18-imagenet", "data.augment.lighting=0.1");
  }

  private static void assertSteps(List<Augmentation> training, List<Augmentation> evaluation, String recipe, String... overrides) {
    DataRecipe data = new Recipes().load(recipe, List.of(overrides)).data();
    assertEquals(training, InputPipeline.steps(data), recipe);
    assertEquals(evaluation, InputPipeline.evaluationSteps(data), recipe);
  }

  @Test
  void listsAreThoseOfTheRecipeAndWhatWasFoundInThemIsSaidOnce(@TempDir Path dir) throws IOException {
    new VocFolder(dir.resolve("VOC2007")).photo("trainval", "a", 60, 40, VocFolder.object("cat", false, 1, 1, 70, 30)).photo("test", "b", 60, 40, VocFolder.object("cow", true, 1, 1, 20, 30));
    new VocFolder(dir.resolve("VOC2012")).photo("trainval", "c", 60, 40, VocFolder.object("dog", false, 1, 1, 20, 30)).photo("val", "d", 60, 40, VocFolder.object("dog", true, 1, 1, 20, 30));
    Dataset train = InputPipeline.open(boxes(), dir, Split.TRAIN, 1), test = InputPipeline.open(boxes(), dir, Split.TEST, 1);
    assertEquals(List.of(2, 1), List.of(train.size(), test.size()));
    assertTrue(test.describe(0).endsWith("b.jpg"), test.describe(0));
    assertEquals(1, InputPipeline.open(boxes("data.trainLists=[VOC2012/trainval]"), dir, Split.TRAIN, 1).size());
    assertTrue(InputPipeline.open(boxes("data.testLists=[VOC2012/val]"), dir, Split.TEST, 1).describe(0).endsWith("d.jpg"));
    List<String> told = new ArrayList<>();
    LoaderWatch watch = into(told);
    InputPipeline.training(boxes(), train, 2, 1, watch).close();
    InputPipeline.training(boxes(), train, 2, 1, watch, 1, 2).close();
    assertEquals(List.of("voc: of 2 photos and 2 boxes, 1 box reaches out of the photo and is clipped."), told);
    try (Loader loader = InputPipeline.evaluation(boxes(), test, 4, watch)) {
      loader.start(0, 0);
      ImageBatch batch = loader.next();
      assertEquals(List.of(300, 300, 1), List.of(batch.height(), batch.width(), batch.boxes()[0].count()));
      assertTrue(batch.boxes()[0].difficult(0));
    }
    assertEquals(1, told.size());
  }

  @Test
  void aFolderOfOneClassIsRefused(@TempDir Path dir) throws IOException {
    for (String image : List.of("photos/cat/1.png", "photos/dog/1.png", "photos/dog/2.png")) Files.createFile(Files.createDirectories(dir.resolve(image).getParent()).resolve(Path.of(image).getFileName()));
    DataRecipe data = new Recipes().load("adabin-resnet18-imagenet", List.of("data.name=folder", "data.classes=2", "data.valShare=0.1")).data();
    String message = assertThrows(IllegalArgumentException.class, () -> InputPipeline.open(data, dir, Split.TRAIN, 1)).getMessage();
    assertEquals(dir + ": has one class, photos, so there is nothing to tell apart; if the classes are folders in it, they must lie one folder higher", message);
    assertEquals(2, InputPipeline.open(data, dir.resolve("photos"), Split.TRAIN, 1).classes());
  }

  private static LoaderWatch into(List<String> told) {
    return new LoaderWatch() {
      @Override public void bad(Dataset dataset, int epoch, int index, int replacement, String why) {}

      @Override public void notice(String sentence) {
        told.add(sentence);
      }
    };
  }

  @Test
  void batchesHaveTheQuasiRandomOrderThatIsAskedForAndImagesThatLieApartAreTold() {
    List<String> told = new ArrayList<>();
    DataRecipe data = new Recipes().load("adabin-resnet20-cifar10", List.of("data.name=folder", "data.quasiRandom={chunk: 4, window: 12}")).data();
    Dataset drawn = new GeneratedDataset("drawn", 40, 32, 32, 3, 10, 1);
    List<Integer> shown = new ArrayList<>();
    try (Loader loader = InputPipeline.training(data, drawn, 8, 5, into(told))) {
      loader.start(3, 0);
      for (ImageBatch batch = loader.next(); batch != null; batch = loader.next()) for (int i = 0; i < batch.count(); i++) shown.add((int) batch.sampleIds()[i]);
    }
    assertEquals(Arrays.stream(new Sampler(5, 40, 8, true, true, 0, 1, 4, 12).order(3)).boxed().toList(), shown);
    assertEquals(List.of("data.quasiRandom gains nothing here: images of drawn do not lie side by side in shards, and each is read alone; data.quasiRandom=null shuffles better"), told);
  }

  @Test
  void aLastBatchThatLeavesOneImageToAProcessIsTold() throws IOException {
    List<String> told = new ArrayList<>();
    LoaderWatch watch = into(told);
    var data = new Recipes();
    DataRecipe keeps = data.load("default", List.of("data.dropLast=false")).data();
    Dataset digits = InputPipeline.open(keeps, null, Split.TEST, 1);
    int images = digits.size();
    InputPipeline.training(keeps, digits, images, 1, watch).close();
    InputPipeline.training(keeps, digits, images - 2, 1, watch).close();
    InputPipeline.training(keeps, digits, images - 4, 1, watch, 0, 2).close();
    InputPipeline.training(data.load("default", List.of()).data(), digits, images - 1, 1, watch).close();
    assertEquals(List.of(), told);
    InputPipeline.training(keeps, digits, images - 1, 1, watch).close();
    InputPipeline.training(keeps, digits, images - 3, 1, watch, 0, 2).close();
    assertEquals(2, told.size());
    assertTrue(told.getFirst().startsWith("the last batch of an epoch has 1 image(s) for 1 process(es): ") && told.getFirst().endsWith("data.dropLast=true leaves that batch out"), told.getFirst());
    assertTrue(told.getLast().startsWith("the last batch of an epoch has 3 image(s) for 2 process(es): "), told.getLast());
  }

  @Test
  void stepsThatDoNotSuitTheImagesAreRefused() {
    for (String[] each : new String[][] {
        {"data.augment.shortSideCrop=27", "augment.shortSideCrop is 27; it must be >= height and width, 28x28"},
        {"data.augment.lighting=0.1", "augment.lighting changes colours, and channels is 1; it must be 3"},
        {"data.augment.hslJitter={hue: 1, saturation: 1, lightness: 1}", "augment.hslJitter changes colours"},
        {"data.augment.photometric={}", "augment.photometric changes colours"}}) {
      String message = assertThrows(IllegalArgumentException.class, () -> new Recipes().load("default", List.of(each[0]))).getMessage();
      assertTrue(message.contains("data: " + each[1]), message);
    }
    assertEquals(28, new Recipes().load("default", List.of("data.augment.shortSideCrop=28")).data().augment().shortSideCrop());
  }

  @Test
  void keysThatDoNotSuitBoxesAreRefused() {
    for (String[] each : new String[][] {
        {"data.classes=21", "classes is 21; images of voc have 20"}, {"data.channels=1", "must have one for each of the 1 channels"},
        {"data.width=200", "height is 300 and width 200; images of voc become square, so both must be equal"},
        {"data.evalResize=320", "evalResize or evalCrop is 320; images of voc are judged whole, so both must be 0"},
        {"data.augment.cropPad=4", "augment.cropPad moves pixels without the boxes on them; images of voc have boxes; flip, expand and overlapCrop move both"},
        {"data.augment.shortSideCrop=320", "augment.shortSideCrop moves"}, {"data.augment.randomResizedCrop={area: [0.1, 1]}", "augment.randomResizedCrop moves"},
        {"data.augment.affineJitter={}", "augment.affineJitter moves"}, {"data.trainLists=[]", "trainLists is []; it must name a list, as VOC2007/trainval"},
        {"data.name=folder", "augment.overlapCrop is for images with boxes; those of folder have none"},
        {"data.augment.photometric={brightness: 300}", "data.augment.photometric.brightness is 300"}, {"data.augment.expand=1", "data.augment.expand is 1"}}) {
      String message = assertThrows(IllegalArgumentException.class, () -> boxes(each[0])).getMessage();
      assertTrue(message.contains(each[1]), message);
    }
    String lists = assertThrows(IllegalArgumentException.class, () -> boxes("data.name=figures", "data.testLists=[VOC2007/test]")).getMessage();
    assertTrue(lists.contains("testLists is [VOC2007/test] where name is figures; lists of images are keys of voc only"), lists);
    assertTrue(assertThrows(IllegalArgumentException.class, () -> boxes("data.name=figures", "data.classes=21")).getMessage().contains("at most 20"));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> boxes("data.name=cifar10", "data.augment.overlapCrop=false")).getMessage().contains("augment.expand is for images with boxes"));
    assertThrows(IllegalArgumentException.class, () -> InputPipeline.open(boxes("data.trainLists=[trainval]"), Path.of("."), Split.TRAIN, 1));
  }

  /** Digits are 28x28, whatever the recipe asks for; a crop makes them what it says. */
  @Test
  void imagesOfAnotherSizeThanTheNetworksAreRefused() throws Exception {
    Recipes data = new Recipes();
    for (Split split : Split.values()) {
      String refused = assertThrows(IllegalArgumentException.class, () -> InputPipeline.open(data.load("default", List.of("data.height=32", "data.width=24")).data(), null, split, 1)).getMessage();
      assertEquals("data.height and data.width are 32x24 and images of glyphs come as 28x28; say --set data.height=28 --set data.width=28", refused);
    }
    DataRecipe cropped = data.load("default", List.of("data.height=20", "data.width=20", "data.evalCrop=20", "data.augment={shortSideCrop: 24}")).data();
    for (Split split : Split.values()) assertEquals(28, InputPipeline.open(cropped, null, split, 1).height());
    try (Loader train = InputPipeline.training(cropped, InputPipeline.open(cropped, null, Split.TRAIN, 1), 4, 1, LoaderWatch.STRICT)) {
      train.start(0, 0);
      assertEquals(4 * 20 * 20, train.next().pixels().length);
    }
  }

  @Test
  void figuresNeedNoFolder() throws IOException {
    DataRecipe data = boxes("data.name=figures", "data.height=64", "data.width=64", "data.classes=5");
    Dataset train = InputPipeline.open(data, null, Split.TRAIN, 1);
    assertEquals(List.of("figures", 5, 64, true), List.of(train.name(), train.classes(), train.height(), train.hasBoxes()));
    try (Loader loader = InputPipeline.training(data, train, 4, 1, LoaderWatch.STRICT)) {
      loader.start(0, 0);
      ImageBatch batch = loader.next();
      for (int i = 0; i < 4; i++) assertTrue(batch.boxes()[i].count() > 0);
    }
  }
}
