package onebit.models;

import onebit.binarize.Method;
import onebit.layers.Sequential;
import onebit.tensor.Shape;

/** ResNet-20 for 32x32 images: 16, 32 and 64 channels, three blocks each, 40 M binary multiply-accumulates. */
public record ResNet20() implements Network {
  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    return layers(method, Variant.of(method, Variant.Family.CIFAR_RESNET20), classes);
  }

  static Sequential layers(Method method, Variant variant, int classes) {
    return ResNetLayers.cifar(method, variant, 16, new int[] {3, 3, 3}, classes);
  }
}
