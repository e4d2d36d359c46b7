package onebit.models;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;
import onebit.tensor.Shape;

/**
 * The classifier whose training on ImageNet gives {@link Ssd300} its first weights: the same backbone under the same names, means of its map, and fc.
 *
 * <pre>
 * Shapes   square images, of 224x224 for ImageNet
 * Differs  BiDet's own classifier was not published, beside its weights; fully connected layers of VGG-16 are no part of SSD
 * </pre>
 *
 * @param width channels of the first layers, as in the detector
 */
public record Ssd300Backbone(@Default("64") @Range(min = 2, max = 256) int width) implements Network {
  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    SsdLayers layers = SsdLayers.of(method, width);
    List<Layer> all = new ArrayList<>(layers.toTap());
    all.addAll(layers.fromTap());
    all.add(new Activate(Activation.RELU));
    all.add(Pool.global());
    all.add(new Linear("fc", classes, layers.variant().linear(), true));
    return new Sequential(all);
  }
}
