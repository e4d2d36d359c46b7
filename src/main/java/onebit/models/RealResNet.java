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
 * The full-precision ResNet-18 or ResNet-34 of ImageNet, with nothing binary in it: a teacher, or the network to compare with. No method matters to it.
 *
 * <p>Its names are those of torchvision's state dictionary: conv1, bn1, layer1.0.conv1, layer2.0.downsample.0, fc.
 *
 * <pre>
 * Source  He et al. 2016 (arXiv 1512.03385); code torchvision/models/resnet.py: the stride is in the first 3x3 convolution of a block
 * </pre>
 */
public record RealResNet(@OneOf({"18", "34"}) int depth) implements Network {
  private static final int WIDTH = 64;

  public RealResNet {
    if (depth != 18 && depth != 34) throw new IllegalArgumentException("network.depth: RealResNet has 18 or 34 layers, got " + depth);
  }

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    return layers(WIDTH, depth == 18 ? new int[] {2, 2, 2, 2} : new int[] {3, 4, 6, 3}, classes);
  }

  /** The same with stages of so many blocks, the first of that width. */
  static Sequential layers(int width, int[] blocks, int classes) {
    List<Layer> all = new ArrayList<>();
    all.add(new Conv2d("conv1", width, 7, 2, 3, Init.FAN_OUT).asFirst());
    all.add(new BatchNorm("bn1", Rule.TORCH));
    all.add(new Activate(Activation.RELU));
    all.add(Pool.max(3, 2, 1));
    for (int stage = 0; stage < blocks.length; stage++) {
      for (int block = 0; block < blocks[stage]; block++) {
        addBlock(all, "layer" + (stage + 1) + "." + block, width << stage, stage > 0 && block == 0 ? 2 : 1);
      }
    }
    all.add(Pool.global());
    all.add(new Linear("fc", classes, Init.TORCH, false));
    return new Sequential(all);
  }

  private static void addBlock(List<Layer> all, String name, int filters, int stride) {
    List<Layer> body = List.of(new Conv2d(name + ".conv1", filters, 3, stride, 1, Init.FAN_OUT), new BatchNorm(name + ".bn1", Rule.TORCH),
        new Activate(Activation.RELU), new Conv2d(name + ".conv2", filters, 3, 1, 1, Init.FAN_OUT), new BatchNorm(name + ".bn2", Rule.TORCH));
    List<Layer> shortcut = stride == 1 ? List.of()
        : List.of(new Conv2d(name + ".downsample.0", filters, 1, stride, 0, Init.FAN_OUT), new BatchNorm(name + ".downsample.1", Rule.TORCH));
    all.add(Variant.around(body, shortcut));
    all.add(new Activate(Activation.RELU));
  }
}
