package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Flatten;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.tensor.Shape;

/**
 * VGG-small for 32x32 images: one real and five binary 3x3 convolutions of 128, 256 and 512 filters, pooling before the batch norm.
 *
 * <pre>
 * Source   Qin et al. 2020 (IR-Net, arXiv 1909.10788); code RBNN cifar/models_cifar/vgg.py, shared with BiPer
 * Differs  AdaBin's VGG-small was not released: here it is this layout with Maxout
 * </pre>
 */
public record VggSmall() implements Network {
  private static final int[] FILTERS = {128, 256, 256, 512, 512};

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    Variant variant = Variant.of(method, Variant.Family.VGG);
    List<Layer> all = new ArrayList<>();
    all.add(new Conv2d("conv0", 128, 3, 1, 1, variant.convolution()).asFirst());
    all.add(variant.batchNorm("bn0"));
    all.addAll(variant.nonlinear("nonlinear0"));
    for (int i = 1; i <= FILTERS.length; i++) {
      all.add(new BinaryConv2d("conv" + i, method, FILTERS[i - 1], 3, 1, 1, 1, variant.convolution()));
      if (i % 2 == 1) all.add(Pool.max(2, 2, 0));
      all.add(variant.batchNorm("bn" + i));
      all.addAll(variant.nonlinear("nonlinear" + i));
    }
    all.add(new Flatten());
    all.add(new Linear("fc", classes, variant.linear(), true));
    return new Sequential(all);
  }
}
