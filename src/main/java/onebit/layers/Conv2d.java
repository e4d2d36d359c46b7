package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvRules;
import onebit.ops.FusedOps.Running;
import onebit.ops.FusedOps.Unit;
import onebit.ops.PixelScale;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * y = x * w (+ bias), real-valued: stems, of which some make their images of bytes, and 1x1 shortcuts.
 *
 * <pre>
 * Shapes  x N,H,W,C; w O,R,S,C/groups; y N,P,Q,O
 * </pre>
 */
public final class Conv2d implements Layer {
  private final String name;
  private final int filters;
  private final int taps;
  private final int stride;
  private final int pad;
  private final int groups;
  private final boolean withBias;
  private final Init init;
  private Backend backend;
  private ConvGeometry geometry;
  private Parameter weight;
  private Parameter bias;
  private Tensor factor;
  private Tensor y;
  private Tensor gradX;
  private Tensor x;
  private boolean first;
  private PixelScale scale;

  public Conv2d(String name, int filters, int taps, int stride, int pad, int groups, boolean withBias, Init init) {
    this.name = name;
    this.filters = filters;
    this.taps = taps;
    this.stride = stride;
    this.pad = pad;
    this.groups = groups;
    this.withBias = withBias;
    this.init = init;
  }

  public Conv2d(String name, int filters, int taps, int stride, int pad, Init init) {
    this(name, filters, taps, stride, pad, 1, false, init);
  }

  /** Says that nothing before this layer learns: backward then leaves the gradient at x out and returns null. */
  public Conv2d asFirst() {
    first = true;
    return this;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    geometry = new ConvGeometry(input.d0(), input.d1(), input.d2(), input.d3(), filters, taps, taps, stride, pad, 1, groups);
    weight = context.filters(name + ".weight", geometry.filters(), Parameter.Kind.REAL_WEIGHT, init);
    factor = context.rounded().of(weight.value());
    if (withBias) bias = context.parameter(name + ".bias", Shape.vector(filters), Parameter.Kind.BIAS, 0);
    y = context.activations(geometry.y());
    if (!first) gradX = context.gradients(input);
    return geometry.y();
  }

  /** Makes the tensor of the gradient at x, where the rest was withheld. */
  void makeGradient(BuildContext context) {
    if (!first) gradX = context.gradients(geometry.x());
  }

  boolean hasBias() {
    return withBias;
  }

  Shape outputShape() {
    return geometry.y();
  }

  @Override
  public boolean takePixels(PixelScale of) {
    if (!first || !ConvRules.takesPixels(geometry, backend.activations())) return false;
    scale = of;
    return true;
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    Tensor out = y.first(input.shape().d0());
    convolve(out, input);
    return out;
  }

  /** out = x * w (+ bias). */
  void convolve(Tensor out, Tensor input) {
    multiply(out, input);
    if (withBias) backend.point().addBias(out, out, bias.value());
  }

  /** x * w, to which the bias is left to be added. */
  Tensor product(Tensor input) {
    Tensor out = y.first(input.shape().d0());
    multiply(out, input);
    return out;
  }

  Tensor bias() {
    return bias.value();
  }

  private void multiply(Tensor out, Tensor input) {
    x = input;
    ConvGeometry g = geometry = geometry.withBatch(input.shape().d0());
    if (makes(input)) backend.conv().conv2dOfPixels(out, input, scale, factor, g);
    else backend.conv().conv2d(out, input, factor, g, 0);
  }

  /** Whether it makes its images of these bytes. */
  boolean makes(Tensor input) {
    return input.type() == ElementType.UINT8;
  }

  /** The unit's y = x * w of bytes, and its statistics. */
  void convolve(Unit unit, Tensor input, Running running) {
    x = input;
    geometry = geometry.withBatch(input.shape().d0());
    backend.fused().statisticsOfPixels(unit, input, scale, factor, geometry, running);
  }

  @Override
  public Tensor backward(Tensor gradY) {
    ConvGeometry g = geometry;
    if (makes(x)) backend.conv().conv2dOfPixelsGradW(weight.gradient(), gradY, x, scale, g);
    else backend.conv().conv2dGradW(weight.gradient(), gradY, x, g, 0);
    if (withBias) backend.point().biasBackward(bias.gradient(), null, gradY);
    if (first) return null;
    Tensor gradInput = gradX.first(g.n());
    backend.conv().conv2dGradX(gradInput, gradY, factor, g);
    return gradInput;
  }

  @Override
  public List<Parameter> parameters() {
    return withBias ? List.of(weight, bias) : List.of(weight);
  }

  @Override
  public Cost cost() {
    return new Cost(geometry.withBatch(1).macs(), 0);
  }
}
