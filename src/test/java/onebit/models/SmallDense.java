package onebit.models;

import onebit.binarize.Method;
import onebit.layers.Layer;
import onebit.tensor.Shape;

/** BinaryDenseNet's blocks and transition in small: two blocks of two convolutions, of 32 channels each. */
record SmallDense() implements Network {
  @Override
  public Layer layers(Method method, Shape input, int classes) {
    return new DenseLayers(Stem.THUMBNAIL, 32, 32, new int[] {2, 2}, new double[] {2}, new int[] {1, 1}, true).layers(method, classes);
  }
}
