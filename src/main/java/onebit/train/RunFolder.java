package onebit.train;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.CheckpointStore;
import onebit.checkpoint.DurableFiles;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.data.Dataset;
import onebit.dist.RankStatus;
import onebit.recipe.Recipes;
import onebit.recipe.TrainRecipe;
import onebit.report.MetricsLog;

/** The folder of one run and the merged recipe in it. */
public record RunFolder(Path path) {
  private static final String RECIPE = "recipe.yaml", CHECKPOINTS = "checkpoints", CLASSES = "classes.txt", DATA = "data.txt", EXTENSIONS = "extensions.txt", DRY = "dry-run.txt";
  /** Keys, and sections, that change nothing of what a run computes. */
  private static final List<String> NEUTRAL = List.of("description", "published", "checkpoint", "data.workers", "data.evalBatch", "train.stopAfter", "dist.timeoutSeconds", "dist.normImages");
  /** Keys besides those that may differ between a run and its resumption; where one changes what is computed from then on, it is told. */
  private static final List<String> FREE = List.of("train.spikeGuard", "train.precision", "train.gradients", "train.float8Limit", "teacher.weights");

  /** Those of them that change what is computed, and are told here; train.precision is told where the backend is known. */
  private static final List<String> TOLD = List.of("train.gradients");

  /** Whether a run has been started here. */
  public boolean holdsRun() {
    return Files.exists(path.resolve(RECIPE));
  }

  /** Whether there is something to go on with; a run that failed before its first checkpoint, as where its data were not found, leaves only its recipe. */
  public boolean hasBegun() throws IOException {
    if (!holdsRun()) return false;
    if (Files.exists(path.resolve("last"), LinkOption.NOFOLLOW_LINKS) || Files.exists(path.resolve(MetricsLog.JSONL))) return true;
    Path checkpoints = path.resolve(CHECKPOINTS);
    if (!Files.isDirectory(checkpoints)) return false;
    try (Stream<Path> saved = Files.list(checkpoints)) {
      return saved.findAny().isPresent();
    }
  }

  /** The topmost folder on the way to the run's that is not there yet; null where the run's is. */
  public Path missing() {
    Path top = null;
    for (Path at = path.toAbsolutePath(); at != null && !Files.exists(at); at = at.getParent()) top = at;
    return top;
  }

  /**
   * Takes away what a start made that failed before it wrote its recipe, as where images do not fit the network: lock, logs and what ranks wrote, and the folders from made on, which
   * was {@link #missing} before; what anybody else put there stays.
   */
  public void withdraw(Path made) throws IOException {
    if (made == null || holdsRun() || !Files.isDirectory(path)) return;
    RankStatus.forget(path);
    try (DirectoryStream<Path> own = Files.newDirectoryStream(path, "{run.lock,log.txt,log-rank*.txt,ranks}")) {
      for (Path file : own) Files.delete(file);
    }
    for (Path at = path.toAbsolutePath(); at.startsWith(made); at = at.getParent()) Files.delete(at);
  }

  /** runs/NAME, or the first of runs/NAME-2, -3, ... that holds no run. */
  public static RunFolder unused(Path runs, String name) {
    RunFolder folder = new RunFolder(runs.resolve(name));
    for (int i = 2; folder.holdsRun(); i++) folder = new RunFolder(runs.resolve(name + "-" + i));
    return folder;
  }

  /** runs/NAME, or the first of runs/NAME-2, -3, ... that holds no complete run. */
  public static RunFolder unfinished(Path runs, String name) {
    RunFolder folder = new RunFolder(runs.resolve(name));
    for (int i = 2; folder.isComplete(); i++) folder = new RunFolder(runs.resolve(name + "-" + i));
    return folder;
  }

  private boolean isComplete() {
    try {
      Path last = path.resolve("last");
      return Files.exists(last) && RunState.read(CheckpointStore.load(last).state()).complete;
    } catch (IOException damaged) {
      return false;
    }
  }

  /** Writes the merged recipe, in one step that a power cut leaves whole: a run without it cannot go on. */
  public void writeRecipe(String yaml) throws IOException {
    Files.createDirectories(path);
    replace(RECIPE, yaml);
  }

  /**
   * Refuses another recipe than the one the run was started with; where there is nothing to go on with, any recipe may start.
   *
   * @param rewrite gives the recipe of a file as this version writes it, with the keys that came since
   * @return a sentence of each key that may differ and changes what is computed from now on
   * @throws IllegalArgumentException naming the first key that differs and both values
   */
  public List<String> requireSameRecipe(String yaml, UnaryOperator<String> rewrite) throws IOException {
    if (!hasBegun()) return List.of();
    Map<String, String> before = settings(rewrite), now = flat(yaml);
    Map<String, String> all = new LinkedHashMap<>(before);
    now.forEach(all::putIfAbsent);
    List<String> changes = new ArrayList<>();
    for (String key : all.keySet()) {
      String old = before.getOrDefault(key, "absent"), asked = now.getOrDefault(key, "absent");
      if (TOLD.contains(key) && !old.equals(asked)) changes.add("The run had " + key + " = " + old + " so far and goes on with " + asked + ".");
      if (isNeutral(key) || FREE.contains(key)) continue;
      if (!old.equals(asked)) {
        throw new IllegalArgumentException("run " + path + " was started with " + key + " = " + old + ", now it is " + asked
            + "; give the same recipe to go on, or another --out to start anew, from its weights with --set train.initFrom=" + path);
      }
    }
    return changes;
  }

  /** Whether a dotted key changes nothing of what a run computes. */
  public static boolean isNeutral(String key) {
    return NEUTRAL.stream().anyMatch(n -> key.equals(n) || key.startsWith(n + "."));
  }

  /** Dotted keys and values of the run's recipe; rewrite gives the recipe of a file as this version writes it. */
  public Map<String, String> settings(UnaryOperator<String> rewrite) {
    return flat(rewrite.apply(recipe().toString()));
  }

  /** The precision that the run computed in last, as the recipe spells it; empty if there is no run. */
  public Optional<String> precision() throws IOException {
    return hasBegun() ? Optional.ofNullable(flat(Files.readString(path.resolve(RECIPE))).get("train.precision")) : Optional.empty();
  }

  /** Dotted key to text, from the indented form that recipes are written in. */
  private static Map<String, String> flat(String yaml) {
    Map<String, String> all = new LinkedHashMap<>();
    Deque<Map.Entry<Integer, String>> path = new ArrayDeque<>();
    for (String line : yaml.lines().toList()) {
      int indent = line.length() - line.stripLeading().length(), colon = line.indexOf(':');
      if (line.isBlank() || line.strip().startsWith("#") || colon < 0) continue;
      while (!path.isEmpty() && path.peek().getKey() >= indent) path.pop();
      String key = (path.isEmpty() ? "" : path.peek().getValue() + ".") + line.substring(indent, colon);
      String value = line.substring(colon + 1).strip();
      path.push(Map.entry(indent, key));
      if (!value.isEmpty()) all.put(key, value);
    }
    return all;
  }

  /**
   * The run or file that train.initFrom names: as it stands, or else in runs.
   *
   * @throws CheckpointException if neither is there, saying how to come by it and how to do without
   */
  public static Path earlierStage(TrainRecipe recipe) throws CheckpointException {
    String named = recipe.initFrom().orElseThrow();
    Path asIs = Path.of(named), run = Path.of("runs").resolve(named);
    if (Files.exists(asIs)) return asIs;
    if (Files.exists(run)) return run;
    throw new CheckpointException("train.initFrom: " + (run.equals(asIs) ? asIs + " is not there" : "neither " + asIs + " nor " + run + " is there") + " to take weights from; "
        + (Recipes.names().contains(named) ? "onebit train " + named + " --data DIR makes that run, " : "") + "--set train.initFrom=FILE names others, and --set train.initFrom=null"
        + (recipe.initPart().isPresent() ? " --set train.initPart=null" : "") + " starts from random ones");
  }

  /** Where the merged recipe lies. */
  public Path recipe() {
    return path.resolve(RECIPE);
  }

  /** Remembers of a run that begins whether it is a dry one, whose scores are no results. */
  public void begins(boolean dry) throws IOException {
    if (dry) replace(DRY, "A dry run: it shows that everything runs, and its scores are no results.\n");
    else Files.deleteIfExists(path.resolve(DRY));
  }

  /** Whether the run began as a dry one; one of an older version does not tell. */
  public boolean isDry() {
    return Files.exists(path.resolve(DRY));
  }

  /** Writes which folder the data set lies in, for who judges the weights later. */
  public void writeData(Path folder) throws IOException {
    replace(DATA, folder.toAbsolutePath().toString());
  }

  private void replace(String name, String text) throws IOException {
    DurableFiles.replace(path.resolve(name), List.of(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8))));
  }

  /** The folder of the data set of the run that weights belong to; empty where that is not known, as of images that were drawn and in older runs. */
  public static Optional<Path> dataOf(Path weights) throws IOException {
    Optional<Path> file = recipeOf(weights).map(recipe -> recipe.resolveSibling(DATA)).filter(Files::isRegularFile);
    return file.isPresent() ? Optional.of(Path.of(Files.readString(file.get()))) : Optional.empty();
  }

  /** Remembers which jars with extensions the run goes on with, and says in one sentence if they are others than before; null where not, or where nothing is known of before. */
  public String rememberExtensions(List<String> jars) throws IOException {
    String others = otherExtensions("the run", jars, "the run computes otherwise from here on");
    if (!jars.isEmpty() || Files.exists(path.resolve(EXTENSIONS))) replace(EXTENSIONS, String.join("\n", jars) + "\n");
    return others;
  }

  private String otherExtensions(String whose, List<String> jars, String therefore) throws IOException {
    Path file = path.resolve(EXTENSIONS);
    List<String> before = Files.isRegularFile(file) ? Files.readAllLines(file) : jars;
    return jars.isEmpty() || before.equals(jars) ? null : "Jars of extensions are not those that " + whose + " had so far: " + String.join(", ", jars) + "; before "
        + String.join(", ", before) + ". What their code computes otherwise, " + therefore + ".";
  }

  /** Says in one sentence if jars with extensions are others than the run that weights belong to had last; null where not, or where nothing is known of that. */
  public static String otherExtensions(Path weights, List<String> jars) throws IOException {
    Optional<Path> recipe = recipeOf(weights);
    return recipe.isEmpty() ? null : new RunFolder(recipe.get().getParent()).otherExtensions("the run of " + weights, jars, "its weights compute otherwise here");
  }

  /** Writes the names of the classes, one a line. */
  void writeClasses(List<String> names) throws IOException {
    Files.write(path.resolve(CLASSES), lines(names));
  }

  /** Names as the lines of a file. */
  static List<String> lines(List<String> names) {
    return names.stream().map(name -> name.replaceAll("\\R", " ")).toList();
  }

  /** The names of the classes as they were last written; none before. */
  List<String> classes() throws IOException {
    Path file = path.resolve(CLASSES);
    return Files.isRegularFile(file) ? Files.readAllLines(file) : List.of();
  }

  /** The names of the classes of the run that weights belong to, where it knows them. */
  public static List<String> classesOf(Path weights) throws IOException {
    Optional<Path> recipe = recipeOf(weights);
    return recipe.isPresent() ? new RunFolder(recipe.get().getParent()).classes() : List.of();
  }

  /**
   * Refuses to judge weights by classes that have other numbers there than in the run that they belong to.
   *
   * @throws IllegalArgumentException if the classes of both are known by their names, and differ
   */
  public static void requireSameClasses(Path weights, Dataset dataset) throws IOException {
    List<String> before = classesOf(weights), now = lines(dataset.classNames());
    String other = otherClass(before, now, "these images");
    if (other != null) {
      throw new IllegalArgumentException(other + " in the run of the weights; classes are numbered in the order of their names, so give it folders of the same " + before.size() + " names");
    }
  }

  /** The first class that is another now, such as "class 3 of folder is dog, and was cat"; null where there is none, or the names of either are not known. */
  static String otherClass(List<String> before, List<String> now, String of) {
    if (before.isEmpty() || now.isEmpty() || before.equals(now)) return null;
    int i = 0;
    while (i < Math.min(before.size(), now.size()) && before.get(i).equals(now.get(i))) i++;
    return "class " + i + " of " + of + " is " + (i < now.size() ? now.get(i) : "missing") + ", and was " + (i < before.size() ? before.get(i) : "missing");
  }

  /** The recipe of the run that weights belong to: a run folder, or what lies in one or in its folder of checkpoints; empty if they belong to none. */
  public static Optional<Path> recipeOf(Path weights) {
    Path folder = weights.toAbsolutePath();
    for (int up = 0; up <= 2 && folder != null; up++, folder = folder.getParent()) if (new RunFolder(folder).holdsRun()) return Optional.of(new RunFolder(folder).recipe());
    return Optional.empty();
  }

  /** The weights that best, last, a checkpoint folder or a safetensors file holds; a run folder stands for its best. */
  public static List<NamedTensor> weights(Path from) throws IOException {
    if (Files.isDirectory(from)) {
      Path best = from.resolve("best"), last = from.resolve("last");
      if (!Files.exists(best) && Files.exists(last)) {
        throw new CheckpointException("run " + from + " has no best weights yet, for none of its epochs has ended; " + last + " has those of its last checkpoint");
      }
      if (!Files.exists(best) && new RunFolder(from).holdsRun()) throw new CheckpointException("run " + from + " has no checkpoint yet");
      return CheckpointStore.load(Files.exists(best) ? best : from).weights();
    }
    if (!Files.exists(from)) throw new CheckpointException("weights " + from + " do not exist");
    String name = from.getFileName().toString();
    if (name.endsWith(".th") || name.endsWith(".pt") || name.endsWith(".pth")) {
      throw new CheckpointException(from + " is a PyTorch checkpoint; turn it into safetensors first: onebit import " + from + " OUT.safetensors");
    }
    return List.copyOf(Safetensors.read(from).tensors().values());
  }
}
