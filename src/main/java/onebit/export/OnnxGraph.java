package onebit.export;

import com.google.common.primitives.Longs;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An ONNX graph while it grows: nodes in the order of their results, constants, and what goes in and comes out.
 *
 * <pre>
 * Source  github.com/onnx/onnx, onnx/onnx.proto: messages ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, ValueInfoProto
 * </pre>
 */
final class OnnxGraph {
  /** The operator set whose definitions the nodes follow, and the format of the file that came with it (onnx 1.13). */
  static final int OPSET = 18, IR_VERSION = 8;
  /** Kinds of values, as TensorProto numbers them. */
  static final int FLOAT = 1, UINT8 = 2, INT64 = 7, BOOL = 9;

  private static final int GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_CONSTANT = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12;
  private static final int ATTRIBUTE_INT = 2, ATTRIBUTE_INTS = 7, ATTRIBUTE_FLOAT = 1, ATTRIBUTE_STRING = 3;

  /** A node's attribute: a whole number, several of them, a real number or a word. */
  record Attribute(String name, Object value) {}

  private final ProtoWriter graph = new ProtoWriter();
  private final Set<String> names = new HashSet<>();
  private final Map<String, Integer> made = new HashMap<>();
  private final Map<List<?>, String> small = new HashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private int nodes;

  OnnxGraph(String name) {
    graph.text(GRAPH_NAME, name);
  }

  /** Nodes so far. */
  int nodes() {
    return nodes;
  }

  void describe(String key, String value) {
    metadata.put(key, value);
  }

  /** A value that whoever runs the graph gives; an extent below 0 is free and called N. */
  void input(String name, int kind, long... extents) {
    graph.message(GRAPH_INPUT, value(claim(name), kind, extents));
  }

  /** Gives a value the name by which the graph hands it out. */
  void output(String name, String value, int kind, long... extents) {
    graph.message(GRAPH_OUTPUT, value(claim(name), kind, extents));
    add("Identity", List.of(value), name);
  }

  private static ProtoWriter value(String name, int kind, long... extents) {
    ProtoWriter shape = new ProtoWriter();
    for (long extent : extents) shape.message(1, extent < 0 ? new ProtoWriter().text(2, "N") : new ProtoWriter().integer(1, extent));
    return new ProtoWriter().text(1, name).message(2, new ProtoWriter().message(1, new ProtoWriter().integer(1, kind).message(2, shape)));
  }

  /** The result of an operator. */
  String node(String operator, List<String> inputs, Attribute... attributes) {
    String result = fresh(operator);
    add(operator, inputs, result, attributes);
    return result;
  }

  private void add(String operator, List<String> inputs, String result, Attribute... attributes) {
    ProtoWriter node = new ProtoWriter();
    inputs.forEach(input -> node.text(1, input));
    node.text(2, result).text(3, result).text(4, operator);
    for (Attribute attribute : attributes) node.message(5, attribute(attribute));
    graph.message(GRAPH_NODE, node);
    nodes++;
  }

  private static ProtoWriter attribute(Attribute attribute) {
    ProtoWriter written = new ProtoWriter().text(1, attribute.name());
    return switch (attribute.value()) {
      case Integer one -> written.integer(3, one).integer(20, ATTRIBUTE_INT);
      case Float one -> written.floating(2, one).integer(20, ATTRIBUTE_FLOAT);
      case String word -> written.text(4, word).integer(20, ATTRIBUTE_STRING);
      case long[] several -> written.integers(8, several).integer(20, ATTRIBUTE_INTS);
      default -> throw new IllegalArgumentException("OnnxGraph: attribute " + attribute.name() + " has no kind in ONNX");
    };
  }

  /** A constant of real values. */
  String floats(String name, float[] values, long... extents) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return constant(name, FLOAT, bytes.array(), extents);
  }

  /** A constant of one real value, the same for all that ask for it. */
  String scalar(float value) {
    return small.computeIfAbsent(List.of("scalar", value), key -> floats("scalar", new float[] {value}));
  }

  /** A constant of whole numbers, the same for all that ask for these. */
  String whole(long... values) {
    return small.computeIfAbsent(Longs.asList(values.clone()), key -> {
      ByteBuffer bytes = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asLongBuffer().put(values);
      return constant("whole", INT64, bytes.array(), values.length);
    });
  }

  /** A constant of bytes. */
  String bytes(String name, byte[] values, long... extents) {
    return constant(name, UINT8, values, extents);
  }

  private String constant(String name, int kind, byte[] raw, long... extents) {
    String unique = names.contains(name) ? fresh(name) : claim(name);
    graph.message(GRAPH_CONSTANT, new ProtoWriter().integers(1, extents).integer(2, kind).text(8, unique).bytes(9, raw));
    return unique;
  }

  private String claim(String name) {
    if (!names.add(name)) throw new IllegalStateException("OnnxGraph: two values are named " + name);
    return name;
  }

  private String fresh(String word) {
    String name;
    do name = word + "_" + made.merge(word, 1, Integer::sum);
    while (!names.add(name));
    return name;
  }

  /** The whole file. */
  byte[] toBytes(String producer, String version, String description) {
    ProtoWriter model = new ProtoWriter().integer(1, IR_VERSION).text(2, producer).text(3, version).text(6, description).message(7, graph);
    model.message(8, new ProtoWriter().text(1, "").integer(2, OPSET));
    metadata.forEach((key, value) -> model.message(14, new ProtoWriter().text(1, key).text(2, value)));
    return model.toBytes();
  }
}
