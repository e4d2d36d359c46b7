package onebit.train;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.NamedTensor;
import onebit.ops.LibraryFolder;
import onebit.recipe.Recipe;
import onebit.recipe.TeacherRecipe;

/**
 * The trained weights of a teacher, and what tells them from others.
 *
 * @param sha256 over names, types, shapes and values in the order of names; empty for {@link #NONE}
 */
public record TeacherWeights(List<NamedTensor> tensors, String sha256, String file) {
  static final TeacherWeights NONE = new TeacherWeights(List.of(), "", "");

  /**
   * Reads what teacher.weights names.
   *
   * @throws CheckpointException if it is not there, holds no weights, or a value of them is not finite
   */
  public static TeacherWeights read(String file) throws IOException {
    try {
      List<NamedTensor> tensors = RunFolder.weights(Path.of(file));
      for (NamedTensor tensor : tensors) requireFinite(tensor);
      return new TeacherWeights(tensors, hash(tensors), file);
    } catch (CheckpointException e) {
      throw new CheckpointException("teacher.weights: " + e.getMessage());
    }
  }

  /**
   * Refuses a recipe whose teacher has no weights, and says how to come by them.
   *
   * @throws IllegalArgumentException in words for a user who has nothing yet
   */
  public static void require(String recipe, TeacherRecipe teacher) {
    String how = switch (teacher.network()) {
      case NONE, RUN -> null;
      case REAL_RESNET18 -> fetched("18-f37072fd");
      case REAL_RESNET34 -> fetched("34-b627a593");
      case REAL_RESNET20 -> "train it with --set network.name=real-resnet --set network.depth=20 --out DIR, and give --set teacher.weights=DIR";
    };
    if (how == null || teacher.weights().isPresent()) return;
    throw new IllegalArgumentException(recipe + " learns from a teacher, and teacher.weights does not name its weights: " + how + "; or learn from labels alone, which will not reach the published accuracy, with --set teacher.network=none");
  }

  private static String fetched(String name) {
    return "take torchvision's resnet" + name + ".pth (IMAGENET1K_V1 of download.pytorch.org/models), run onebit import resnet" + name
        + ".pth teacher.safetensors, and give --set teacher.weights=teacher.safetensors";
  }

  private static void requireFinite(NamedTensor tensor) throws CheckpointException {
    if (!tensor.type().isFloating()) return;
    for (float value : tensor.floats()) {
      if (!Float.isFinite(value)) throw new CheckpointException("tensor " + tensor.name() + " holds " + value + "; all weights must be finite");
    }
  }

  private static String hash(List<NamedTensor> tensors) {
    MessageDigest digest = LibraryFolder.sha256();
    for (NamedTensor tensor : tensors.stream().sorted(Comparator.comparing(NamedTensor::name)).toList()) {
      digest.update(tensor.toString().getBytes(StandardCharsets.UTF_8));
      digest.update(tensor.data().duplicate());
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** @throws CheckpointException if the classifier of a network that teaches by its name tells another number of classes apart; a run's recipe says how many those are */
  void requireClasses(Recipe student) throws CheckpointException {
    int classes = student.data().classes();
    if (student.teacher().teaching().isEmpty()) return;
    for (NamedTensor tensor : tensors) {
      if (tensor.name().equals("fc.bias") && tensor.elements() != classes) {
        throw new CheckpointException(this + ": the teacher knows " + tensor.elements() + " classes, data.classes is " + classes + "; both must be equal");
      }
    }
  }

  /** How messages call weights of that hash. */
  static String named(String sha256) {
    return sha256.isEmpty() ? "no trained weights" : "weights of SHA-256 " + sha256.substring(0, 16);
  }

  @Override
  public String toString() {
    return file.isEmpty() ? "this one" : "teacher.weights " + file;
  }
}
