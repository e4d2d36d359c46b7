package onebit.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.dist.Activity;
import onebit.dist.Communicator;
import onebit.dist.Launch;
import onebit.dist.ScalingModel;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.Recipe;
import onebit.train.ScalingMeasurement;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit bench scale}. */
@Command(
    name = "scale",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {"Weak scaling: measures steps on 1 and more processes at a fixed batch per process, and fits a model of the step time.",
        "What it prints for more GPUs comes from that model and is not a measurement. With --device cuda each process has a GPU.",
        "On the CPU gradients are sent in up to " + BenchScale.BUCKETS + " buckets unless --set dist.bucketMegabytes says otherwise."})
final class BenchScale implements Callable<Integer> {
  private static final String MARK = "SCALE ";
  /** As many as layers allow: of one bucket nothing could hide behind backward. */
  static final int BUCKETS = 8;
  private static final int GPUS_PER_NODE = 8, MOST_BUCKET_BYTES = 4 << 20;

  @Parameters(index = "0", arity = "0..1", defaultValue = "adabin-vggsmall-cifar10", paramLabel = "RECIPE", description = "Recipe to measure (default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(names = "--procs", split = ",", paramLabel = "N", defaultValue = "1,2,4", description = "Numbers of processes to measure (default: ${DEFAULT-VALUE}).")
  private List<Integer> procs;

  @Option(names = "--gpus", split = ",", paramLabel = "N", defaultValue = "8,16,64", description = "Numbers of GPUs for which the model predicts the step (default: ${DEFAULT-VALUE}).")
  private List<Integer> gpus;

  @Option(names = "--gpu-recipe", paramLabel = "RECIPE", defaultValue = "adabin-resnet18-imagenet", description = "The recipe whose gradients the GPUs exchange (default: ${DEFAULT-VALUE}).")
  private String gpuRecipe;

  @Option(names = "--gpu-step-millis", paramLabel = "MS", defaultValue = "10.36",
      description = {"A step's computation on one GPU; take it from 'bench step --device cuda --profile' (default: ${DEFAULT-VALUE}, measured on one H200",
          "at batch 256; with --tuning it took 9.63 there)."})
  private double gpuStepMillis;

  @Option(names = "--node-gigabytes", paramLabel = "GB/s", defaultValue = "475", description = "Bus bandwidth of all-reduce within a node of 8 (default: ${DEFAULT-VALUE}, H200 by nccl-tests).")
  private double nodeGigabytes;

  @Option(names = "--network-gigabytes", paramLabel = "GB/s", defaultValue = "50", description = "The same across nodes, per GPU (default: ${DEFAULT-VALUE}, 400 Gb/s).")
  private double networkGigabytes;

  @Option(names = "--batch", paramLabel = "N", defaultValue = "8", description = "Images per process and step (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "10", description = "Timed steps after the warm-up (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(names = "--warmup", paramLabel = "N", defaultValue = "5", description = "Warm-up steps (default: ${DEFAULT-VALUE}).")
  private int warmup;

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable.")
  private List<String> overrides = new ArrayList<>();

  @Option(names = "--device", paramLabel = "NAME", defaultValue = "cpu", description = "Where to measure: " + Workplace.DEVICES + " (default: ${DEFAULT-VALUE}).")
  private String device;

  @Mixin private JsonOption json;

  @Option(names = "--as-rank", hidden = true)
  private boolean asRank;

  @Override
  public Integer call() throws IOException {
    if (steps < 1 || warmup < 0 || batch < 1) throw new IllegalArgumentException("--steps and --batch must be >= 1 and --warmup >= 0, got " + steps + ", " + batch + " and " + warmup);
    if (procs.stream().anyMatch(n -> n < 1) || gpus.stream().anyMatch(n -> n < 1)) throw new IllegalArgumentException("--procs and --gpus take numbers >= 1");
    if (!(gpuStepMillis > 0 && nodeGigabytes > 0 && networkGigabytes > 0)) throw new IllegalArgumentException("--gpu-step-millis and bandwidths must be > 0");
    if (asRank) return measureAsRank();
    List<ScalingModel.Point> points = new ArrayList<>();
    List<String> settings = settings();
    for (int n : procs) points.add(measure(n, settings));
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("measured", points.stream().map(BenchScale::members).toList());
    if (!json.on()) printMeasured(points);
    if (points.stream().anyMatch(p -> p.ranks() > 1)) {
      ScalingModel model = ScalingModel.fit(points);
      members.put("fit", fit(model, points));
      members.put("modelled", predict(model, points));
      if (!json.on()) printFit(model, points);
    }
    json.print(members);
    return 0;
  }

  private Integer measureAsRank() throws IOException {
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    Launch launch = Launch.detect(System.getenv());
    try (Backend backend = Workplace.open(Collectives.device(device, launch, System.getenv()), recipe);
        Communicator communicator = Collectives.open(launch, backend, System.getenv(), Duration.ofSeconds(recipe.dist().timeoutSeconds()), new Activity())) {
      ScalingMeasurement m = ScalingMeasurement.of(recipe, backend, communicator, batch, warmup, steps);
      if (communicator.rank() == 0) {
        System.out.println(String.format(Locale.ROOT, "%s%d %.9f %.9f %.9f %d %d", MARK, m.ranks(), m.compute(), m.step(), m.reduce(), m.gradientBytes(),
            m.buckets()));
      }
    }
    return 0;
  }

  /** The overrides, with buckets small enough for the network where nobody has said how large they are. */
  private List<String> settings() {
    if (!device.equals("cpu") || overrides.stream().anyMatch(o -> o.startsWith("dist.bucketMegabytes"))) return overrides;
    double megabytes = Math.min(Workplace.RECIPES.load(name, overrides).dist().bucketMegabytes(), gradientBytes(name, overrides) / (double) (1 << 20) / BUCKETS);
    List<String> all = new ArrayList<>(overrides);
    all.add(String.format(Locale.ROOT, "dist.bucketMegabytes=%.3f", Math.max(0.001, megabytes)));
    return all;
  }

  private ScalingModel.Point measure(int processes, List<String> settings) throws IOException {
    List<String> arguments = new ArrayList<>(List.of("bench", "scale", name, "--as-rank", "--device", device, "--batch", Integer.toString(batch), "--steps",
        Integer.toString(steps), "--warmup", Integer.toString(warmup)));
    for (String setting : settings) arguments.addAll(List.of("--set", setting));
    List<String> lines = new ArrayList<>();
    Path none = Files.createTempDirectory("onebit-scale");
    int code = new Supervisor(processes, !device.equals("cpu"), 0, none, arguments, line -> {
      synchronized (lines) {
        lines.add(line);
      }
    }).run();
    Files.deleteIfExists(none);
    for (String line : lines) {
      int at = line.indexOf(MARK);
      if (at < 0) continue;
      String[] words = line.substring(at + MARK.length()).strip().split(" ");
      return new ScalingModel.Point(Integer.parseInt(words[0]), Double.parseDouble(words[1]), Double.parseDouble(words[2]), Double.parseDouble(words[3]),
          Long.parseLong(words[4]), Integer.parseInt(words[5]));
    }
    throw new IOException("the measurement on " + processes + " processes ended with code " + code + ":\n" + String.join("\n", lines));
  }

  private static Map<String, Object> members(ScalingModel.Point p) {
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("processes", p.ranks());
    members.put("computeSeconds", p.compute());
    members.put("stepSeconds", p.step());
    members.put("reduceSeconds", p.reduce());
    members.put("gradientBytes", p.bytes());
    members.put("buckets", p.buckets());
    return members;
  }

  private static Map<String, Object> fit(ScalingModel model, List<ScalingModel.Point> points) {
    Map<String, Object> fit = new LinkedHashMap<>();
    String unknown = model.overlapUnknown(points);
    fit.put("latencyMicros", model.latency() * 1e6);
    fit.put("gigabytesPerSecond", model.bandwidth() / 1e9);
    if (unknown == null) fit.put("overlap", model.overlap());
    else fit.put("overlapUnknown", unknown);
    fit.put("stepError", model.error(points));
    fit.put("stepErrorNothingHidden", model.hiding(0).error(points));
    fit.put("stepErrorAllHidden", model.hiding(1).error(points));
    return fit;
  }

  /** The rows of GPUs; the one of the fitted overlap only where it is known. */
  private List<Map<String, Object>> predict(ScalingModel fitted, List<ScalingModel.Point> points) {
    boolean known = fitted.overlapUnknown(points) == null;
    long bytes = gradientBytes(gpuRecipe, List.of());
    int buckets = (int) Math.max(1, bytes / MOST_BUCKET_BYTES);
    List<Map<String, Object>> rows = new ArrayList<>();
    for (int n : gpus) {
      double bandwidth = (n <= GPUS_PER_NODE ? nodeGigabytes : networkGigabytes) * 1e9, compute = gpuStepMillis / 1e3;
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("gpus", n);
      row.put("reduceMillis", new ScalingModel(0, bandwidth, 0).reduce(n, bytes, buckets) * 1e3);
      row.put("efficiencyExposed", compute / new ScalingModel(0, bandwidth, 0).step(n, compute, bytes, 1));
      if (known) row.put("efficiencyFittedOverlap", compute / new ScalingModel(0, bandwidth, fitted.overlap()).step(n, compute, bytes, buckets));
      rows.add(row);
    }
    return rows;
  }

  private static long gradientBytes(String name, List<String> overrides) {
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    var data = recipe.data();
    try (Backend backend = new CpuBackend()) {
      return 4L * new onebit.models.Model(recipe.network(), recipe.method(), onebit.tensor.Shape.image(1, data.height(), data.width(), data.channels()),
          data.classes(), backend, 1).parameters().stream().mapToLong(p -> p.size()).sum();
    }
  }

  private void printMeasured(List<ScalingModel.Point> points) {
    System.out.printf(Locale.ROOT, "Measured: %s, batch %d per process, %s, the least of %d steps%n", name, batch, device, steps);
    System.out.println("processes  alone, s  together, s  means of gradients, s  images/s  efficiency");
    for (ScalingModel.Point p : points) {
      System.out.printf(Locale.ROOT, "%9d  %8.4f  %11.4f  %21.4f  %8.1f  %9.0f%%%n", p.ranks(), p.compute(), p.step(), p.reduce(), p.ranks() * batch / p.step(),
          100 * p.compute() / p.step());
    }
    System.out.printf(Locale.ROOT, "efficiency: a step alone beside as many others, over a step together; %.1f MB of gradients in %d buckets%n",
        points.getLast().bytes() / 1e6, points.getLast().buckets());
  }

  private void printFit(ScalingModel model, List<ScalingModel.Point> points) {
    String unknown = model.overlapUnknown(points);
    System.out.printf(Locale.ROOT, "%nModel fitted to them: %.0f us a bucket, %.2f GB/s, %s%n", model.latency() * 1e6, model.bandwidth() / 1e9,
        unknown == null ? String.format(Locale.ROOT, "%.0f %% of backward hides reduction", 100 * model.overlap()) : "overlap not fitted, because " + unknown);
    System.out.printf(Locale.ROOT, "its steps are %.1f %% off the measured ones (root mean square); with nothing hidden %.1f %%, with all of backward hiding %.1f %%%n",
        100 * model.error(points), 100 * model.hiding(0).error(points), 100 * model.hiding(1).error(points));
    for (ScalingModel.Point p : points) {
      double says = model.step(p.ranks(), p.compute(), p.bytes(), Math.max(1, p.buckets()));
      System.out.printf(Locale.ROOT, "  %d processes: model %.4f s, measured %.4f s (%+.0f %%)%n", p.ranks(), says, p.step(), 100 * (says / p.step() - 1));
    }
    System.out.printf(Locale.ROOT, "%nModel of GPUs, not a measurement: %s, %.1f MB of gradients, %.2f ms of computation a step, %.0f GB/s in a node of %d, %.0f across%n",
        gpuRecipe, gradientBytes(gpuRecipe, List.of()) / 1e6, gpuStepMillis, nodeGigabytes, GPUS_PER_NODE, networkGigabytes);
    System.out.println("GPUs  means of gradients, ms  efficiency with nothing hidden" + (unknown == null ? "  with the overlap fitted above" : ""));
    for (Map<String, Object> row : predict(model, points)) {
      System.out.printf(Locale.ROOT, "%4d  %22.2f  %30.1f%%%s%n", row.get("gpus"), row.get("reduceMillis"), 100 * (double) row.get("efficiencyExposed"),
          unknown == null ? String.format(Locale.ROOT, "  %28.1f%%", 100 * (double) row.get("efficiencyFittedOverlap")) : "");
    }
  }
}
