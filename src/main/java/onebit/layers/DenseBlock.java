package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.BinaryWeights;
import onebit.ops.Backend;
import onebit.ops.DenseOps.Channels;
import onebit.ops.DenseOps.Moments;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Running;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Binary convolutions in a row, each of the normalised signs of all channels so far and added to them, in one buffer that grows in place.
 *
 * <p>The layers themselves stay, with their parameters and names. A channel's statistics are taken once, when it is added; also the norm behind the block
 * takes them from there. A batch norm's result is not stored anywhere, only its signs are.
 *
 * <pre>
 * Shapes  x N,H,W,C; buffer N,H,W,C + G a convolution
 * Keeps   the buffer, which is the result where no norm ends the block, and the bits of each convolution
 * Cost    a convolution: its filters, itself with the moments of what it adds and the signs forward; four backward beside its own
 * </pre>
 */
public final class DenseBlock implements Layer {
  /** One convolution and the norm before it. */
  private record Part(BatchNorm norm, BinaryConv2d convolution) {}

  private final Sequential body;
  private final List<Part> parts = new ArrayList<>();
  private final NormUnit end;
  private Backend backend;
  private int channels;
  private Tensor buffer;
  private Tensor added;
  private int growth;
  private Moments moments;
  private Tensor gradBuffer;
  private Tensor gradAdded;
  private Tensor[] gradQ;
  private Tensor gradX;
  private BinaryWeights.Together together;

  /** The layers that {@link #length} counts. */
  DenseBlock(List<? extends Layer> layers) {
    int count = convolutions(layers, 0);
    body = new Sequential(layers.subList(0, count));
    for (Layer layer : body.children()) {
      List<Layer> inner = ((Concat) layer).body().children();
      parts.add(new Part((BatchNorm) inner.get(0), (BinaryConv2d) inner.get(1)));
    }
    end = count == layers.size() ? null : new NormUnit(new Sequential(layers.subList(count, layers.size())));
  }

  /** How many layers from index i on make such a block, with a norm of the same rule behind it and what that takes along; 0 if none. */
  static int length(List<? extends Layer> layers, int i) {
    int count = convolutions(layers, i), last = i + count;
    boolean ends = count > 0 && last < layers.size() && layers.get(last) instanceof BatchNorm norm && norm.rule().equals(norm(layers.get(i)).rule());
    return ends ? count + NormUnit.length(layers, last) : count;
  }

  private static int convolutions(List<? extends Layer> layers, int i) {
    int end = i;
    while (end < layers.size() && alike(layers.get(i), layers.get(end))) end++;
    return end - i;
  }

  /** Whether both are layers of one block: it takes the channels of a convolution for as many as each other adds. */
  private static boolean alike(Layer first, Layer other) {
    return norm(first) != null && norm(other) != null && norm(other).rule().equals(norm(first).rule()) && convolution(other).filters() == convolution(first).filters();
  }

  private static BinaryConv2d convolution(Layer layer) {
    return (BinaryConv2d) ((Concat) layer).body().children().getLast();
  }

  /** The norm of one layer of a block; null if the layer is none. */
  private static BatchNorm norm(Layer layer) {
    if (!(layer instanceof Concat concat) || !(concat.body() instanceof Sequential inner) || inner.children().size() != 2) return null;
    List<Layer> both = inner.children();
    return both.get(0) instanceof BatchNorm norm && both.get(1) instanceof BinaryConv2d convolution && convolution.takesPlainSigns() ? norm : null;
  }

  public int unitCount() {
    return parts.size();
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    channels = input.channels();
    Shape out = body.build(context.withheld(true), input);
    context.owner("values of dense blocks");
    buffer = context.activations(out);
    Shape piece = parts.getLast().convolution().outputShape();
    growth = piece.channels();
    context.owner("results of binary convolutions");
    added = parts.stream().allMatch(part -> part.convolution().multipliesBits()) ? null : context.activations(piece);
    context.owner("gradients of dense blocks");
    Shape last = parts.getLast().convolution().inputShape();
    gradBuffer = context.gradients(last);
    gradAdded = context.gradients(piece);
    Tensor room = context.gradients(last);
    gradQ = new Tensor[parts.size()];
    for (int i = 0; room != null && i < gradQ.length; i++) gradQ[i] = new Tensor(parts.get(i).convolution().inputShape(), room.type(), room.memory());
    gradX = context.gradients(input);
    Shape each = Shape.vector(out.channels());
    Running rule = parts.getFirst().norm().running();
    moments = new Moments(backend.create(each), backend.create(each), backend.create(each), rule.epsilon(), rule.unbiased());
    together = parts.getFirst().convolution().weightsTogether();
    if (together != null) parts.forEach(part -> part.convolution().join(together));
    if (end == null) return out;
    end.use(moments);
    return end.build(context, out);
  }

  /** Channels that are there before a convolution. */
  private int before(int part) {
    return channels + part * growth;
  }

  private Norm norm(int part, boolean training) {
    BatchNorm own = parts.get(part).norm();
    return training ? own.norm(moments) : own.norm(false);
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    int n = input.shape().d0();
    Tensor x = buffer.first(n);
    if (together != null) together.forward();
    backend.dense().append(Channels.first(channels, x), input, training ? moments : null);
    for (int i = 0; i < parts.size(); i++) {
      BinaryConv2d convolution = parts.get(i).convolution();
      backend.dense().normSign(convolution.bits(n), Channels.first(before(i), x), norm(i, training), training ? moments.var() : null,
          training ? parts.get(i).norm().running() : null);
      add(convolution, new Channels(x, before(i), growth), training && (end != null || i + 1 < parts.size()) ? moments : null);
    }
    return end == null ? x : end.forwardOfKnown(x, training);
  }

  /** These channels = the convolution of its bits, with their moments as its tiles come up. */
  private void add(BinaryConv2d convolution, Channels to, Moments wanted) {
    int n = to.of().shape().d0();
    if (convolution.multipliesBits()) {
      backend.dense().appendOf(to, convolution.product(n), wanted);
    } else {
      convolution.convolve(added.first(n));
      backend.dense().append(to, added.first(n), wanted);
    }
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradOut = end == null ? gradY : end.backward(gradY);
    int n = gradOut.shape().d0(), last = parts.size() - 1;
    Tensor x = buffer.first(n), sums = gradBuffer.first(n), gradPiece = gradAdded.first(n), gradInput = gradX.first(n);
    backend.dense().take(sums, Channels.first(before(last), gradOut));
    for (int i = last; i >= 0; i--) {
      Part part = parts.get(i);
      Tensor gradSigns = gradQ[i].first(n);
      Parameter gamma = part.norm().gamma(), beta = part.norm().beta();
      backend.dense().take(gradPiece, new Channels(i == last ? gradOut : sums, before(i), growth));
      part.convolution().convolveBackward(gradSigns, gradPiece);
      backend.dense().normSignBackward(Channels.first(before(i), sums), gamma.gradient(), beta.gradient(), gradSigns, Channels.first(before(i), x),
          norm(i, true), part.convolution().signSlope());
      part.norm().keepFixed();
    }
    if (together != null) together.backward();
    backend.dense().take(gradInput, Channels.first(channels, sums));
    return gradInput;
  }

  @Override
  public List<Layer> children() {
    return end == null ? List.of(body) : List.of(body, end);
  }
}
