package onebit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import onebit.binarize.Method;
import onebit.binarize.Methods;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.data.Dataset;
import onebit.data.ImageFiles;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Split;
import onebit.models.Model;
import onebit.models.Network;
import onebit.models.Networks;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.RecordBinder;
import onebit.tensor.Shape;
import onebit.train.Evaluation;
import onebit.train.Score;
import onebit.train.InputPipeline;
import onebit.train.Prediction;
import onebit.train.RunFolder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Onebit as a library: a recipe, its network on a backend, weights from a file, and what the network says of image files. */
class LibraryTest {
  private static final int IMAGES = 40, BATCH = 16;
  private static final Recipes RECIPES = new Recipes(new RecordBinder(Map.of(Method.class, Methods.byName(), Network.class, Networks.byName())));

  private static Model model(Recipe recipe, Backend backend, long seed) {
    DataRecipe data = recipe.data();
    return new Model(recipe.network(), recipe.method(), Shape.image(BATCH, data.height(), data.width(), data.channels()), data.classes(), backend, seed);
  }

  /** The same images from the data set, counted by Evaluation, and from PNG files, counted here. */
  @Test void predictionsOfFilesAreThoseOfTheDataSet(@TempDir Path dir) throws Exception {
    Recipe recipe = RECIPES.load("default", List.of("network.width=8"));
    DataRecipe data = recipe.data();
    Dataset images = InputPipeline.open(data, null, Split.TEST, 1);
    byte[] pixels = new byte[images.imageBytes()], read = new byte[images.imageBytes()];
    for (int i = 0; i < IMAGES; i++) {
      images.read(i, pixels, 0);
      BufferedImage grey = new BufferedImage(28, 28, BufferedImage.TYPE_BYTE_GRAY);
      grey.getRaster().setDataElements(0, 0, 28, 28, pixels);
      ImageIO.write(grey, "png", dir.resolve(String.format("%03d.png", i)).toFile());
    }
    ImageFiles files = new ImageFiles(ImageFiles.find(List.of(dir)), data.height(), data.channels());
    assertEquals(IMAGES, files.size());
    files.read(IMAGES - 1, read, 0);
    assertArrayEquals(pixels, read);
    Path weights = dir.resolve("weights.safetensors");
    List<double[]> said;
    try (Backend backend = new CpuBackend()) {
      List<NamedTensor> tensors = model(recipe, backend, 7).save();
      Safetensors.write(weights, Map.of(), tensors);
    }
    try (Backend backend = new CpuBackend(); Loader loader = InputPipeline.evaluation(data, files, BATCH, LoaderWatch.STRICT)) {
      Model model = model(recipe, backend, 1);
      model.load(RunFolder.weights(weights), weights.toString());
      said = Prediction.of(backend, model, data, BATCH).run(loader);
    }
    assertEquals(IMAGES, said.size());
    long right = 0, among5 = 0;
    for (int i = 0; i < IMAGES; i++) {
      double[] p = said.get(i);
      int label = images.label(i), better = 0;
      double sum = 0;
      for (int c = 0; c < p.length; c++) {
        sum += p[c];
        if (c != label && p[c] >= p[label]) better++;
      }
      assertEquals(1, sum, 1e-9);
      if (better == 0) right++;
      if (better < 5) among5++;
    }
    try (Backend backend = new CpuBackend(); Loader loader = InputPipeline.evaluation(data, new First(images), BATCH, LoaderWatch.STRICT)) {
      Score.Accuracy counted = (Score.Accuracy) Evaluation.of(backend, model(recipe, backend, 7), recipe, BATCH).run(loader, Integer.MAX_VALUE, done -> { });
      assertEquals(IMAGES, counted.images());
      assertEquals(counted.correct(), right);
      assertEquals(counted.correct5(), among5);
      assertTrue(among5 > 0 && among5 < IMAGES, "top-5 tells nothing: " + among5);
    }
  }

  /** Red, green and blue count as their brightness; of a wide image the middle is seen. */
  @Test void coloursBecomeBrightness(@TempDir Path dir) throws Exception {
    int[] brightness = {76, 150, 29};
    for (int c = 0; c < 3; c++) {
      BufferedImage wide = new BufferedImage(90, 30, BufferedImage.TYPE_INT_RGB);
      for (int x = 25; x < 65; x++) for (int y = 0; y < 30; y++) wide.setRGB(x, y, 255 << 8 * (2 - c));
      ImageIO.write(wide, "png", dir.resolve(c + ".png").toFile());
    }
    ImageFiles grey = new ImageFiles(ImageFiles.find(List.of(dir)), 10, 1);
    byte[] levels = new byte[100];
    for (int c = 0; c < 3; c++) {
      grey.read(c, levels, 0);
      for (byte level : levels) assertEquals(brightness[c], level & 255);
    }
  }

  /** The first images of a data set. */
  private record First(Dataset all) implements Dataset {
    @Override public String name() {
      return all.name();
    }

    @Override public int size() {
      return IMAGES;
    }

    @Override public int height() {
      return all.height();
    }

    @Override public int width() {
      return all.width();
    }

    @Override public int channels() {
      return all.channels();
    }

    @Override public int classes() {
      return all.classes();
    }

    @Override public int label(int index) {
      return all.label(index);
    }

    @Override public void read(int index, byte[] into, int offset) throws java.io.IOException {
      all.read(index, into, offset);
    }
  }
}
