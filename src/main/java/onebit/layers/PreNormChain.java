package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import onebit.binarize.BinaryWeights;
import onebit.ops.Backend;
import onebit.ops.DenseOps.Channels;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Nonlinearity;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Binary convolutions in a row, each of the signs of a norm's result and added to a stream of values, and the norm and nonlinearity that end the stream.
 *
 * <p>The layers themselves stay, with their parameters and names. Value i + 1 = convolution i of [norm(value i) >= 0] + value i, or, where the stream
 * narrows, + the shortcut's layers over norm(value i). A convolution's result is stored nowhere: its tiles are added to the shortcut as they come up, and
 * the statistics that the next norm wants are summed with them.
 *
 * <pre>
 * Shapes  value i N,H,W,C. The gradient at a value takes the place of the one at the next, where nothing narrows
 * Keeps   the values and the bits of each convolution; where memory is tiny every second value or more, the others are computed again from bits
 * Cost    a convolution: its filters, the signs and itself forward; beside its own backward three, two where the stream narrows
 * </pre>
 */
public final class PreNormChain implements Layer {
  /** One convolution, the norm before it, and the layers from the norm's result to the sum; null where the value itself is added. */
  private static final class Part {
    private final BatchNorm norm;
    private final BinaryConv2d convolution;
    private final Layer shortcut;
    private Backend backend;
    private Tensor normed;
    private Tensor z;
    private Tensor again;
    private Tensor gradQ;
    private Tensor gradT;
    private Tensor gradX;

    Part(BatchNorm norm, Residual residual) {
      List<Layer> inner = residual.body().children();
      this.norm = norm == null ? (BatchNorm) inner.getFirst() : norm;
      convolution = (BinaryConv2d) inner.getLast();
      shortcut = residual.shortcut();
    }

    /** rebuilt: the value is not kept, but computed again in backward. */
    void makeRooms(BuildContext context, boolean rebuilt) {
      backend = context.backend();
      Shape in = convolution.inputShape(), out = convolution.outputShape();
      context.owner("values between units");
      z = context.activations(out);
      if (rebuilt) again = context.activations(out);
      if (shortcut != null) normed = context.activations(in);
      context.owner("gradients of units");
      gradQ = context.gradients(in);
      if (shortcut == null) return;
      gradT = context.gradients(in);
      gradX = context.gradients(in);
    }

    private Unit unit(Tensor x, boolean training) {
      return new Unit(x, norm.norm(training), Shortcut.NONE, Nonlinearity.NONE);
    }

    /** Value i + 1 from value i, with the statistics that the next norm takes of it in training. */
    Tensor forward(Tensor x, BatchNorm next, boolean training) {
      int n = x.shape().d0();
      Tensor out = z.first(n), added = x;
      if (shortcut == null) {
        backend.dense().normSign(convolution.bits(n), all(x), norm.norm(training), null, null);
      } else {
        Tensor normal = normed.first(n);
        backend.fused().forward(convolution.bits(n), normal, unit(x, training), Binarization.SIGN);
        added = shortcut.forward(normal, training);
      }
      backend.fused().sumOf(out, convolution.product(n), added, training ? next.norm(true) : null, training ? next.running() : null);
      return out;
    }

    /** Value i + 1 once more, from the bits of forward. */
    Tensor rebuild(Tensor x) {
      int n = x.shape().d0();
      Tensor out = again.first(n);
      backend.fused().sumOf(out, convolution.productAgain(n), x, null, null);
      return out;
    }

    /** The gradient at value i, which is x, from the one at value i + 1. */
    Tensor backward(Tensor gradZ, Tensor x) {
      int n = x.shape().d0();
      Tensor gradSigns = gradQ.first(n), gradInput = gradZ;
      convolution.convolveBackward(gradSigns, gradZ);
      if (shortcut == null) {
        backend.dense().normSignBackward(all(gradZ), norm.gamma().gradient(), norm.beta().gradient(), gradSigns, all(x), norm.norm(true), convolution.signSlope());
      } else {
        Shortcut over = Shortcut.same(shortcut.backward(gradZ));
        gradInput = gradX.first(n);
        backend.fused().backward(gradInput, gradT.first(n), BinaryUnit.gradients(norm, null), unit(x, true), convolution.incoming(gradSigns, x, over).ofUnit());
      }
      norm.keepFixed();
      return gradInput;
    }

    private static Channels all(Tensor x) {
      return Channels.first(x.shape().channels(), x);
    }
  }

  private final Sequential body;
  private final List<Part> parts = new ArrayList<>();
  private final NormUnit end;
  private Tensor[] values;
  private boolean[] rebuilt;
  private BinaryWeights.Together together;

  /** The layers that {@link #length} counts. */
  PreNormChain(List<? extends Layer> layers) {
    int at = 0;
    for (int taken = part(layers, 0); taken > 0; at += taken, taken = part(layers, at)) {
      parts.add(new Part(taken == 2 ? (BatchNorm) layers.get(at) : null, (Residual) layers.get(at + taken - 1)));
    }
    body = new Sequential(layers.subList(0, at));
    end = new NormUnit(new Sequential(layers.subList(at, layers.size())));
  }

  /** How many layers from index i on make such a chain with what ends it; 0 if none. */
  static int length(List<? extends Layer> layers, int i) {
    int at = i;
    for (int taken = part(layers, i); taken > 0; taken = part(layers, at)) at += taken;
    int last = at > i && at < layers.size() && layers.get(at) instanceof BatchNorm ? NormUnit.length(layers, at) : 0;
    return last == 0 ? 0 : at + last - i;
  }

  /** How many layers from index i on make one convolution with its norm and shortcut; 0 if none. */
  private static int part(List<? extends Layer> layers, int i) {
    if (i < layers.size() && layers.get(i) instanceof Residual same) {
      return same.shortcut() == null && signs(same, 2) && same.body().children().getFirst() instanceof BatchNorm ? 1 : 0;
    }
    boolean narrows = i + 1 < layers.size() && layers.get(i) instanceof BatchNorm && layers.get(i + 1) instanceof Residual residual
        && residual.shortcut() instanceof Sequential shortcut && Residual.narrowing(shortcut) == null && signs(residual, 1);
    return narrows ? 2 : 0;
  }

  /** Whether the body has so many layers, the last a convolution of plain signs with bits. */
  private static boolean signs(Residual residual, int count) {
    return residual.body() instanceof Sequential inner && inner.children().size() == count && inner.children().getLast() instanceof BinaryConv2d convolution
        && convolution.takesPlainSigns() && convolution.multipliesBits();
  }

  public int unitCount() {
    return parts.size();
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    Shape out = body.build(context.withheld(true), input);
    values = new Tensor[parts.size() + 1];
    rebuilt = new boolean[parts.size() + 1];
    for (int v = 1; v < parts.size(); v++) rebuilt[v] = !rebuilt[v - 1] && parts.get(v - 1).shortcut == null && context.rebuilding().next();
    for (int i = 0; i < parts.size(); i++) parts.get(i).makeRooms(context, rebuilt[i + 1]);
    together = parts.getFirst().convolution.weightsTogether();
    if (together != null) parts.forEach(part -> part.convolution.join(together));
    return end.build(context, out);
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    values[0] = input;
    if (together != null) together.forward();
    Part first = parts.getFirst();
    if (training) first.norm.statistics(first.unit(input, true));
    for (int i = 0; i < parts.size(); i++) {
      BatchNorm next = i + 1 < parts.size() ? parts.get(i + 1).norm : end.norm();
      values[i + 1] = parts.get(i).forward(values[i], next, training);
    }
    return end.forwardOfKnown(values[parts.size()], training);
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradient = end.backward(gradY);
    for (int i = parts.size() - 1; i >= 0; i--) {
      if (rebuilt[i]) values[i] = parts.get(i - 1).rebuild(values[i - 1]);
      gradient = parts.get(i).backward(gradient, values[i]);
    }
    if (together != null) together.backward();
    return gradient;
  }

  @Override
  public List<Layer> children() {
    return List.of(body, end);
  }
}
