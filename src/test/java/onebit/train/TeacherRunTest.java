package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import onebit.checkpoint.CheckpointStore;
import onebit.checkpoint.NamedTensor;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Split;
import onebit.dist.SingleProcess;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.OnEveryBackend;
import onebit.ops.PixelScale;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.report.MetricsLog;
import onebit.report.RunLog;
import onebit.report.Screen;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs that learn from runs: which may teach, and what is learned. */
class TeacherRunTest {
  private static final Recipes RECIPES = new Recipes();
  private static final int CLASSES = 10;

  @TempDir private Path folder;

  private static Recipe digits(String... overrides) {
    return RECIPES.load("default", Stream.concat(Stream.of("network.width=8", "data.batch=12", "data.evalBatch=12", "data.workers=1"), Stream.of(overrides)).toList());
  }

  /** A run of a few steps, with its recipe. */
  private Path train(Backend backend, String name, Recipe recipe, int epochs, int steps) throws IOException {
    RunFolder run = new RunFolder(folder.resolve(name));
    run.writeRecipe(RECIPES.write(recipe));
    try (RunLog log = RunLog.screenOnly(Screen.none())) {
      Trainer trainer = new Trainer(recipe, backend, new TrainOptions(name, null, run.path(), epochs, steps), new SingleProcess(), Screen.none(), log, () -> { });
      if (recipe.teacher().teaches()) trainer.teach(TeacherWeights.read(recipe.teacher().weights().get()));
      trainer.resume();
      trainer.run();
    }
    return run.path();
  }

  /** A recipe's network as evaluation has it, with the run's best weights. */
  private static Model evaluated(Recipe recipe, Backend backend, Path run) throws IOException {
    DataRecipe data = recipe.data();
    Model model = new Model(recipe.network(), recipe.method(), Shape.image(12, data.height(), data.width(), data.channels()), data.classes(), backend, 99);
    model.load(RunFolder.weights(run), "test");
    model.takePixels(new PixelScale(data.mean(), data.std()));
    return model;
  }

  private static double loss(float[] student, float[] teacher, int[] labels, double temperature, double hard) {
    double loss = 0;
    for (int n = 0; n < labels.length; n++) {
      double[] q = TeacherTest.softmax(student, n, CLASSES, temperature), p = TeacherTest.softmax(teacher, n, CLASSES, temperature);
      for (int k = 0; k < CLASSES; k++) loss -= (1 - hard) * temperature * temperature * p[k] * Math.log(q[k]);
      loss -= hard * Math.log(TeacherTest.softmax(student, n, CLASSES, 1)[labels[n]]);
    }
    return loss / labels.length;
  }

  /** The teacher sees the drawn digits by another mean and deviation than the student, and has another method and width. */
  @OnEveryBackend
  void theLossOfAStudentOfDrawnDigitsIsThatOfTheDefinition(Backend backend) throws IOException {
    Recipe taught = digits("method={name: rbnn}", "network.width=4", "data.mean=[0.1]", "data.std=[0.3]");
    Path teacher = train(backend, "teacher", taught, 1, 8);
    Recipe recipe = digits("teacher.network=run", "teacher.weights=" + teacher, "teacher.temperature=2", "teacher.hardLabels=0.25");
    Path run = train(backend, "student", recipe, 1, 1);
    List<NamedTensor> before = RunFolder.weights(teacher);
    Dataset images = InputPipeline.open(recipe.data(), null, Split.TRAIN, recipe.train().seed());
    Model model = Models.of(recipe, backend, 12), alone = evaluated(taught, backend, teacher);
    model.use(recipe.method().at(0, 2));
    model.teacher().load(before, "test");
    TrainStep step = TrainStep.of(recipe, backend, model, Optimizers.of(recipe.optimizer(), backend, model.parameters()), 12);
    Tensor pixels = backend.create(model.input(), ElementType.UINT8);
    try (Loader loader = InputPipeline.training(recipe.data(), images, 12, recipe.train().seed(), LoaderWatch.STRICT)) {
      loader.start(0, 0);
      for (int i = 0; i < 4; i++) {
        ImageBatch batch = loader.next();
        backend.write(pixels, batch.pixels());
        TrainStep.Outcome outcome = step.gradients(pixels, Truth.of(batch));
        float[] logits = backend.read(step.output());
        double wanted = loss(logits, backend.read(alone.forward(pixels, false)), batch.labels(), 2, 0.25);
        assertEquals(wanted, outcome.error(), 1e-5 * wanted, "step " + i);
        if (i == 0) assertEquals(wanted, ((Number) MetricsLog.read(run.resolve(MetricsLog.JSONL)).getFirst().get("loss")).doubleValue(), 1e-5 * wanted, "the run");
        step.update(0.003);
      }
    }
    assertArrayEquals(before.toArray(), model.teacher().save().toArray());
  }

  @OnEveryBackend
  void aRunGoesOnWithTheSameRunToTheSameBitsAndWithNoOtherWeightsOfIt(Backend backend) throws Exception {
    Path teacher = train(backend, "teacher", digits("method={name: bireal}"), 1, 3), moved = folder.resolve("moved");
    Recipe recipe = digits("teacher.network=run", "teacher.weights=" + teacher);
    Path whole = train(backend, "whole", recipe, 2, 3), half = train(backend, "half", recipe, 1, 3);
    String sha256 = CheckpointStore.load(half.resolve("last")).state().get("teacher");
    assertEquals(TeacherWeights.read(teacher.toString()).sha256(), sha256);
    Files.move(teacher, moved);
    assertEquals("teacher.weights: weights " + teacher + " do not exist", assertThrows(UncheckedIOException.class, () -> train(backend, "half", recipe, 2, 3)).getCause().getMessage());
    Recipe elsewhere = digits("teacher.network=run", "teacher.weights=" + moved);
    train(backend, "half", elsewhere, 2, 3);
    assertEquals(ChildRun.weightsDigest(whole), ChildRun.weightsDigest(half));
    Path again = train(backend, "again", elsewhere, 1, 3);
    train(backend, "moved", digits("method={name: bireal}"), 2, 3);   // the teacher's own run goes on, and its last epoch is its best
    Files.deleteIfExists(moved.resolve("best"));
    Files.createSymbolicLink(moved.resolve("best"), moved.resolve("last").toRealPath());
    String refusal = assertThrows(IllegalArgumentException.class, () -> train(backend, "again", elsewhere, 2, 3)).getMessage();
    assertTrue(refusal.startsWith("run " + again + " learned from a teacher with weights of SHA-256 " + sha256.substring(0, 16) + " so far, and teacher.weights " + moved + " has weights"), refusal);
  }

  private Recipe student(String... overrides) {
    return digits(Stream.concat(Stream.of("teacher.network=run", "teacher.weights=" + folder.resolve("teacher")), Stream.of(overrides)).toArray(String[]::new));
  }

  private void write(Recipe teacher) throws IOException {
    new RunFolder(folder.resolve("teacher")).writeRecipe(RECIPES.write(teacher));
  }

  private String refusal(Recipe student) {
    return assertThrows(IllegalArgumentException.class, () -> TeacherRun.of(student)).getMessage();
  }

  @Test
  void aRunThatCannotTeachIsRefusedByKeyValueAndRule() throws IOException {
    Path run = folder.resolve("teacher");
    String cannot = "teacher.weights: " + run + " cannot teach this run: ";
    assertEquals("teacher.weights: weights " + run + " do not exist", assertThrows(UncheckedIOException.class, () -> TeacherRun.of(student())).getCause().getMessage());
    Files.createDirectories(run);
    assertEquals("teacher.weights: " + run + " belongs to no run, whose recipe.yaml would say its network; give the folder of a run, or the network's name as teacher.network", refusal(student()));
    write(digits());
    String rule = " here; a teacher sees the same images and tells the same classes apart";
    assertEquals(cannot + "data.classes is 10 there and 12" + rule, refusal(student("data.classes=12")));
    assertEquals(cannot + "data.height is 28 there and 32" + rule, refusal(student("data.name=generated", "data.height=32")));
    assertEquals(cannot + "data.width is 28 there and 32" + rule, refusal(student("data.name=generated", "data.width=32")));
    assertEquals(cannot + "data.channels is 1 there and 3" + rule, refusal(student("data.name=generated", "data.channels=3", "data.mean=[0.5, 0.5, 0.5]", "data.std=[0.5, 0.5, 0.5]")));
    write(RECIPES.load("adabin-ssd300-voc", List.of()));
    assertEquals(cannot + "its network finds boxes; a teacher tells classes of images apart", refusal(student()));
    Files.writeString(run.resolve("recipe.yaml"), Files.readString(run.resolve("recipe.yaml")).replace("name: adabin", "name: mine"));
    assertTrue(refusal(student()).startsWith("teacher.weights: " + run.resolve("recipe.yaml") + ", line ") && refusal(student()).contains("method.name is the text \"mine\""), refusal(student()));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> digits("teacher.network=run")).getMessage().contains("network is run and weights names none; give teacher.weights the folder of a run"));
  }

  /** Drawn digits whose classes have names. */
  private record Named(Dataset of, List<String> classNames) implements Dataset {
    @Override
    public String name() {
      return "mine";
    }

    @Override
    public int size() {
      return of.size();
    }

    @Override
    public int height() {
      return of.height();
    }

    @Override
    public int width() {
      return of.width();
    }

    @Override
    public int channels() {
      return of.channels();
    }

    @Override
    public int classes() {
      return of.classes();
    }

    @Override
    public int label(int index) {
      return of.label(index);
    }

    @Override
    public void read(int index, byte[] into, int offset) throws IOException {
      of.read(index, into, offset);
    }
  }

  private static String classRefusal(Recipe student, Dataset images) {
    return assertThrows(IllegalArgumentException.class, () -> TeacherRun.requireKnows(student, images)).getMessage();
  }

  @Test
  void classesOfOtherNamesInTheirOrderAreRefusedWhereBothAreKnown() throws IOException {
    Path run = folder.resolve("teacher");
    write(digits());
    Dataset drawn = InputPipeline.open(digits().data(), null, Split.TEST, 1), two = new Named(drawn, List.of("cat", "dog"));
    TeacherRun.requireKnows(student(), two);   // the teacher's are numbers
    new RunFolder(run).writeClasses(List.of("dog", "cat"));
    TeacherRun.requireKnows(student(), drawn);
    TeacherRun.requireKnows(student(), new Named(drawn, List.of("dog", "cat")));
    String rule = " there; a teacher tells the same classes apart, in the same order";
    assertEquals("teacher.weights: " + run + " cannot teach this run: class 0 of mine is cat, and was dog" + rule, classRefusal(student(), two));
    // names that the data set's name says
    write(RECIPES.load("adabin-resnet20-cifar10", List.of()));
    Recipe photos = RECIPES.load("adabin-resnet20-cifar10", List.of("data.name=folder", "teacher.network=run", "teacher.weights=" + run));
    assertEquals("teacher.weights: " + run + " cannot teach this run: class 0 of mine is cat, and was airplane" + rule, classRefusal(photos, two));
    // the same rule for a network that teaches by its name with the weights of a run, and not for a file beside some recipe
    Recipe byName = RECIPES.load("adabin-resnet20-cifar10", List.of("data.name=folder", "teacher.network=real-resnet20", "teacher.weights=" + run));
    assertEquals("teacher.weights: " + run + " cannot teach this run: class 0 of mine is cat, and was airplane" + rule, classRefusal(byName, two));
    TeacherRun.requireKnows(RECIPES.load("adabin-resnet20-cifar10", List.of("data.name=folder", "teacher.network=real-resnet20", "teacher.weights=" + run.resolve("recipe.yaml"))), two);
  }

  @Test
  void aNamedNetworkWithWeightsOfARunThatSawImagesOtherwiseIsRefused() throws IOException {
    Path run = folder.resolve("teacher");
    Dataset drawn = InputPipeline.open(digits().data(), null, Split.TEST, 1);
    write(RECIPES.load("adabin-resnet20-cifar10", List.of("data.mean=[0.5, 0.5, 0.5]", "data.std=[0.25, 0.25, 0.25]")));
    List<String> overrides = List.of("teacher.network=real-resnet20", "teacher.weights=" + run, "data.mean=[0.4, 0.5, 0.5]", "data.std=[0.25, 0.25, 0.25]");
    assertEquals("teacher.weights: " + run + " cannot teach this run: data.mean is [0.5, 0.5, 0.5] and data.std [0.25, 0.25, 0.25] there, [0.4, 0.5, 0.5] and [0.25, 0.25, 0.25] here, which"
        + " real-resnet20 would see images by; with teacher.network=run it sees them by its own", classRefusal(RECIPES.load("adabin-resnet20-cifar10", overrides), drawn));
    List<String> ofRun = new ArrayList<>(overrides);
    ofRun.set(0, "teacher.network=run");
    TeacherRun.requireKnows(RECIPES.load("adabin-resnet20-cifar10", ofRun), drawn);
  }

  /** What a run's network keeps from step to step: its tensors, the filters they are convolved as, their bits, and nothing for gradients. */
  @Test
  void thePlanCountsATeacherOfARun() throws IOException {
    write(digits("network.width=32"));
    long alone = MemoryPlan.of(digits(), 12, ElementType.FLOAT32).residentBytes();
    MemoryPlan taught = MemoryPlan.of(student(), 12, ElementType.FLOAT32);
    try (Backend cpu = new CpuBackend()) {
      Model model = new Model(digits("network.width=32").network(), digits().method(), Shape.image(1, 28, 28, 1), CLASSES, cpu, 1);
      long values = 4 * (model.parameters().stream().mapToLong(p -> p.size()).sum() + model.state().stream().mapToLong(s -> s.value().size()).sum());
      assertTrue(taught.teacherBytes() > 2 * values - 4_000 && taught.teacherBytes() < 2 * values + 8_000, taught.teacherBytes() + " bytes, of values " + values);
      assertEquals(alone + taught.teacherBytes(), taught.residentBytes());
    }
  }
}
