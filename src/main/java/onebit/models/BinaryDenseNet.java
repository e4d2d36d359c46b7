package onebit.models;

import onebit.binarize.Method;
import onebit.layers.Sequential;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.OneOf;
import onebit.tensor.Shape;

/**
 * BinaryDenseNet-28, -37 and -45: dense blocks of growth 64 without bottleneck.
 *
 * <pre>
 * Source  Bethge et al. 2019 (arXiv 1906.08637); code BMXNet-v2-examples binary_models/densenet.py
 * </pre>
 *
 * @param dilated dilations 2 and 4 instead of pooling before the last two blocks
 */
public record BinaryDenseNet(@OneOf({"28", "37", "45"}) int depth, @Default("imagenet") Stem stem, @Default("false") boolean dilated)
    implements Network {
  public BinaryDenseNet {
    if (depth != 28 && depth != 37 && depth != 45) {
      throw new IllegalArgumentException("network.depth: BinaryDenseNet has 28, 37 or 45 layers, got " + depth);
    }
  }

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    int[] blocks = switch (depth) {
      case 28 -> new int[] {6, 6, 6, 5};
      case 37 -> new int[] {6, 8, 12, 6};
      default -> new int[] {6, 12, 14, 8};
    };
    double[] reductions = switch (depth) {
      case 28 -> new double[] {2.7, 2.7, 2.2};
      case 37 -> new double[] {3.3, 3.3, 4};
      default -> new double[] {2.7, 3.3, 4};
    };
    int[] dilations = dilated ? new int[] {1, 1, 2, 4} : new int[] {1, 1, 1, 1};
    return new DenseLayers(stem, 64, 64, blocks, reductions, dilations, true).layers(method, classes);
  }
}
