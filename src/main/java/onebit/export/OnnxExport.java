package onebit.export;

import java.util.List;
import onebit.detect.Priors;
import onebit.export.OnnxGraph.Attribute;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * A trained network as an ONNX file: one evaluation of one image is run, and each op that depends on the image is written down.
 *
 * <p>Filters of one bit take one bit. What the file computes is what evaluation computes here, up to the order of sums in float32.
 *
 * <pre>
 * Shapes  in: images N,C,H,W float32, any N; out: logits [N][classes], or of networks that find boxes: boxes [N][P][4] and scores [N][P][1 + classes]
 * Units   images 0 to 1 in the order red, green, blue, as torchvision's ToTensor gives them: mean and deviation are taken in the graph. Boxes: left, top, right, bottom as parts of the
 *         image, not cut at its border and not suppressed; scores: probabilities, background first
 * Source  ONNX operator set 18
 * </pre>
 */
public final class OnnxExport implements AutoCloseable {
  private static final String INPUT = "images";

  private final OnnxGraph graph;
  private final OnnxTrace trace;
  private final Backend backend;

  /** An export to be, of that name; work is done by the given backend, which is closed with this. */
  public OnnxExport(String name, Backend worker, FilterForm form) {
    graph = new OnnxGraph(name);
    trace = new OnnxTrace(graph, form, worker);
    backend = TracingBackend.of(worker, trace);
  }

  /** Where the network is to be built, for one image. */
  public Backend backend() {
    return backend;
  }

  /** Says more about the network in the file. */
  public void describe(String key, String value) {
    graph.describe(key, value);
  }

  /** Nodes so far. */
  public int nodes() {
    return graph.nodes();
  }

  /** The operator set that the nodes are of. */
  public int operatorSet() {
    return OnnxGraph.OPSET;
  }

  /**
   * Writes the network down, which was built on {@link #backend} and has its weights; once.
   *
   * @throws IllegalArgumentException if it was built elsewhere, or for fused passes
   * @throws IllegalStateException if a layer calls an op that has no form in ONNX
   */
  public void add(Model model, PixelScale scale) {
    if (model.backend() != backend) throw new IllegalArgumentException("OnnxExport: the network was built on another backend; build it on that of the export, and load its weights there");
    if (model.fusedUnits() > 0) throw new IllegalArgumentException("OnnxExport: the network was built for fused passes, which have no form in ONNX; build it with Passes.AUTO or SIMPLE");
    Shape image = model.input();
    model.parameters().forEach(p -> trace.name(p.value().memory(), p.name()));
    model.state().forEach(s -> trace.name(s.value().memory(), s.name()));
    model.binaryLayers().forEach(layer -> trace.name(layer.filterBits().memory(), layer.name() + ".weight"));
    graph.input(INPUT, OnnxGraph.FLOAT, -1, image.d3(), image.d1(), image.d2());
    String mean = graph.floats("mean", scale.mean(), scale.mean().length, 1, 1), deviation = graph.floats("deviation", scale.deviation(), scale.deviation().length, 1, 1);
    Tensor x = backend.create(image);
    trace.begin(x, graph.node("Div", List.of(graph.node("Sub", List.of(INPUT, mean)), deviation)));
    String result = trace.end(model.forward(x, false));
    if (model.detects()) addBoxes(result, Priors.ssd300(), model.classes());
    else graph.output("logits", result, OnnxGraph.FLOAT, -1, model.outputs());
  }

  private void addBoxes(String result, Priors priors, int classes) {
    int count = priors.count();
    float[] centres = new float[2 * count], steps = new float[2 * count], extents = new float[2 * count];
    for (int i = 0; i < count; i++) {
      centres[2 * i] = priors.centreX(i);
      centres[2 * i + 1] = priors.centreY(i);
      extents[2 * i] = priors.width(i);
      extents[2 * i + 1] = priors.height(i);
    }
    for (int i = 0; i < steps.length; i++) steps[i] = Priors.CENTRE * extents[i];
    String offsets = graph.node("Reshape", List.of(sliced(result, 0, 4L * count, 1), graph.whole(0, count, 4)));
    String moved = graph.node("Mul", List.of(sliced(offsets, 0, 2, 2), graph.floats("prior_steps", steps, count, 2)));
    String centre = graph.node("Add", List.of(moved, graph.floats("prior_centres", centres, count, 2)));
    String grown = graph.node("Exp", List.of(graph.node("Mul", List.of(sliced(offsets, 2, 4, 2), graph.scalar(Priors.EXTENT)))));
    String half = graph.node("Mul", List.of(graph.node("Mul", List.of(grown, graph.floats("prior_extents", extents, count, 2))), graph.scalar(0.5f)));
    graph.output("boxes", graph.node("Concat", List.of(graph.node("Sub", List.of(centre, half)), graph.node("Add", List.of(centre, half))), new Attribute("axis", 2)),
        OnnxGraph.FLOAT, -1, count, 4);
    String logits = graph.node("Reshape", List.of(sliced(result, 4L * count, Integer.MAX_VALUE, 1), graph.whole(0, count, 1 + classes)));
    graph.output("scores", graph.node("Softmax", List.of(logits), new Attribute("axis", 2)), OnnxGraph.FLOAT, -1, count, 1 + classes);
  }

  private String sliced(String value, long from, long to, long axis) {
    return graph.node("Slice", List.of(value, graph.whole(from), graph.whole(to), graph.whole(axis)));
  }

  /** The bytes of the file. */
  public byte[] file(String version, String description) {
    return graph.toBytes("onebit", version, description);
  }

  @Override
  public void close() {
    backend.close();
  }
}
