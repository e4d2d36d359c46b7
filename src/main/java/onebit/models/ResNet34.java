package onebit.models;

import java.util.Set;
import onebit.binarize.Method;
import onebit.layers.Sequential;
import onebit.tensor.Shape;

/** ResNet-34: the CIFAR variant for images with a side below 50 pixels, else the ImageNet variant. */
public record ResNet34() implements Network {
  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    return ResNetLayers.bySize(method, input, new int[] {3, 4, 6, 3}, classes);
  }

  @Override
  public Set<String> unusedModules() {
    return ResNetLayers.UNUSED;
  }
}
