package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.L2Norm;
import onebit.layers.Layer;
import onebit.layers.Pyramid;
import onebit.layers.Pyramid.Level;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;
import onebit.tensor.Shape;

/**
 * SSD300: a binary VGG-16 with shortcuts and four pairs of binary extra layers, and boxes and classes by real convolutions of six of their maps.
 *
 * <p>Names: backbone.0 (stem) to backbone.23 as {@link SsdLayers} has them, L2Norm, extras.0 to extras.7, extra_bns.0 to extra_bns.7, and loc.0 to loc.5
 * and conf.0 to conf.5 of the maps of 38, 19, 10, 5, 3 and 1 pixels.
 *
 * <pre>
 * Shapes   images N,300,300,3; output: the 4 offsets of each of the 8,732 priors, then their logits, background first; priors by map, row, column, kind
 * Source   Liu et al. 2016 (SSD, arXiv 1512.02325); layout of the binary one: Wang et al. 2020 (BiDet, CVPR, arXiv 2003.03961), code ssd/bidet_ssd.py,
 *          where all weights, those of the heads too, start as xavier_normal_, and biases at 0
 * Differs  locations are 4 values and not BiDet's mean and variance of each; a binary convolution's border holds what the method says (BiDet: -1, AdaBin: 0);
 *          the extra layers see conv7 before its ReLU, behind which a sign of zero and above says nothing: BiDet's signs of {0, 1} are those of {-1, 1}
 *          up to their batch norm
 * </pre>
 *
 * @param width channels of the first layers, 64 in the papers; all others are multiples of it
 */
public record Ssd300(@Default("64") @Range(min = 2, max = 256) int width) implements Network {
  /** Pixels of an image's side. */
  public static final int SIDE = 300;
  private static final int[] SIDES = {38, 19, 10, 5, 3, 1}, KINDS = {4, 6, 6, 6, 4, 4};
  private static final float SCALE = 20;

  /** Boxes that it predicts. */
  public static int priors() {
    int sum = 0;
    for (int i = 0; i < SIDES.length; i++) sum += SIDES[i] * SIDES[i] * KINDS[i];
    return sum;
  }

  @Override
  public int outputs(int classes) {
    return priors() * (4 + 1 + classes);
  }

  @Override
  public boolean detects() {
    return true;
  }

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    if (input.d1() != SIDE || input.d2() != SIDE || input.d3() != 3) {
      throw new IllegalArgumentException("network ssd300: images are " + input.d1() + "x" + input.d2() + " in " + input.d3()
          + " channels; its boxes are those of images of 300x300 in 3: set data.height and data.width to 300");
    }
    SsdLayers layers = SsdLayers.of(method, width);
    List<Level> levels = new ArrayList<>();
    levels.add(level(0, classes, layers.toTap(), new L2Norm("L2Norm", SCALE)));
    levels.add(level(1, classes, layers.fromTap(), new Activate(Activation.RELU)));
    levels.add(level(2, classes, extras(layers, method, 0, 4, 8, 2, 1), null));
    levels.add(level(3, classes, extras(layers, method, 2, 2, 4, 2, 1), null));
    levels.add(level(4, classes, extras(layers, method, 4, 2, 4, 1, 0), null));
    levels.add(level(5, classes, extras(layers, method, 6, 2, 4, 1, 0), null));
    return Sequential.of(new Pyramid(levels));
  }

  private static Level level(int i, int classes, List<Layer> stage, Layer tap) {
    return new Level(new Sequential(stage), tap, head("loc." + i, 4 * KINDS[i]), head("conf." + i, (1 + classes) * KINDS[i]));
  }

  private static Conv2d head(String name, int filters) {
    return new Conv2d(name, filters, 3, 1, 1, 1, true, Init.XAVIER_NORMAL);
  }

  /** A 1x1 and a 3x3 convolution of so many times the width. */
  private List<Layer> extras(SsdLayers layers, Method method, int number, int narrow, int wide, int stride, int pad) {
    return List.of(new BinaryConv2d("extras." + number, method, narrow * width, 1, 1, 0, 1, Init.XAVIER_NORMAL), layers.norm("extra_bns." + number),
        new BinaryConv2d("extras." + (number + 1), method, wide * width, 3, stride, pad, 1, Init.XAVIER_NORMAL), layers.norm("extra_bns." + (number + 1)));
  }
}
