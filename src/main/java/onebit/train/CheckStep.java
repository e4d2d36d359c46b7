package onebit.train;

import com.google.common.math.Quantiles;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.optim.Optimizer;
import onebit.recipe.Recipe;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * Replays one recorded optimization step and compares logits, loss, gradients and updated parameters with the recording.
 *
 * <pre>
 * Units   error of a gradient: L2 of the difference / max(L2 of the recorded, 0.01 M), M the median L2 of the recorded gradients;
 *         of a "*.alpha" gradient the floor is M or, where larger, a tenth of its filters' L2, of its update this times the rate; else: relative L2
 * </pre>
 *
 * <p>With bfloat16 activations bits near their threshold flip, and through the layers everything drifts apart; no order of sums and no rounding
 * decides such a step alike (in float32 the recordings keep a distance of 2e-5 from every threshold, bfloat16 rounds by 4e-3). Then only sizes are
 * compared: the relative difference of the losses, and of the L2 of logits and of each gradient of at least 1,000 values (smaller ones are
 * small differences of large sums), the latter to at least M. Updated tensors are left out: the optimizer is float32 on both, and the float32
 * replay proves it. That each layer is right in bfloat16 is shown layer by layer, from equal inputs, by the tests.
 */
public final class CheckStep {
  private static final double OUTPUT = 1e-4;
  private static final double GRADIENT = 1e-3;
  private static final double SET_GRADIENT = 3e-3;
  private static final double UPDATED = 1e-3;
  private static final double UPDATED_SCALE = 1e-2;
  private static final double ROUNDED_LOSS = 0.5;
  private static final double ROUNDED_SIZE = 0.75;
  private static final int ROUNDED_LEAST = 1000;

  /** Metadata of a recording, and the recipe keys they take the place of. */
  private static final Map<String, String> KEYS = Map.of(
      "lr", "optimizer.learningRate", "momentum", "optimizer.momentum", "weight_decay", "optimizer.weightDecay",
      "beta1", "optimizer.beta1", "beta2", "optimizer.beta2", "epsilon", "optimizer.epsilon", "optimizer", "optimizer.name");
  private static final List<String> METHOD_KEYS = List.of("omega0", "tau", "stage", "clip", "form");

  private CheckStep() {}

  /** One compared tensor. */
  public record Comparison(String name, double error, double tolerance) {
    public boolean passes() {
      return error <= tolerance;
    }
  }

  /** All comparisons, the one nearest to or farthest beyond its tolerance first. */
  public record Report(List<Comparison> comparisons) {
    public boolean passes() {
      return comparisons.stream().allMatch(Comparison::passes);
    }

    public Comparison worst() {
      return comparisons.getFirst();
    }
  }

  /** The overrides {@code key=value} that a recording's metadata put on its recipe; method keys only where the method has them. */
  public static List<String> overrides(Safetensors file, java.util.function.Predicate<String> isMethodKey) throws IOException {
    List<String> all = new ArrayList<>();
    file.metadata().forEach((name, value) -> {
      if (KEYS.containsKey(name)) all.add(KEYS.get(name) + "=" + value);
      if (METHOD_KEYS.contains(name) && isMethodKey.test(name)) all.add("method." + name + "=" + value);
    });
    int[] shape = images(file).shape();
    all.add("data.batch=" + shape[0]);
    all.add("data.channels=" + shape[1]);
    all.add("data.height=" + shape[2]);
    all.add("data.width=" + shape[3]);
    return all;
  }

  private static NamedTensor images(Safetensors file) throws IOException {
    NamedTensor x = file.tensor("x0");
    if (x.shape().length != 4) throw new IOException("tensor x0: shape " + Arrays.toString(x.shape()) + " is not N,C,H,W");
    return x;
  }

  /**
   * Replays the step; the recipe carries the recording's values already.
   *
   * @throws IOException if the file lacks a tensor or has one of another shape
   */
  public static Report run(Safetensors file, Recipe recipe, Backend backend, double toleranceScale) throws IOException {
    if (recipe.teacher().teaches()) {
      throw new IllegalArgumentException("the recipe learns from a teacher, of which a recorded step knows nothing; give --set teacher.network=none");
    }
    if (recipe.network().detects()) throw new IllegalArgumentException("the recipe's network finds boxes, of which a recorded step knows nothing; check-step is of networks that classify");
    NamedTensor images = images(file);
    int n = images.shape()[0];
    Shape input = Shape.image(n, images.shape()[2], images.shape()[3], images.shape()[1]);
    Model model = new Model(recipe.network(), recipe.method(), input, recipe.data().classes(), backend, recipe.train().seed(), recipe.train().execution());
    model.load(named(file, "init/"), "the recording's init");
    model.use(recipe.method().withValues(numbers(file.metadata())));
    Optimizer optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
    TrainStep step = new TrainStep(backend, model, optimizer, n, recipe.data().classes(), recipe.train().labelSmoothing());
    if (rotates(file.metadata())) model.startEpoch(0);

    Tensor x = backend.create(input, backend.activations()), planar = backend.create(input, backend.activations());
    backend.write(planar, images.floats());
    backend.point().fromPlanar(x, planar);
    long[] labels = file.tensor("y0").longs();
    if (labels.length != n) throw new IOException("tensor y0: " + labels.length + " labels for " + n + " images");
    TrainStep.Outcome outcome = step.gradients(x, Truth.of(Arrays.stream(labels).mapToInt(Math::toIntExact).toArray()));
    List<Comparison> all = new ArrayList<>();
    if (backend.activations() == ElementType.BFLOAT16) {
      compareSizes(file, model, backend, step.output(), outcome.loss(), all);
      return report(all, toleranceScale);
    }
    all.add(new Comparison("logits0", relative(backend.read(step.output()), file.tensor("logits0").floats(), 0), OUTPUT));
    all.add(new Comparison("loss0", relative(new float[] {(float) outcome.error(), (float) outcome.loss()}, file.tensor("loss0").floats(), 0), OUTPUT));
    compareGradients(file, model, backend, all);
    step.update(recipe.optimizer().learningRate());
    compareUpdated(file, model, backend, recipe.optimizer().learningRate(), all);
    return report(all, toleranceScale);
  }

  private static Report report(List<Comparison> all, double toleranceScale) {
    List<Comparison> scaled = all.stream().map(c -> new Comparison(c.name(), c.error(), c.tolerance() * toleranceScale))
        .sorted(Comparator.comparingDouble((Comparison c) -> Double.isNaN(c.error()) ? Double.NEGATIVE_INFINITY : -c.error() / c.tolerance())).toList();
    return new Report(scaled);
  }

  private static boolean rotates(Map<String, String> metadata) {
    String rotation = metadata.get("rotation");
    return rotation != null && !rotation.equals("none");
  }

  private static List<NamedTensor> named(Safetensors file, String prefix) {
    return file.tensors().values().stream().filter(t -> t.name().startsWith(prefix)).map(t -> t.withName(t.name().substring(prefix.length())))
        .toList();
  }

  private static Map<String, Double> numbers(Map<String, String> metadata) throws IOException {
    Map<String, Double> values = new LinkedHashMap<>();
    for (String name : List.of("k", "t")) {
      String text = metadata.get(name);
      if (text == null) continue;
      try {
        values.put(name, Double.valueOf(text));
      } catch (NumberFormatException e) {
        throw new IOException("metadata " + name + ": '" + text + "' is not a number");
      }
    }
    return values;
  }

  private static void compareSizes(Safetensors file, Model model, Backend backend, Tensor logits, double loss, List<Comparison> all) throws IOException {
    double wantedLoss = file.tensor("loss0").floats()[1], wantedLogits = norm(file.tensor("logits0").floats());
    all.add(new Comparison("size of loss0", Math.abs(loss - wantedLoss) / wantedLoss, ROUNDED_LOSS));
    all.add(new Comparison("size of logits0", Math.abs(norm(backend.read(logits)) - wantedLogits) / wantedLogits, ROUNDED_SIZE));
    double median = median(recordedGradients(file));
    for (Parameter parameter : model.parameters()) {
      if (parameter.size() < ROUNDED_LEAST) continue;
      double wanted = norm(file.tensor("grad0/" + parameter.name()).floats());
      all.add(new Comparison("size of grad0/" + parameter.name(), Math.abs(norm(backend.read(parameter.gradient())) - wanted) / Math.max(wanted, median),
          ROUNDED_SIZE));
    }
  }

  private static List<NamedTensor> recordedGradients(Safetensors file) throws IOException {
    List<NamedTensor> recorded = named(file, "grad0/");
    if (recorded.isEmpty()) throw new IOException("the recording has no grad0/ tensors");
    return recorded;
  }

  private static double median(List<NamedTensor> recorded) {
    return Quantiles.median().compute(recorded.stream().mapToDouble(t -> norm(t.floats())).toArray());
  }

  private static void compareGradients(Safetensors file, Model model, Backend backend, List<Comparison> all) throws IOException {
    List<NamedTensor> recorded = recordedGradients(file);
    double median = median(recorded);
    Map<String, NamedTensor> byName = new LinkedHashMap<>();
    recorded.forEach(t -> byName.put(t.name(), t));
    for (Parameter parameter : model.parameters()) {
      NamedTensor wanted = byName.remove(parameter.name());
      if (wanted == null) throw new IOException("the recording has no gradient grad0/" + parameter.name());
      float[] got = parameter.layout().toFile(backend.read(parameter.gradient()), parameter.value().shape());
      double floor = parameter.name().endsWith(".alpha") ? Math.max(median, scaleFloor(file, parameter.name())) : 0.01 * median;
      all.add(new Comparison("grad0/" + wanted.name(), relative(got, wanted.floats(), floor), wanted.name().matches(".*(alpha|beta)_a") ? SET_GRADIENT : GRADIENT));
    }
    if (!byName.isEmpty()) throw new IOException("the network has no parameter for grad0/" + byName.keySet().iterator().next());
  }

  private static void compareUpdated(Safetensors file, Model model, Backend backend, double rate, List<Comparison> all) throws IOException {
    Map<String, float[]> values = new LinkedHashMap<>();
    for (Parameter p : model.parameters()) values.put(p.name(), p.layout().toFile(backend.read(p.value()), p.value().shape()));
    for (StateTensor s : model.state()) values.put(s.name(), backend.read(s.value()));
    for (NamedTensor wanted : named(file, "after1/")) {
      if (wanted.name().endsWith("num_batches_tracked")) continue;
      float[] got = values.get(wanted.name());
      if (got == null) throw new IOException("the network has no tensor for after1/" + wanted.name());
      boolean scale = wanted.name().endsWith(".alpha");
      double floor = scale ? rate * scaleFloor(file, wanted.name()) : 0;
      all.add(new Comparison("after1/" + wanted.name(), relative(got, wanted.floats(), floor), scale ? UPDATED_SCALE : UPDATED));
    }
  }

  private static double scaleFloor(Safetensors file, String alpha) throws IOException {
    return 0.1 * norm(file.tensor("grad0/" + alpha.replaceFirst("alpha$", "weight")).floats());
  }

  private static double relative(float[] got, float[] wanted, double floor) {
    return difference(got, wanted) / Math.max(Math.max(norm(wanted), floor), Float.MIN_NORMAL);
  }

  private static double difference(float[] got, float[] wanted) {
    if (got.length != wanted.length) throw new IllegalArgumentException("the network gives " + got.length + " values, the recording has " + wanted.length);
    double sum = 0;
    for (int i = 0; i < got.length; i++) sum += ((double) got[i] - wanted[i]) * ((double) got[i] - wanted[i]);
    return Math.sqrt(sum);
  }

  private static double norm(float[] values) {
    double sum = 0;
    for (float v : values) sum += (double) v * v;
    return Math.sqrt(sum);
  }
}
