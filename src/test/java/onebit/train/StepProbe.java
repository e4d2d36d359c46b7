package onebit.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import onebit.binarize.Methods;
import onebit.binarize.Rbnn;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.dist.Communicator;
import onebit.dist.Launch;
import onebit.dist.MpiCommunicator;
import onebit.dist.Rendezvous;
import onebit.dist.nccl.NcclCommunicator;
import onebit.models.Execution;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDevice;
import onebit.optim.Optimizer;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * One rank of DistributedStepTest: its part of a global batch against one process, then some steps whose weights must be the same bits on
 * every rank.
 *
 * <p>With synchronised batch norm one process takes the whole batch. In fused passes, which take each rank's own statistics, one process
 * takes every rank's part, or each of its parts, by itself, in simple passes, and its gradients are the mean over the parts.
 *
 * <pre>
 * arguments   mpi|nccl, a recorded step, "drawn", "rbnn" or "biper" for drawn images and that method, or "taught" for drawn images and a teacher, number of steps,
 *             float32|bfloat16, synchronised|fused|accumulated: fused, in two parts a rank; a folder for its files
 * Units       errors and tolerances of gradients as the recorded steps have them; with bfloat16 50 times as much, and none for learned
 *             sets: a single number that is a small difference of the ranks' large ones keeps no digit
 * </pre>
 */
final class StepProbe {
  /** Methods with state of their own: what their recipes say. */
  private static final Map<String, List<String>> METHODS = Map.of("rbnn", List.of("method.name=rbnn", "method.rotationUpdate=2"), "biper", List.of("method.name=biper",
      "method.stage=2", "method.tau=0.01"));
  private static final int STEPS_PER_EPOCH = 4, EPOCHS = 10;

  private static final Recipes RECIPES = new Recipes();

  private final Recipe recipe;
  private final float[] images;
  private final int[] labels;
  private final List<NamedTensor> init;
  private final boolean taught;
  private final Map<String, Double> values = new LinkedHashMap<>();

  private StepProbe(String what, List<String> overrides, Path folder) throws Exception {
    taught = what.equals("taught");
    if (taught || what.equals("drawn") || METHODS.containsKey(what)) {
      List<String> all = new ArrayList<>(overrides);
      all.addAll(METHODS.getOrDefault(what, List.of()));
      recipe = RECIPES.load(ChildRun.smallRecipe(folder).toString(), all);
      SplittableRandom random = new SplittableRandom(3);
      int n = recipe.data().batch();
      images = new float[n * 12 * 12];
      for (int i = 0; i < images.length; i++) images[i] = (float) random.nextGaussian();
      labels = random.ints(n, 0, 10).toArray();
      init = null;
      return;
    }
    Safetensors file = Safetensors.read(Path.of(what));
    List<String> all = new ArrayList<>(overrides);
    all.addAll(CheckStep.overrides(file, key -> key.equals("form")));
    recipe = RECIPES.load("adabin-resnet20-cifar10", all);
    images = file.tensor("x0").floats();
    labels = Arrays.stream(file.tensor("y0").longs()).mapToInt(Math::toIntExact).toArray();
    init = file.tensors().values().stream().filter(t -> t.name().startsWith("init/")).map(t -> t.withName(t.name().substring(5))).toList();
    for (String key : List.of("k", "t")) values.put(key, Double.valueOf(file.metadata().get(key)));
  }

  /** A model with its step on some images of the batch. */
  private final class Part {
    private final Backend backend;
    private final Model model;
    private final Optimizer optimizer;
    private final TrainStep step;
    private final Tensor x;
    private final Truth truth;

    Part(Backend backend, int from, int to, int parts, Execution execution) throws Exception {
      this.backend = backend;
      var data = recipe.data();
      Shape shape = Shape.image(to - from, data.height(), data.width(), data.channels());
      model = new Model(recipe.network(), recipe.method(), shape.withFirst((to - from + parts - 1) / parts), data.classes(), backend, 5, execution,
          taught ? Optional.of(TeacherTest::taught) : Optional.empty());
      if (taught) model.teacher().load(TeacherTest.trained(model.teacher(), 4), "drawn");
      if (init != null) {
        model.load(init, "init");
        model.use(recipe.method().withValues(values));
      }
      if (init == null) startEpoch(0);
      optimizer = Optimizers.of(recipe.optimizer(), backend, model.parameters());
      step = new TrainStep(backend, model, optimizer, to - from, data.classes(), 0, 2, 0.25);
      int each = images.length / labels.length;
      Tensor planar = backend.create(shape);
      x = backend.create(shape);
      backend.write(planar, Arrays.copyOfRange(images, from * each, to * each));
      backend.point().fromPlanar(x, planar);
      truth = Truth.of(Arrays.copyOfRange(labels, from, to));
    }

    void startEpoch(int epoch) {
      model.use(recipe.method().at(epoch, EPOCHS));
      model.startEpoch(epoch);
    }

    /** A step as one of so many images on all ranks. */
    TrainStep.Outcome run(int globalImages) {
      return step.start(x, truth, recipe.optimizer().learningRate(), globalImages).outcome();
    }

    List<float[]> gradients() {
      return model.parameters().stream().map(p -> backend.read(p.gradient())).toList();
    }
  }

  public static void main(String[] arguments) throws Exception {
    boolean mpi = arguments[0].equals("mpi");
    StepProbe probe = new StepProbe(arguments[1], List.of("dist.syncBatchNorm=" + arguments[4].equals("synchronised"), "dist.bucketMegabytes=0.002", "dist.reduce=" + arguments[3]),
        Files.createTempDirectory(Path.of(arguments[5]), "probe"));
    Launch launch = Launch.detect(System.getenv());
    try (Backend backend = mpi ? new CpuBackend() : CudaBackend.emulated(); Communicator all = open(mpi, launch, backend)) {
      probe.run(backend, all, Integer.parseInt(arguments[2]), arguments[3].equals("bfloat16") ? 50 : 1, arguments[4].equals("accumulated") ? 2 : 1);
      System.out.println("rank " + all.rank() + " of " + all.size() + " good");
    }
  }

  private static Communicator open(boolean mpi, Launch launch, Backend backend) throws Exception {
    if (mpi) return MpiCommunicator.open(launch, backend);
    return NcclCommunicator.open(backend, launch.rank(), launch.size(), id -> {
      try {
        return Rendezvous.share(id, launch.rank(), launch.size(), Rendezvous.address(launch, System.getenv()), Duration.ofSeconds(120));
      } catch (java.io.IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
    });
  }

  private void run(Backend backend, Communicator all, int steps, double loose, int each) throws Exception {
    boolean fused = !recipe.dist().syncBatchNorm();
    Execution simple = new Execution(Execution.Passes.SIMPLE, Execution.Memory.FAST);
    int n = labels.length, ranks = all.size();
    Part part = new Part(backend, start(all.rank(), ranks), start(all.rank() + 1, ranks), each, fused ? new Execution(Execution.Passes.FUSED, Execution.Memory.FAST) : simple);
    require(fused == part.model.fusedUnits() > 0, part.model.fusedUnits() + " fused units");
    if (!fused) part.model.synchronise(all);
    StepReduction reduction = new StepReduction(all, part.model, recipe.dist());
    require(ranks == 1 || reduction.buckets() > 2, reduction.buckets() + " buckets");
    part.step.together(reduction);
    double loss = 0;
    int top1 = 0, top5 = 0, parts = fused ? ranks * each : 1;
    List<float[]> mean = part.model.parameters().stream().map(p -> new float[p.size()]).toList();
    for (int r = 0; r < parts; r++) {
      int from = start(r, parts), to = start(r + 1, parts);
      Part whole = new Part(backend, from, to, 1, simple);
      TrainStep.Outcome outcome = whole.run(to - from);
      loss += outcome.loss() * (to - from) / n;
      top1 += outcome.top1();
      top5 += outcome.top5();
      List<float[]> own = whole.gradients();
      for (int i = 0; i < own.size(); i++) for (int k = 0; k < own.get(i).length; k++) mean.get(i)[k] += own.get(i)[k] * (to - from) / n;
    }
    TrainStep.Outcome got = part.run(n);
    require(Math.abs(loss - got.loss()) < 1e-5 * Math.abs(loss), "loss " + got.loss() + ", not " + loss);
    require(top1 == got.top1() && top5 == got.top5(), "hits " + got.top1() + ", not " + top1);
    double worst = 0;
    double[] norms = mean.stream().mapToDouble(StepProbe::norm).sorted().toArray();
    List<float[]> gradients = part.gradients();
    for (int i = 0; i < mean.size(); i++) {
      Parameter p = part.model.parameters().get(i);
      float[] a = mean.get(i), b = gradients.get(i);
      float[] difference = new float[a.length];
      for (int k = 0; k < a.length; k++) difference[k] = a[k] - b[k];
      double error = norm(difference) / Math.max(norm(a), 0.01 * norms[norms.length / 2]);
      worst = Math.max(worst, error);
      boolean set = p.name().endsWith(".alpha_a") || p.name().endsWith(".beta_a");
      if (set && loose > 1) continue;
      require(error < loose * (set ? 3e-3 : 1e-3), "gradient of " + p.name() + " is off by " + error);
    }
    System.out.println("worst relative error of a gradient: " + worst);
    RankAgreement agreement = new RankAgreement(all, backend, part.model, part.optimizer);
    for (int s = 0; s < steps; s++) {
      if (init == null && s > 0 && s % STEPS_PER_EPOCH == 0) border(part, s / STEPS_PER_EPOCH);
      if (fused) agreement.shareRunningStatistics();
      agreement.requireEqual(s);
      if (s == 2) {
        if (all.rank() == 0) EmulatedDevice.moveMemory(backend);
        part.step.realign();
      }
      part.run(n);
    }
    if (fused) agreement.shareRunningStatistics();
    agreement.requireEqual(steps);
    Parameter weights = part.model.parameters().get(1);
    plant(agreement, all, backend, new StateTensor(weights.name(), weights.value(), new int[0]));
    plant(agreement, all, backend, part.optimizer.state().getLast());
    for (StateTensor state : part.model.state()) plant(agreement, all, backend, state);
  }

  /** Rotations change before the epochs that the recipe names and before no others. */
  private void border(Part part, int epoch) {
    List<Tensor> rotations = part.model.state().stream().filter(state -> state.name().endsWith(".R1")).map(StateTensor::value).toList();
    require(rotations.isEmpty() == !(recipe.method() instanceof Rbnn), rotations.size() + " rotations");
    List<float[]> before = rotations.stream().map(part.backend::read).toList();
    part.startEpoch(epoch);
    for (int i = 0; i < before.size(); i++) {
      require(Arrays.equals(before.get(i), part.backend.read(rotations.get(i))) == (epoch % 2 == 1), "rotation " + i + " before epoch " + epoch);
    }
  }

  /** The last rank gets another tensor, which is named; after rank 0 has told its tensors all are equal. */
  private static void plant(RankAgreement agreement, Communicator all, Backend backend, StateTensor tensor) throws Exception {
    float[] values = backend.read(tensor.value());
    values[values.length - 1] = Math.nextUp(values[values.length - 1]);
    if (all.rank() == all.size() - 1) backend.write(tensor.value(), values);
    try {
      agreement.requireEqual(99);
      require(all.size() == 1, "a rank with another " + tensor.name() + " was not noticed");
    } catch (CheckpointException e) {
      require(e.getMessage().contains("tensor " + tensor.name() + " of rank(s) [" + (all.size() - 1) + "]"), e.getMessage());
    }
    agreement.shareTensors();
    agreement.requireEqual(100);
  }

  /** The number of the first image of a rank. */
  private int start(int rank, int ranks) {
    return labels.length * rank / ranks;
  }

  private static double norm(float[] values) {
    double sum = 0;
    for (float v : values) sum += (double) v * v;
    return Math.sqrt(sum);
  }

  private static void require(boolean holds, String what) {
    if (holds) return;
    System.out.println("WRONG: " + what);
    System.out.flush();
    Runtime.getRuntime().halt(3);
  }
}
