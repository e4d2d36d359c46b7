package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import onebit.binarize.BinaryActivations;
import onebit.binarize.BinaryWeights;
import onebit.binarize.Binarizer;
import onebit.binarize.Method;
import onebit.binarize.Surrogates;
import onebit.ops.Backend;
import onebit.ops.ConvGeometry;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.Padding;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * y = convolution of binarized activations with binarized filters, on packed bits; its backward is real-valued.
 *
 * <pre>
 * Shapes  x N,H,W,C; filters O,R,S,C; y N,P,Q,O
 * Keeps   the bits of x and of the filters with their sets; x itself stays with the layer before
 * </pre>
 *
 * A binary linear layer is the 1x1 case on N,1,1,C.
 */
public final class BinaryConv2d implements Layer {
  private static final Binarizer AS_IT_IS = new Binarizer.Identity();

  private final String name;
  private final int filters;
  private final int taps;
  private final int stride;
  private final int pad;
  private final int dilation;
  private final Init init;
  private final Method method;
  private final BinaryWeights weights;
  private final BinaryActivations activations;
  private Backend backend;
  private Scratch scratch;
  private ConvGeometry geometry;
  private Parameter latent;
  private BitTensor bits;
  private Tensor y;
  private Tensor gradX;
  private Tensor x;
  private Shape seen;
  private float offset;
  private float border;
  private Tensor effective;
  private Tensor gradEffective;
  private boolean float8;
  private Consumer<GradientError> errors;

  /** Square filters of taps x taps. */
  public BinaryConv2d(String name, Method method, int filters, int taps, int stride, int pad, int dilation, Init init) {
    this.name = name;
    this.method = method;
    this.filters = filters;
    this.taps = taps;
    this.stride = stride;
    this.pad = pad;
    this.dilation = dilation;
    this.init = init;
    this.weights = method.weights();
    this.activations = method.activations();
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    scratch = context.scratch();
    geometry = new ConvGeometry(input.d0(), input.d1(), input.d2(), input.d3(), filters, taps, taps, stride, pad, dilation, 1);
    latent = context.filters(name + ".weight", geometry.filters(), Parameter.Kind.LATENT_WEIGHT, init);
    weights.build(backend, name, latent, context.random(name + ".set"));
    activations.build(backend, name, input);
    use(method.at(0, 1));
    context.owner("bits of activations");
    bits = backend.roomForBits(input.d0() * input.d1() * input.d2(), input.d3());
    context.owner("binary convolutions");
    y = context.activations(geometry.y());
    gradX = context.gradients(input);
    offset = method.offset(geometry.taps());
    border = method.padding() == Padding.MINUS_ONE ? -1 : 0;
    if (!multipliesBits() || !gradientReadsBits()) scratch.reserve(Scratch.Use.ACTIVATIONS, input.size());
    float8 = context.float8();
    if (float8 && !multipliesBits()) {
      throw new IllegalArgumentException("train.gradients float8: layer " + name + " multiplies real values, and float8 gradients are products with bits; "
          + "take a method whose weights and activations are bits, or leave train.gradients at bfloat16");
    }
    if (float8) scratch.reserve(Scratch.Use.FLOAT8, geometry.y().size());
    scratch.reserve(Scratch.Use.GRADIENT, input.size());
    scratch.reserve(Scratch.Use.WEIGHTS, latent.size());
    scratch.reserve(Scratch.Use.WEIGHT_GRADIENT, latent.size());
    return geometry.y();
  }

  /** Levels and slopes from now on. */
  public void use(Surrogates surrogates) {
    weights.use(surrogates.weights());
    activations.use(surrogates.activations());
  }

  /** The passes from now on see such a part of a step's images, and add the penalty in that part. */
  public void share(float ofStep) {
    weights.share(ofStep);
  }

  /** Called before the first batch of an epoch. */
  public void startEpoch(int epoch) {
    weights.startEpoch(epoch);
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    pack(input, training);
    Tensor out = y.first(input.shape().d0());
    convolve(out);
    return out;
  }

  /** Says what comes in, whose bits a fused pass has made already. */
  void packed(Tensor input) {
    x = input;
  }

  /** Makes the bits of x. */
  void pack(Tensor input, boolean training) {
    packed(input);
    activations.forward(bits(input.shape().d0()), input, training);
  }

  /** out = the convolution of the bits of x, with filters made of the latent weights now. */
  void convolve(Tensor out) {
    if (effective == null) weights.forward();
    convolveAgain(out);
  }

  /** The same with the filters as they are. */
  void convolveAgain(Tensor out) {
    ConvGeometry g = geometry = geometry.withBatch(out.shape().d0());
    BitTensor xBits = bits(g.n());
    if (!multipliesBits()) {
      Tensor values = scratch.take(Scratch.Use.ACTIVATIONS, shapeOfInput()), filterValues = filterValues();
      activations.effective(values, xBits);
      backend.conv().conv2d(out, values, filterValues, g, border);
    } else {
      backend.bits().xnorConv2d(out, xBits, weights.bits(), activations.set(), weights.set(), g, method.padding(), offset);
    }
  }

  /** N,H,W,C of the images now, made once for each number of them. */
  private Shape shapeOfInput() {
    if (seen == null || seen.d0() != geometry.n()) seen = geometry.x();
    return seen;
  }

  /** The filters' real values, as an op for many layers left them or made in scratch. */
  private Tensor filterValues() {
    if (effective != null) return effective;
    Tensor values = scratch.take(Scratch.Use.WEIGHTS, latent.value().shape());
    weights.effective(values);
    return values;
  }

  /** Whether activations and filters are bits, so that a fused pass can take their product as it comes up. */
  boolean multipliesBits() {
    return !weights.real() && !activations.real();
  }

  /** Whether the gradient of the filters is made from the bits of x, so that nobody needs their values. */
  private boolean gradientReadsBits() {
    return !activations.real() && backend.activations() == ElementType.BFLOAT16;
  }

  /** The product for n images, of filters made of the latent weights now. */
  Product product(int n) {
    if (effective == null) weights.forward();
    return productAgain(n);
  }

  /** The same with the filters as they are. */
  Product productAgain(int n) {
    geometry = geometry.withBatch(n);
    return new Product(bits(n), weights.bits(), activations.set(), weights.set(), geometry, method.padding(), offset);
  }

  /** One op for the weights of many layers like this one; null if there is none. */
  BinaryWeights.Together weightsTogether() {
    return weights.together();
  }

  /** Leaves forward or backward of the weights to an op for many layers; a gradient that is not float32 takes the place of the filters it is at. */
  void join(BinaryWeights.Together together) {
    if (effective == null) effective = backend.create(latent.value().shape(), backend.activations());
    gradEffective = effective.type() == ElementType.FLOAT32 ? latent.gradient() : effective;
    together.add(weights, effective, gradEffective);
  }

  /** The latent weights and what else makes filters of them. */
  List<Parameter> filterParameters() {
    List<Parameter> all = new ArrayList<>();
    all.add(latent);
    all.addAll(weights.parameters());
    return all;
  }

  /** What makes bits of x; their gradients are there when what {@link #incoming} gave was taken. */
  List<Parameter> activationParameters() {
    return activations.parameters();
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradQ = scratch.take(Scratch.Use.GRADIENT, x.shape()), gradInput = gradX.first(x.shape().d0());
    convolveBackward(gradQ, gradY);
    activations.backward(gradInput, gradQ, x);
    return gradInput;
  }

  /** The gradients of the latent weights and of the binarized x. */
  void convolveBackward(Tensor gradQ, Tensor gradY) {
    boolean together = effective != null;
    Tensor gradFilters = together ? gradEffective : scratch.take(Scratch.Use.WEIGHT_GRADIENT, latent.value().shape());
    if (errors != null && float8) {
      measured(gradQ, gradFilters, gradY);
    } else if (float8) {
      float8Gradients(gradQ, gradFilters, gradY);
    } else {
      gradientOfImages(gradQ, gradY);
      gradientOfFilters(gradFilters, gradY);
    }
    if (!together) weights.backward(gradFilters);
  }

  private void gradientOfImages(Tensor gradQ, Tensor gradY) {
    Tensor filterValues = filterValues();
    if (weights.real()) backend.conv().conv2dGradX(gradQ, gradY, filterValues, geometry);
    else backend.bits().xnorConv2dGradX(gradQ, gradY, weights.bits(), weights.set(), filterValues, geometry);
  }

  /** Comes after the gradient of the images: its result may take the place of the filters' values. */
  private void gradientOfFilters(Tensor gradFilters, Tensor gradY) {
    ConvGeometry g = geometry;
    Tensor values = gradientReadsBits() ? null : scratch.take(Scratch.Use.ACTIVATIONS, shapeOfInput());
    if (activations.real()) {
      activations.effective(values, bits(g.n()));
      backend.conv().conv2dGradW(gradFilters, gradY, values, g, border);
    } else {
      backend.bits().xnorConv2dGradW(gradFilters, gradY, bits(g.n()), activations.set(), g, border, values);
    }
  }

  private void float8Gradients(Tensor gradQ, Tensor gradFilters, Tensor gradY) {
    ConvGeometry g = geometry;
    backend.bits().xnorConv2dGradFloat8(gradQ, gradFilters, gradY, scratch.take(Scratch.Use.FLOAT8, gradY.shape()), bits(g.n()), activations.set(), weights.bits(),
        weights.set(), g, border);
  }

  /** Both ways, compared on the host; what goes on is the images' gradient of float8. */
  private void measured(Tensor gradQ, Tensor gradFilters, Tensor gradY) {
    gradientOfImages(gradQ, gradY);
    float[] images = backend.read(gradQ);
    float8Gradients(gradQ, gradFilters, gradY);
    float[] roundedImages = backend.read(gradQ), roundedFilters = backend.read(gradFilters);
    gradientOfFilters(gradFilters, gradY);
    errors.accept(new GradientError(name, GradientError.relative(roundedFilters, backend.read(gradFilters)), GradientError.relative(roundedImages, images)));
  }

  /** Every backward from now on tells how far float8 gradients are from those that are not rounded; null ends that. */
  public void measure(Consumer<GradientError> to) {
    errors = to;
  }

  /** The bits of n images. */
  BitTensor bits(int n) {
    return bits.first(n * geometry.h() * geometry.w());
  }

  /** How a fused pass makes the bits of x; NONE where {@link #pack} must see whole images first. */
  Binarization inPass() {
    return activations.inPass();
  }

  /** Whether a bit of x is the sign of its value, so that a pass that makes the value can make the bit. */
  boolean takesPlainSigns() {
    return activations.plainSigns();
  }

  /** What replaces the derivative of those signs. */
  Binarizer signSlope() {
    return activations.incoming(null, null, Shortcut.NONE).slope();
  }

  /** What a fused pass takes at x: the gradient at its binarized values, and that of a shortcut over it. */
  Incoming incoming(Tensor gradQ, Tensor values, Shortcut over) {
    if (activations.passesBackward()) return activations.incoming(gradQ, values, over);
    Tensor gradInput = scratch.take(Scratch.Use.GRADIENT, values.shape());
    activations.backward(gradInput, gradQ, values);
    return new Incoming(gradInput, values, Binarization.SIGN, AS_IT_IS, null, null, over);
  }

  int filters() {
    return filters;
  }

  Shape inputShape() {
    return geometry.x();
  }

  Shape outputShape() {
    return geometry.y();
  }

  /** What makes bits of its weights and of x. */
  public Method method() {
    return method;
  }

  /** Name in the state dictionary, without ".weight". */
  public String name() {
    return name;
  }

  /** The bits of the filters as of the last forward. */
  public BitTensor filterBits() {
    return weights.bits();
  }

  /** This layer's share of the loss beside the cross-entropy, 1 value; null if the method has none. */
  public Tensor penalty() {
    return weights.penalty();
  }

  @Override
  public List<Parameter> parameters() {
    List<Parameter> all = filterParameters();
    all.addAll(activationParameters());
    return all;
  }

  @Override
  public List<StateTensor> state() {
    List<StateTensor> all = new ArrayList<>(weights.state());
    all.addAll(activations.state());
    return all;
  }

  @Override
  public Cost cost() {
    long macs = geometry.withBatch(1).macs();
    return activations.real() ? new Cost(macs, 0) : new Cost(0, macs);
  }
}
