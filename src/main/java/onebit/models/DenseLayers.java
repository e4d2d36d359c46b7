package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BatchNorm.Rule;
import onebit.layers.BinaryConv2d;
import onebit.layers.Concat;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;

/**
 * Dense blocks of single binary convolutions, each added to the channels of its input, with real 1x1 convolutions between blocks.
 *
 * <p>Names are torch-like: conv1 or stem.conv1, layer1.0.bn, layer1.0.conv, transition1.bn, transition1.conv, bn2, fc.
 *
 * <pre>
 * Source  Bethge et al. 2019 (arXiv 1906.08637); code BMXNet-v2-examples binary_models/basenet_dense.py
 * </pre>
 *
 * @param width channels of the stem
 * @param growth channels that each convolution adds
 * @param blocks convolutions in each block
 * @param reductions what divides the channels after each block but the last; the result is rounded to a multiple of 32
 * @param dilations of each block's convolutions; no pooling before a block whose dilation is above 1
 * @param maxPooling whether a transition is norm, max pooling, ReLU, 1x1 instead of norm, ReLU, 1x1, average pooling
 */
record DenseLayers(Stem stem, int width, int growth, int[] blocks, double[] reductions, int[] dilations, boolean maxPooling) {
  Sequential layers(Method method, int classes) {
    Rule norm = Variant.of(method, Variant.Family.OTHER).norm();
    List<Layer> all = new ArrayList<>(stem.layers(width, norm, true));
    int channels = width;
    for (int block = 0; block < blocks.length; block++) {
      int dilation = dilations[block];
      for (int i = 0; i < blocks[block]; i++) {
        String name = "layer" + (block + 1) + "." + i;
        all.add(new Concat(Sequential.of(new BatchNorm(name + ".bn", norm),
            new BinaryConv2d(name + ".conv", method, growth, 3, 1, dilation, dilation, Init.KAIMING))));
        channels += growth;
      }
      if (block + 1 < blocks.length) {
        channels = reduced(channels, reductions[block]);
        all.addAll(transition("transition" + (block + 1), channels, norm, dilations[block + 1] == 1));
      }
    }
    all.add(new BatchNorm("bn2", norm));
    all.add(new Activate(Activation.RELU));
    all.add(Pool.global());
    all.add(new Linear("fc", classes, Init.KAIMING, true));
    return new Sequential(all);
  }

  private List<Layer> transition(String name, int channels, Rule norm, boolean pooling) {
    List<Layer> all = new ArrayList<>();
    all.add(new BatchNorm(name + ".bn", norm));
    if (pooling && maxPooling) all.add(Pool.max(2, 2, 0));
    all.add(new Activate(Activation.RELU));
    all.add(new Conv2d(name + ".conv", channels, 1, 1, 0, Init.KAIMING));
    if (pooling && !maxPooling) all.add(Pool.average(2, 2));
    return all;
  }

  /** Channels divided, without remainder, by the double 1 / (1 / reduction) that the authors' options pass, then rounded to 32, ties to even. */
  private static int reduced(int channels, double reduction) {
    double divisor = 1 / (1 / reduction);
    return (int) Math.rint(Math.floor(channels / divisor) / 32) * 32;
  }
}
