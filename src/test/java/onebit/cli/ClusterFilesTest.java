package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import picocli.CommandLine;

/** The files for Slurm and Kubernetes: their syntax, what they need to have, and that the commands in them are commands of this program. */
class ClusterFilesTest {
  private static final Path SLURM = Path.of("src/dist/slurm/onebit.sbatch"), KUBERNETES = Path.of("src/dist/kubernetes/mpijob.yaml"),
      PACKAGE = Path.of("src/dist");

  @TempDir private Path folder;

  private static void assertParses(List<String> words) {
    new CommandLine(new Main()).parseArgs(words.toArray(String[]::new));
  }

  @Test
  void theBatchFileIsGoodBashWithTheDirectivesOfASurvivingJob() throws Exception {
    Process check = new ProcessBuilder("bash", "-n", SLURM.toString()).redirectErrorStream(true).start();
    String output = new String(check.getInputStream().readAllBytes());
    assertEquals(0, check.waitFor(), output);
    String text = Files.readString(SLURM);
    for (String directive : List.of("--nodes=", "--ntasks-per-node=", "--gpus-per-node=", "--cpus-per-task=", "--time=", "--signal=USR1@120", "--requeue", "--open-mode=append")) {
      assertTrue(text.contains("#SBATCH " + directive), directive);
    }
    assertTrue(text.contains("scontrol requeue"), "what has not ended queues the job again");
    String command = text.lines().filter(line -> line.startsWith("srun ")).findFirst().orElseThrow();
    String words = command.substring(command.indexOf("train")).replace("\"$recipe\"", "default").replaceAll("\"\\$(\\w+)\"", "$1");
    assertParses(List.of(words.split(" ")));
  }

  @Test
  void theBatchFileRequeuesAfterASignalAndGivesUpAfterFailuresWithoutProgress() throws Exception {
    Path bin = Files.createDirectory(folder.resolve("bin"));
    Path calls = folder.resolve("calls");
    script(bin.resolve("scontrol"), "echo \"$@\" >>" + calls);
    script(bin.resolve("srun"), "[ -z \"${STEP:-}\" ] || ln -sfn \"checkpoints/$STEP\" \"" + folder.resolve("run").resolve("last") + "\"; exit ${CODE}");
    Files.createDirectory(folder.resolve("run"));
    assertEquals(0, batch(bin, "75", "3"));
    assertEquals("requeue 7", Files.readString(calls).strip());
    assertEquals(2, batch(bin, "2", "3"));
    // 75 without a new checkpoint: one task failed at its start, and srun told the code of those that it ended for that
    List<String> ends = List.of("1", "75", "75", "137", "75");
    List<String> checkpoints = List.of("3", "3", "9", "9", "9");
    for (int i = 0; i < ends.size(); i++) assertEquals(0, batch(bin, ends.get(i), checkpoints.get(i)), "end " + i);
    assertEquals(75, batch(bin, "75", "9"), "the third in a row");
    assertEquals(6, Files.readAllLines(calls).size());
    assertEquals(0, batch(bin, "0", "11"), "the end of what was asked");
    assertEquals(6, Files.readAllLines(calls).size());
    for (int end = 1; end <= 3; end++) assertEquals(end < 3 ? 0 : 1, batch(bin, "0", ""), "srun tells 0 of a step that could not be started");
    assertEquals(8, Files.readAllLines(calls).size());
  }

  @Test
  void tasksGetTheProcessorsThatTheBatchFileAskedFor() throws Exception {
    Path bin = Files.createDirectory(folder.resolve("bin")), words = folder.resolve("words");
    script(bin.resolve("srun"), "echo \"$@\" >>" + words + "; exit 2");
    assertEquals(2, batch(bin, "2", "", "SLURM_CPUS_PER_TASK", "12"));
    assertEquals(2, batch(bin, "2", ""));
    String plain = " onebit train default --data data --out " + folder.resolve("run") + " --device cuda";
    assertEquals(List.of("--kill-on-bad-exit=1 --cpus-per-task=12" + plain, "--kill-on-bad-exit=1" + plain), Files.readAllLines(words));
  }

  /** By these words of its newest checkpoint the batch file knows a run that is complete already. */
  @Test
  void theBatchFileEndsWithARunThatIsComplete() throws Exception {
    Path bin = Files.createDirectory(folder.resolve("bin")), run = folder.resolve("run");
    script(bin.resolve("srun"), "exit 0");
    script(bin.resolve("scontrol"), "exit 1");
    Said said = Said.by("train", "default", "--set", "train.epochs=1", "--set", "data.name=generated", "--set", "data.batch=256", "--out", run.toString());
    assertEquals(0, said.code(), said.err());
    assertEquals(0, batch(bin, "0", ""));
  }

  private static void script(Path file, String body) throws Exception {
    Files.writeString(file, "#!/usr/bin/env bash\n" + body + "\n");
    assertTrue(file.toFile().setExecutable(true));
  }

  /** The end of a job whose step ends with that code and leaves the checkpoint of that step as its last. */
  private int batch(Path bin, String code, String step, String... more) throws Exception {
    ProcessBuilder builder = new ProcessBuilder("bash", SLURM.toString(), "default", "data", folder.resolve("run").toString());
    builder.environment().putAll(Map.of("PATH", bin + ":" + System.getenv("PATH"), "CODE", code, "STEP", step, "SLURM_JOB_ID", "7"));
    builder.environment().remove("SLURM_CPUS_PER_TASK");
    for (int i = 0; i < more.length; i += 2) builder.environment().put(more[i], more[i + 1]);
    return builder.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor();
  }

  private static Map<?, ?> map(Object value, String... path) {
    Object at = value;
    for (String key : path) at = assertInstanceOf(Map.class, at, key).get(key);
    return assertInstanceOf(Map.class, at, String.join(".", path));
  }

  @Test
  void theManifestHasTheFieldsOfAnMpiJobAndStartsOneProcessPerGpu() throws Exception {
    Object job = new Load(LoadSettings.builder().build()).loadFromString(Files.readString(KUBERNETES));
    assertEquals("kubeflow.org/v2beta1", map(job).get("apiVersion"));
    assertEquals("MPIJob", map(job).get("kind"));
    assertInstanceOf(String.class, map(job, "metadata").get("name"));
    int slots = (Integer) map(job, "spec").get("slotsPerWorker");
    Map<?, ?> launcher = map(job, "spec", "mpiReplicaSpecs", "Launcher"), worker = map(job, "spec", "mpiReplicaSpecs", "Worker");
    assertEquals(1, launcher.get("replicas"));
    Map<?, ?> container = container(launcher), workers = container(worker);
    for (Map<?, ?> each : List.of(container, workers)) assertTrue(each.get("name") instanceof String && each.get("image") instanceof String);
    assertEquals(Integer.toString(slots), map(workers, "resources", "limits").get("nvidia.com/gpu"));
    assertEquals(List.of("mpirun"), container.get("command"));
    List<String> arguments = new ArrayList<>();
    for (Object word : assertInstanceOf(List.class, container.get("args"))) arguments.add(word.toString());
    assertEquals(slots * (Integer) worker.get("replicas"), Integer.parseInt(arguments.get(arguments.indexOf("-np") + 1)));
    assertParses(arguments.subList(arguments.indexOf("train"), arguments.size()));
    assertIsMadeByThePackage(arguments.get(arguments.indexOf("train") - 1), "/opt/onebit/");
    for (Object mount : assertInstanceOf(List.class, workers.get("volumeMounts"))) {
      Object name = map(mount).get("name");
      List<?> volumes = assertInstanceOf(List.class, map(worker, "template", "spec").get("volumes"));
      assertTrue(volumes.stream().anyMatch(v -> map(v).get("name").equals(name)), name + " is mounted and no volume");
    }
  }

  /** A program below the folder that holds the package: written by the script that makes it, made a program, and told of in its own README. */
  private static void assertIsMadeByThePackage(String program, String folder) throws Exception {
    assertTrue(program.startsWith(folder), program + " is not in " + folder);
    String path = program.substring(folder.length()), script = Files.readString(PACKAGE.resolve("package.sh"));
    assertTrue(script.contains("\n} >\"$out/" + path + "\"\n") && script.contains("\nchmod +x \"$out/" + path + "\"\n"), "package.sh makes no " + path);
    assertTrue(Files.readString(PACKAGE.resolve("README.md")).contains("\n" + path + " train "), "the package's README names no " + path);
    assertTrue(Files.readString(KUBERNETES).contains("as " + folder.substring(0, folder.length() - 1) + ","), "the manifest does not say where the package lies");
  }

  private static Map<?, ?> container(Map<?, ?> replica) {
    return map(assertInstanceOf(List.class, map(replica, "template", "spec").get("containers")).getFirst());
  }
}
