package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BatchNorm.Rule;
import onebit.layers.BinaryConv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Shape;

/**
 * BMXNet's binary ResNet-18 "v1": a shortcut around every two convolutions, binary 1x1 downsampling, no activation inside the stages.
 *
 * <p>Names are torch-like: bn0 (input), conv1, layer1.0.conv1, layer2.0.downsample.0, fc.
 *
 * <pre>
 * Source  Bethge et al. 2018 (arXiv 1812.01965); code BMXNet-v2-examples binary_models/resnet.py
 * Differs batch norm also follows the thumbnail stem, as in the code since 2019, of which the documented run on CIFAR-10 is; in 2018 it did not
 * </pre>
 */
public record ResNet18V1() implements Network {
  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    Rule norm = Variant.of(method, Variant.Family.OTHER).norm();
    List<Layer> all = new ArrayList<>();
    all.add(new BatchNorm("bn0", Rule.MXNET_INPUT));
    all.addAll(Stem.bySize(input).layers(64, norm, false));
    all.add(new BatchNorm("bn2", norm));
    for (int stage = 0; stage < 4; stage++) {
      for (int block = 0; block < 2; block++) {
        String name = "layer" + (stage + 1) + "." + block;
        int filters = 64 << stage, stride = stage > 0 && block == 0 ? 2 : 1;
        List<Layer> body = List.of(
            new BinaryConv2d(name + ".conv1", method, filters, 3, stride, 1, 1, Init.KAIMING), new BatchNorm(name + ".bn1", norm),
            new BinaryConv2d(name + ".conv2", method, filters, 3, 1, 1, 1, Init.KAIMING), new BatchNorm(name + ".bn2", norm));
        List<Layer> shortcut = stride == 1 ? List.of() : List.of(
            new BinaryConv2d(name + ".downsample.0", method, filters, 1, stride, 0, 1, Init.KAIMING), new BatchNorm(name + ".downsample.1", norm));
        all.add(Variant.around(body, shortcut));
      }
    }
    all.add(new Activate(Activation.RELU));
    all.add(Pool.global());
    all.add(new Linear("fc", classes, Init.KAIMING, true));
    return new Sequential(all);
  }
}
