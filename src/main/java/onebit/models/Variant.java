package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BatchNorm.Rule;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Maxout;
import onebit.layers.Residual;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;

/**
 * What a method's authors chose around the binary convolutions of a family of networks; {@link #of} is the whole table.
 *
 * <p>A method that published nothing for a family gets Bi-Real's block (Liu et al. 2018, arXiv 1808.00278): each convolution and its batch
 * norm have a shortcut of their own, with no nonlinearity, so adding a method changes nothing here.
 *
 * @param doubled a shortcut around every convolution instead of around every two
 * @param stemNonlinear whether the nonlinearity also follows the stem
 * @param norm batch norm of images; the one before the classifier never starts with a tiny gamma
 */
record Variant(Shortcut shortcut, boolean doubled, Nonlinearity nonlinearity, boolean stemNonlinear, Rule norm, Init convolution, Init linear) {
  /** Families whose authors chose differently. */
  enum Family { CIFAR_RESNET20, CIFAR_RESNET18, IMAGENET_RESNET, VGG, OTHER }

  /** What carries x past a convolution that changes its width. */
  enum Shortcut {
    /** Every second pixel, channels padded with zeros. */
    SUBSAMPLE_PAD,
    /** Means of 2x2 pixels, channels padded with zeros. */
    AVERAGE_PAD,
    /** Real 1x1 convolution of stride 2, batch norm. */
    CONVOLUTION,
    /** Binary 1x1 convolution of stride 2, batch norm. */
    BINARY_CONVOLUTION,
    /** Means of 2x2 pixels, real 1x1 convolution, batch norm. */
    AVERAGE_CONVOLUTION
  }

  /** What follows a sum or a batch norm. */
  enum Nonlinearity { NONE, MAXOUT, HARD_TANH }

  static Variant of(Method method, Family family) {
    return switch (method) {
      case AdaBin _ -> switch (family) {
        case CIFAR_RESNET20 -> new Variant(Shortcut.SUBSAMPLE_PAD, true, Nonlinearity.MAXOUT, true, Rule.TORCH, Init.KAIMING, Init.KAIMING);
        case CIFAR_RESNET18 -> new Variant(Shortcut.CONVOLUTION, true, Nonlinearity.MAXOUT, true, Rule.TORCH, Init.TORCH, Init.TORCH);
        case IMAGENET_RESNET -> new Variant(Shortcut.AVERAGE_CONVOLUTION, true, Nonlinearity.MAXOUT, true, Rule.TORCH, Init.FAN_OUT, Init.TORCH);
        case VGG -> new Variant(Shortcut.AVERAGE_PAD, true, Nonlinearity.MAXOUT, true, Rule.TORCH, Init.FAN_OUT, Init.gaussian(0.01));
        case OTHER -> new Variant(Shortcut.AVERAGE_PAD, true, Nonlinearity.MAXOUT, true, Rule.TORCH, Init.KAIMING, Init.KAIMING);
      };
      case BiPer _ -> switch (family) {
        case CIFAR_RESNET20 -> new Variant(Shortcut.AVERAGE_PAD, true, Nonlinearity.HARD_TANH, true, Rule.TORCH, Init.KAIMING, Init.TORCH);
        case CIFAR_RESNET18 -> new Variant(Shortcut.AVERAGE_PAD, false, Nonlinearity.HARD_TANH, false, Rule.TORCH, Init.KAIMING, Init.TORCH);
        case IMAGENET_RESNET -> new Variant(Shortcut.CONVOLUTION, true, Nonlinearity.HARD_TANH, true, Rule.TORCH_TINY_GAMMA, Init.KAIMING, Init.TORCH);
        case VGG -> new Variant(Shortcut.AVERAGE_PAD, true, Nonlinearity.HARD_TANH, true, Rule.TORCH, Init.FAN_OUT, Init.gaussian(0.01));
        case OTHER -> new Variant(Shortcut.AVERAGE_PAD, true, Nonlinearity.HARD_TANH, true, Rule.TORCH, Init.KAIMING, Init.TORCH);
      };
      case Rbnn _ -> switch (family) {
        case CIFAR_RESNET20 ->
            new Variant(Shortcut.SUBSAMPLE_PAD, false, Nonlinearity.HARD_TANH, true, Rule.TORCH_TINY_GAMMA, Init.KAIMING, Init.KAIMING);
        case CIFAR_RESNET18 -> new Variant(Shortcut.BINARY_CONVOLUTION, false, Nonlinearity.HARD_TANH, false, Rule.TORCH, Init.TORCH, Init.TORCH);
        case IMAGENET_RESNET -> new Variant(Shortcut.CONVOLUTION, true, Nonlinearity.HARD_TANH, true, Rule.TORCH_TINY_GAMMA, Init.KAIMING, Init.TORCH);
        case VGG -> new Variant(Shortcut.AVERAGE_PAD, true, Nonlinearity.HARD_TANH, true, Rule.TORCH, Init.FAN_OUT, Init.gaussian(0.01));
        case OTHER -> new Variant(Shortcut.AVERAGE_PAD, true, Nonlinearity.HARD_TANH, true, Rule.TORCH, Init.KAIMING, Init.KAIMING);
      };
      default -> new Variant(family == Family.CIFAR_RESNET20 || family == Family.OTHER ? Shortcut.AVERAGE_PAD : Shortcut.AVERAGE_CONVOLUTION,
          true, Nonlinearity.NONE, false, method instanceof BmxNet ? Rule.MXNET : Rule.TORCH, Init.KAIMING, Init.KAIMING);
    };
  }

  /** The same with a shortcut around every convolution. */
  Variant withDoubledShortcuts() {
    return new Variant(shortcut, true, nonlinearity, stemNonlinear, norm, convolution, linear);
  }

  /** The batch norm before the classifier. */
  Rule headNorm() {
    return norm == Rule.TORCH_TINY_GAMMA ? Rule.TORCH : norm;
  }

  /** Whether biases start at 0, as MXNet's do; the rule's numbers are PyTorch's, so the rule itself is asked for. */
  boolean zeroBias() {
    return norm == Rule.MXNET;
  }

  BatchNorm batchNorm(String name) {
    return new BatchNorm(name, norm);
  }

  Linear classifier(String name, int classes) {
    return new Linear(name, classes, linear, zeroBias());
  }

  /** The layer, or none. */
  List<Layer> nonlinear(String name) {
    return switch (nonlinearity) {
      case NONE -> List.of();
      case MAXOUT -> List.of(new Maxout(name));
      case HARD_TANH -> List.of(new Activate(Activation.HARD_TANH));
    };
  }

  /** The body, with x added to what it gives where x has the same shape or a shortcut is given. */
  static Residual around(List<? extends Layer> body, List<? extends Layer> shortcut) {
    return new Residual(new Sequential(body), shortcut.isEmpty() ? null : new Sequential(shortcut));
  }

  /** The layers and what follows them in one list. */
  static List<Layer> join(List<? extends Layer> first, List<? extends Layer> second) {
    List<Layer> all = new ArrayList<>(first);
    all.addAll(second);
    return all;
  }
}
