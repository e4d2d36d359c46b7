package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import onebit.binarize.BiReal;
import onebit.layers.BinaryConv2d;
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.OnEveryBackend;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

class FlipMeterTest {
  /** What the meter says where the first so many weights of a layer are +1, one more in each layer, and the others -1. */
  private static Map<String, Object> measured(Backend backend, Model model, FlipMeter meter, int plus) {
    for (BinaryConv2d layer : model.binaryLayers()) {
      Tensor weights = weights(model, layer);
      float[] values = new float[weights.size()];
      Arrays.fill(values, -1);
      Arrays.fill(values, 0, plus++, 1);
      backend.write(weights, values);
    }
    model.forward(backend.create(model.input()), true);
    Map<String, Object> record = new LinkedHashMap<>();
    meter.measure(record);
    return record;
  }

  private static Tensor weights(Model model, BinaryConv2d layer) {
    return model.parameters().stream().filter(parameter -> parameter.name().equals(layer.name() + ".weight")).findFirst().orElseThrow().value();
  }

  @OnEveryBackend
  void sharesAreOfTheBitsOfALayerAndOfThoseRememberedInACheckpoint(Backend backend) {
    Model model = new Model(new GlyphNet(8), new BiReal(2), Shape.image(2, 12, 12, 1), 10, backend, 3);
    FlipMeter meter = new FlipMeter(backend, model.binaryLayers()), resumed = new FlipMeter(backend, model.binaryLayers());
    Map<String, Object> first = new LinkedHashMap<>(), second = new LinkedHashMap<>();
    int plus = 3;
    for (BinaryConv2d layer : model.binaryLayers()) {
      double bits = weights(model, layer).size();
      first.put("plus/" + layer.name(), plus / bits);
      second.put("flip/" + layer.name(), 4 / bits);
      second.put("plus/" + layer.name(), (plus++ + 4) / bits);
    }
    assertEquals(first, measured(backend, model, meter, 3));
    resumed.load(meter.save());
    assertEquals(second, measured(backend, model, resumed, 7));
    assertEquals(second, measured(backend, model, meter, 7));
  }
}
