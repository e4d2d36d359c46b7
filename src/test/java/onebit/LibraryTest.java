package onebit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import javax.imageio.ImageIO;
import onebit.binarize.AdaBin;
import onebit.binarize.Method;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.data.Dataset;
import onebit.data.ImageFiles;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Split;
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.ops.cpu.CpuBackend;
import onebit.optim.Adam;
import onebit.optim.Optimizer;
import onebit.optim.Sgd;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.Evaluation;
import onebit.train.Score;
import onebit.train.InputPipeline;
import onebit.train.Prediction;
import onebit.train.RunFolder;
import onebit.train.TrainStep;
import onebit.train.Truth;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Onebit as a library: a recipe, its network on a backend, weights from a file, and what the network says of image files; and training on arrays. */
class LibraryTest {
  private static final int IMAGES = 40, BATCH = 16;
  private static final Recipes RECIPES = new Recipes();

  private static Model model(Recipe recipe, Backend backend, long seed) {
    DataRecipe data = recipe.data();
    return new Model(recipe.network(), recipe.method(), Shape.image(BATCH, data.height(), data.width(), data.channels()), data.classes(), backend, seed);
  }

  private static PixelScale scale(DataRecipe data) {
    return new PixelScale(data.mean(), data.std());
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
      said = Prediction.of(backend, model, scale(data), BATCH).run(loader, done -> { });
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
      Score.Accuracy counted = (Score.Accuracy) Evaluation.of(backend, model(recipe, backend, 7), scale(data), List.of(), BATCH).run(loader, Integer.MAX_VALUE, done -> { });
      assertEquals(IMAGES, counted.images());
      assertEquals(counted.correct(), right);
      assertEquals(counted.correct5(), among5);
      assertTrue(among5 > 0 && among5 < IMAGES, "top-5 tells nothing: " + among5);
    }
  }

  /** Arrays of one's own, first through the program's step, then through a loop of one's own with its own loss; the weights go through a file. */
  @Test void anOwnLoopTrainsAdaBinOnOwnArrays(@TempDir Path dir) throws Exception {
    int classes = 3, side = 16;
    Shape shape = Shape.image(BATCH, side, side, classes);
    Random random = new Random(1);
    float[] x = new float[shape.size()];
    int[] labels = new int[BATCH];
    Method method = new AdaBin(AdaBin.Form.CODE, true, false);
    Path weights = dir.resolve("own.safetensors");
    try (Backend backend = new CpuBackend()) {
      Model model = new Model(new GlyphNet(16), method, shape, classes, backend, 1);
      TrainStep step = new TrainStep(backend, model, new Sgd(backend, model.parameters(), 0.9, parameter -> 1e-4), BATCH, classes, 0);
      Tensor images = backend.create(shape);
      for (int epoch = 0; epoch < 2; epoch++) {
        model.use(method.at(epoch, 2));        // the surrogates of this epoch
        for (int i = 0; i < 8; i++) {
          drawBrightChannel(x, labels, random);
          backend.write(images, x);
          TrainStep.Outcome outcome = step.run(images, Truth.of(labels), 0.05);
          assertEquals(null, outcome.notFinite());
        }
      }
      Safetensors.write(weights, Map.of(), model.save());
    }
    try (Backend backend = new CpuBackend()) {
      Model model = new Model(new GlyphNet(16), method, shape, classes, backend, 99);
      Tensor images = backend.create(shape), gradLogits = backend.create(Shape.matrix(BATCH, classes));
      drawBrightChannel(x, labels, random);
      backend.write(images, x);
      double before = loss(backend.read(model.forward(images, false)), labels, new float[BATCH * classes]);
      model.load(RunFolder.weights(weights), weights.toString());
      double loaded = loss(backend.read(model.forward(images, false)), labels, new float[BATCH * classes]);
      assertTrue(loaded < 0.5 * before, loaded + " of " + before);
      model.use(method.at(1, 2));
      Optimizer adam = new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, parameter -> 0);
      adam.learningRate(1e-3);
      double first = 0, last = 0;
      for (int i = 0; i < 5; i++) {            // the same batch again and again: its loss must fall
        float[] gradient = new float[BATCH * classes];
        last = loss(backend.read(model.forward(images, true)), labels, gradient);
        if (i == 0) first = last;
        backend.write(gradLogits, gradient);
        model.backward(gradLogits);
        adam.step();
      }
      assertEquals(5, adam.steps());
      assertTrue(last < first, last + " after " + first);
    }
  }

  /** Noise in which the channel of the image's class is a little brighter. */
  private static void drawBrightChannel(float[] x, int[] labels, Random random) {
    int pixels = x.length / labels.length / 3;
    for (int i = 0; i < labels.length; i++) {
      labels[i] = random.nextInt(3);
      for (int k = 0; k < 3 * pixels; k++) x[i * 3 * pixels + k] = (float) random.nextGaussian() + (k % 3 == labels[i] ? 0.5f : 0);
    }
  }

  /** Mean cross-entropy of logits, and its gradient. */
  private static double loss(float[] logits, int[] labels, float[] gradient) {
    int n = labels.length, classes = logits.length / n;
    double loss = 0;
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int k = 0; k < classes; k++) sum += Math.exp(logits[i * classes + k]);
      for (int k = 0; k < classes; k++) gradient[i * classes + k] = (float) ((Math.exp(logits[i * classes + k]) / sum - (k == labels[i] ? 1 : 0)) / n);
      loss += (Math.log(sum) - logits[i * classes + labels[i]]) / n;
    }
    return loss;
  }

  /** Red, green and blue count as their brightness; of a wide image the middle is seen. */
  @Test void coloursBecomeBrightness(@TempDir Path dir) throws Exception {
    int[] brightness = {76, 150, 29};
    for (int c = 0; c < 3; c++) {
      BufferedImage wide = new BufferedImage(90, 30, BufferedImage.TYPE_INT_RGB);
      for (int x = 25; x < 65; x++) for (int y = 0; y < 30; y++) wide.setRGB(x, y, 255 << 8 * (2 - c));
      ImageIO.write(wide, "png", dir.resolve(c + ".png").toFile());
    }
    Files.writeString(dir.resolve("._0.png"), "what a Mac keeps beside a file");
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
