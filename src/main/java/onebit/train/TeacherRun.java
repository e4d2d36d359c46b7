package onebit.train;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import onebit.checkpoint.CheckpointException;
import onebit.data.Dataset;
import onebit.models.Network;
import onebit.ops.PixelScale;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.TeacherRecipe;

/**
 * A run whose network teaches another's, as evaluation builds it: of its recipe the network, the method, data.mean and data.std matter. If it had a teacher itself, that one is
 * not needed.
 *
 * @param weights what teacher.weights names: the run's folder, or best, last or a checkpoint in it
 * @param recipe the run's own
 */
public record TeacherRun(Path weights, Recipe recipe) {
  /**
   * The run that a recipe learns from; empty where teacher.network is not run.
   *
   * @throws UncheckedIOException if it is not there
   * @throws IllegalArgumentException if it is no run, its recipe cannot be read, it finds boxes, or takes other images or tells as many other classes apart
   */
  public static Optional<TeacherRun> of(Recipe student) {
    if (student.teacher().network() != TeacherRecipe.Kind.RUN) return Optional.empty();
    TeacherRun run = at(student.teacher().weights().orElseThrow());
    DataRecipe its = run.recipe.data(), here = student.data();
    if (run.recipe.network().detects()) throw run.refusal("its network finds boxes; a teacher tells classes of images apart");
    run.requireEqual("classes", its.classes(), here.classes());
    run.requireEqual("height", its.height(), here.height());
    run.requireEqual("width", its.width(), here.width());
    run.requireEqual("channels", its.channels(), here.channels());
    return Optional.of(run);
  }

  private static TeacherRun at(String named) {
    Path weights = Path.of(named);
    if (!Files.exists(weights)) throw new UncheckedIOException(new CheckpointException("teacher.weights: weights " + weights + " do not exist"));
    Path file = RunFolder.recipeOf(weights).orElseThrow(() -> new IllegalArgumentException("teacher.weights: " + weights
        + " belongs to no run, whose recipe.yaml would say its network; give the folder of a run, or the network's name as teacher.network"));
    try {
      return new TeacherRun(weights, new Recipes().load(file.toString(), List.of()));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("teacher.weights: " + e.getMessage(), e);
    }
  }

  /**
   * Refuses, before a run begins, a teacher's run that does not know these images.
   *
   * @throws IllegalArgumentException as {@link #of}, or if its classes have other names in their order, where both are known, or if it saw images by another data.mean or
   *     data.std than a network that teaches by its name would
   */
  public static void requireKnows(Recipe student, Dataset images) throws IOException {
    TeacherRecipe teacher = student.teacher();
    boolean byName = teacher.network() != TeacherRecipe.Kind.RUN;
    if (byName && (teacher.weights().isEmpty() || !new RunFolder(Path.of(teacher.weights().get())).holdsRun())) return;
    TeacherRun run = byName ? at(teacher.weights().get()) : of(student).orElseThrow();
    DataRecipe its = run.recipe.data(), here = student.data();
    if (byName && !(its.mean().equals(here.mean()) && its.std().equals(here.std()))) {
      throw run.refusal("data.mean is " + its.mean() + " and data.std " + its.std() + " there, " + here.mean() + " and " + here.std()
          + " here, which " + Recipes.word(teacher.network()) + " would see images by; with teacher.network=run it sees them by its own");
    }
    List<String> before = InputPipeline.classNames(its), now = InputPipeline.classNames(here);
    String other = RunFolder.otherClass(before.isEmpty() ? RunFolder.classesOf(run.weights) : before, now.isEmpty() ? RunFolder.lines(images.classNames()) : now, images.name());
    if (other != null) throw run.refusal(other + " there; a teacher tells the same classes apart, in the same order");
  }

  private void requireEqual(String key, int its, int here) {
    if (its != here) throw refusal("data." + key + " is " + its + " there and " + here + " here; a teacher sees the same images and tells the same classes apart");
  }

  private IllegalArgumentException refusal(String why) {
    return new IllegalArgumentException("teacher.weights: " + weights + " cannot teach this run: " + why);
  }

  /** The network with the run's own method, whatever the student's. */
  Network network() {
    return (method, input, classes) -> recipe.network().layers(recipe.method(), input, classes);
  }

  PixelScale scale() {
    return new PixelScale(recipe.data().mean(), recipe.data().std());
  }

  /** What it is, for the log. */
  @Override
  public String toString() {
    return "run of " + recipe.network() + " with " + recipe.method();
  }
}
