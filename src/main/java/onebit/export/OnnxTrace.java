package onebit.export;

import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import onebit.binarize.Binarizer;
import onebit.export.OnnxGraph.Attribute;
import onebit.ops.Backend;
import onebit.ops.ConvGeometry;
import onebit.ops.Padding;
import onebit.ops.PointOps.Activation;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * The nodes for each op of a forward pass whose operands depend on the images; all others made constants, whose values the graph takes as they are.
 *
 * <pre>
 * Shapes    images are N,C,H,W in the graph, filters O,C,R,S; what is a matrix here is one there
 * Encoding  a bit is the truth of its rule, x >= threshold for most, so that 0 and -0 are bit 1 (ONNX's Sign makes 0 of them), then one of the set's two values
 * </pre>
 */
final class OnnxTrace implements TracingBackend.Listener {
  /** Filters that are bits of a set. */
  private record Packed(BitTensor bits, BinarySet set) {}

  private final OnnxGraph graph;
  private final FilterForm form;
  private final Map<Object, String> names = new IdentityHashMap<>();
  private final Map<Object, String> values = new IdentityHashMap<>();
  private final Map<Object, String> truths = new IdentityHashMap<>();
  private final Map<Object, Packed> unpacked = new IdentityHashMap<>();
  private final Map<Object, TreeMap<Integer, String>> columns = new IdentityHashMap<>();
  private final Backend backend;
  private boolean listens;

  /** Constants are read from that backend. */
  OnnxTrace(OnnxGraph graph, FilterForm form, Backend backend) {
    this.graph = graph;
    this.form = form;
    this.backend = backend;
  }

  /** Gives the constant that a tensor or bits of this memory become a name. */
  void name(Object memory, String name) {
    names.put(memory, name);
  }

  /** From now on each op is followed; the tensor is that value of the graph. */
  void begin(Tensor input, String value) {
    values.put(input.memory(), value);
    listens = true;
  }

  /** Ends that; the value that the tensor holds, a row for each image. */
  String end(Tensor output) {
    listens = false;
    TreeMap<Integer, String> pieces = columns.get(output.memory());
    return pieces == null ? matrix(output) : graph.node("Concat", List.copyOf(pieces.values()), new Attribute("axis", 1));
  }

  @Override
  public void done(String op, Object[] a) {
    if (!listens) return;
    if (Arrays.stream(a).skip(op.startsWith("accumulate") ? 0 : 1).anyMatch(this::depends)) follow(op, a);
    else forget(op, a);
  }

  private boolean depends(Object argument) {
    return argument instanceof Tensor tensor && values.containsKey(tensor.memory()) || argument instanceof BitTensor bits && truths.containsKey(bits.memory());
  }

  /** What held a value of the images before holds a constant now. */
  private void forget(String op, Object[] a) {
    if (a[0] instanceof BitTensor bits) truths.remove(bits.memory());
    if (!(a[0] instanceof Tensor made)) return;
    values.remove(made.memory());
    unpacked.remove(made.memory());
    if (op.equals("unpack")) unpacked.put(made.memory(), new Packed((BitTensor) a[1], (BinarySet) a[2]));
  }

  private void follow(String op, Object[] a) {
    switch (op) {
      case "pack" -> truths.put(memory(a[0]), node("GreaterOrEqual", value(a[1]), graph.scalar((float) a[2])));
      case "sign" -> {
        if (((Binarizer) a[2]).hasLevel()) throw new IllegalStateException("OnnxTrace: there is no ONNX form for the level of " + a[2]);
        truths.put(memory(a[0]), node("GreaterOrEqual", value(a[1]), graph.scalar(0)));
      }
      case "learnedSet" -> truths.put(memory(a[0]), atLeast(value(a[2]), scalar(a[3]), scalar(a[4])));
      case "sampleStandard" -> truths.put(memory(a[0]), node("GreaterOrEqual", value(a[2]), sampleMean(value(a[2]))));
      case "standardize" -> put(a[0], standardised(value(a[2]), ((Tensor) a[2]).shape().rowSize()));
      case "unpack" -> put(a[0], ofSet(truths.get(memory(a[1])), (BinarySet) a[2]));
      case "copy" -> put(a[0], value(a[1]));
      case "conv2d" -> put(a[0], convolution(padded(value(a[1]), (ConvGeometry) a[3], (float) a[4]), filters((Tensor) a[2]), (ConvGeometry) a[3], (float) a[4] == 0));
      case "xnorConv2d" -> put(a[0], binaryConvolution(a));
      case "linear" -> put(a[0], graph.node("Gemm", List.of(matrix((Tensor) a[1]), constant((Tensor) a[2], ((Tensor) a[2]).shape().d0(), ((Tensor) a[2]).shape().rowSize())),
          new Attribute("transB", 1)));
      case "addBias" -> put(a[0], node("Add", value(a[1]), ofChannels(a[2], (Tensor) a[1])));
      case "add" -> put(a[0], node("Add", value(a[1]), value(a[2])));
      case "accumulate" -> put(a[0], node("Add", value(a[0]), value(a[1])));
      case "accumulateScaled" -> put(a[0], node("Add", value(a[0]), node("Mul", value(a[1]), graph.scalar((float) a[2]))));
      case "concat" -> put(a[0], graph.node("Concat", List.of(value(a[1]), value(a[2])), new Attribute("axis", 1)));
      case "batchNormInference" -> put(a[0], normalised(a));
      case "l2Normalize" -> put(a[0], node("Mul", node("Div", value(a[1]), node("Add", graph.node("ReduceL2", List.of(value(a[1]), graph.whole(1))), graph.scalar(1e-10f))),
          ofChannels(a[2], (Tensor) a[1])));
      case "activate" -> put(a[0], activated(value(a[1]), (Activation) a[2]));
      case "maxout" -> put(a[0], node("Sub", node("Mul", node("Relu", value(a[1])), ofChannels(a[2], (Tensor) a[1])),
          node("Mul", node("Relu", node("Neg", value(a[1]))), ofChannels(a[3], (Tensor) a[1]))));
      case "maxPool" -> put(a[0], graph.node("MaxPool", List.of(value(a[1])), pair("kernel_shape", (int) a[2]), pair("strides", (int) a[3]),
          new Attribute("pads", new long[] {(int) a[4], (int) a[4], (int) a[4], (int) a[4]})));
      case "averagePool" -> put(a[0], averagePool((Tensor) a[0], (Tensor) a[1], (int) a[2], (int) a[3]));
      case "subsamplePad" -> put(a[0], widened(subsampled(value(a[1]), (int) a[2]), (Tensor) a[0], (Tensor) a[1]));
      case "poolPad" -> put(a[0], widened(averagePool((Tensor) a[0], (Tensor) a[1], (int) a[2], (int) a[2]), (Tensor) a[0], (Tensor) a[1]));
      case "toPlanar" -> put(a[0], node("Reshape", value(a[1]), graph.whole(0, -1, 1, 1)));
      case "place" -> place(a);
      default -> throw new IllegalStateException("OnnxTrace: there is no ONNX form for the op " + op);
    }
  }

  private static Object memory(Object of) {
    return of instanceof BitTensor bits ? bits.memory() : ((Tensor) of).memory();
  }

  private void put(Object tensor, String value) {
    values.put(memory(tensor), value);
    unpacked.remove(memory(tensor));
  }

  private String value(Object tensor) {
    String value = values.get(memory(tensor));
    if (value == null) throw new IllegalStateException("OnnxTrace: an operand of shape " + ((Tensor) tensor).shape() + " is a constant where values made of the images are wanted");
    return value;
  }

  private String node(String operator, String... inputs) {
    return graph.node(operator, List.of(inputs));
  }

  private static Attribute pair(String name, long each) {
    return new Attribute(name, new long[] {each, each});
  }

  private float scalar(Object tensor) {
    return backend.read((Tensor) tensor)[0];
  }

  private String constant(Tensor tensor, long... extents) {
    long[] shape = extents.length > 0 ? extents : new long[] {tensor.size()};
    return graph.floats(names.getOrDefault(tensor.memory(), "constant"), backend.read(tensor), shape);
  }

  /** One value for each channel of x, as it meets the values of x. */
  private String ofChannels(Object vector, Tensor x) {
    Tensor values = (Tensor) vector;
    return x.shape().rank() == 4 ? constant(values, values.size(), 1, 1) : constant(values, values.size());
  }

  /**
   * gamma / sqrt(var + epsilon) (x - mean) + beta.
   *
   * <p>Not as the node BatchNormalization: runtimes fold its mean into beta, or its factor into the filters before it, and then lose so many digits of large sums of
   * bits that some fall on the other side of the next threshold.
   */
  private String normalised(Object[] a) {
    Tensor x = (Tensor) a[1], gamma = (Tensor) a[2], var = (Tensor) a[5];
    float[] factor = backend.read(gamma), vars = backend.read(var);
    for (int c = 0; c < factor.length; c++) factor[c] *= (float) (1 / Math.sqrt((double) vars[c] + (float) a[6]));
    long[] extents = x.shape().rank() == 4 ? new long[] {factor.length, 1, 1} : new long[] {factor.length};
    String scale = graph.floats(names.getOrDefault(gamma.memory(), "gamma") + ".normalised", factor, extents);
    return node("Add", node("Mul", node("Sub", value(x), ofChannels(a[4], x)), scale), ofChannels(a[3], x));
  }

  /** [(x - beta) / alpha >= 0]. */
  private String atLeast(String x, float alpha, float beta) {
    if (alpha > 0) return node("GreaterOrEqual", x, graph.scalar(beta));
    return node("GreaterOrEqual", node("Div", node("Sub", x, graph.scalar(beta)), graph.scalar(alpha)), graph.scalar(0));
  }

  private String sampleMean(String x) {
    return graph.node("ReduceMean", List.of(x, graph.whole(1, 2, 3)));
  }

  /** (x - mean) / unbiased deviation of each sample of so many values; 0 where the deviation is 0. */
  private String standardised(String x, int count) {
    String centred = node("Sub", x, sampleMean(x));
    String variance = node("Div", graph.node("ReduceSumSquare", List.of(centred, graph.whole(1, 2, 3))), graph.scalar(Math.max(1, count - 1)));
    return node("Where", node("Greater", variance, graph.scalar(0)), node("Div", centred, node("Sqrt", variance)), graph.scalar(0));
  }

  private String ofSet(String truth, BinarySet set) {
    float centre = scalar(set.centre()), distance = scalar(set.distance());
    return node("Where", truth, graph.scalar(centre + distance), graph.scalar(centre - distance));
  }

  private String activated(String x, Activation f) {
    return switch (f) {
      case RELU -> node("Relu", x);
      case HARD_TANH -> node("Clip", x, graph.scalar(-1), graph.scalar(1));
      case TANH -> node("Tanh", x);
    };
  }

  /** N,C,H,W images as rows of their values in the order of memory here: channels innermost. */
  private String matrix(Tensor x) {
    Shape shape = x.shape();
    if (shape.rank() != 4) return value(x);
    String image = shape.d1() * shape.d2() == 1 ? value(x) : channelsLast(value(x));
    return graph.node("Flatten", List.of(image), new Attribute("axis", 1));
  }

  private String channelsLast(String x) {
    return graph.node("Transpose", List.of(x), new Attribute("perm", new long[] {0, 2, 3, 1}));
  }

  private void place(Object[] a) {
    Tensor x = (Tensor) a[1];
    String rows = graph.node("Flatten", List.of(channelsLast(node("Add", value(x), ofChannels(a[2], x)))), new Attribute("axis", 1));
    columns.computeIfAbsent(memory(a[0]), any -> new TreeMap<>()).put((int) a[3], rows);
  }

  /** Windows that the far border cuts count the pixels they have: these are pads, which a mean leaves out. */
  private String averagePool(Tensor y, Tensor x, int window, int stride) {
    long below = Math.max(0, (y.shape().d1() - 1) * stride + window - x.shape().d1()), right = Math.max(0, (y.shape().d2() - 1) * stride + window - x.shape().d2());
    return graph.node("AveragePool", List.of(value(x)), pair("kernel_shape", window), pair("strides", stride), new Attribute("pads", new long[] {0, 0, below, right}));
  }

  private String subsampled(String x, int stride) {
    return node("Slice", x, graph.whole(0, 0), graph.whole(Integer.MAX_VALUE, Integer.MAX_VALUE), graph.whole(2, 3), graph.whole(stride, stride));
  }

  /** The channels of x between equally many zeros, as many as y has. */
  private String widened(String value, Tensor y, Tensor x) {
    long more = (y.shape().channels() - x.shape().channels()) / 2;
    return more == 0 ? value : node("Pad", value, graph.whole(0, more, 0, 0, 0, more, 0, 0), graph.scalar(0));
  }

  private String padded(String x, ConvGeometry g, float border) {
    return border == 0 || g.pad() == 0 ? x : node("Pad", x, graph.whole(0, 0, g.pad(), g.pad(), 0, 0, g.pad(), g.pad()), graph.scalar(border));
  }

  private String binaryConvolution(Object[] a) {
    BinarySet set = (BinarySet) a[3];
    ConvGeometry g = (ConvGeometry) a[5];
    boolean zeros = a[6] == Padding.ZERO;
    float low = scalar(set.centre()) - scalar(set.distance()), offset = (float) a[7];
    String x = ofSet(truths.get(memory(a[1])), set);
    String y = convolution(zeros ? x : padded(x, g, low), packed(new Packed((BitTensor) a[2], (BinarySet) a[4]), g.filters()), g, zeros || low == 0);
    return offset == 0 ? y : node("Add", y, graph.scalar(offset));
  }

  private String convolution(String x, String filters, ConvGeometry g, boolean pads) {
    long pad = pads ? g.pad() : 0;
    return graph.node("Conv", List.of(x, filters), new Attribute("kernel_shape", new long[] {g.r(), g.s()}), pair("strides", g.stride()), pair("dilations", g.dilation()),
        new Attribute("pads", new long[] {pad, pad, pad, pad}), new Attribute("group", g.groups()));
  }

  private String filters(Tensor w) {
    Packed bits = unpacked.get(w.memory());
    if (bits != null) return packed(bits, w.shape());
    Shape s = w.shape();
    float[] from = backend.read(w), to = new float[from.length];
    int at = 0;
    for (int o = 0; o < s.d0(); o++) {
      for (int c = 0; c < s.d3(); c++) {
        for (int tap = 0; tap < s.d1() * s.d2(); tap++) to[at++] = from[(o * s.d1() * s.d2() + tap) * s.d3() + c];
      }
    }
    return graph.floats(names.getOrDefault(w.memory(), "filters"), to, s.d0(), s.d3(), s.d1(), s.d2());
  }

  /** Filters of bits, in the file as bits or as values. */
  private String packed(Packed filters, Shape s) {
    FilterBits bits = FilterBits.of(backend.read(filters.bits()), s);
    float[] centre = backend.read(filters.set().centre()), distance = backend.read(filters.set().distance());
    String name = names.getOrDefault(filters.bits().memory(), "filters");
    return form == FilterForm.BITS ? bits.write(graph, name, centre, distance) : graph.floats(name, bits.values(centre, distance), s.d0(), s.d3(), s.d1(), s.d2());
  }
}
