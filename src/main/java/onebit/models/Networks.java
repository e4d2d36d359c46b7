package onebit.models;

import java.util.Map;

/** The networks a recipe may name in {@code network.name}. */
public final class Networks {
  private static final Map<String, Class<? extends Network>> BY_NAME = Map.ofEntries(
      Map.entry("glyphnet", GlyphNet.class),
      Map.entry("lenet", LeNet.class),
      Map.entry("vggsmall", VggSmall.class),
      Map.entry("resnet20", ResNet20.class),
      Map.entry("resnet20-bireal", ResNet20BiReal.class),
      Map.entry("resnet18", ResNet18.class),
      Map.entry("resnet34", ResNet34.class),
      Map.entry("real-resnet", RealResNet.class),
      Map.entry("resnet18v1", ResNet18V1.class),
      Map.entry("resnete", ResNetE.class),
      Map.entry("densenet21", DenseNet21.class),
      Map.entry("binarydensenet", BinaryDenseNet.class),
      Map.entry("ssd300", Ssd300.class),
      Map.entry("ssd300-backbone", Ssd300Backbone.class));

  private Networks() {}

  public static Map<String, Class<? extends Network>> byName() {
    return BY_NAME;
  }
}
