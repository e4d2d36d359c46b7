package onebit.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import onebit.binarize.Method;
import onebit.binarize.Methods;
import onebit.models.Network;
import onebit.models.Networks;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.CudaBackend;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.RecordBinder;
import onebit.tensor.ElementType;

/** What commands share: recipes with all registered methods and networks, backends by name, and where data lies. */
final class Workplace {
  static final Recipes RECIPES = new Recipes(new RecordBinder(Map.of(Method.class, Methods.byName(), Network.class, Networks.byName())));

  private Workplace() {}

  /** What --device takes, for help texts. */
  static final String DEVICES = "cpu, cuda, cuda:N, or cuda-emulated (for tests, slow, not a GPU)";

  /**
   * The backend of a device name.
   *
   * @throws IllegalArgumentException if the name is not known
   * @throws UncheckedIOException if the device is not there
   */
  static Backend open(String device) {
    if (device.equals("cpu")) return new CpuBackend();
    try {
      if (device.equals("cuda")) return CudaBackend.open(0, ElementType.FLOAT32);
      if (device.matches("cuda:\\d{1,3}")) return CudaBackend.open(Integer.parseInt(device.substring(5)), ElementType.FLOAT32);
      if (device.equals("cuda-emulated")) return CudaBackend.emulated();
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
    throw new IllegalArgumentException("--device " + device + " is not known; known are: " + DEVICES);
  }

  /**
   * The folder of a recipe's data set: as given, else data/NAME where that exists, else null for sets the program draws itself.
   *
   * @throws IllegalArgumentException if the set needs files and none are to be found
   */
  static Path dataFolder(Recipe recipe, Path given) {
    DataRecipe.Source source = recipe.data().name();
    if (source == DataRecipe.Source.GLYPHS || source == DataRecipe.Source.GENERATED) return null;
    if (given != null) return given;
    String name = Recipes.word(source);
    Path usual = Path.of("data", name);
    if (Files.isDirectory(usual)) return usual;
    throw new IllegalArgumentException("data set " + name + " needs its folder: give --data DIR, or put it in " + usual
        + (source == DataRecipe.Source.FOLDER ? " (datasets/imagenet/README.md says how)"
            : source == DataRecipe.Source.IMAGENET ? " with: onebit data prepare imagenet --train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar" : " with: onebit data prepare " + name + " --out " + usual));
  }
}
