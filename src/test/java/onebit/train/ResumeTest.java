package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import onebit.data.Sampler;
import onebit.dist.Ranks;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Runs in JVMs of their own that are killed or stopped, and what becomes of them.
 *
 * <pre>
 * Units   kills: -Donebit.test.kills (4 where it is not given)
 * </pre>
 */
class ResumeTest {
  private static final int KILLS = Integer.getInteger("onebit.test.kills", 4);
  private static final long SEED = System.nanoTime();

  @TempDir private static Path shared;
  private static Path undisturbed;
  /** From the run folder to the end. */
  private static long millis;
  private static String wanted;

  @TempDir private Path folder;

  /** One run that nothing disturbs: what all others are compared with. */
  @BeforeAll
  static void trainUndisturbed() throws Exception {
    undisturbed = shared.resolve("undisturbed");
    Path output = shared.resolve("undisturbed.out");
    Process process = ChildRun.start(output, "train", ChildRun.smallRecipe(shared).toString(), "--out", undisturbed.toString());
    await(process, undisturbed);
    long begin = System.nanoTime();
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "the run did not end");
    millis = (System.nanoTime() - begin) / 1_000_000;
    assertEquals(0, process.exitValue(), Files.readString(output));
    wanted = ChildRun.weightsDigest(undisturbed);
  }

  /** Waits until a file or folder is there, or the process is not. */
  private static void await(Process process, Path file) throws Exception {
    while (process.isAlive() && !Files.exists(file)) Thread.sleep(5);
  }

  private String train(Path run, int expected, String... more) throws Exception {
    Path output = folder.resolve(run.getFileName() + ".out");
    Path recipe = ChildRun.smallRecipe(folder);
    String[] arguments = new String[4 + more.length];
    arguments[0] = "train";
    arguments[1] = recipe.toString();
    arguments[2] = "--out";
    arguments[3] = run.toString();
    System.arraycopy(more, 0, arguments, 4, more.length);
    Process process = ChildRun.start(output, arguments);
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "the run did not end");
    String text = Files.readString(output);
    assertEquals(expected, process.exitValue(), text);
    return text;
  }

  @Test
  void aRunKilledAtRandomMomentsResumesToTheSameWeights() throws Exception {
    Random random = new Random(SEED);
    Path recipe = ChildRun.smallRecipe(folder);
    int killedInTraining = 0;
    for (int kill = 0; kill < KILLS; kill++) {
      Path run = folder.resolve("killed-" + kill);
      Process process = ChildRun.start(folder.resolve("first-" + kill), "train", recipe.toString(), "--out", run.toString());
      await(process, kill % 2 == 0 ? run.resolve("checkpoints") : run);
      Thread.sleep((long) (millis * (kill % 2 == 0 ? 0.5 : 0.9) * random.nextDouble()));
      process.destroyForcibly().waitFor();
      if (Files.exists(run.resolve("checkpoints"))) killedInTraining++;
      train(run, 0);
      assertEquals(wanted, ChildRun.weightsDigest(run), "kill " + kill + ", seed " + SEED);
      assertEquals(List.of(1L, 2L, 3L), MetricsLog.read(run.resolve(MetricsLog.JSONL)).stream().map(r -> ((Number) r.get("epoch")).longValue()).toList());
    }
    assertTrue(killedInTraining > 0, "no kill fell into training");
  }

  @ParameterizedTest
  @ValueSource(strings = {"TERM", "USR1"})
  void aSignalWritesACheckpointAndExits75(String signal) throws Exception {
    Path run = null;
    String text = "";
    for (int i = 0; i < ChildRun.TRIES && !text.contains("Stopped as asked"); i++) {
      run = folder.resolve("stopped" + i);
      Path output = folder.resolve("stopped.out");
      Process process = ChildRun.start(output, "train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString());
      await(process, run.resolve("checkpoints"));
      long begin = System.nanoTime();
      Ranks.signal(signal, process.toHandle());   // it may be gone
      assertTrue(process.waitFor(60, TimeUnit.SECONDS));
      text = Files.readString(output);
      assertTrue(System.nanoTime() - begin < 30e9, "more than 30 s");
      if (text.contains("Stopped as asked")) assertEquals(75, process.exitValue(), text);
      else assertTrue(text.contains("epoch 3/3"), text);
    }
    assertTrue(text.contains("Stopped as asked"), text);
    train(run, 0);
    assertEquals(wanted, ChildRun.weightsDigest(run));
  }

  /** One photo is a pipe that nobody writes into, as a network disk that does not answer, until the run has been stopped. */
  @Test
  void aSignalWhileTheDiskDoesNotAnswerWritesACheckpointToo() throws Exception {
    Random random = new Random(1);
    Path data = folder.resolve("photos"), run = folder.resolve("waiting"), output = folder.resolve("waiting.out");
    for (int i = 0; i < 44; i++) {
      BufferedImage noise = new BufferedImage(12, 12, BufferedImage.TYPE_INT_RGB);
      for (int k = 0; k < 144; k++) noise.setRGB(k % 12, k / 12, random.nextInt());
      Path photo = data.resolve((i < 40 ? "train/" : "val/") + (i % 40 < 20 && i != 43 ? "a/" : "b/") + String.format("%02d.png", i));
      ImageIO.write(noise, "png", Files.createDirectories(photo.getParent()).resolve(photo.getFileName()).toFile());
    }
    String[] photos = ChildRun.onPhotos(data, "--set", "data.classes=2", "--set", "data.batch=8", "--epochs", "1");
    train(folder.resolve("answered"), 0, photos);
    int late = Sampler.training(7, 40, 8).order(0)[3 * 8];   // the small recipe's seed; the first photo of the fourth batch
    Path pipe = data.resolve(late < 20 ? "train/a" : "train/b").resolve(String.format("%02d.png", late)), away = folder.resolve("away.png");
    Files.move(pipe, away);
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    Process process = ChildRun.start(output, Stream.concat(Stream.of("train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString()), Stream.of(photos)).toArray(String[]::new));
    await(process, run.resolve("checkpoints/step-000003"));
    process.destroy();
    boolean ended = process.waitFor(30, TimeUnit.SECONDS);
    process.destroyForcibly();
    assertTrue(ended, "more than 30 s");
    String text = Files.readString(output);
    assertEquals(75, process.exitValue(), text);
    assertTrue(text.contains("Stopped as asked, with a checkpoint at step 3."), text);
    Files.move(away, pipe, StandardCopyOption.REPLACE_EXISTING);
    train(run, 0, photos);
    assertEquals(ChildRun.weightsDigest(folder.resolve("answered")), ChildRun.weightsDigest(run));
  }

  @Test
  void aDamagedNewestCheckpointIsSaidAndTheOneBeforeUsed() throws Exception {
    Path run = folder.resolve("damaged");
    train(run, 0, "--epochs", "2");
    Path weights = run.resolve("last").toRealPath().resolve("weights.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    bytes[bytes.length / 2] ^= 1;
    Files.write(weights, bytes);
    String text = train(run, 0);
    assertTrue(text.contains("Newest checkpoint not usable") && !text.contains("The checkpoint was computed by"), text);
    assertEquals(wanted, ChildRun.weightsDigest(run));
  }

  /** The weights to start from are a pipe that nobody writes into: the run never comes to its first step. */
  @Test
  void aSignalBeforeTheFirstStepExits75AndSaysThatNothingWasChanged() throws Exception {
    Path run = folder.resolve("early"), output = folder.resolve("early.out"), pipe = folder.resolve("weights.safetensors");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    Process process = ChildRun.start(output, "train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString(), "--set", "train.initFrom=" + pipe);
    await(process, run.resolve("recipe.yaml"));
    process.destroy();
    assertTrue(process.waitFor(30, TimeUnit.SECONDS));
    String text = Files.readString(output);
    assertEquals(75, process.exitValue(), text);
    assertTrue(text.contains("onebit: stopped as asked before training began; no step was made, give the same command again."), text);
    train(run, 0);
    assertEquals(wanted, ChildRun.weightsDigest(run));
  }

  @ParameterizedTest
  @CsvSource({"optimizer.learningRate, 0.002, 0.5", "data.batch, 32, 16"})
  void anotherRecipeIsRefusedNamingTheKey(String key, String before, String now) throws Exception {
    String text = train(undisturbed, 2, "--set", key + "=" + now);
    assertTrue(text.contains(key + " = " + before + ", now it is " + now), text);
    assertTrue(text.contains("or another --out to start anew, from its weights with --set train.initFrom=" + undisturbed), text);
  }

  @Test
  void gradientsThatAreRoundedFromNowOnAreTold() throws Exception {
    Path run = folder.resolve("rounded");
    train(run, 0, "--epochs", "1");
    String text = train(run, 0, "--epochs", "2", "--set", "train.gradients=float8");
    assertTrue(text.contains("The run had train.gradients = bfloat16 so far and goes on with float8."), text);
    assertTrue(text.contains("Going on from the checkpoint"), text);
  }

  @Test
  void anotherSeedGivesOtherWeights() throws Exception {
    train(folder.resolve("other"), 0, "--set", "train.seed=8");
    assertNotEquals(wanted, ChildRun.weightsDigest(folder.resolve("other")));
  }
}
