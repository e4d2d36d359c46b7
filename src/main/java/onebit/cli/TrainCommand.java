package onebit.cli;

import java.io.Closeable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import onebit.checkpoint.RunLock;
import onebit.data.Datasets;
import onebit.data.Split;
import onebit.dist.Activity;
import onebit.dist.Communicator;
import onebit.dist.Launch;
import onebit.dist.RankStatus;
import onebit.dist.SingleProcess;
import onebit.dist.Watchdog;
import onebit.models.Execution;
import onebit.ops.Backend;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.TeacherRecipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.report.Environment;
import onebit.report.ProgressLine;
import onebit.report.RunLog;
import onebit.report.Screen;
import onebit.tensor.ElementType;
import onebit.train.InputPipeline;
import onebit.train.MemoryPlan;
import onebit.train.RunFolder;
import onebit.train.TeacherRun;
import onebit.train.TeacherWeights;
import onebit.train.TrainOptions;
import onebit.train.Trainer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code onebit train}. */
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = "Trains a recipe and writes a run folder. Without a recipe: a small AdaBin network on digits the program draws itself.",
    footer = {
      "", "The same command resumes a stopped run. Ctrl-C or SIGTERM writes a checkpoint and exits with code 75.",
      "Example: onebit train adabin-resnet20-cifar10 --data data/cifar10 --epochs 3 --set train.seed=2"
    })
final class TrainCommand implements Callable<Integer> {
  private static final int DRY_STEPS = 3, DRY_BATCH = 4;

  @Parameters(index = "0", arity = "0..1", paramLabel = "RECIPE",
      description = "A name from 'onebit recipes', or a YAML file (default: " + Recipes.DEFAULT + ", or with --resume DIR that run's).")
  private String name;

  @Option(names = "--data", paramLabel = "DIR", description = "Folder of the data set (default: data/NAME, where NAME is the recipe's data.name).")
  private Path data;

  @Option(names = "--out", paramLabel = "DIR", description = "Run folder (default: runs/RECIPE, or runs/RECIPE-2, ... if that run is complete).")
  private Path out;

  @Mixin private ComputeOptions compute;

  @Option(names = "--epochs", paramLabel = "N", description = "Stop after N epochs of the recipe's schedule; --set train.epochs=N shortens the schedule itself.")
  private Integer epochs;

  @Option(names = "--resume", paramLabel = "auto|never|DIR", defaultValue = "auto",
      description = "auto: resume where the run folder has a checkpoint; never: start a new run; DIR: resume that run, with its recipe and its data (default: ${DEFAULT-VALUE}).")
  private String resume;

  @Option(names = "--dev-run", description = "Try whether everything works: a few steps of one epoch on small batches, on generated images if there is no data.")
  private boolean devRun;

  @Option(names = "--procs", paramLabel = "N", description = "Train with N processes on this computer's CPU (Open MPI).")
  private Integer procs;

  @Option(names = "--gpus", paramLabel = "N", description = "Train with N processes, one on each of the first N GPUs (NCCL).")
  private Integer gpus;

  @Option(names = "--restarts", paramLabel = "N", defaultValue = "0",
      description = "With --procs or --gpus: when a process fails, start again from the last good checkpoint, up to N times (default: ${DEFAULT-VALUE}).")
  private int restarts;

  @Option(names = "--memory-limit", paramLabel = "SIZE",
      description = "Most device memory for a training step, such as 8GB: takes the fastest train.memory that fits with all images at once, else with 2, 4, 8 and so on parts, and says which.")
  private String memoryLimit;

  @Mixin private ReplayOptions replay;

  @Option(names = "--steps", paramLabel = "N", description = "Steps of a --dev-run (default: " + DRY_STEPS + ").")
  private Integer steps;

  @Mixin private JsonOption json;

  @Spec private CommandSpec spec;

  private volatile StopSignal signal;
  private volatile RunLog rankLog;
  private List<String> taken = List.of();   // what --resume DIR alone says, in words for workers

  @Override
  public Integer call() throws IOException {
    if (epochs != null && epochs < 1) throw new IllegalArgumentException("--epochs must be >= 1, got " + epochs);
    if (steps != null && !devRun) throw new IllegalArgumentException("--steps belongs to --dev-run; --epochs shortens a run");
    if (restarts != 0 && procs == null && gpus == null) throw new IllegalArgumentException("--restarts belongs to --procs or --gpus, whose processes it starts again");
    String device = device();
    if (memoryLimit != null) MemoryLimit.of(memoryLimit).requireDevice(device);
    replay.requireDevice(device);
    if (steps != null && steps < 1) throw new IllegalArgumentException("--steps must be >= 1, got " + steps);
    if (name == null) takeRecipe();
    Recipe recipe = Workplace.RECIPES.load(name, allOverrides());
    if (!devRun) TeacherWeights.require("recipe " + name, recipe.teacher());
    Path folder = Workplace.dataFolder(recipe, data);
    StopSignal.alsoOnUsr1();
    if (procs != null || gpus != null) return supervise(recipe, folder);
    Launch launch = Launch.detect(System.getenv());
    return launch.kind() == Launch.Kind.ALONE ? alone(recipe, folder) : asRank(launch, recipe, folder);
  }

  /** What this process trains on, or the workers that it starts. */
  private String device() {
    if (gpus == null || compute.device.equals("cuda-emulated")) return compute.device;
    if (spec.commandLine().getParseResult().hasMatchedOption("--device") && !compute.device.equals("cuda")) {
      throw new IllegalArgumentException("--gpus takes the first GPUs of this machine, --device says " + compute.device + "; leave one of them out");
    }
    return "cuda";
  }

  /** Starts the processes that --procs or --gpus asks for, and watches them. */
  private int supervise(Recipe recipe, Path folder) throws IOException {
    int workers = procs != null ? procs : gpus;
    if (procs != null && gpus != null) throw new IllegalArgumentException("--procs is for the CPU and --gpus for GPUs; give one");
    if (workers < 1 || workers > 1024) throw new IllegalArgumentException((procs != null ? "--procs" : "--gpus") + " must be from 1 to 1024, got " + workers);
    if (restarts < 0) throw new IllegalArgumentException("--restarts must be >= 0, got " + restarts);
    if (procs != null && !compute.device.equals("cpu")) throw new IllegalArgumentException("--procs is for the CPU, --device says " + compute.device + "; use --gpus N");
    if (Launch.detect(System.getenv()).kind() != Launch.Kind.ALONE) {
      throw new IllegalArgumentException("--procs and --gpus start processes themselves; under mpirun, srun or torchrun leave them out");
    }
    if (gpus != null && !compute.device.equals("cuda-emulated")) Supervisor.requireDevices(workers);
    RunFolder run = chooseRun(recipe, folder);
    requireInputs(recipe, folder, run);
    List<String> arguments = WorkerArguments.of(Stream.concat(spec.commandLine().getParseResult().originalArgs().stream(), taken.stream()).toList(), run.path(), gpus != null && compute.device.equals("cpu"));
    return new Supervisor(workers, gpus != null, restarts, run.path(), arguments, this::show).run();
  }

  /** With --json only rank 0's result goes to the standard output, without its rank before it. */
  private void show(String line) {
    if (!json.on()) System.out.println(line);
    else if (line.startsWith("[0] {")) System.out.println(line.substring(4));
    else System.err.println(line);
  }

  private int alone(Recipe recipe, Path folder) throws IOException {
    RunFolder run = chooseRun(recipe, folder);
    Optional<String> before = run.precision();
    // a run goes on in its own precision unless told otherwise
    if (recipe.train().precision() == Precision.AUTO && before.isPresent()) recipe = computing(before.get());
    Screen screen = json.screen();
    signal = StopSignal.listen(true);
    try (Backend backend = compute.open(recipe); Communicator communicator = new SingleProcess()) {
      requireInputs(recipe, folder, run);
      Path made = run.missing();
      try (RunLock lock = RunLock.acquire(run.path()); Closeable unbegun = () -> run.withdraw(made); RunLog log = RunLog.open(run.path().resolve("log.txt"), screen)) {
        return train(settled(recipe, run, backend, log), backend, communicator, folder, run, screen, log);
      }
    } catch (IOException | RuntimeException | Error e) {
      signal.failed(e);
      throw e;
    } finally {
      signal.end();
    }
  }

  /**
   * One of several processes; rank 0 chooses the run folder and is the only one that writes it, beside the others' logs. They hear of the folder when rank 0 holds its
   * lock: a run that another one has in use stays as it is.
   */
  private int asRank(Launch launch, Recipe recipe, Path folder) throws IOException {
    signal = StopSignal.listen(launch.rank() == 0);
    Duration limit = Duration.ofSeconds(recipe.dist().timeoutSeconds());
    long starter = Long.parseLong(System.getenv().getOrDefault(Supervisor.STARTER, "0"));
    Activity start = new Activity();
    try (Backend backend = Workplace.open(Collectives.device(compute.device, launch, System.getenv()), recipe);
        Watchdog watchdog = new Watchdog(start, launch.rank(), launch.size(), limit, starter, this::halt)) {
      Communicator communicator = Collectives.open(launch, backend, System.getenv(), limit, start);
      watchdog.watch(communicator);
      RunFolder chosen = communicator.rank() == 0 ? chooseRun(recipe, folder) : null;
      Path made = chosen == null ? null : chosen.missing();
      int code;
      try (RunLock lock = chosen == null ? null : RunLock.acquire(chosen.path()); Closeable unbegun = chosen == null ? null : () -> chosen.withdraw(made)) {
        if (chosen != null) RankStatus.forget(chosen.path());
        byte[] path = communicator.broadcast(chosen == null ? null : chosen.path().toString().getBytes(StandardCharsets.UTF_8));
        RunFolder run = new RunFolder(Path.of(new String(path, StandardCharsets.UTF_8)));
        code = inRun(run, backend, communicator, recipe, folder, watchdog);
        communicator.any(false);   // nobody leaves before all have done their part
      } catch (IOException | RuntimeException | Error e) {
        Main.failAndHalt(e);   // the others wait in a collective: only the end of this process tells them
        throw e;
      }
      communicator.close();
      return code;
    } finally {
      signal.end();
    }
  }

  private int inRun(RunFolder run, Backend backend, Communicator communicator, Recipe recipe, Path folder, Watchdog watchdog) throws IOException {
    requireInputs(recipe, folder, run);
    boolean leads = communicator.rank() == 0;
    Screen screen = !leads ? Screen.none() : json.on() ? Screen.of(System.err, false) : Screen.of(System.out, false);
    try (RunLog log = RunLog.open(run.path().resolve(leads ? "log.txt" : "log-rank" + communicator.rank() + ".txt"), screen)) {
      rankLog = log;
      try {
        RankStatus.publish(run.path(), communicator.rank(), communicator.activity());
      } catch (IOException e) {
        log.warn("This rank's place is not written to the run folder, so that a message about a rank that hangs cannot name it: " + e.getMessage());
      }
      watchdog.watch(communicator, run.path());
      return train(settled(recipe, run, backend, log), backend, communicator, folder, run, screen, log);
    }
  }

  /** Ends this process for a reason that the watchdog gives; others that a signal ended before training began are no failure. */
  private void halt(String reason) {
    signal.endIfUntouched();
    RunLog log = rankLog;
    if (log != null) log.record(reason);
    System.err.println("onebit: " + reason);
    Runtime.getRuntime().halt(1);
  }

  /** The recipe in that precision. */
  private Recipe computing(String inPrecision) {
    return Workplace.RECIPES.load(name, Workplace.withPrecision(allOverrides(), inPrecision));
  }

  /**
   * The recipe in the precision of the backend; a change from that of the run so far is told.
   *
   * @throws IllegalArgumentException if nobody asked for that change
   */
  private Recipe settled(Recipe recipe, RunFolder run, Backend backend, RunLog log) throws IOException {
    String used = Recipes.word(Workplace.precisionOf(backend)), before = run.precision().orElse(used);
    if (!before.equals(used)) {
      if (recipe.train().precision() == Precision.AUTO) {
        throw new IllegalArgumentException("run " + run.path() + " computed in " + before + " so far, " + backend.name() + " would go on in " + used
            + "; give --precision " + before + " to go on as before, or --precision " + used);
      }
      log.line("The run computed in " + before + " so far and goes on in " + used + ".");
    }
    return computing(used);
  }

  private List<String> allOverrides() {
    List<String> all = compute.all();
    if (devRun) {
      Recipe plain = Workplace.RECIPES.load(name, compute.overrides);
      all.addAll(List.of("data.batch=" + DRY_BATCH, "data.evalBatch=" + DRY_BATCH, "data.workers=1"));
      DataRecipe.Source source = plain.data().name();
      boolean itsOwn = EnumSet.of(DataRecipe.Source.GLYPHS, DataRecipe.Source.FIGURES, DataRecipe.Source.OWN).contains(source) || data != null;
      if (!itsOwn && plain.data().hasBoxes()) all.addAll(List.of("data.name=figures", "data.trainLists=null", "data.testLists=null"));
      else if (!itsOwn) all.addAll(List.of("data.name=generated", "data.evalResize=0", "data.evalCrop=0", "data.valShare=0", "data.quasiRandom=null"));
    }
    return all;
  }

  /** Refuses a new run whose weights or images are missing, or do not fit, before anything is written or built. */
  private void requireInputs(Recipe recipe, Path folder, RunFolder run) throws IOException {
    if (run.hasBegun()) return;
    earlierStage(recipe);
    TeacherRun.requireKnows(recipe, InputPipeline.open(recipe.data(), folder, Split.TEST, recipe.train().seed()));
  }

  /** What no recipe stands for: that of the run to go on with, and the images it had; else the default. */
  private void takeRecipe() throws IOException {
    RunFolder run = resumed();
    name = run == null ? Recipes.DEFAULT : run.recipe().toString();
    Optional<Path> before = run == null || data != null ? Optional.empty() : RunFolder.dataOf(run.path()).filter(Files::exists);
    taken = run == null ? List.of() : before.isEmpty() ? List.of(name) : List.of(name, "--data", before.get().toString());
    data = before.orElse(data);
  }

  /** The run that --resume names; null where it names none. */
  private RunFolder resumed() {
    if (resume.equals("auto") || resume.equals("never")) return null;
    RunFolder asked = new RunFolder(Path.of(resume));
    if (!asked.holdsRun()) throw new IllegalArgumentException("--resume " + resume + ": there is no run in that folder");
    return asked;
  }

  /** The folder of the run; a new one may not lie where it would be taken for a class. */
  private RunFolder chooseRun(Recipe recipe, Path folder) {
    RunFolder run = chooseRun();
    Path path = run.path().toAbsolutePath().normalize();
    if (recipe.data().valShare() == 0 || run.holdsRun() || !path.startsWith(folder.toAbsolutePath().normalize())) return run;
    throw new IllegalArgumentException("run folder " + run.path() + " lies in " + folder + ", whose folders are the classes (data.valShare): give an --out that is not in it");
  }

  private RunFolder chooseRun() {
    RunFolder other = resumed();
    if (other != null && (out == null || out.equals(other.path()))) return other;
    if (other != null) throw new IllegalArgumentException("--out and --resume DIR name two folders; give one");
    if (out != null) {
      RunFolder asked = new RunFolder(out);
      if (resume.equals("never") && asked.holdsRun()) {
        throw new IllegalArgumentException("--out " + out + " holds a run and --resume is never; choose another --out or delete that run");
      }
      return asked;
    }
    String title = Workplace.title(name) + (devRun ? "-dev" : "");
    return devRun || resume.equals("never") ? RunFolder.unused(Path.of("runs"), title) : RunFolder.unfinished(Path.of("runs"), title);
  }

  private int train(Recipe asked, Backend backend, Communicator communicator, Path folder, RunFolder run, Screen screen, RunLog log) throws IOException {
    MemoryLimit.Choice choice = memoryLimit == null ? null : MemoryLimit.of(memoryLimit).choose(name, allOverrides(), backend, communicator.size());
    Recipe recipe = choice == null ? asked : choice.recipe();
    boolean leads = communicator.rank() == 0;
    replay.use(backend, recipe, leads, log::line);
    String yaml = Workplace.RECIPES.write(recipe);
    List<String> changes = leads && run.holdsRun() ? run.requireSameRecipe(yaml, file -> Workplace.RECIPES.write(Workplace.RECIPES.load(file, List.of()))) : List.of();
    int all = recipe.train().epochs();
    int stop = devRun ? recipe.train().firstEpoch() + 1
        : Math.min(all, recipe.train().firstEpoch() + (epochs != null ? epochs : recipe.train().stopAfter().orElse(all)));
    TrainOptions options = new TrainOptions(Workplace.title(name), folder, run.path(), stop, devRun ? (steps == null ? DRY_STEPS : steps) : Integer.MAX_VALUE);
    log.line("Onebit " + Environment.version() + ", recipe " + Workplace.title(name) + ", run folder " + run.path());
    changes.forEach(log::line);
    if (epochs != null && !devRun && epochs > all - recipe.train().firstEpoch()) {
      log.line("--epochs " + epochs + " is more than the schedule has, which ends with epoch " + all + "; --set train.epochs=N in another --out makes a longer one.");
    }
    Workplace.RECIPES.extensions().forEach(extension -> log.line("Extension " + extension + "."));
    recipe.idle().forEach(log::line);
    if (choice != null) log.line(choice.words());
    log.line("Device " + backend.name() + ": " + String.join("; ", backend.describe()));
    if (recipe.train().gradients() == Execution.Gradients.FLOAT8) {
      log.line("Gradients at binary convolutions: float8 (e4m3), each tensor scaled by its own largest value; refused where a layer is off by more than "
          + recipe.train().float8Limit() + " of its norm.");
    }
    if (communicator.size() > 1) log.line("Processes: this is rank " + communicator.rank() + " of " + communicator.size() + "; " + communicator.describe());
    if (EnumSet.of(DataRecipe.Source.FOLDER, DataRecipe.Source.IMAGENET, DataRecipe.Source.VOC).contains(recipe.data().name())) {
      log.line("Photos: " + String.join("; ", Datasets.findings()));
    }
    if (devRun && leads) memory(recipe, backend, communicator.size(), log);
    TrainReport report = new TrainReport(Workplace.title(name), recipe, yaml, run, log, json, data, devRun ? (long) DRY_BATCH * options.steps() : 0);
    Trainer trainer = new Trainer(recipe, backend, options, communicator, screen, log, report::page);
    teach(trainer, recipe, log);
    boolean resumed = trainer.resume();
    if (resumed && trainer.isComplete()) {
      log.line(report.finished(trainer, options.steps()) + " Nothing is left to do; give another --out to train anew.");
      if (leads) report.print(trainer, 0, "complete");
      return 0;
    }
    if (leads) run.writeRecipe(yaml);
    if (leads && !resumed) run.begins(devRun);
    if (leads && folder != null) run.writeData(folder);
    String otherJars = leads ? run.rememberExtensions(Workplace.RECIPES.extensionJars()) : null;
    if (otherJars != null) log.warn(otherJars);
    if (resumed) {
      log.line("Going on from the checkpoint in " + run.path().resolve("last") + ".");
    } else {
      Optional<Path> from = earlierStage(recipe);
      if (from.isPresent()) trainer.startFrom(RunFolder.weights(from.get()), from.get().toString());
      else if (recipe.train().initFrom().isPresent()) log.line("Starting from RANDOM weights, for those of train.initFrom, " + recipe.train().initFrom().get() + ", are not there.");
    }
    long begin = System.nanoTime();
    signal.began(trainer);
    Trainer.End end = trainer.run();
    double seconds = (System.nanoTime() - begin) / 1e9;
    if (!leads) return end == Trainer.End.STOPPED ? Main.STOPPED : 0;
    report.page();
    if (end == Trainer.End.STOPPED) {
      log.line("Go on with the same command.");
      report.print(trainer, seconds, "stopped");
      return Main.STOPPED;
    }
    if (trainer.isComplete()) {
      log.line(report.finished(trainer, options.steps()) + " It took " + ProgressLine.duration(seconds) + ".");
      if (stop < all && !devRun) log.line("That was epoch " + stop + " of the schedule's " + all + ", as --epochs or train.stopAfter asked; with more of them, or without, the same command goes on.");
      report.nextSteps(trainer);
    }
    report.print(trainer, seconds, "complete");
    return 0;
  }

  /** Gives the recipe's teacher its weights, where it has one; only in a dry run they may be random. */
  private static void teach(Trainer trainer, Recipe recipe, RunLog log) throws IOException {
    TeacherRecipe teacher = recipe.teacher();
    if (!teacher.teaches()) return;
    String network = TeacherRun.of(recipe).map(TeacherRun::toString).orElse(Recipes.word(teacher.network()));
    TeacherWeights weights = teacher.weights().isPresent() ? TeacherWeights.read(teacher.weights().get()) : null;
    log.line(String.format(Locale.ROOT, "Teacher %s, temperature %s, share of hard labels %s: %s.", network, teacher.temperature(),
        teacher.hardLabels(), weights == null ? "RANDOM weights, for teacher.weights names none; this shows that everything runs, and teaches nothing"
            : "weights " + weights.file() + ", SHA-256 " + weights.sha256()));
    if (weights == null) return;
    String others = RunFolder.otherExtensions(Path.of(weights.file()), Workplace.RECIPES.extensionJars());
    if (others != null) log.warn(others);
    trainer.teach(weights);
  }

  /** What has the weights to start from; none where the recipe names none, or they are missing in a dry run. */
  private Optional<Path> earlierStage(Recipe recipe) throws IOException {
    if (recipe.train().initFrom().isEmpty()) return Optional.empty();
    try {
      return Optional.of(RunFolder.earlierStage(recipe.train()));
    } catch (IOException missing) {
      if (devRun) return Optional.empty();
      throw missing;
    }
  }

  /** What a step keeps on a GPU, with the images of a process in this run and in the recipe as it is. */
  private void memory(Recipe recipe, Backend backend, int processes, RunLog log) {
    ElementType activations = backend.plansRooms() ? backend.activations() : ElementType.BFLOAT16;
    log.line((backend.plansRooms() ? "Memory of a step on " + backend.name() + " by its plan" : "Memory that a step would take on a GPU by its plan, nothing of it here on " + backend.name())
        + ", for the batch of this run and for the recipe's:");
    for (int batch : new int[] {recipe.data().batch(), Workplace.RECIPES.load(name, compute.overrides).data().batch()}) {
      MemoryTable.of(MemoryPlan.of(recipe, (batch + processes - 1) / processes, activations), activations, recipe).lines().forEach(log::line);
    }
  }
}
