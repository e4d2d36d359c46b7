package onebit.models;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import onebit.binarize.Method;
import onebit.binarize.Surrogates;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.NamedTensor;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryChain;
import onebit.layers.BinaryConv2d;
import onebit.layers.BuildContext;
import onebit.layers.DenseBlock;
import onebit.layers.Fusion;
import onebit.layers.GradientError;
import onebit.layers.Layer;
import onebit.layers.PreNormChain;
import onebit.layers.Pyramid;
import onebit.layers.Rebuilding;
import onebit.layers.RoundedWeights;
import onebit.layers.Sequential;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.ops.PlanBackend;
import onebit.ops.RankExchange;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/** A network built on a backend for images of one size: its layers in order, its parameters and saved tensors by name. */
public final class Model {
  private final Sequential layers;
  private final Backend backend;
  private final Shape input;
  private final int classes;
  private final int outputs;
  private final boolean detects;
  private final List<Parameter> parameters = new ArrayList<>();
  private final List<StateTensor> state = new ArrayList<>();
  private final List<BinaryConv2d> binaryLayers = new ArrayList<>();
  private final boolean fused;
  private int fusedUnits;
  private final StateDictionary dictionary;
  private final RoundedWeights rounded;
  private Surrogates surrogates;
  private PixelScale scale;
  private Tensor values;
  private final Model teacher;
  private final boolean frozen;

  /**
   * Builds all layers; first values depend on the seed and each parameter's name only.
   *
   * <pre>
   * Shapes  input N,H,W,C, N the largest batch
   * </pre>
   * @throws IllegalArgumentException if images of this size do not fit the network
   */
  public Model(Network network, Method method, Shape input, int classes, Backend backend, long seed, Execution execution) {
    this(network, method, input, classes, backend, seed, execution, Optional.empty());
  }

  /** The same beside a {@link #teacher} for the same images, whose values within a step share the memory of this model's. */
  public Model(Network network, Method method, Shape input, int classes, Backend backend, long seed, Execution execution, Optional<Network> teacher) {
    this(network, method, input, classes, backend, seed, execution, teacher, false, null);
  }

  private Model(Network network, Method method, Shape input, int classes, Backend backend, long seed, Execution execution, Optional<Network> taughtBy,
      boolean frozen, Rebuilding chosen) {
    this.backend = backend;
    this.frozen = frozen;
    this.input = input;
    this.classes = classes;
    execution.requireGradients(backend);
    Layer described = network.layers(method, input, classes);
    if (described == null) throw new IllegalArgumentException("the network " + network.getClass().getName() + " gives no layers");
    fused = execution.fuses(backend);
    layers = !(described instanceof Sequential sequence) ? Sequential.of(described) : !fused ? sequence
        : new Sequential(frozen ? Fusion.fuseFrozen(sequence.children()) : Fusion.fuse(sequence.children()));
    boolean plans = backend.plansRooms() && !frozen;
    Rebuilding rebuilding = chosen != null ? chosen : new Rebuilding(!execution.rebuilds() || frozen ? 0 : plans || backend instanceof PlanBackend
        ? leastRebuilt(network, method, input, classes, backend, execution, taughtBy) : Integer.MAX_VALUE);
    if (plans) backend.usePlan(plan(network, method, input, classes, backend, execution, taughtBy, new Rebuilding(rebuilding.most())).arena());
    BuildContext context = frozen ? BuildContext.frozen(backend, seed)
        : new BuildContext(backend, seed, execution.recomputes(), rebuilding, execution.roundsToFloat8());
    rounded = context.rounded();
    Shape output;
    try {
      output = build(layers, context, input);
      teacher = taughtBy.map(it -> new Model(it, method, input, classes, backend, seed, execution, Optional.empty(), true, null)).orElse(null);
    } finally {
      if (plans) backend.usePlan(null);
      backend.owner("");
    }
    outputs = network.outputs(classes);
    detects = network.detects();
    if (output.size() != input.d0() * outputs) {
      throw new IllegalArgumentException("Model: " + network + " gives " + output + " for images " + input + ", wanted " + outputs + " values each");
    }
    collect(layers, Collections.newSetFromMap(new IdentityHashMap<>()));
    for (BinaryConv2d layer : binaryLayers) {
      if (!frozen && !layer.method().equals(method)) throw new IllegalArgumentException("Model: layer " + layer.name() + " has the method " + layer.method() + ", the model " + method + ", whose surrogates all binary layers get; they must be equal");
    }
    Set<String> names = new HashSet<>();
    parameters.forEach(p -> requireNew(names, p.name()));
    state.forEach(s -> requireNew(names, s.name()));
    for (String made : context.made()) {
      if (!names.contains(made)) throw new IllegalArgumentException("Model: no layer gives the parameter " + made + ", so nothing would train it; parameters() of its layer must, and children() of a layer those it is made of");
    }
    dictionary = new StateDictionary(backend, parameters, state, network.unusedModules());
    if (frozen) settle();
  }

  private static Shape build(Layer layers, BuildContext context, Shape input) {
    try {
      return layers.build(context, input);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("images of " + input.d1() + "x" + input.d2() + "x" + input.d3() + " do not fit the network: " + e.getMessage(), e);
    }
  }

  /** Does once for all evaluations what depends on a teacher's tensors alone. */
  private void settle() {
    rounded.refresh();
    settle(layers);
  }

  private static void settle(Layer layer) {
    if (layer instanceof BatchNorm norm) norm.settle();
    layer.children().forEach(Model::settle);
  }

  /**
   * Forward and backward of one step on a plan: which memory they use when, and how much of it.
   *
   * <p>Logits stay to the end of the step. Evaluation runs the same ops in the order of forward, so what is planned for a step serves it too, but for rooms of its own.
   */
  private static PlanBackend plan(Network network, Method method, Shape input, int classes, Backend device, Execution execution, Optional<Network> taughtBy,
      Rebuilding rebuilding) {
    PlanBackend plan = new PlanBackend(device.activations(), device.gainsByFusing());
    Model model = new Model(network, method, input, classes, plan, 0, execution, taughtBy, false, rebuilding);
    Tensor images = plan.create(input, plan.activations());
    if (model.teacher != null) model.teacher.forward(images, false);
    Tensor logits = model.forward(images, true);
    model.backward(plan.create(logits.shape(), logits.type()));
    plan.read(logits);
    plan.arena().endStep();
    model.forward(images, false);
    plan.arena().plan();
    return plan;
  }

  /** How many values are to be computed again so that a step takes as little memory as with all that can be: only the first, where something else is largest. */
  private static int leastRebuilt(Network network, Method method, Shape input, int classes, Backend device, Execution execution, Optional<Network> taughtBy) {
    Rebuilding all = new Rebuilding(Integer.MAX_VALUE);
    long least = plan(network, method, input, classes, device, execution, taughtBy, all).arena().bytes();
    int low = 0, enough = all.count();
    while (low < enough) {
      int middle = (low + enough) / 2;
      if (plan(network, method, input, classes, device, execution, taughtBy, new Rebuilding(middle)).arena().bytes() > least) low = middle + 1;
      else enough = middle;
    }
    return enough;
  }

  /** The same with passes as the backend likes them and everything kept. */
  public Model(Network network, Method method, Shape input, int classes, Backend backend, long seed) {
    this(network, method, input, classes, backend, seed, Execution.DEFAULT);
  }

  private static void requireNew(Set<String> names, String name) {
    if (!names.add(name)) throw new IllegalArgumentException("Model: two tensors are named " + name + "; names must differ");
  }

  private void collect(Layer layer, Set<Layer> met) {
    if (!met.add(layer)) throw new IllegalArgumentException("Model: one " + layer.getClass().getSimpleName() + " stands in two places, and keeps for backward what only the later one saw; each place needs a layer of its own");
    parameters.addAll(layer.parameters());
    state.addAll(layer.state());
    if (layer instanceof BinaryConv2d binary) binaryLayers.add(binary);
    if (layer instanceof BinaryChain chain) fusedUnits += chain.unitCount();
    if (layer instanceof DenseBlock block) fusedUnits += block.unitCount();
    if (layer instanceof PreNormChain chain) fusedUnits += chain.unitCount();
    layer.children().forEach(child -> collect(child, met));
  }

  /** Says what makes values of bytes: forward also takes images of bytes from now on, whose values the first layer makes or, where it cannot, one op before it. */
  public void takePixels(PixelScale of) {
    takePixels(of, of);
  }

  /** The same with what makes the teacher's values of them, which are gone when this model's are made. */
  public void takePixels(PixelScale of, PixelScale ofTeacher) {
    scale = of;
    if (!layers.takePixels(of)) makeValues();
    if (teacher == null) return;
    teacher.scale = ofTeacher;
    if (teacher.layers.takePixels(ofTeacher)) return;
    if (values == null) teacher.makeValues();
    else teacher.values = values;
  }

  private void makeValues() {
    backend.owner("images made of bytes");
    values = backend.create(input, backend.activations());
  }

  /** What is evaluated on each batch for this model to learn from: not part of what is saved, and without gradients; null if there is none. */
  public Model teacher() {
    return teacher;
  }

  /**
   * Logits of images; training chooses batch statistics over running ones.
   *
   * <pre>
   * Shapes  x N,H,W,C with N up to the built one, values or bytes; result [N][outputs], valid until the next forward
   * </pre>
   * @throws IllegalStateException if x is bytes and {@link #takePixels} was not called before, or a teacher should train
   */
  public Tensor forward(Tensor x, boolean training) {
    if (x.shape().d0() > input.d0() || !x.shape().equals(input.withFirst(x.shape().d0()))) {
      throw new IllegalArgumentException("Model: built for images " + input + " or fewer, got " + x.shape());
    }
    if (frozen && training) throw new IllegalStateException("Model: a teacher is evaluated with its running statistics, and never trains");
    if (!frozen) rounded.refresh();
    return layers.forward(x.type() == ElementType.UINT8 ? seen(x) : x, training);
  }

  /** What the first layer takes of images of bytes: themselves, or their values. */
  private Tensor seen(Tensor pixels) {
    if (scale == null) throw new IllegalStateException("Model: the images are bytes; takePixels must say before what makes values of them");
    if (values == null) return pixels;
    Tensor made = values.first(pixels.shape().d0());
    backend.point().normalize(made, pixels, scale);
    return made;
  }

  /** Fills the gradients of all parameters from the gradient at the logits of the last forward, which was one in training. */
  public void backward(Tensor gradLogits) {
    layers.backward(gradLogits);
  }

  /** The same; left is told the index of each group of {@link #gradientGroups} as soon as its gradients are there, the last group first. */
  public void backward(Tensor gradLogits, IntConsumer left) {
    layers.backward(gradLogits, left);
  }

  /** The gradients of all parameters in groups in the order of forward: a layer, a block of layers, or a piece of a chain of fused units. */
  public List<List<Tensor>> gradientGroups() {
    return layers.gradientGroups();
  }

  /** Makes chains of fused units finish their gradients in pieces of at least so many bytes; called once, before the groups are asked for. */
  public void splitGradients(long leastBytes) {
    splitGradients(layers, leastBytes);
  }

  private static void splitGradients(Layer layer, long leastBytes) {
    if (layer instanceof BinaryChain chain) chain.splitGradients(leastBytes);
    else if (layer instanceof Sequential || layer instanceof Pyramid) layer.children().forEach(child -> splitGradients(child, leastBytes));
  }

  /**
   * Takes batch-norm statistics over the batches of all ranks from now on.
   *
   * @throws IllegalStateException if the model runs in fused passes, which take each rank's own
   */
  public void synchronise(RankExchange ranks) {
    if (fused) throw new IllegalStateException("Model: built for fused passes; batch norm over several ranks needs Execution.withSharedStatistics");
    synchronise(layers, ranks);
  }

  private static void synchronise(Layer layer, RankExchange ranks) {
    if (layer instanceof BatchNorm norm) norm.synchronise(ranks);
    layer.children().forEach(child -> synchronise(child, ranks));
  }

  /** All parameters in the order of the layers. */
  public List<Parameter> parameters() {
    return List.copyOf(parameters);
  }

  /** All saved tensors that are not parameters, in the order of the layers. */
  public List<StateTensor> state() {
    return List.copyOf(state);
  }

  public List<BinaryConv2d> binaryLayers() {
    return List.copyOf(binaryLayers);
  }

  /** Binary convolutions that run fused with what follows them. */
  public int fusedUnits() {
    return fusedUnits;
  }

  public Backend backend() {
    return backend;
  }

  /** What the model was built for: N,H,W,C with the largest batch. */
  public Shape input() {
    return input;
  }

  public int classes() {
    return classes;
  }

  /** Whether it finds boxes, and not one class for each image. */
  public boolean detects() {
    return detects;
  }

  /** Values that forward gives for each image. */
  public int outputs() {
    return outputs;
  }

  /** Levels and slopes of all binary layers from now on. */
  public void use(Surrogates surrogates) {
    this.surrogates = surrogates;
    binaryLayers.forEach(layer -> layer.use(surrogates));
  }

  /** What was last used of all binary layers; null before the first time. */
  public Surrogates surrogates() {
    return surrogates;
  }

  /** Every backward from now on tells how far float8 gradients are from those that are not rounded; null ends that. */
  public void measure(Consumer<GradientError> to) {
    binaryLayers.forEach(layer -> layer.measure(to));
  }

  /** The passes from now on see such a part of a step's images. */
  public void share(float ofStep) {
    binaryLayers.forEach(layer -> layer.share(ofStep));
  }

  /** Called before the first batch of an epoch, counted from 0. */
  public void startEpoch(int epoch) {
    binaryLayers.forEach(layer -> layer.startEpoch(epoch));
  }

  /** Multiply-accumulates of one image. */
  public Layer.Cost cost() {
    ModelSummary summary = summary();
    return new Layer.Cost(summary.realMacs(), summary.binaryMacs());
  }

  /** What the network costs, layer by layer. */
  public ModelSummary summary() {
    List<ModelSummary.Row> rows = new ArrayList<>();
    describe(layers, null, rows);
    return ModelSummary.of(rows);
  }

  private static void describe(Layer layer, Shape output, List<ModelSummary.Row> rows) {
    if (layer.children().isEmpty()) rows.add(row(layer, output.withFirst(1)));
    for (int i = 0; i < layer.children().size(); i++) describe(layer.children().get(i), layer.outputs().isEmpty() ? output : layer.outputs().get(i), rows);
  }

  private static ModelSummary.Row row(Layer layer, Shape output) {
    long all = 0, binary = 0;
    for (Parameter p : layer.parameters()) {
      all += p.size();
      if (p.kind() == Parameter.Kind.LATENT_WEIGHT) binary += p.size();
    }
    String first = layer.parameters().isEmpty() ? "" : layer.parameters().getFirst().name();
    Layer.Cost cost = layer.cost();
    return new ModelSummary.Row(first.substring(0, Math.max(0, first.lastIndexOf('.'))), layer.getClass().getSimpleName(), output, all, binary,
        cost.realMacs(), cost.binaryMacs());
  }

  /**
   * Takes over parameters and saved tensors by exact name, or none of them if one does not fit.
   *
   * @param what names the origin in messages
   * @throws CheckpointException if a tensor is missing, of another shape, or not known here
   */
  public void load(Collection<NamedTensor> tensors, String what) throws CheckpointException {
    dictionary.load(tensors, what);
    if (frozen) settle();
  }

  /**
   * Takes over only the tensors whose names begin so, or after a - those whose names do not, all of them or none; the others stay as they are.
   *
   * @return how many tensors were taken over
   * @throws CheckpointException if one of them is missing, of another shape, or not known here
   */
  public int loadPart(Collection<NamedTensor> tensors, String beginning, String what) throws CheckpointException {
    return dictionary.load(tensors, beginning, what);
  }

  /** Copies of parameters and saved tensors in the order and shape of a state dictionary. */
  public List<NamedTensor> save() {
    return save(dictionary.values().stream().map(backend::read).toList());
  }

  /** The tensors that {@link #save()} copies, in its order. */
  public List<Tensor> saved() {
    return dictionary.values();
  }

  /** The same as {@link #save()} from copies of {@link #saved}, in the order of memory; any thread may ask. */
  public List<NamedTensor> save(List<float[]> copies) {
    return dictionary.save(copies);
  }
}
