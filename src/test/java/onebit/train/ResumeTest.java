package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs in JVMs of their own that are killed or stopped, and what becomes of them. */
class ResumeTest {
  private static final int KILLS = 20;
  private static final long SEED = System.nanoTime();

  @TempDir private Path folder;

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
    Path undisturbed = folder.resolve("undisturbed");
    long begin = System.nanoTime();
    train(undisturbed, 0);
    long millis = (System.nanoTime() - begin) / 1_000_000;
    String wanted = ChildRun.weightsDigest(undisturbed);
    Random random = new Random(SEED);
    Path recipe = ChildRun.smallRecipe(folder);
    int killedInTraining = 0;
    for (int kill = 0; kill < KILLS; kill++) {
      Path run = folder.resolve("killed-" + kill);
      Process process = ChildRun.start(folder.resolve("first-" + kill), "train", recipe.toString(), "--out", run.toString());
      Thread.sleep((long) (millis * (0.2 + 0.8 * random.nextDouble())));
      process.destroyForcibly().waitFor();
      if (Files.exists(run.resolve("checkpoints"))) killedInTraining++;
      train(run, 0);
      assertEquals(wanted, ChildRun.weightsDigest(run), "kill " + kill + ", seed " + SEED);
      assertEquals(List.of(1L, 2L, 3L), MetricsLog.read(run.resolve(MetricsLog.JSONL)).stream().map(r -> ((Number) r.get("epoch")).longValue()).toList());
    }
    assertTrue(killedInTraining > 0, "no kill fell into training");
  }

  @Test
  void sigtermWritesACheckpointAndExits75() throws Exception {
    Path run = folder.resolve("stopped");
    Path output = folder.resolve("stopped.out");
    Process process = ChildRun.start(output, "train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString());
    while (process.isAlive() && !Files.exists(run.resolve("checkpoints"))) Thread.sleep(20);
    process.destroy();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    String text = Files.readString(output);
    if (process.exitValue() != 0) {
      assertEquals(75, process.exitValue(), text);
      assertTrue(text.contains("Stopped as asked"), text);
    }
    train(run, 0);
    Path undisturbed = folder.resolve("whole");
    train(undisturbed, 0);
    assertEquals(ChildRun.weightsDigest(undisturbed), ChildRun.weightsDigest(run));
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
    assertTrue(text.contains("Newest checkpoint not usable"), text);
    Path undisturbed = folder.resolve("whole");
    train(undisturbed, 0);
    assertEquals(ChildRun.weightsDigest(undisturbed), ChildRun.weightsDigest(run));
  }

  @Test
  void anotherRecipeIsRefusedNamingTheKey() throws Exception {
    Path run = folder.resolve("recipe");
    train(run, 0, "--epochs", "1");
    String text = train(run, 2, "--set", "optimizer.learningRate=0.5");
    assertTrue(text.contains("optimizer.learningRate = 0.002, now it is 0.5"), text);
  }

  @Test
  void anotherSeedGivesOtherWeights() throws Exception {
    train(folder.resolve("a"), 0, "--epochs", "1");
    train(folder.resolve("b"), 0, "--epochs", "1", "--set", "train.seed=8");
    assertNotEquals(ChildRun.weightsDigest(folder.resolve("a")), ChildRun.weightsDigest(folder.resolve("b")));
  }
}
