package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.checkpoint.TorchCheckpoint;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StateDictionaryTest {
  private static final Path SHARED = Path.of("../shared");
  private static final Backend BACKEND = new CpuBackend();

  @AfterAll
  static void close() {
    BACKEND.close();
  }

  private static Model adabin() {
    return new Model(new ResNet20(), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(2, 32, 32, 3), 10, BACKEND, 7);
  }

  private static Model model(String recipe) {
    Method method = switch (recipe.substring(0, recipe.indexOf('-'))) {
      case "adabin" -> new AdaBin(AdaBin.Form.CODE, true, false);
      case "biper" -> new BiPer(recipe.endsWith("1") ? 1 : 2, 20, 0.037f);
      case "rbnn" -> new Rbnn(1, false);
      default -> new BmxNet(1, false, BmxNet.Scaling.NONE);
    };
    return recipe.contains("lenet") ? new Model(new LeNet(), method, Shape.image(1, 28, 28, 1), 10, BACKEND, 1)
        : new Model(new ResNet20(), method, Shape.image(1, 32, 32, 3), 10, BACKEND, 1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"adabin-resnet20-cifar10", "biper-resnet20-cifar10-stage1", "biper-resnet20-cifar10-stage2", "rbnn-resnet20-cifar10",
      "bmxnet-lenet-mnist"})
  void namesAreThoseOfTheAuthorsAndTheValuesComeBack(String recipe) throws IOException {
    Path file = SHARED.resolve("golden").resolve(recipe + ".safetensors");
    assumeTrue(Files.exists(file), "the shared folder with the recorded steps is absent");
    List<NamedTensor> recorded = new ArrayList<>();
    for (NamedTensor tensor : Safetensors.read(file).tensors().values()) {
      if (tensor.name().startsWith("init/") && !tensor.name().endsWith("num_batches_tracked")) recorded.add(tensor.withName(tensor.name().substring(5)));
    }
    Model model = model(recipe);
    model.load(recorded, recipe);
    Map<String, NamedTensor> saved = byName(model.save());
    assertEquals(new TreeSet<>(recorded.stream().map(NamedTensor::name).toList()), new TreeSet<>(saved.keySet()));
    for (NamedTensor tensor : recorded) assertArrayEquals(tensor.floats(), saved.get(tensor.name()).floats(), tensor.name());
  }

  @Test
  void thePublishedAdaBinCheckpointLoadsWithoutAMap() throws IOException {
    Path file = SHARED.resolve("data/checkpoints/adabin-resnet20-cifar10.th");
    assumeTrue(Files.exists(file), "the shared folder with the published checkpoint is absent");
    Model model = adabin();
    TorchCheckpoint published = TorchCheckpoint.read(file);
    model.load(published.tensors(), "adabin-resnet20-cifar10.th");
    Map<String, NamedTensor> saved = byName(model.save());
    for (NamedTensor tensor : published.tensors()) {
      if (!tensor.name().endsWith("num_batches_tracked")) assertEquals(tensor, saved.get(tensor.name()));
    }
  }

  private static Map<String, NamedTensor> byName(List<NamedTensor> tensors) {
    Map<String, NamedTensor> map = new HashMap<>();
    tensors.forEach(tensor -> map.put(tensor.name(), tensor));
    assertEquals(tensors.size(), map.size());
    return map;
  }

  @Test
  void filtersChangeOrderBetweenFileAndMemory() throws IOException {
    Model model = adabin();
    float[] values = new float[32 * 16 * 9];
    for (int i = 0; i < values.length; i++) values[i] = i;
    List<NamedTensor> tensors = new ArrayList<>(model.save());
    tensors.replaceAll(t -> t.name().equals("layer2.0.conv1.weight") ? NamedTensor.ofFloats(t.name(), new int[] {32, 16, 3, 3}, values) : t);
    model.load(tensors, "test");
    Parameter filters = model.parameters().stream().filter(p -> p.name().equals("layer2.0.conv1.weight")).findFirst().orElseThrow();
    int o = 5, c = 3, r = 2, s = 1;
    assertEquals(((o * 16 + c) * 3 + r) * 3 + s, filters.value().floats()[((o * 3 + r) * 3 + s) * 16 + c]);
  }

  @Test
  void aMissingTensorIsNamedAndNothingIsLoaded() {
    Model model = adabin();
    List<NamedTensor> before = model.save();
    List<NamedTensor> tensors = new ArrayList<>();
    for (NamedTensor t : before) {
      float[] moved = t.floats();
      for (int i = 0; i < moved.length; i++) moved[i] += 1;
      if (!t.name().equals("layer3.2.bn2.running_var")) tensors.add(NamedTensor.ofFloats(t.name(), t.shape(), moved));
    }
    String message = assertThrows(CheckpointException.class, () -> model.load(tensors, "some.safetensors")).getMessage();
    assertTrue(message.startsWith("some.safetensors: tensor layer3.2.bn2.running_var is missing"), message);
    assertEquals(before, model.save());
  }

  @Test
  void aSurplusTensorIsNamed() {
    Model model = adabin();
    List<NamedTensor> tensors = new ArrayList<>(model.save());
    tensors.add(NamedTensor.ofFloats("layer4.0.conv1.weight", new int[] {2}, new float[2]));
    String message = assertThrows(CheckpointException.class, () -> model.load(tensors, "f")).getMessage();
    assertTrue(message.contains("layer4.0.conv1.weight F32[2] has no place"), message);
  }

  @Test
  void aTensorOfAnotherShapeIsNamedWithBothShapes() {
    Model model = adabin();
    List<NamedTensor> tensors = new ArrayList<>(model.save());
    tensors.replaceAll(t -> t.name().equals("conv1.weight") ? NamedTensor.ofFloats(t.name(), new int[] {16, 3, 9}, t.floats()) : t);
    String message = assertThrows(CheckpointException.class, () -> model.load(tensors, "f")).getMessage();
    assertTrue(message.contains("conv1.weight F32[16, 3, 9] must have shape [16, 3, 3, 3]"), message);
  }

  @Test
  void aTensorGivenTwiceIsNamed() {
    Model model = adabin();
    List<NamedTensor> tensors = new ArrayList<>(model.save());
    tensors.add(tensors.getFirst());
    assertTrue(assertThrows(CheckpointException.class, () -> model.load(tensors, "f")).getMessage().contains("conv1.weight is there twice"));
  }

  @Test
  void modulesThatNeverRunAreSkippedOnlyWhereTheAuthorsHaveThem() throws IOException {
    Model imagenet = new Model(new ResNet18(), new Rbnn(1, false), Shape.image(1, 64, 64, 3), 10, BACKEND, 1);
    List<NamedTensor> tensors = new ArrayList<>(imagenet.save());
    tensors.add(NamedTensor.ofFloats("bn3.weight", new int[] {10}, new float[10]));
    tensors.add(NamedTensor.ofLongs("bn3.num_batches_tracked", new int[0], new long[1]));
    imagenet.load(tensors, "f");
    List<NamedTensor> small = new ArrayList<>(adabin().save());
    small.add(NamedTensor.ofFloats("bn3.weight", new int[] {10}, new float[10]));
    assertThrows(CheckpointException.class, () -> adabin().load(small, "f"));
  }

  @Test
  void firstValuesDependOnTheSeedOnly() {
    List<NamedTensor> a = adabin().save(), b = adabin().save();
    assertEquals(a, b);
    Model other = new Model(new ResNet20(), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(2, 32, 32, 3), 10, BACKEND, 8);
    assertTrue(!Arrays.equals(a.getFirst().floats(), other.save().getFirst().floats()));
  }
}
