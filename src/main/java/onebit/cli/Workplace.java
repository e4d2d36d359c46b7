package onebit.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import onebit.data.Datasets;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.BitProduct;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.CudaMode;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.TrainRecipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.ElementType;

/** What commands share: recipes with all registered methods and networks, backends by name, and where data lies. */
final class Workplace {
  static final Recipes RECIPES = recipes();

  private Workplace() {}

  /** Recipes with what the jars named by ONEBIT_CLASSPATH add; Java itself says nothing of a jar that is not there. */
  private static Recipes recipes() {
    for (String entry : System.getenv().getOrDefault("ONEBIT_CLASSPATH", "").split(":")) {
      if (!entry.isEmpty() && !entry.endsWith("*") && !Files.exists(Path.of(entry))) {
        throw new IllegalArgumentException("ONEBIT_CLASSPATH names " + entry + ", which does not exist");
      }
    }
    return new Recipes();
  }

  /** What --device takes, for help texts. */
  static final String DEVICES = "cpu, cuda, cuda:N, or cuda-emulated (for tests, slow, not a GPU)";

  /** What --precision does, for help texts. */
  static final String PRECISIONS = "bf16 or fp32 for activations and their gradients (default: bf16 on GPUs that have it, else fp32).";

  /** What a benchmark says of the backend its steps ran on, and of a teacher, which no benchmark gives weights. */
  static List<String> facts(Backend backend, Recipe recipe) {
    List<String> facts = new ArrayList<>(backend.describe());
    if (recipe.teacher().teaches()) facts.add("teacher " + Recipes.word(recipe.teacher().network()) + " of random weights");
    return facts;
  }

  /** Overrides of a recipe with the key that --precision stands for; null leaves it as it is. */
  static List<String> withPrecision(List<String> overrides, String precision) {
    List<String> all = new ArrayList<>(overrides);
    if (precision != null) all.add("train.precision=" + precision);
    return all;
  }

  /** The backend of a device name, with the precision that is usual on it. */
  static Backend open(String device) {
    return open(device, Precision.AUTO, true);
  }

  /**
   * The backend of a device name.
   *
   * @throws IllegalArgumentException if the name is not known, or the device does not have that precision
   * @throws UncheckedIOException if the device is not there
   */
  static Backend open(String device, Precision precision, boolean deterministic) {
    if (device.equals("cpu")) {
      if (precision == Precision.BF16) throw new IllegalArgumentException("precision bf16: --device cpu computes in float32 only; give --precision fp32");
      return new CpuBackend();
    }
    CudaMode mode = new CudaMode(switch (precision) {
      case AUTO -> null;
      case BF16 -> ElementType.BFLOAT16;
      case FP32 -> ElementType.FLOAT32;
    }, deterministic);
    try {
      if (device.equals("cuda")) return CudaBackend.open(0, mode);
      if (device.matches("cuda:\\d{1,3}")) return CudaBackend.open(Integer.parseInt(device.substring(5)), mode);
      if (device.equals("cuda-emulated")) return CudaBackend.emulated(BitProduct.AND, mode);
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
    throw new IllegalArgumentException("--device " + device + " is not known; known are: " + DEVICES);
  }

  /** The precision that a backend computes in. */
  static Precision precisionOf(Backend backend) {
    return backend.activations() == ElementType.BFLOAT16 ? Precision.BF16 : Precision.FP32;
  }

  /**
   * The backend of a device name, as the recipe asks for it.
   *
   * @throws IllegalArgumentException if the recipe asks for own kernels where there are none
   */
  static Backend open(String device, Recipe recipe) {
    Backend backend = open(device, recipe.train().precision(), recipe.train().deterministic());
    if (recipe.train().realProducts() == TrainRecipe.RealProducts.LIBRARY) return backend;
    if (backend instanceof CudaBackend cuda) return cuda.useOwnProducts();
    backend.close();
    throw new IllegalArgumentException("train.realProducts own: --device " + device + " has no own kernels for that; it is for cuda, cuda:N and cuda-emulated");
  }

  /** What a recipe is called: its name, or its file's without ending; of a run's recipe, the run's name. */
  static String title(String recipe) {
    Path path = Path.of(recipe);
    String file = (path.endsWith("recipe.yaml") && path.getParent() != null ? path.getParent() : path).getFileName().toString();
    return file.endsWith(".yaml") ? file.substring(0, file.length() - 5) : file.endsWith(".yml") ? file.substring(0, file.length() - 4) : file;
  }

  /**
   * The folder of a recipe's data set: as given, else data/NAME where that exists, else null for sets the program draws itself and for one's own.
   *
   * @throws IllegalArgumentException if the set needs files and none are to be found
   */
  static Path dataFolder(Recipe recipe, Path given) {
    DataRecipe.Source source = recipe.data().name();
    if (source.isDrawn() && given != null) {
      throw new IllegalArgumentException("--data " + given + ": data.name is " + Recipes.word(source) + ", whose images the program draws itself; leave --data out, or for photos of your own"
          + " in folders of classes say --set data.name=folder");
    }
    if (source.isDrawn()) return null;
    if (given != null && !Files.exists(given)) throw new UncheckedIOException(new IOException("--data " + given + " does not exist"));
    if (given != null || source == DataRecipe.Source.OWN) return given;
    String name = Recipes.word(source);
    Path usual = Path.of("data", name);
    if (Files.isDirectory(usual)) return usual;
    throw new IllegalArgumentException("data set " + name + " needs its folder: give --data DIR, or put it in " + usual
        + (source == DataRecipe.Source.FOLDER || source == DataRecipe.Source.VOC ? " (" + Datasets.page(name) + " says how)"
            : source == DataRecipe.Source.IMAGENET ? " with: onebit data prepare imagenet --train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar" : " with: onebit data prepare " + name + " --out " + usual));
  }
}
