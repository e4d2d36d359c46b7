package onebit.models;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import onebit.binarize.Method;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Layer;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.tensor.Shape;

/**
 * Stages of basic blocks under the names of the PyTorch codes, around them the CIFAR or the ImageNet stem and head.
 *
 * <pre>
 * Source  He et al. 2016 (arXiv 1512.03385); AdaBin, BiPer and RBNN: cifar10/nets, cifar10/models_cifar, cifar/models_cifar and the imagenet ones
 * </pre>
 *
 * @param shortcutName the module of a block that holds its shortcut
 */
record ResNetLayers(Method method, Variant variant, String shortcutName) {
  /** Side of an image, in pixels, below which the CIFAR variant is built. */
  static final int IMAGENET_SIDE = 50;

  /** Registered in the ImageNet codes of AdaBin (both) and of BiPer and RBNN (bn3), and never run. */
  static final Set<String> UNUSED = Set.of("nonlinear2", "bn3");

  /** The CIFAR or the ImageNet network of these four stages. */
  static Sequential bySize(Method method, Shape input, int[] blocks, int classes) {
    return Math.min(input.d1(), input.d2()) < IMAGENET_SIDE
        ? cifar(method, Variant.of(method, Variant.Family.CIFAR_RESNET18), 64, blocks, classes)
        : imagenet(method, Variant.of(method, Variant.Family.IMAGENET_RESNET), blocks, classes);
  }

  /** 3x3 stem, stages of the given first width, batch norm and classifier named bn2 and linear. */
  static Sequential cifar(Method method, Variant variant, int width, int[] blocks, int classes) {
    List<Layer> all = new ArrayList<>();
    all.add(new Conv2d("conv1", width, 3, 1, 1, variant.convolution()).asFirst());
    all.add(variant.batchNorm("bn1"));
    if (variant.stemNonlinear()) all.addAll(variant.nonlinear("nonlinear1"));
    all.addAll(new ResNetLayers(method, variant, "shortcut").stages(width, blocks));
    all.add(Pool.global());
    all.add(new BatchNorm("bn2", variant.headNorm()));
    all.add(variant.classifier("linear", classes));
    return new Sequential(all);
  }

  /** 7x7 stem with max pooling, four stages from 64 channels, batch norm and classifier named bn2 and fc. */
  static Sequential imagenet(Method method, Variant variant, int[] blocks, int classes) {
    List<Layer> all = new ArrayList<>();
    all.add(new Conv2d("conv1", 64, 7, 2, 3, variant.convolution()).asFirst());
    all.add(variant.batchNorm("bn1"));
    if (variant.stemNonlinear()) all.addAll(variant.nonlinear("nonlinear1"));
    all.add(Pool.max(3, 2, 1));
    all.addAll(new ResNetLayers(method, variant, "downsample").stages(64, blocks));
    all.add(Pool.global());
    all.add(new BatchNorm("bn2", variant.headNorm()));
    all.add(variant.classifier("fc", classes));
    return new Sequential(all);
  }

  private List<Layer> stages(int width, int[] blocks) {
    List<Layer> all = new ArrayList<>();
    int channels = width;
    for (int stage = 0; stage < blocks.length; stage++) {
      for (int block = 0; block < blocks[stage]; block++) {
        int filters = width << stage;
        all.addAll(block("layer" + (stage + 1) + "." + block, filters, channels == filters ? 1 : 2));
        channels = filters;
      }
    }
    return all;
  }

  private List<Layer> block(String name, int filters, int stride) {
    List<Layer> first = List.of(convolution(name + ".conv1", filters, 3, stride, 1), variant.batchNorm(name + ".bn1"));
    List<Layer> second = List.of(convolution(name + ".conv2", filters, 3, 1, 1), variant.batchNorm(name + ".bn2"));
    List<Layer> shortcut = stride == 1 ? List.of() : shortcut(name + "." + shortcutName, filters, stride);
    List<Layer> all = new ArrayList<>();
    if (variant.doubled()) {
      all.add(Variant.around(first, shortcut));
      all.addAll(variant.nonlinear(name + ".nonlinear1"));
      all.add(Variant.around(second, List.of()));
    } else {
      all.add(Variant.around(Variant.join(Variant.join(first, variant.nonlinear(name + ".nonlinear1")), second), shortcut));
    }
    all.addAll(variant.nonlinear(name + ".nonlinear2"));
    return all;
  }

  private BinaryConv2d convolution(String name, int filters, int taps, int stride, int pad) {
    return new BinaryConv2d(name, method, filters, taps, stride, pad, 1, variant.convolution());
  }

  private List<Layer> shortcut(String name, int filters, int stride) {
    return switch (variant.shortcut()) {
      case SUBSAMPLE_PAD -> List.of(Pool.subsamplePad(stride, filters));
      case AVERAGE_PAD -> List.of(Pool.averagePad(stride, filters));
      case CONVOLUTION -> List.of(new Conv2d(name + ".0", filters, 1, stride, 0, variant.convolution()), variant.batchNorm(name + ".1"));
      case BINARY_CONVOLUTION -> List.of(convolution(name + ".0", filters, 1, stride, 0), variant.batchNorm(name + ".1"));
      case AVERAGE_CONVOLUTION -> List.of(Pool.averageCeil(stride, stride), new Conv2d(name + ".1", filters, 1, 1, 0, variant.convolution()),
          variant.batchNorm(name + ".2"));
    };
  }
}
