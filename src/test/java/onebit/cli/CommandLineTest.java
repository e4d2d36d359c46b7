package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.image.BufferedImage;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import onebit.recipe.RecordKey;
import onebit.recipe.Recipes;

class CommandLineTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource({
    "train no-such-recipe, no-such-recipe",
    "train default --set data.batsh=3, data.batch",
    "train default --set data.batch=0, data.batch",
    "train default --set optimizer.learningRate=.nan, learningRate",
    "train default --epochs 0, --epochs",
    "train default --device gpu7, --device",
    "train default --bogus, --bogus",
    "train default --precision bf16, precision bf16",
    "train default --precision fp16, train.precision",
    "train adabin-resnet20-cifar10 --data nowhere-at-all --epochs x, --epochs",
    "eval --recipe default, --weights",
    "eval --weights pom.xml, belongs to no run",
    "train default --data src, whose images the program draws itself",
    "frobnicate, frobnicate",
    "check-step missing.safetensors --recipe default --tolerance-scale -1, --tolerance-scale",
    "import a.th b.bin, .safetensors",
    "data prepare no-such-set, no-such-set",
    "data prepare imagenet, ILSVRC2012_img_train.tar",
    "data prepare imagenet --train pom.xml --val pom.xml --short-side big, must be a number of pixels",
    "data prepare imagenet --train pom.xml --val pom.xml --encoding bmp, must be jpeg or ppm",
    "data prepare imagenet --train pom.xml --val pom.xml --encoding ppm, needs --short-side N",
    "data prepare mnist --threads 2, are for imagenet",
    "data prepare mnist --encoding ppm, are for imagenet",
    "train default --restarts 2, --restarts belongs to --procs or --gpus",
    "recipes default --keys, leave out default",
    "train adabin-ssd300-voc --set network.name=resnet18, whose images have boxes; the network finds a class",
    "train adabin-ssd300-voc --set data.name=figures --set data.height=224 --set data.width=224 --set train.initFrom=null --set train.initPart=null, its boxes are those of images of 300x300",
    "predict --recipe default --weights w.safetensors --least-score 2 pom.xml, --least-score must be in",
    "data prepare mnist --no-room-check, are for imagenet",
    "bench loader --index 0, --index must be >= 1",
    "train adabin-resnet18-imagenet-stage1, or learn from labels alone",
    "train default --set teacher.weights=w.safetensors, name the network too",
    "train default --set data.valShare=0.1, valShare is 0.1 where name is glyphs; it is a key of folder only",
    "train default --set data.quasiRandom.chunk=8, 'quasiRandom is given where name is glyphs; it is a key of imagenet, folder and own, whose images may lie in shards'",
    "train adabin-resnet18-imagenet --set data.quasiRandom.window=8, 'data.quasiRandom: window is 8; it must be >= chunk, 16'",
    "train default --set data.height=32 --set data.width=32, images of glyphs come as 28x28; say --set data.height=28 --set data.width=28",
    "summary default --set data.height=16 --set data.width=33, images of 16x33x1 do not fit the network: Residual: body gives",
    "train default --set teacher.hardLabels=0.5, without a teacher they must be 1 and 0",
    "train default --set network.name=real-resnet --set network.depth=18 --set train.gradients=float8, the network has none",
    "bench feed default --steps 0, steps must be >= 1",
    "bench feed adabin-resnet20-cifar10 --set data.name=folder, needs its folder"
  })
  void wrongWordsExitWith2AndNameTheWord(String line, String named) {
    Said said = Said.by(line.split(" "));
    assertEquals(2, said.code(), said.err());
    assertTrue(said.err().contains(named), said.err());
    assertFalse(said.err().contains("\tat "), said.err());
  }

  @Test
  void aRecipeWithSeveralMistakesTellsThemAtOnce() {
    Said said = Said.by("train", "default", "--set", "data.batsh=3", "--set", "data.evalBatch=0", "--set", "train.epochs=x");
    assertEquals(2, said.code(), said.err());
    assertEquals(List.of("onebit: --set data.evalBatch=0: data.evalBatch is 0;", "onebit: --set data.batsh=3: unknown key data.batsh;", "onebit: --set train.epochs=x: train.epochs is the text \"x\";"),
        said.err().lines().map(line -> line.substring(0, line.indexOf(';') + 1)).toList(), said.err());
  }

  @ParameterizedTest
  @CsvSource({
    "train default --dev-run --out target/no-teacher --set teacher.network=real-resnet18 --set teacher.weights=nowhere.safetensors, teacher.weights: weights nowhere.safetensors do not exist",
    "train biper-resnet20-cifar10-stage2 --set data.name=generated --out target/no-stage1 --set train.initFrom=nowhere.safetensors, neither nowhere.safetensors nor runs/nowhere.safetensors is there to take weights from; --set",
    "train biper-resnet20-cifar10-stage2 --set data.name=generated --out target/no-stage1, onebit train biper-resnet20-cifar10-stage1 --data DIR makes that run",
    "bench loader --jpegs nowhere-at-all, nowhere-at-all does not exist",
    "bench loader --jpegs pom.xml, pom.xml is not a folder",
    "import missing.th out.safetensors, missing.th",
    "train adabin-resnet20-cifar10 --data nowhere-at-all, --data nowhere-at-all does not exist",
    "check-step missing.safetensors --recipe default, missing.safetensors",
    "eval --recipe default --weights missing.safetensors, missing.safetensors",
    "eval --weights nowhere-at-all, --weights nowhere-at-all does not exist",
    "eval --recipe default --weights pom.xml, pom.xml",
    "data prepare imagenet --train nowhere.tar --val pom.xml, nowhere.tar does not exist",
    "data prepare imagenet --train src --val pom.xml, src is a folder; a file is wanted here",
    "data prepare imagenet --train pom.xml --val pom.xml --out target/no-imagenet, pom.xml: "
  })
  void badFilesExitWith1AndNameTheFile(String line, String named) {
    Said said = Said.by(line.split(" "));
    assertEquals(1, said.code(), said.err());
    assertTrue(said.err().contains(named), said.err());
    assertFalse(said.err().contains("\tat "), said.err());
  }

  @ParameterizedTest
  @CsvSource({"train", "eval", "predict", "compare", "summary", "recipes", "import", "export", "check-step", "bench", "doctor", "data", "generate-completion"})
  void everyCommandHasHelp(String command) {
    Said said = Said.by(command, "--help");
    assertEquals(0, said.code());
    assertTrue(said.out().contains("Usage: onebit " + command), said.out());
    assertTrue(Said.by("--help").out().contains(command));
  }

  @Test
  void completionIsGenerated() {
    Said said = Said.by("generate-completion");
    assertEquals(0, said.code());
    assertTrue(said.out().contains("check-step"), said.out());
  }

  @Test
  void summaryPrintsTheTotalsAsJson() {
    Said said = Said.by("summary", "adabin-resnet20-cifar10", "--json");
    assertEquals(0, said.code(), said.err());
    assertTrue(said.lastLine().startsWith("{\"parameters\":271262,\"binaryParameters\":267264,"), said.lastLine());
  }

  @Test
  void doctorGivesCoresAndMemoryAsNumbers() {
    var found = Said.by("doctor", "--json").json();
    assertEquals(Runtime.getRuntime().availableProcessors() + " " + Runtime.getRuntime().maxMemory(), found.get("cores").asInt(-1) + " " + found.get("heapBytes").asLong(-1));
    assertTrue(found.get("cores").isNumber());
    assertEquals(found.get("memory").asString(), found.get("memoryBytes").asLong() / (1 << 20) + " MiB");
    assertFalse(Said.by("doctor").out().contains("Bytes "));
  }

  @Test
  void recipesAndKeysArePrintedAsJson() {
    String recipe = Said.by("recipes", "default", "--json").lastLine(), keys = Said.by("recipes", "--keys", "--json").lastLine(), all = Said.by("recipes", "--json").lastLine();
    assertTrue(recipe.startsWith("{\"description\":\"AdaBin on a small") && recipe.contains("\"method\":{\"name\":\"adabin\",\"form\":\"code\",") && recipe.contains("\"mean\":[0.5]")
        && recipe.contains("\"learningRate\":0.003,") && recipe.endsWith("}"), recipe);
    assertTrue(keys.startsWith("{\"description\":{") && keys.contains("\"optimizer.learningRate\":{"), keys);
    assertTrue(all.contains("\"adabin-resnet20-cifar10\":{") && all.contains("\"epochs\":400,\"batch\":128,\"publishedTop1\":88.1,\"publishedTop5\":null,\"publishedMap\":null,\"status\":\"readme\""), all);
  }

  @Test
  void everyKeyHasItsMeaningInOneLine() throws Exception {
    var meanings = new java.util.Properties();
    try (var file = Main.class.getResourceAsStream("/onebit/recipe-keys.properties")) {
      meanings.load(file);
    }
    assertEquals(new TreeSet<>(Workplace.RECIPES.keys().stream().map(RecordKey::key).toList()), new TreeSet<>(meanings.stringPropertyNames()));
    List<String> lines = Said.by("recipes", "--keys").out().lines().toList();
    for (String key : meanings.stringPropertyNames()) {
      int at = IntStream.range(0, lines.size()).filter(i -> lines.get(i).startsWith(key + "  (")).findFirst().orElseThrow();
      assertEquals("    " + meanings.getProperty(key), lines.get(at + 1));
      assertTrue(meanings.getProperty(key).length() > 10 && meanings.getProperty(key).length() <= 160, key);
    }
    assertTrue(lines.contains("data.augment.cropPad  (int: >= 0 and <= 64; default 0)") && lines.contains("data.batch  (int: >= 1 and <= 65536; required)"), lines.toString());
  }

  @ParameterizedTest
  @CsvSource({"--memory-limit lots, lots is no size", "--memory-limit 8GB, the device is cpu", "--tuning choices.txt, the device is cpu",
      "--gpus 2 --device cpu, --device says cpu", "--gpus 2 --device=cuda:1, --device says cuda:1"})
  void refusedWordsLeaveNoRunFolder(String words, String named) {
    Path out = folder.resolve("refused");
    Said said = Said.by(Stream.concat(Stream.of("train", "default", "--out", out.toString()), Stream.of(words.split(" "))).toArray(String[]::new));
    assertEquals(2, said.code(), said.err());
    assertTrue(said.err().contains(named), said.err());
    assertFalse(Files.exists(out));
  }

  @Test
  void gpusThatAreNotThereAreToldOnceAndNoStartIsTried() {
    Path out = folder.resolve("refused");
    Said said = Said.by("train", "default", "--gpus", "17", "--restarts", "3", "--out", out.toString(), "--memory-limit", "8GB", "--tuning", folder.resolve("ways").toString());
    assertEquals(1, said.code(), said.err());
    assertTrue(said.err().matches("onebit: --gpus 17: (no CUDA driver: libcuda.so.1 cannot be loaded; install|the CUDA driver shows \\d+ device|cuInit: CUDA_ERROR).*\n"), said.err());
    assertEquals("", said.out());
    assertFalse(Files.exists(out));
  }

  @Test
  void aRunWithoutAFinishedEpochSaysThatItHasNoBest() throws Exception {
    Path run = folder.resolve("begun");
    Files.createDirectories(run.resolve("checkpoints/step-000020"));
    Files.createSymbolicLink(run.resolve("last"), Path.of("checkpoints/step-000020"));
    Said said = Said.by("eval", "--recipe", "default", "--weights", run.toString());
    assertEquals(1, said.code(), said.err());
    assertTrue(said.err().contains("has no best weights yet") && said.err().contains(run.resolve("last").toString()), said.err());
  }

  @Test
  void aRunThatFailedBeforeItsFirstCheckpointBindsNoRecipe() {
    String out = folder.resolve("run").toString();
    Said first = Said.by("train", "default", "--out", out, "--set", "train.initFrom=pom.xml", "--set", "network.width=2");
    assertEquals(1, first.code(), first.err());
    assertTrue(first.err().contains("pom.xml: ") && Files.exists(Path.of(out, "log.txt")), first.err());
    Said second = Said.by("train", "default", "--dev-run", "--steps", "1", "--json", "--out", out);
    assertEquals(0, second.code(), second.err());
    Said third = Said.by("train", "default", "--dev-run", "--steps", "1", "--out", out, "--set", "optimizer.beta1=0.8");
    assertEquals(2, third.code(), third.err());
    assertTrue(third.err().contains("optimizer.beta1"), third.err());
  }

  @Test
  void predictionsAreSaidForEveryImage() throws Exception {
    String out = folder.resolve("run").toString(), images = folder.resolve("images").toString();
    Said.by("train", "default", "--dev-run", "--steps", "1", "--json", "--out", out);
    Files.createDirectories(Path.of(images));
    for (int i = 0; i < 3; i++) ImageIO.write(new BufferedImage(40 + i, 50, BufferedImage.TYPE_INT_RGB), "png", Path.of(images, i + ".png").toFile());
    Said said = Said.by("predict", "--weights", out + "/last", "--top", "2", "--json", images, images + "/1.png");
    assertEquals(0, said.code(), said.err());
    assertEquals(4, said.lastLine().split("\"image\":", -1).length - 1, said.lastLine());
    assertEquals(8, said.lastLine().split("\"probability\":", -1).length - 1, said.lastLine());
    Files.writeString(Path.of(images, "3.png"), "no image");
    Said bad = Said.by("predict", "--weights", out, "--json", images);
    assertEquals(1, bad.code(), bad.err());
    assertEquals(1, bad.err().split("3.png", -1).length - 1, "named once: " + bad.err());
    assertFalse(bad.err().contains("sample 3"), bad.err());
    assertEquals(4, bad.lastLine().split("\"image\":", -1).length - 1, bad.lastLine());
    assertEquals(1, bad.lastLine().split("\"error\":", -1).length - 1, bad.lastLine());
    assertEquals(9, bad.lastLine().split("\"probability\":", -1).length - 1, "the others are looked at: " + bad.lastLine());
    Files.createDirectories(folder.resolve("empty"));
    Said missing = Said.by("predict", "--weights", out, "--json", images + "/0.png", images + "/nowhere.png", folder.resolve("empty").toString(), images + "/1.png");
    assertEquals(1, missing.code(), missing.err());
    assertEquals("onebit: image " + images + "/nowhere.png does not exist\nonebit: " + folder.resolve("empty") + ": has no JPEG or PNG files; folders in it are not looked into\n", missing.err());
    assertEquals(4, missing.lastLine().split("\"image\":", -1).length - 1, missing.lastLine());
    assertEquals(6, missing.lastLine().split("\"probability\":", -1).length - 1, "the others are looked at: " + missing.lastLine());
    Said alone = Said.by("predict", "--weights", out, images + "/nowhere.png");
    assertEquals(new Said(1, "", "onebit: image " + images + "/nowhere.png does not exist\n"), alone);
  }

  /** Photos of one colour for each class, and a folder for each. */
  private void draw(Path photos, String... classFolders) throws Exception {
    for (String each : classFolders) {
      BufferedImage image = new BufferedImage(40, 36, BufferedImage.TYPE_INT_RGB);
      for (int i = 0; i < 40 * 36; i++) image.setRGB(i % 40, i / 40, each.endsWith("red") ? 0xC01010 : 0x1010C0);
      Files.createDirectories(photos.resolve(each));
      for (int i = 0; i < 4; i++) ImageIO.write(image, "png", photos.resolve(each).resolve(i + ".png").toFile());
    }
  }

  @Test
  void photosThatDoNotFitAreRefusedWithWhatToDoAndLeaveNoRunFolder() throws Exception {
    Path photos = folder.resolve("photos"), out = folder.resolve("refused");
    String[] start = {"train", "adabin-resnet20-cifar10", "--set", "data.name=folder", "--set", "data.classes=2", "--data", photos.toString(), "--out", out.toString()};
    draw(photos, "train/red", "train/blue", "train/green");
    Said one = Said.by(start);
    assertEquals(1, one.code(), one.err());
    assertTrue(one.err().contains("photos has train and no val to judge by; move some images of each class from"), one.err());
    draw(photos, "val/red", "val/blue", "val/green");
    Said classes = Said.by(start);
    assertEquals(2, classes.code(), classes.err());
    assertTrue(classes.err().contains("data.classes is 2 and folder has 3; say --set data.classes=3"), classes.err());
    Said grey = Said.by("train", "default", "--set", "data.name=folder", "--data", photos.toString(), "--out", out.toString());
    assertEquals(2, grey.code(), grey.err());
    assertTrue(grey.err().contains("data.channels is 1 and images of folder have 3"), grey.err());
    assertFalse(Files.exists(out));
  }

  @Test
  void aRunGoesOnByItsNameAlone() throws Exception {
    Path photos = folder.resolve("photos");
    draw(photos, "red", "blue");
    String run = folder.resolve("mine").toString();
    Said first = Said.by("train", "default", "--set", "data.name=folder", "--set", "data.channels=3", "--set", "data.mean=[0.5, 0.5, 0.5]", "--set", "data.std=[0.5, 0.5, 0.5]", "--set",
        "data.classes=2", "--set", "data.valShare=0.3", "--data", photos.toString(), "--dev-run", "--steps", "1", "--out", run);
    assertEquals(0, first.code(), first.err());
    assertTrue(first.out().contains("onebit predict --weights " + run + " IMAGE..."), first.out());
    Said second = Said.by("train", "--resume", run, "--dev-run", "--steps", "1");
    assertEquals(0, second.code(), second.err());
    assertTrue(second.out().contains(", recipe mine, run folder " + run), second.out());
  }

  @Test
  void weightsForOtherClassesGoOnWithANewLastLayer() throws Exception {
    Path photos = folder.resolve("photos");
    draw(photos, "train/red", "train/blue", "val/red", "val/blue");
    String before = folder.resolve("before").toString();
    assertEquals(0, Said.by("train", "adabin-resnet20-cifar10", "--out", before, "--dev-run", "--steps", "1", "--json").code());
    List<String> start = List.of("train", "adabin-resnet20-cifar10", "--set", "data.name=folder", "--set", "data.classes=2", "--data", photos.toString(), "--out", folder.resolve("after").toString(),
        "--set", "train.initFrom=" + before, "--dev-run", "--steps", "1", "--json", "--set");
    Said whole = Said.by(Stream.concat(start.stream(), Stream.of("train.seed=1")).toArray(String[]::new));
    assertEquals(1, whole.code(), whole.err());
    assertTrue(whole.err().contains("linear.weight F32[10, 64] must have shape [2, 64]; to leave a layer as drawn, say --set train.initPart=-NAME."), whole.err());
    Said unknown = Said.by(Stream.concat(start.stream(), Stream.of("train.initPart=-head.")).toArray(String[]::new));
    assertTrue(unknown.code() == 1 && unknown.err().contains("no tensor's name begins with head."), unknown.err());
    Said part = Said.by(Stream.concat(start.stream(), Stream.of("train.initPart=-linear.")).toArray(String[]::new));
    assertEquals(0, part.code(), part.err());
    assertTrue(part.err().contains("whose names do not begin with linear.; the other 2 are as drawn."), part.err());
  }

  @Test
  void aDryRunWithoutTheWeightsToStartFromSaysSo() {
    Said said = Said.by("train", "biper-resnet20-cifar10-stage2", "--out", folder.resolve("dry").toString(), "--dev-run", "--steps", "1", "--json");
    assertEquals(0, said.code(), said.err());
    assertTrue(said.err().contains("Starting from RANDOM weights, for those of train.initFrom, biper-resnet20-cifar10-stage1, are not there."), said.err());
  }

  @Test
  void ownPhotosAreLearnedAndPredictedByTheNamesOfTheirFolders() throws Exception {
    String out = folder.resolve("run").toString(), photos = folder.resolve("photos").toString();
    draw(Path.of(photos), "train/red", "train/blue", "val/red", "val/blue");
    String[] train = {"train", "default", "--set", "data.name=folder", "--set", "data.channels=3", "--set", "data.mean=[0.5, 0.5, 0.5]", "--set", "data.std=[0.5, 0.5, 0.5]", "--set",
        "data.augment={flip: 0.5}", "--set", "data.classes=3", "--set", "data.batch=12", "--set", "data.evalBatch=4", "--data", photos, "--out", out, "--epochs", "1", "--json"};
    Said said = Said.by(train);
    assertEquals(0, said.code(), said.err());
    assertTrue(said.err().contains("The 8 training images are fewer than data.batch, 12: a step takes them all."), said.err());
    assertTrue(said.err().contains("data.classes is 3 and folder has 2 of them: the network's other outputs learn only not to be chosen; say --set data.classes=2 to have none"), said.err());
    Said named = Said.by("predict", "--weights", out, "--json", "--top", "3", photos + "/val/red/0.png");
    assertEquals(0, named.code(), named.err());
    for (String name : List.of("red", "blue", "2")) assertTrue(named.lastLine().contains("\"name\":\"" + name + "\""), named.lastLine());
    Said judged = Said.by("eval", "--weights", out);
    assertEquals(0, judged.code(), judged.err());
    assertTrue(judged.out().startsWith("Images: those of " + photos + ", which the run was trained with; --data DIR names others.\n") && judged.out().contains(" of 8 correct"), judged.out());
    draw(folder.resolve("few"), "val/blue", "val/red");
    Files.delete(folder.resolve("few/val/red/3.png"));
    Said given = Said.by("eval", "--weights", out + "/last", "--data", folder.resolve("few").toString(), "--json");
    assertEquals(7, given.json().get("total").asInt(), "what is given counts");
    assertEquals(1, given.out().lines().count(), given.out());
    Files.move(folder.resolve("few/val/blue"), folder.resolve("few/val/violet"));
    Said others = Said.by("eval", "--weights", out, "--data", folder.resolve("few").toString());
    assertEquals(2, others.code(), others.err());
    assertTrue(others.err().contains("class 0 of these images is red, and was blue in the run of the weights; classes are numbered in the order of their names, so give it folders of the same 2 names"), others.err());
    Files.move(Path.of(photos), folder.resolve("moved"));
    Said gone = Said.by("eval", "--weights", out);
    assertEquals(2, gone.code(), gone.err());
    assertTrue(gone.out().equals("The run was trained with images of " + photos + ", which are not there any more.\n") && gone.err().contains("needs its folder: give --data DIR"), gone.err());
    Files.move(folder.resolve("moved"), Path.of(photos));
    train[train.length - 2] = "3";
    Files.move(Path.of(photos, "train/blue"), Path.of(photos, "train/violet"));
    Files.move(Path.of(photos, "val/blue"), Path.of(photos, "val/violet"));
    Said renamed = Said.by(train);
    assertEquals(2, renamed.code(), renamed.err());
    assertTrue(renamed.err().contains("--epochs 3 is more than the schedule has, which ends with epoch 2; --set train.epochs=N in another --out makes a longer one."), renamed.err());
    assertTrue(renamed.err().contains("run " + out + ": class 0 of folder is red, and was blue so far; give it the data it began with, or start anew with another --out"), renamed.err());
    Files.copy(Path.of(photos, "train/red/0.png"), Path.of(photos, "train/red/4.png"));
    Said more = Said.by(train);
    assertEquals(2, more.code(), more.err());
    assertTrue(more.err().contains("run " + out + " has seen a set of 8 so far, and folder has 9 training images now; give it the data it began with"), more.err());
    Files.move(Path.of(photos, "train/red/4.png"), Path.of(photos, "val/red/4.png"));
    Said moved = Said.by(train);
    assertTrue(moved.err().contains("run " + out + " has seen a set of 8 so far, and folder has 9 test images now; give it the data it began with"), moved.err());
  }

  @Test
  void photosInFoldersOfClassesAloneAreDividedAndJudgedAsTheyWere() throws Exception {
    Path photos = folder.resolve("photos"), out = folder.resolve("run");
    draw(photos, "red", "blue");
    String[] train = {"train", "adabin-resnet20-cifar10", "--set", "data.name=folder", "--set", "data.classes=2", "--data", photos.toString(), "--out", out.toString(), "--set", "data.valShare=0.4",
        "--dev-run", "--steps", "1"};
    Said said = Said.by(train);
    assertEquals(0, said.code(), said.err());
    String kept = " of 8 images are kept to judge by (data.valShare 0.4)";
    assertTrue(said.out().contains(kept), said.out());
    Said judged = Said.by("eval", "--weights", out.toString(), "--json");
    assertTrue(judged.err().contains(judged.json().get("total").asInt() + kept), judged.err());
    Said dry = Said.by("train", "adabin-resnet20-cifar10", "--set", "data.name=folder", "--set", "data.valShare=0.4", "--set", "data.quasiRandom.chunk=4", "--dev-run", "--steps", "1", "--out", folder.resolve("dry").toString());
    assertEquals(0, dry.code(), dry.err());
  }

  /** As by {@code cd PHOTOS; onebit train ... --data .}, whose folder runs would be a class without images. */
  @Test
  void aRunFolderAmongTheClassesIsRefusedBeforeItIsMade() throws Exception {
    Path photos = folder.resolve("photos");
    draw(photos, "red", "blue");
    for (Path out : List.of(photos.resolve("runs/mine"), photos)) {
      Said said = Said.by("train", "adabin-resnet20-cifar10", "--set", "data.name=folder", "--set", "data.classes=2", "--data", photos.resolve("red/..").toString(), "--set", "data.valShare=0.4",
          "--epochs", "1", "--out", out.toString());
      assertEquals(2, said.code(), said.err());
      assertTrue(said.err().contains("run folder " + out + " lies in " + photos.resolve("red/..") + ", whose folders are the classes (data.valShare): give an --out that is not in it"), said.err());
    }
    try (Stream<Path> left = Files.list(photos)) {
      assertEquals(2, left.count());
    }
  }

  @Test
  void otherPhotosOfTheSameNumberAreTold() throws Exception {
    Path photos = folder.resolve("photos");
    draw(photos, "train/red", "train/blue", "val/red", "val/blue");
    String other = "The images of folder are as many as before and not the same, by their names and classes: the run goes on with others than it began with.";
    String[] train = {"train", "default", "--set", "data.name=folder", "--set", "data.channels=3", "--set", "data.mean=[0.5, 0.5, 0.5]", "--set", "data.std=[0.5, 0.5, 0.5]", "--set", "data.classes=2",
        "--set", "train.epochs=5", "--data", photos.toString(), "--out", folder.resolve("run").toString(), "--json", "--epochs", "1"};
    boolean[] told = new boolean[5];
    for (int epoch = 0; epoch < told.length; epoch++) {
      if (epoch == 2) Files.move(photos.resolve("train/red/0.png"), photos.resolve("train/red/9.png"));
      if (epoch == 4) Files.move(photos.resolve("val/blue/0.png"), photos.resolve("val/blue/9.png"));
      train[train.length - 1] = Integer.toString(epoch + 1);
      Said said = Said.by(train);
      assertEquals(0, said.code(), said.err());
      told[epoch] = said.err().contains(other);
    }
    assertArrayEquals(new boolean[] {false, false, true, false, true}, told);
  }

  @Test
  void whatCannotBePrintedIsNoSuccess() throws Exception {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "needs /dev/full");
    Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "-cp", System.getProperty("java.class.path"), Main.class.getName(), "recipes", "default")
        .redirectOutput(full.toFile()).start();
    String said = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(1, process.waitFor(), said);
    assertTrue(said.contains("the standard output could not be written"), said);
  }

  /** A computer whose digits are Arabic: runs and their files are the same there. */
  @Test
  void theLanguageOfTheComputerChangesNothing() throws Exception {
    Path run = folder.resolve("run");
    Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED",
        "-Duser.language=ar", "-Duser.country=EG", "-cp", System.getProperty("java.class.path"), Main.class.getName(), "train", "bmxnet-lenet-mnist", "--dev-run", "--steps", "1", "--json",
        "--out", run.toString()).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    assertTrue(Files.isDirectory(run.resolve("checkpoints/step-000001")), said);
  }

  @Test
  void fullMemoryIsSaidInOneSentence() throws Exception {
    Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED",
        "-Xmx24m", "-cp", System.getProperty("java.class.path"), Main.class.getName(), "summary", "adabin-resnet18-imagenet").redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(1, process.waitFor(), said);
    assertTrue(said.contains("onebit: memory is full (") && said.contains("ONEBIT_JAVA_OPTS=-Xmx4g"), said);
    assertFalse(said.contains("\tat "), said);
  }

  @Test
  void aNumberOfThreadsThatIsNoneIsRefused() throws Exception {
    Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED",
        "-Donebit.threads=two", "-cp", System.getProperty("java.class.path"), Main.class.getName(), "bench", "gemm", "--size", "8,8,8").redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(2, process.waitFor(), said);
    assertTrue(said.contains("onebit: -Donebit.threads is 'two'; it must be a whole number from 1 to 9999"), said);
    assertFalse(said.contains("\tat "), said);
  }

  static java.util.List<String> smallImageRecipes() {
    return Recipes.names().stream().filter(n -> !n.contains("imagenet") && !n.contains("voc")).toList();
  }

  @ParameterizedTest
  @MethodSource("smallImageRecipes")
  void everySmallImageRecipeRunsDry(String recipe) {
    String[] words = {"train", recipe, "--dev-run", "--json", "--out", folder.resolve(recipe).toString(), "--steps", "1"};
    Said said = Said.by(recipe.equals("default") ? Arrays.copyOf(words, words.length - 2) : words);   // one recipe as many steps as a dry run has
    assertEquals(0, said.code(), said.err());
    assertTrue(Files.exists(folder.resolve(recipe).resolve("report.html")));
    assertTrue(said.lastLine().contains("\"end\":\"complete\""), said.lastLine());
    int steps = recipe.equals("default") ? 3 : 1;
    String few = "(?s).*Done: a dry run of " + (steps == 1 ? "1 step" : "3 steps") + ", and everything ran; its test accuracy of \\d+\\.\\d\\d % is that of at most " + 4 * steps + " images and says nothing; .*";
    assertTrue(said.err().matches(few) && !said.err().contains("best test accuracy"), said.err());
    assertTrue(said.err().contains("Memory that a step would take on a GPU by its plan, nothing of it here on cpu, for the batch of this run and for the recipe's:"), said.err());
    assertTrue(Files.isDirectory(folder.resolve(recipe).resolve(recipe.equals("default") ? "checkpoints/step-000003" : "checkpoints/step-000001")), said.err());
  }

  @ParameterizedTest
  @CsvSource({"adabin-resnet18-imagenet-stage2", "bmxnet-binarydensenet28-imagenet", "biper-resnet18-imagenet-stage1", "rbnn-resnet18-imagenet"})
  void imageNetRecipesRunDryOnGeneratedImages(String recipe) {
    Said said = Said.by("train", recipe, "--dev-run", "--steps", "1", "--json", "--out", folder.resolve(recipe).toString(), "--set", "data.height=96", "--set", "data.width=96",
        "--set", "data.evalCrop=0");
    assertEquals(0, said.code(), said.err());
    assertEquals(recipe.startsWith("adabin"), said.err().contains("Teacher real-resnet34, temperature 1.0, share of hard labels 0.0: RANDOM weights"), said.err());
    int batch = Workplace.RECIPES.load(recipe, List.of()).data().batch();
    for (int images : new int[] {4, batch}) {
      Said plan = Said.by("summary", recipe, "--memory", "--batch", Integer.toString(images), "--set", "data.height=96", "--set", "data.width=96", "--set", "data.evalCrop=0");
      assertTrue(plan.out().contains("Batch " + images + ", activations bfloat16"), plan.out());
      assertTrue(plan.out().lines().count() > 5 && plan.out().lines().allMatch(said.err()::contains), said.err());
    }
  }

  @Test
  void stepsThatAreNotFiniteAreSkippedAndRepeatedOnesEndTheRun() throws Exception {
    Said said = Said.by("train", "default", "--json", "--out", folder.resolve("bad").toString(), "--set", "data.std=[1e-40]", "--set", "data.name=generated",
        "--set", "data.batch=16");
    assertEquals(1, said.code(), said.err());
    assertTrue(said.err().matches("(?s).*Step 1 was skipped: its loss is not finite; samples of rank 0: \\[\\d+(, \\d+){15}\\]\\..*"), said.err());
    assertTrue(said.err().contains("training stopped at step 10: the loss was not finite in 10 steps in a row"), said.err());
    assertFalse(Files.exists(folder.resolve("bad").resolve("last")), "nothing bad may be saved");
  }
}
