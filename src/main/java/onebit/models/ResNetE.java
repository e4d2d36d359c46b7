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
import onebit.recipe.keys.Default;
import onebit.recipe.keys.OneOf;
import onebit.tensor.Shape;

/**
 * ResNetE: a shortcut around every single binary convolution, no activation inside the stages, batch norm before the stem.
 *
 * <p>MXNet has no such state dictionary; the names are torch-like: bn0 (input), conv1 or stem.conv1, layer1.0.conv, layer1.0.bn,
 * layer2.0.downsample.1, fc.
 *
 * <pre>
 * Source   Bethge et al. 2019 (arXiv 1906.08637); code BMXNet-v2-examples binary_models/resnet_e.py with both downsampling flags
 * Differs  e1 has no batch norm between the thumbnail stem and the stages, as in 2018, when the runs on CIFAR-10 were made; later code has one. The code's
 *          thumbnail stem of e2 has a bias too, which every batch norm behind it takes out
 * Shapes   sides that stay even until the last stage: the code's AvgPool2D of 2x2 has no ceil_mode and drops an odd last row, which the 3x3
 *          convolution of stride 2 keeps, and MXNet refuses to add the two
 * </pre>
 *
 * @param version e1: batch norm after the convolution; e2: before it
 */
public record ResNetE(@OneOf({"18", "34"}) int depth, @Default("e1") Version version, @Default("imagenet") Stem stem) implements Network {
  private static final int WIDTH = 64;

  /** Where a block has its batch norm. */
  public enum Version { E1, E2 }

  public ResNetE {
    if (depth != 18 && depth != 34) throw new IllegalArgumentException("network.depth: ResNetE has 18 or 34 layers, got " + depth);
  }

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    requireHalving(input);
    Rule norm = Variant.of(method, Variant.Family.OTHER).norm();
    int[] blocks = depth == 18 ? new int[] {4, 4, 4, 4} : new int[] {6, 8, 12, 6};
    List<Layer> all = new ArrayList<>();
    all.add(new BatchNorm("bn0", Rule.MXNET_INPUT));
    all.addAll(stem.layers(WIDTH, norm, false));
    if (version == Version.E1 && stem != Stem.THUMBNAIL) all.add(new BatchNorm("bn2", norm));
    for (int stage = 0; stage < blocks.length; stage++) {
      for (int block = 0; block < blocks[stage]; block++) {
        String name = "layer" + (stage + 1) + "." + block;
        BatchNorm batchNorm = new BatchNorm(name + ".bn", norm);
        boolean down = block == 0 && stage > 0;
        int filters = WIDTH << stage;
        BinaryConv2d convolution = new BinaryConv2d(name + ".conv", method, filters, 3, down ? 2 : 1, 1, 1, Init.KAIMING);
        List<Layer> shortcut = down ? shortcut(name, filters, norm) : List.of();
        if (version == Version.E1) {
          all.add(Variant.around(List.of(convolution, batchNorm), shortcut));
        } else if (down) {
          all.add(batchNorm);
          all.add(Variant.around(List.of(convolution), shortcut));
        } else {
          all.add(Variant.around(List.of(batchNorm, convolution), List.of()));
        }
      }
    }
    if (version == Version.E2) all.add(new BatchNorm("bn2", norm));
    all.add(new Activate(Activation.RELU));
    all.add(Pool.global());
    all.add(new Linear("fc", classes, Init.KAIMING, true));
    return new Sequential(all);
  }

  /** Refuses images whose stages cannot be halved alike by convolution and shortcut. */
  private void requireHalving(Shape input) {
    for (int extent : new int[] {input.d1(), input.d2()}) {
      int side = stem == Stem.THUMBNAIL ? extent : (extent + 3) / 4;
      for (int stage = 2; stage <= 4; stage++, side /= 2) {
        if (side % 2 == 0) continue;
        throw new IllegalArgumentException("network resnete: images of " + input.d1() + "x" + input.d2() + " reach stage " + stage + " with a side of " + side
            + " pixels, which its convolution makes " + (side + 1) / 2 + " and the 2x2 average pooling of its shortcut " + side / 2
            + ", as the published code defines them; take a data.height and data.width that are multiples of " + (stem == Stem.THUMBNAIL ? 8 : 32));
      }
    }
  }

  private List<Layer> shortcut(String name, int filters, Rule norm) {
    List<Layer> layers = List.of(Pool.average(2, 2), new Conv2d(name + ".downsample.1", filters, 1, 1, 0, Init.KAIMING));
    return version == Version.E1 ? Variant.join(layers, List.of(new BatchNorm(name + ".downsample.2", norm))) : layers;
  }
}
