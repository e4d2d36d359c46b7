package onebit.models;

import java.util.ArrayList;
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

/** ResNetE's version e2 with six convolutions in three stages, as small as a test wants it. */
record SmallPreNorm(int width) implements Network {
  static final int UNITS = 6;

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    List<Layer> all = new ArrayList<>();
    all.add(new Conv2d("conv1", width, 3, 1, 1, Init.KAIMING).asFirst());
    for (int i = 0; i < UNITS; i++) {
      boolean down = i == 3 || i == 4;
      BatchNorm norm = new BatchNorm("layer." + i + ".bn", Rule.MXNET);
      BinaryConv2d convolution = new BinaryConv2d("layer." + i + ".conv", method, width << Math.clamp(i - 2, 0, 2), 3, down ? 2 : 1, 1, 1, Init.KAIMING);
      if (down) all.add(norm);
      all.add(down ? Variant.around(List.of(convolution), List.of(Pool.average(2, 2), new Conv2d("layer." + i + ".down", width << i - 2, 1, 1, 0, Init.KAIMING)))
          : Variant.around(List.of(norm, convolution), List.of()));
    }
    all.add(new BatchNorm("bn2", Rule.MXNET));
    all.add(new Activate(Activation.RELU));
    all.add(Pool.global());
    all.add(new Linear("fc", classes, Init.KAIMING, true));
    return new Sequential(all);
  }
}
