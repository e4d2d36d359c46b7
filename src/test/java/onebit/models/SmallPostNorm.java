package onebit.models;

import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BatchNorm.Rule;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Shape;

/** ResNetE's blocks of version e1 in small: norm behind each convolution, a shortcut around each, one of which halves the images. */
record SmallPostNorm(int width) implements Network {
  @Override
  public Layer layers(Method method, Shape input, int classes) {
    Rule norm = Variant.of(method, Variant.Family.OTHER).norm();
    return Sequential.of(new BatchNorm("bn0", Rule.MXNET_INPUT), new Conv2d("conv1", width, 3, 1, 1, Init.KAIMING), new BatchNorm("bn2", norm), block("b1", method, width, 1, norm, List.of()),
        block("b2", method, 2 * width, 2, norm, List.of(Pool.average(2, 2), new Conv2d("d", 2 * width, 1, 1, 0, Init.KAIMING), new BatchNorm("dn", norm))),
        block("b3", method, 2 * width, 1, norm, List.of()), new Activate(Activation.RELU), Pool.global(), new Linear("fc", classes, Init.KAIMING, true));
  }

  private static Layer block(String name, Method method, int filters, int stride, Rule norm, List<Layer> shortcut) {
    return Variant.around(List.of(new BinaryConv2d(name, method, filters, 3, stride, 1, 1, Init.KAIMING), new BatchNorm(name + "n", norm)), shortcut);
  }
}
