package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import onebit.binarize.BinaryWeights;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
import onebit.ops.FusedOps.Shortcut;
import onebit.tensor.BitTensor;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Layers in a row that are binary convolutions with batch norm, shortcut and nonlinearity, run as fused units that hand each other bits.
 *
 * <p>The layers themselves stay, with their parameters and names; only what they keep and how they run changes. Value i is what unit i - 1
 * gave, value 0 what comes in: its real values are kept for backward, its bits go into the convolution of unit i.
 *
 * <pre>
 * Keeps   the values and their bits; the convolutions' results, or where memory is compact only room for one, computed from bits again
 * </pre>
 */
public final class BinaryChain implements Layer {
  private static final IntConsumer NOBODY = group -> { };

  private final Sequential body;
  private final List<BinaryUnit> units = new ArrayList<>();
  private Backend backend;
  private Tensor[] values;
  private boolean[] rebuilt;
  private Tensor gradX;
  private BinaryWeights.Together together;
  private int[] starts = {0};
  private List<BinaryWeights.Together> pieces;

  BinaryChain(Sequential body) {
    this.body = body;
    int at = 0;
    List<Layer> layers = body.children();
    while (at < layers.size()) at += add(layers, at);
  }

  /** How many layers from index i make units; 0 if none. */
  static int length(List<? extends Layer> layers, int i) {
    if (layers.get(i) instanceof Residual residual) {
      if (!(residual.body() instanceof Sequential inner) || !isUnits(inner.children())) return 0;
      return i + 1 < layers.size() && isNonlinearity(layers.get(i + 1)) ? 2 : 1;
    }
    if (i + 1 >= layers.size() || !isConvolution(layers, i)) return 0;
    return i + 2 < layers.size() && isNonlinearity(layers.get(i + 2)) ? 3 : 2;
  }

  private static boolean isConvolution(List<? extends Layer> layers, int i) {
    return layers.get(i) instanceof BinaryConv2d && i + 1 < layers.size() && layers.get(i + 1) instanceof BatchNorm;
  }

  static boolean isNonlinearity(Layer layer) {
    return layer instanceof Maxout || layer instanceof Activate;
  }

  /** Whether the layers are convolutions with batch norm, nonlinearities at most between them. */
  private static boolean isUnits(List<? extends Layer> layers) {
    int i = 0;
    while (i < layers.size()) {
      if (!isConvolution(layers, i)) return false;
      i += i + 2 < layers.size() && isNonlinearity(layers.get(i + 2)) ? 3 : 2;
    }
    return i > 0 && !isNonlinearity(layers.getLast());
  }

  /** Makes units of what begins at index i; returns how many layers that took. */
  private int add(List<Layer> layers, int i) {
    int length = length(layers, i), source = units.size();
    if (!(layers.get(i) instanceof Residual residual)) {
      units.add(new BinaryUnit((BinaryConv2d) layers.get(i), (BatchNorm) layers.get(i + 1), length == 3 ? layers.get(i + 2) : null));
      return length;
    }
    List<Layer> inner = residual.body().children();
    for (int k = 0; k < inner.size();) {
      boolean last = k + 2 >= inner.size(), between = !last && isNonlinearity(inner.get(k + 2));
      Layer f = last ? length == 2 ? layers.get(i + 1) : null : between ? inner.get(k + 2) : null;
      BinaryUnit unit = new BinaryUnit((BinaryConv2d) inner.get(k), (BatchNorm) inner.get(k + 1), f);
      if (last) unit.shortcutFrom(source, residual.shortcut());
      units.add(unit);
      k += between ? 3 : 2;
    }
    return length;
  }

  public int unitCount() {
    return units.size();
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape out = body.build(context.withheld(true), input);
    values = new Tensor[units.size() + 1];
    rebuilt = new boolean[units.size() + 1];
    chooseKept(context.rebuilding());
    for (int i = 0; i < units.size(); i++) units.get(i).makeRooms(context, rebuilt[i + 1]);
    context.owner("gradients of units");
    gradX = context.gradients(input);
    boolean alike = units.stream().map(unit -> unit.convolution().method()).distinct().count() == 1;
    together = alike ? units.getFirst().convolution().weightsTogether() : null;
    if (together != null) units.forEach(unit -> unit.convolution().join(together));
    pieces = together == null ? null : List.of(together);
    return out;
  }

  /**
   * Makes backward finish the gradients in pieces of at least so many bytes instead of all at its end, value for value the same; called once,
   * after build.
   *
   * <pre>
   * Cost  where the weights of all units go backward in one launch, one launch for each piece instead
   * </pre>
   */
  public void splitGradients(long leastBytes) {
    List<Integer> from = new ArrayList<>();
    long bytes = 0;
    for (int i = units.size() - 1; i >= 0; i--) {
      bytes += units.get(i).gradients().stream().mapToLong(gradient -> (long) gradient.size() * gradient.type().bytes()).sum();
      if (bytes < leastBytes && i > 0) continue;
      from.addFirst(i);
      bytes = 0;
    }
    starts = from.stream().mapToInt(Integer::intValue).toArray();
    if (together == null) return;
    pieces = new ArrayList<>();
    for (int piece = 0; piece < starts.length; piece++) {
      BinaryWeights.Together own = units.getFirst().convolution().weightsTogether();
      units.subList(starts[piece], end(piece)).forEach(unit -> unit.convolution().join(own));
      pieces.add(own);
    }
  }

  /** The number of the first unit after a piece. */
  private int end(int piece) {
    return piece + 1 < starts.length ? starts[piece + 1] : units.size();
  }

  /** Group 0 is what made bits of what came in; a piece is a group with what makes bits of its values. */
  @Override
  public List<List<Tensor>> gradientGroups() {
    List<List<Tensor>> groups = new ArrayList<>();
    groups.add(gradientsOfBits(0));
    for (int piece = 0; piece < starts.length; piece++) {
      List<Tensor> group = new ArrayList<>();
      for (int i = starts[piece]; i < end(piece); i++) {
        group.addAll(units.get(i).gradients());
        if (i + 1 < units.size()) group.addAll(gradientsOfBits(i + 1));
      }
      groups.add(group);
    }
    return groups;
  }

  private List<Tensor> gradientsOfBits(int value) {
    return units.get(value).convolution().activationParameters().stream().map(Parameter::gradient).toList();
  }

  /** A value can be computed again behind one that is kept, and where a shortcut passes it by. */
  private void chooseKept(Rebuilding rebuilding) {
    int last = 0;
    for (int v = 1; v < units.size(); v++) {
      int value = v;
      boolean passed = units.subList(v, units.size()).stream().anyMatch(unit -> unit.hasShortcut() && unit.source() < value);
      rebuilt[v] = (v < last + 2 || passed) && rebuilding.next();
      if (!rebuilt[v]) last = v;
    }
  }

  private Tensor sourceOf(BinaryUnit unit) {
    return unit.hasShortcut() ? values[unit.source()] : null;
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    values[0] = input;
    if (together != null) together.forward();
    int n = input.shape().d0();
    units.getFirst().convolution().pack(input, training);
    for (int i = 0; i < units.size(); i++) {
      BinaryConv2d next = i + 1 < units.size() ? units.get(i + 1).convolution() : null;
      BinaryUnit unit = units.get(i);
      Binarization binarization = next == null ? Binarization.NONE : next.inPass();
      BitTensor bits = binarization.kind() == Binarization.Kind.NONE ? null : next.bits(n);
      values[i + 1] = unit.forward(n, sourceOf(unit), bits, binarization, training);
      if (bits != null) next.packed(values[i + 1]);
      else if (next != null) next.pack(values[i + 1], training);
    }
    return values[units.size()];
  }

  @Override
  public Tensor backward(Tensor gradY) {
    return backward(gradY, NOBODY);
  }

  /** Shortcuts' gradients wait at the value their shortcut starts from until that value's turn comes. */
  @Override
  public Tensor backward(Tensor gradY, IntConsumer left) {
    int piece = starts.length - 1;
    Shortcut[] over = new Shortcut[units.size() + 1];
    java.util.Arrays.fill(over, Shortcut.NONE);
    Incoming incoming = Incoming.plain(gradY);
    for (int i = units.size() - 1; i >= 0; i--) {
      if (rebuilt[i] && (i + 1 == units.size() || !rebuilt[i + 1])) rebuild(i);
      BinaryUnit unit = units.get(i);
      Tensor gradQ = unit.backward(incoming, sourceOf(unit));
      if (unit.hasShortcut()) over[unit.source()] = unit.backwardShortcut();
      incoming = unit.convolution().incoming(gradQ, values[i], over[i]);
      if (i > starts[piece]) continue;
      if (pieces != null) pieces.get(piece).backward();
      left.accept(1 + piece--);
    }
    Tensor gradInput = gradX.first(gradY.shape().d0());
    backend.fused().join(gradInput, incoming);
    left.accept(0);
    return gradInput;
  }

  /** Computes the values up to number i again, from the last one kept before them. */
  private void rebuild(int i) {
    int from = i;
    while (rebuilt[from]) from--;
    for (int k = from; k < i; k++) values[k + 1] = units.get(k).rebuild(sourceOf(units.get(k)));
  }

  @Override
  public List<Layer> children() {
    return List.of(body);
  }
}
