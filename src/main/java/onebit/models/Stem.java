package onebit.models;

import java.util.List;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Pool;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Shape;

/**
 * The real-valued first layers of BMXNet's networks.
 *
 * <pre>
 * Source  BMXNet-v2-examples binary_models/common_layers.py
 * </pre>
 */
public enum Stem {
  /** 7x7 of stride 2, batch norm, ReLU, max pooling of stride 2. */
  IMAGENET,
  /** Three 3x3, the second and third in 4 and 8 groups, batch norm and ReLU after each, max pooling of stride 2. */
  GROUPED,
  /** One 3x3 and nothing else. */
  THUMBNAIL;

  /** The stem BMXNet takes for images of this size where a network has no key for it. */
  static Stem bySize(Shape input) {
    return Math.min(input.d1(), input.d2()) < ResNetLayers.IMAGENET_SIDE ? THUMBNAIL : IMAGENET;
  }

  /** The layers; first where nothing that learns lies before. */
  List<Layer> layers(int channels, BatchNorm.Rule norm, boolean first) {
    int half = channels / 2;
    return switch (this) {
      case IMAGENET -> List.of(convolution("conv1", channels, 7, 2, 1, first), new BatchNorm("bn1", norm), new Activate(Activation.RELU),
          Pool.max(3, 2, 1));
      case GROUPED -> List.of(convolution("stem.conv1", half, 3, 2, 1, first), new BatchNorm("stem.bn1", norm), new Activate(Activation.RELU),
          convolution("stem.conv2", half, 3, 1, 4, false), new BatchNorm("stem.bn2", norm), new Activate(Activation.RELU),
          convolution("stem.conv3", channels, 3, 1, 8, false), new BatchNorm("bn1", norm), new Activate(Activation.RELU), Pool.max(3, 2, 1));
      case THUMBNAIL -> List.of(convolution("conv1", channels, 3, 1, 1, first));
    };
  }

  private static Conv2d convolution(String name, int channels, int taps, int stride, int groups, boolean first) {
    Conv2d layer = new Conv2d(name, channels, taps, stride, taps / 2, groups, false, Init.KAIMING);
    return first ? layer.asFirst() : layer;
  }
}
