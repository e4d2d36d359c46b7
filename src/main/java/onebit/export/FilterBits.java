package onebit.export;

import java.util.List;
import onebit.export.OnnxGraph.Attribute;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;

/**
 * Filters of one bit in the order of ONNX.
 *
 * <pre>
 * Shapes    O,C,R,S
 * Encoding  bit i of all is bit 7 - i % 8 of byte i / 8, as numpy.packbits has it; bits past the end are 0
 * </pre>
 */
record FilterBits(byte[] bytes, int filters, int channels, int rows, int columns) {
  /** From words as a backend gives them, whose bits are in the order O,R,S,C of the shape. */
  static FilterBits of(long[] words, Shape s) {
    int taps = s.d1() * s.d2(), perRow = BitTensor.words(s.rowSize()), i = 0;
    byte[] bytes = new byte[(s.size() + 7) / 8];
    for (int o = 0; o < s.d0(); o++) {
      for (int c = 0; c < s.d3(); c++) {
        for (int tap = 0; tap < taps; tap++, i++) {
          int k = tap * s.d3() + c;
          if ((words[o * perRow + (k >> 6)] >>> k & 1) != 0) bytes[i >> 3] |= (byte) (0x80 >> (i & 7));
        }
      }
    }
    return new FilterBits(bytes, s.d0(), s.d3(), s.d1(), s.d2());
  }

  private int count() {
    return filters * channels * rows * columns;
  }

  private static float[] both(float[] centre, float[] distance, int sign) {
    float[] all = new float[centre.length];
    for (int o = 0; o < all.length; o++) all[o] = centre[o] + sign * distance[o];
    return all;
  }

  /** The filters' values; centre and distance hold one value or one of each filter. */
  float[] values(float[] centre, float[] distance) {
    float[] high = both(centre, distance, 1), low = both(centre, distance, -1), all = new float[count()];
    int each = all.length / filters;
    for (int i = 0; i < all.length; i++) {
      int o = high.length == 1 ? 0 : i / each;
      all[i] = (bytes[i >> 3] & 0x80 >> (i & 7)) != 0 ? high[o] : low[o];
    }
    return all;
  }

  /** Nodes that make the values of the bytes; the constants bear the name of the filters. */
  String write(OnnxGraph graph, String name, float[] centre, float[] distance) {
    String column = graph.node("Unsqueeze", List.of(graph.bytes(name + ".bits", bytes, bytes.length), graph.whole(1)));
    String shifted = graph.node("BitShift", List.of(column, graph.bytes("shifts", new byte[] {7, 6, 5, 4, 3, 2, 1, 0}, 8)), new Attribute("direction", "RIGHT"));
    String ones = graph.node("Cast", List.of(graph.node("BitwiseAnd", List.of(shifted, graph.bytes("one", new byte[] {1}, 1)))), new Attribute("to", OnnxGraph.BOOL));
    String flat = graph.node("Reshape", List.of(ones, graph.whole(-1)));
    if (count() % 8 != 0) flat = graph.node("Slice", List.of(flat, graph.whole(0), graph.whole(count())));
    String truth = graph.node("Reshape", List.of(flat, graph.whole(filters, channels, rows, columns)));
    return graph.node("Where", List.of(truth, graph.floats(name + ".high", both(centre, distance, 1), centre.length, 1, 1, 1),
        graph.floats(name + ".low", both(centre, distance, -1), centre.length, 1, 1, 1)));
  }
}
