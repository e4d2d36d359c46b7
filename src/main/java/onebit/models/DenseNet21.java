package onebit.models;

import onebit.binarize.Method;
import onebit.layers.Sequential;
import onebit.tensor.Shape;

/**
 * BMXNet's DenseNet-21 of growth 128 and 128 channels at the stem: four blocks of two binary convolutions, real 1x1 transitions with ReLU.
 *
 * <pre>
 * Source  Bethge et al. 2018 (arXiv 1812.01965); code BMXNet-v2-examples binary_models/densenet.py before BinaryDenseNet
 * </pre>
 */
public record DenseNet21() implements Network {
  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    return new DenseLayers(Stem.bySize(input), 128, 128, new int[] {2, 2, 2, 2}, new double[] {2, 2, 2}, new int[] {1, 1, 1, 1}, false)
        .layers(method, classes);
  }
}
