package onebit.cli;

import com.google.common.math.Quantiles;
import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import onebit.ops.Backend;
import onebit.ops.cuda.CudaBackend;
import onebit.recipe.Recipe;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.MemoryPlan;
import onebit.train.TrainStep;
import onebit.train.Truth;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit bench step}. */
@Command(
    name = "step",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = "Times whole training steps of a recipe on random images: forward, loss, backward, checks, update.")
final class BenchStep implements Callable<Integer> {
  @Parameters(index = "0", arity = "0..1", defaultValue = "adabin-resnet20-cifar10", paramLabel = "RECIPE", description = "Recipe (default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "10", description = "Timed steps after the warm-up (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(names = "--warmup", paramLabel = "N", defaultValue = "5", description = "Warm-up steps (default: ${DEFAULT-VALUE}).")
  private int warmup;

  @Mixin private ComputeOptions compute;

  @Mixin private ReplayOptions replay;

  @Option(names = "--profile", description = "On a GPU: also consecutive steps, the host's share, memory, the device's ceilings and the time of every kernel.")
  private boolean profile;

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    if (steps < 1 || warmup < 0) throw new IllegalArgumentException("--steps must be >= 1 and --warmup >= 0, got " + steps + " and " + warmup);
    Recipe recipe = compute.recipe(name);
    var data = recipe.data();
    int batch = data.batch();
    Shape shape = Shape.image(batch, data.height(), data.width(), data.channels());
    double[] seconds = new double[steps];
    List<String> facts;
    Map<String, Object> members = new LinkedHashMap<>();
    if (profile && (compute.device.equals("cpu") || compute.device.equals("cuda-emulated"))) throw new IllegalArgumentException("--profile times a GPU's kernels; give --device cuda, not " + compute.device);
    try (Backend backend = compute.open(recipe)) {
      replay.use(backend, recipe, true, System.err::println);
      facts = Workplace.facts(backend, recipe);
      TrainStep step = TrainStep.of(recipe, backend, batch);
      SplittableRandom random = new SplittableRandom(1);
      byte[] images = new byte[shape.size()];
      random.nextBytes(images);
      Truth truth = Truth.random(recipe, batch, random);
      Tensor x = backend.create(shape, ElementType.UINT8);
      backend.write(x, images);
      for (int i = -warmup; i < steps; i++) {
        long begin = System.nanoTime();
        step.run(x, truth, recipe.optimizer().learningRate() * 0.01);
        backend.synchronize();
        if (i >= 0) seconds[i] = (System.nanoTime() - begin) / 1e9;
      }
      if (profile) {
        new StepProfile((CudaBackend) backend, () -> step.start(x, truth, recipe.optimizer().learningRate() * 0.01))
            .print(members, MemoryPlan.of(recipe, batch, backend.activations()));
      }
    }
    Arrays.sort(seconds);
    double median = Quantiles.median().compute(seconds);
    members.put("recipe", name);
    members.put("batch", batch);
    members.put("medianSeconds", median);
    members.put("minSeconds", seconds[0]);
    members.put("maxSeconds", seconds[steps - 1]);
    members.put("imagesPerSecond", batch / median);
    if (!json.print(members)) {
      System.out.printf(Locale.ROOT, "%s, batch %d, %d steps: median %.3f s (%.3f to %.3f), %.0f images/s%n%s%n", name, batch, steps, median, seconds[0],
          seconds[steps - 1], batch / median, String.join("; ", facts));
    }
    return 0;
  }
}
