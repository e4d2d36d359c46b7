package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Layer;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;
import onebit.tensor.Shape;

/**
 * A small network for 28x28 images: real 3x3 stem of stride 2, four binary 3x3 convolutions with shortcuts, real classifier.
 *
 * @param width channels after the stem; twice as many after the third convolution
 */
public record GlyphNet(@Default("32") @Range(min = 2, max = 512) int width) implements Network {
  public GlyphNet {
    if (width % 2 != 0) throw new IllegalArgumentException("network.width: must be even, got " + width);
  }

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    Variant variant = Variant.of(method, Variant.Family.OTHER);
    List<Layer> all = new ArrayList<>();
    all.add(new Conv2d("conv1", width, 3, 2, 1, variant.convolution()).asFirst());
    all.add(variant.batchNorm("bn1"));
    all.addAll(variant.nonlinear("nonlinear1"));
    all.addAll(block("layer1.0", method, variant, width, 1));
    all.addAll(block("layer1.1", method, variant, width, 1));
    all.addAll(block("layer2.0", method, variant, 2 * width, 2));
    all.addAll(block("layer2.1", method, variant, 2 * width, 1));
    all.add(Pool.global());
    all.add(new BatchNorm("bn2", variant.headNorm()));
    all.add(variant.classifier("linear", classes));
    return new Sequential(all);
  }

  private static List<Layer> block(String name, Method method, Variant variant, int filters, int stride) {
    List<Layer> body = List.of(new BinaryConv2d(name + ".conv", method, filters, 3, stride, 1, 1, variant.convolution()),
        variant.batchNorm(name + ".bn"));
    List<Layer> shortcut = stride == 1 ? List.of() : List.of(Pool.averagePad(stride, filters));
    return Variant.join(List.of(Variant.around(body, shortcut)), variant.nonlinear(name + ".nonlinear"));
  }
}
