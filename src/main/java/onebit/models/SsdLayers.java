package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Pool;
import onebit.ops.PointOps.Activation;

/**
 * The backbone of SSD300: VGG-16 with 3x3 binary convolutions of stride 2 in place of its pooling, and a shortcut around each.
 *
 * <p>Names follow the modules of BiDet's code: backbone.0 and .1 are the real stem and its norm, backbone.2.conv, .bn and .downsample.1 belong to the first
 * block, backbone.19 and .20 are conv6, backbone.22 and .23 conv7. The nonlinearity between them, AdaBin's Maxout, follows the sum of each block, as in
 * the method's classifiers: nobody published where it stands here. It does not follow the stem.
 *
 * <pre>
 * Source   Wang et al. 2020 (BiDet, CVPR, arXiv 2003.03961), code ssd/bidet_ssd.py: all weights xavier_normal_
 * Differs  conv7 has no bias: the norm behind it takes the mean out
 * </pre>
 *
 * @param width channels of the stem
 */
record SsdLayers(Method method, Variant variant, int width) {
  /** Channels of the blocks, as multiples of the width; 0 where a block of stride 2 goes to the channels of the next. */
  private static final List<Integer> TO_TAP = List.of(1, 0, 2, 2, 0, 4, 4, 4, 0, 8, 8, 8), FROM_TAP = List.of(0, 8, 8, 8);
  private static final int FIRST_BLOCK = 2, FIRST_BEHIND = FIRST_BLOCK + 12, CONV6 = 19, CONV7 = 22;

  static SsdLayers of(Method method, int width) {
    return new SsdLayers(method, Variant.of(method, Variant.Family.VGG), width);
  }

  private static String name(int module) {
    return "backbone." + module;
  }

  BatchNorm norm(String name) {
    return variant.batchNorm(name);
  }

  /** The layers up to conv4_3, whose map has an eighth of the image's side. */
  List<Layer> toTap() {
    List<Layer> all = new ArrayList<>();
    all.add(new Conv2d(name(0), width, 3, 1, 1, Init.XAVIER_NORMAL).asFirst());
    all.add(norm(name(1)));
    all.addAll(blocks(FIRST_BLOCK, TO_TAP));
    return all;
  }

  /** The layers behind it up to the norm of conv7, whose map has a sixteenth; its ReLU is left to those who look at it. */
  List<Layer> fromTap() {
    List<Layer> all = new ArrayList<>(blocks(FIRST_BEHIND, FROM_TAP));
    all.add(Pool.max(3, 1, 1));
    all.add(new BinaryConv2d(name(CONV6), method, 16 * width, 3, 1, 6, 6, Init.XAVIER_NORMAL));
    all.add(norm(name(CONV6 + 1)));
    all.add(new Activate(Activation.RELU));
    all.add(new Conv2d(name(CONV7), 16 * width, 1, 1, 0, Init.XAVIER_NORMAL));
    all.add(norm(name(CONV7 + 1)));
    return all;
  }

  private List<Layer> blocks(int module, List<Integer> channels) {
    List<Layer> all = new ArrayList<>();
    for (int i = 0; i < channels.size(); i++) {
      boolean down = channels.get(i) == 0;
      String name = name(module + i);
      int filters = width * channels.get(down ? i + 1 : i);
      List<Layer> body = List.of(new BinaryConv2d(name + ".conv", method, filters, 3, down ? 2 : 1, 1, 1, Init.XAVIER_NORMAL), norm(name + ".bn"));
      List<Layer> shortcut = !down ? List.of() : List.of(Pool.averageCeil(2, 2), new Conv2d(name + ".downsample.1", filters, 1, 1, 0, Init.XAVIER_NORMAL),
          norm(name + ".downsample.2"));
      all.add(Variant.around(body, shortcut));
      all.addAll(variant.nonlinear(name + ".nonlinear"));
    }
    return all;
  }
}
