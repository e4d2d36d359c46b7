package onebit.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import onebit.checkpoint.NamedTensor;
import onebit.data.Dataset;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;
import onebit.train.InputPipeline;
import onebit.train.RunFolder;
import picocli.CommandLine.Option;

/** Options of commands that use trained weights: the recipe of their network, and where they lie. */
final class TrainedOptions {
  @Option(names = "--recipe", paramLabel = "RECIPE", description = "A name from 'onebit recipes', or a YAML file (default: the recipe of the run that the weights belong to).")
  private String name;

  @Option(names = "--weights", required = true, paramLabel = "FILE", description = "A safetensors file, a checkpoint folder, or a run folder (its best checkpoint).")
  private Path weights;

  /**
   * The recipe of the network.
   *
   * @throws IllegalArgumentException if none is named and the weights belong to no run
   */
  String recipe() {
    if (name != null) return name;
    if (!Files.exists(weights)) throw new UncheckedIOException(new IOException("--weights " + weights + " does not exist"));
    return RunFolder.recipeOf(weights).orElseThrow(() -> new IllegalArgumentException("--weights " + weights + " belongs to no run, whose recipe.yaml would say its network: name it with --recipe"))
        .toString();
  }

  /** Says where jars with extensions are others than those of the run that the weights belong to. */
  void tellOtherJars(Consumer<String> say) throws IOException {
    String others = RunFolder.otherExtensions(weights, Workplace.RECIPES.extensionJars());
    if (others != null) say.accept(others);
  }

  /** What the recipe is called. */
  String title() {
    return Workplace.title(recipe());
  }

  /** What the classes are called, where the data set's name or the run says it. */
  List<String> classes(DataRecipe data) throws IOException {
    List<String> known = InputPipeline.classNames(data);
    return known.isEmpty() ? RunFolder.classesOf(weights) : known;
  }

  /** The folder of the data set: as given, else that of the run that the weights belong to, if it had this kind of data, which is said, else the usual one. */
  Path data(Recipe recipe, Path given, Consumer<String> say) throws IOException {
    DataRecipe.Source source = recipe.data().name();
    Path before = given != null || source.isDrawn() ? null : RunFolder.dataOf(weights).orElse(null);
    if (before == null) return Workplace.dataFolder(recipe, given);
    String ofRun = RunFolder.recipeOf(weights).orElseThrow().toString();
    if (Workplace.RECIPES.load(ofRun, List.of()).data().name() != source) return Workplace.dataFolder(recipe, null);
    boolean there = Files.exists(before);
    say.accept(there ? "Images: those of " + before + ", which the run was trained with; --data DIR names others."
        : "The run was trained with images of " + before + ", which are not there any more.");
    return there ? before : Workplace.dataFolder(recipe, null);
  }

  /** Refuses images of other classes than those of the run that the weights belong to. */
  void requireSameClasses(Dataset dataset) throws IOException {
    RunFolder.requireSameClasses(weights, dataset);
  }

  /** Reads the weights. */
  List<NamedTensor> tensors() throws IOException {
    return RunFolder.weights(weights);
  }

  /** The recipe's network for batches of so many images, with these weights. */
  Model model(Recipe recipe, int batch, Backend backend, List<NamedTensor> tensors) throws IOException {
    DataRecipe data = recipe.data();
    Model model = new Model(recipe.network(), recipe.method(), Shape.image(batch, data.height(), data.width(), data.channels()), data.classes(), backend, recipe.train().seed());
    model.use(recipe.lastSurrogates());
    model.load(tensors, weights.toString());
    return model;
  }
}
