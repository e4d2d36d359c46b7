package onebit.recipe;

import java.util.Map;
import onebit.binarize.Method;
import onebit.binarize.Methods;
import onebit.layers.Layer;
import onebit.models.Network;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.OneOf;
import onebit.tensor.Shape;

/** The real methods, and networks with the keys of the real ones and nothing behind them. */
final class ToyKinds {
  private ToyKinds() {}

  interface ToyNetwork extends Network {
    @Override
    default Layer layers(Method method, Shape input, int classes) {
      throw new UnsupportedOperationException("a toy has no layers");
    }
  }

  record Lenet() implements ToyNetwork {}

  record Glyphnet() implements ToyNetwork {}

  record VggSmall() implements ToyNetwork {}

  record ResNet20() implements ToyNetwork {}

  record ResNet20BiReal() implements ToyNetwork {}

  record ResNet18() implements ToyNetwork {}

  record ResNet34() implements ToyNetwork {}

  record ResNet18V1() implements ToyNetwork {}

  enum Stem { IMAGENET, GROUPED, THUMBNAIL }

  record ResNetE(int depth, @OneOf({"e1", "e2"}) String version, Stem stem) implements ToyNetwork {}

  record DenseNet21() implements ToyNetwork {}

  record BinaryDenseNet(int depth, Stem stem, @Default("false") boolean dilated) implements ToyNetwork {}

  record Ssd300(@Default("64") int width) implements ToyNetwork {
    @Override
    public boolean detects() {
      return true;
    }
  }

  record Ssd300Backbone(@Default("64") int width) implements ToyNetwork {}

  static final RecordBinder BINDER = new RecordBinder(Map.of(
      Method.class, Methods.byName(),
      Network.class, Map.ofEntries(Map.entry("lenet", Lenet.class), Map.entry("glyphnet", Glyphnet.class), Map.entry("vggsmall", VggSmall.class),
          Map.entry("resnet20", ResNet20.class), Map.entry("resnet20-bireal", ResNet20BiReal.class), Map.entry("resnet18", ResNet18.class),
          Map.entry("resnet34", ResNet34.class), Map.entry("resnet18v1", ResNet18V1.class), Map.entry("resnete", ResNetE.class),
          Map.entry("densenet21", DenseNet21.class), Map.entry("binarydensenet", BinaryDenseNet.class),
          Map.entry("ssd300", Ssd300.class), Map.entry("ssd300-backbone", Ssd300Backbone.class))));
}
