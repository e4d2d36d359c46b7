package onebit.recipe;

import java.util.Optional;
import onebit.models.Network;
import onebit.models.RealResNet;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * A trained network whose soft labels a run learns from, with the labels of its data or in their place.
 *
 * <pre>
 * Units  the loss is hardLabels times that of the labels, plus the rest times temperature^2 times the cross-entropy to the teacher's softmax at that
 *        temperature
 * </pre>
 *
 * <p>The teacher sees the images that the student does, by data.mean and data.std, that of a run by those of its own recipe, and knows the classes of the data in the
 * same order.
 *
 * @param network none: labels alone; real-resnet18, real-resnet34, real-resnet20: the full-precision networks of ImageNet and CIFAR-10; run: that of the run that has the
 *     weights, with its method
 * @param weights their file, as `onebit import` writes it, or the folder of a run, or best, last or a checkpoint in it
 */
public record TeacherRecipe(
    @Default("none") Kind network,
    Optional<String> weights,
    @Default("1") @Range(min = 0, max = 1000, exclusiveMin = true) double temperature,
    @Default("0") @Range(min = 0, max = 1) double hardLabels) {

  /** The networks that can teach. */
  public enum Kind { NONE, REAL_RESNET18, REAL_RESNET34, REAL_RESNET20, RUN }

  /** @throws IllegalArgumentException if there are weights, a temperature or a share of labels for no network, or no weights that say which run it is */
  public TeacherRecipe {
    if (network == Kind.NONE && weights.isPresent()) {
      throw new IllegalArgumentException("weights is " + weights.get() + " and network is none; name the network too, such as teacher.network=real-resnet34, or give"
          + " teacher.weights=null");
    }
    if (network == Kind.RUN && weights.isEmpty()) throw new IllegalArgumentException("network is run and weights names none; give teacher.weights the folder of a run");
    if (network == Kind.NONE && (temperature != 1 || hardLabels != 0)) {
      throw new IllegalArgumentException("temperature is " + temperature + " and hardLabels " + hardLabels + ", and network is none; without a teacher they must be 1 and 0");
    }
  }

  /** Whether there is a teacher. */
  public boolean teaches() {
    return network != Kind.NONE;
  }

  /** The network that teaches, where its name says it; what that of a run is, the run's own recipe says. */
  public Optional<Network> teaching() {
    return switch (network) {
      case NONE, RUN -> Optional.empty();
      case REAL_RESNET18 -> Optional.of(new RealResNet(18));
      case REAL_RESNET34 -> Optional.of(new RealResNet(34));
      case REAL_RESNET20 -> Optional.of(new RealResNet(20));
    };
  }
}
