package onebit.models;

import onebit.binarize.Method;
import onebit.layers.Sequential;
import onebit.tensor.Shape;

/** ResNet-20 with a shortcut around every convolution, whatever the method's own choice (RBNN's resnet20_bireal_1w1a). */
public record ResNet20BiReal() implements Network {
  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    return ResNet20.layers(method, Variant.of(method, Variant.Family.CIFAR_RESNET20).withDoubledShortcuts(), classes);
  }
}
