package onebit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import onebit.binarize.BiReal;
import onebit.binarize.BinaryActivations;
import onebit.binarize.BinaryWeights;
import onebit.binarize.Method;
import onebit.binarize.Surrogates;
import onebit.data.Dataset;
import onebit.data.OwnDataset;
import onebit.data.Split;
import onebit.dist.Ranks;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.models.Network;
import onebit.recipe.Extension;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** An extension whose own code fails: it is named, and what it leaves behind is nothing. */
class FaultyExtensionTest {
  /** Fails where it is told to, as code does whose author has not thought of everything. */
  public record Faulty(String where) implements Method, Network, OwnDataset {
    private void reach(String here) {
      if (here.equals(where)) List.of().getFirst();
    }

    @Override public BinaryWeights weights() {
      reach("weights");
      if (where.equals("device")) new Tensor(Shape.vector(1), ElementType.FLOAT32, null).floats();
      return method().weights();
    }

    @Override public BinaryActivations activations() {
      return method().activations();
    }

    @Override public Surrogates at(int epoch, int epochs) {
      if (where.equals("at")) Integer.parseInt("steep");
      return method().at(epoch, epochs);
    }

    private static Method method() {
      return new BiReal(1);
    }

    @Override public Layer layers(Method method, Shape input, int classes) {
      reach("layers");
      method.weights();
      return Sequential.of(Pool.global(), new Linear("classes", classes, Init.KAIMING, true));
    }

    @Override public Dataset open(Path folder, Split split, int height, int width) {
      reach("open");
      return new Torn(64, height, width, where);
    }
  }

  /** Images of which one cannot be made. */
  public record Torn(int size, int height, int width, String name) implements Dataset {
    @Override public int channels() {
      return 1;
    }

    @Override public int classes() {
      return 2;
    }

    @Override public int label(int index) {
      return index % 2;
    }

    @Override public void read(int index, byte[] into, int offset) {
      if (name.equals("read")) into[-1 - index] = 0;
      if (name.equals("memory")) throw new OutOfMemoryError("Java heap space");
    }
  }

  /** That, as all it can be. */
  public static final class Wrong implements Extension {
    @Override public Map<String, Class<? extends OwnDataset>> datasets() {
      return Map.of("faulty", Faulty.class);
    }

    @Override public Map<String, Class<? extends Method>> methods() {
      return Map.of("faulty", Faulty.class);
    }

    @Override public Map<String, Class<? extends Network>> networks() {
      return Map.of("faulty", Faulty.class);
    }
  }

  private static final String RECIPE = """
      description: What fails at WHERE.
      method: {name: faulty, where: WHERE}
      network: {name: faulty, where: WHERE}
      data: {name: own, own: {name: faulty, where: WHERE}, batch: 32, evalBatch: 64, height: 12, width: 12, channels: 1, classes: 2, mean: [0.5], std: [0.25], workers: 1}
      optimizer: {name: adam, learningRate: 0.01}
      schedule: {name: cosine, per: iteration}
      train: {epochs: 1, seed: 7}
      """;

  @TempDir Path folder;

  /** A folder of those classes. */
  private Path classes() throws Exception {
    Path classes = folder.resolve("classes");
    for (Class<?> type : List.of(Faulty.class, Torn.class, Wrong.class)) {
      String name = type.getName().replace('.', '/') + ".class";
      Path file = classes.resolve(name);
      Files.createDirectories(file.getParent());
      try (InputStream bytes = type.getClassLoader().getResourceAsStream(name)) {
        Files.write(file, bytes.readAllBytes());
      }
    }
    Path names = Files.createDirectories(classes.resolve("META-INF/services"));
    Files.writeString(names.resolve(Extension.class.getName()), Wrong.class.getName());
    return classes;
  }

  /** A training whose extension fails there. */
  private ExtensionRun train(String where, Path run, String... more) throws Exception {
    Path recipe = Files.writeString(folder.resolve("faulty.yaml"), RECIPE.replace("WHERE", where));
    List<String> words = new ArrayList<>(List.of("train", recipe.toString(), "--out", run.toString()));
    words.addAll(List.of(more));
    return ExtensionRun.of(folder.resolve("said"), classes(), words);
  }

  /** Who meets an error of an extension hears whose it is and in which line, and is not asked to report it to somebody else. */
  @ParameterizedTest
  @CsvSource({"weights, Faulty.reach, NoSuchElementException, false", "layers, Faulty.reach, NoSuchElementException, false",
      "device, Faulty.weights, IllegalStateException, false", "open, Faulty.reach, NoSuchElementException, false",
      "at, Faulty.at, NumberFormatException, true", "read, Torn.read, ArrayIndexOutOfBoundsException, true"})
  void anErrorInItIsItsOwn(String where, String method, String error, boolean begun) throws Exception {
    Path run = folder.resolve("runs/faulty");
    ExtensionRun said = train(where, run);
    String last = said.text().lines().toList().getLast(), start = "onebit: error in the extension " + folder.resolve("classes") + ", at onebit.FaultyExtensionTest$" + method + "(FaultyExtensionTest.java:";
    assertTrue(last.startsWith(start) && last.contains("): " + error), said.text());
    assertTrue(last.endsWith("; ONEBIT_STACKTRACE=1 shows the stack trace") && !said.text().contains("report it"), said.text());
    assertEquals(1, said.code());
    assertEquals(begun, Files.exists(run.resolve("recipe.yaml")));
    assertEquals(begun, Files.exists(run.getParent()), "of a run that never began nothing is left");
  }

  @Test
  void whatWasThereBeforeStays() throws Exception {
    Path run = Files.createDirectories(folder.resolve("runs/faulty")), kept = Files.writeString(run.resolve("notes.txt"), "mine"), other = Files.createDirectory(folder.resolve("runs/other"));
    train("layers", run);
    assertTrue(Files.exists(kept));
    train("layers", other.resolve("new/run"));
    assertTrue(Files.exists(other) && !Files.exists(other.resolve("new")));
  }

  @Test
  void severalProcessesLeaveNothingEither() throws Exception {
    Ranks.assumeMpi();
    Path run = folder.resolve("runs/faulty");
    ExtensionRun said = train("layers", run, "--procs", "2");
    assertTrue(said.code() == 1 && said.text().contains("] onebit: error in the extension "), said.text());
    assertFalse(Files.exists(run.getParent()), said.text());
  }

  @Test
  void memoryThatItFillsIsFull() throws Exception {
    ExtensionRun said = train("memory", folder.resolve("run"));
    assertTrue(said.code() == 1 && said.text().contains("onebit: memory is full (Java heap space): "), said.text());
  }

  @Test
  void whatDoesNotFailIsTrained() throws Exception {
    ExtensionRun said = train("nowhere", folder.resolve("run"));
    assertEquals(0, said.code(), said.text());
  }
}
