package onebit.models;

import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BatchNorm.Rule;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.L2Norm;
import onebit.layers.Layer;
import onebit.layers.Maxout;
import onebit.layers.Pool;
import onebit.layers.Pyramid;
import onebit.layers.Pyramid.Level;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Shape;

/** What SSD300 is made of, for images of 8x8: blocks with shortcuts, a normalised tap, a dilated convolution, a tap with a ReLU, extra layers; maps of 4, 4 and 2. */
public record SmallPyramid(int width) implements Network {
  public static final int UNITS = 5;

  @Override
  public int outputs(int classes) {
    return 16 * (3 + classes) + 16 * (2 + classes) + 4 * (3 + classes);
  }

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    List<Layer> first = List.of(new Conv2d("stem", width, 3, 1, 1, Init.KAIMING).asFirst(), norm("n0"),
        Variant.around(List.of(binary("b1", method, width, 3, 1, 1, 1), norm("n1")), List.of()), new Maxout("m1"),
        Variant.around(List.of(binary("b2", method, 2 * width, 3, 2, 1, 1), norm("n2")),
            List.of(Pool.averageCeil(2, 2), new Conv2d("s2", 2 * width, 1, 1, 0, Init.KAIMING), norm("sn2"))), new Maxout("m2"));
    List<Layer> second = List.of(Pool.max(3, 1, 1), binary("b3", method, 3 * width, 3, 1, 2, 2), norm("n3"), new Activate(Activation.RELU),
        new Conv2d("c4", 3 * width, 1, 1, 0, Init.KAIMING), norm("n4"));
    List<Layer> third = List.of(binary("b5", method, width, 1, 1, 0, 1), norm("n5"), binary("b6", method, 2 * width, 3, 2, 1, 1), norm("n6"));
    return Sequential.of(new Pyramid(List.of(new Level(new Sequential(first), new L2Norm("L2Norm", 20), head("l1", 3), head("k1", classes)),
        new Level(new Sequential(second), new Activate(Activation.RELU), head("l2", 2), head("k2", classes)),
        new Level(new Sequential(third), null, head("l3", 3), head("k3", classes)))));
  }

  private static BinaryConv2d binary(String name, Method method, int filters, int taps, int stride, int pad, int dilation) {
    return new BinaryConv2d(name, method, filters, taps, stride, pad, dilation, Init.KAIMING);
  }

  private static BatchNorm norm(String name) {
    return new BatchNorm(name, Rule.TORCH);
  }

  private static Conv2d head(String name, int filters) {
    return new Conv2d(name, filters, 3, 1, 1, 1, true, Init.XAVIER_NORMAL);
  }
}
