package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BatchNorm.Rule;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;
import onebit.recipe.keys.OneOf;
import onebit.tensor.Shape;

/**
 * The full-precision ResNet-18 or ResNet-34 of ImageNet or ResNet-20 of CIFAR-10, with nothing binary in it: a teacher, or the network to compare with. No method matters to it.
 *
 * <p>Its names are those of torchvision's state dictionary: conv1, bn1, layer1.0.conv1, layer2.0.downsample.0, fc. ResNet-20's are those of its usual PyTorch code, without
 * weights in a shortcut and with the classifier `linear`.
 *
 * <pre>
 * Source  He et al. 2016 (arXiv 1512.03385), ResNet-20 in 4.2, option A; code torchvision/models/resnet.py: the stride is in the first 3x3 convolution of a block
 * </pre>
 */
public record RealResNet(@OneOf({"18", "20", "34"}) int depth) implements Network {
  public RealResNet {
    if (depth != 18 && depth != 20 && depth != 34) throw new IllegalArgumentException("network.depth: RealResNet has 18, 20 or 34 layers, got " + depth);
  }

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    return switch (depth) {
      case 20 -> layers(16, new int[] {3, 3, 3}, true, classes);
      case 18 -> layers(64, new int[] {2, 2, 2, 2}, false, classes);
      default -> layers(64, new int[] {3, 4, 6, 3}, false, classes);
    };
  }

  /** The same with stages of so many blocks, the first of that width; as for CIFAR's small images, or ImageNet's. */
  static Sequential layers(int width, int[] blocks, boolean small, int classes) {
    List<Layer> all = new ArrayList<>();
    all.add((small ? new Conv2d("conv1", width, 3, 1, 1, Init.KAIMING) : new Conv2d("conv1", width, 7, 2, 3, Init.FAN_OUT)).asFirst());
    all.add(new BatchNorm("bn1", Rule.TORCH));
    all.add(new Activate(Activation.RELU));
    if (!small) all.add(Pool.max(3, 2, 1));
    for (int stage = 0; stage < blocks.length; stage++) {
      for (int block = 0; block < blocks[stage]; block++) {
        addBlock(all, "layer" + (stage + 1) + "." + block, width << stage, stage > 0 && block == 0 ? 2 : 1, small);
      }
    }
    all.add(Pool.global());
    all.add(small ? new Linear("linear", classes, Init.KAIMING, false) : new Linear("fc", classes, Init.TORCH, false));
    return new Sequential(all);
  }

  private static void addBlock(List<Layer> all, String name, int filters, int stride, boolean small) {
    Init init = small ? Init.KAIMING : Init.FAN_OUT;
    List<Layer> body = List.of(new Conv2d(name + ".conv1", filters, 3, stride, 1, init), new BatchNorm(name + ".bn1", Rule.TORCH),
        new Activate(Activation.RELU), new Conv2d(name + ".conv2", filters, 3, 1, 1, init), new BatchNorm(name + ".bn2", Rule.TORCH));
    List<Layer> shortcut = stride == 1 ? List.of() : small ? List.of(Pool.subsamplePad(stride, filters))
        : List.of(new Conv2d(name + ".downsample.0", filters, 1, stride, 0, Init.FAN_OUT), new BatchNorm(name + ".downsample.1", Rule.TORCH));
    all.add(Variant.around(body, shortcut));
    all.add(new Activate(Activation.RELU));
  }
}
