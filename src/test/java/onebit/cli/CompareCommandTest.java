package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import onebit.dist.Ranks;
import onebit.train.RunFolder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs beside each other, and seeds summed up. */
class CompareCommandTest {
  @TempDir private Path folder;

  /** A run of a recipe whose epochs scored so much. */
  private String run(String name, List<String> overrides, double... scores) throws IOException {
    Path run = Files.createDirectories(folder.resolve(name));
    Files.writeString(run.resolve("recipe.yaml"), Workplace.RECIPES.write(Workplace.RECIPES.load("adabin-resnet20-cifar10", overrides)));
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < scores.length; i++) lines.append("{\"epoch\":").append(i + 1).append(",\"step\":").append(i + 1).append(",\"testTop1\":").append(scores[i]).append("}\n");
    Files.writeString(run.resolve("metrics.jsonl"), lines);
    return run.toString();
  }

  private static Said compare(String... runs) {
    return Said.by(Stream.concat(Stream.of("compare"), Arrays.stream(runs)).toArray(String[]::new));
  }

  @Test
  void threeSeedsGiveMeanAndDeviationBesideWhatWasPublished() throws IOException {
    String a = run("a", List.of("train.epochs=3", "train.seed=1"), 50, 61, 60), b = run("b", List.of("train.epochs=3", "train.seed=2", "data.workers=3"), 40, 62, 63);
    String c = run("c", List.of("train.epochs=3", "train.seed=3"), 40, 65, 64);
    Said said = compare(a, b, c);
    assertEquals(0, said.code(), said.err());
    // by hand: best 61, 63, 65; last 60, 63, 64
    assertTrue(said.out().contains("3 seeds, test accuracy best 63.00 +- 2.00 %, last 62.33 +- 2.08 %; published 88.10 %"), said.out());
    assertTrue(said.out().lines().anyMatch(line -> line.matches(".*/a +1 +3/3 +61\\.00 +2 +60\\.00 +88\\.10")), said.out());
    assertFalse(said.out().contains("data.workers"), said.out());
    assertEquals(63.0, compare(a, b, c, "--json").json().at("/seeds/0/bestMean").doubleValue());
  }

  /** As --dev-run leaves them; a run that began dry, left nothing and began anew is none. */
  @Test
  void aDryRunIsMarkedAndSummedUpWithNothing() throws IOException {
    String dry = folder.resolve("dry").toString(), other = folder.resolve("other").toString();
    String[] train = {"train", "default", "--set", "network.width=4", "--set", "train.epochs=1", "--dev-run", "--steps", "1", "--json", "--out"};
    assertEquals(0, Said.by(Stream.concat(Stream.of(train), Stream.of(dry)).toArray(String[]::new)).code());
    assertEquals(0, Said.by(Stream.concat(Stream.of(train), Stream.of(other, "--set", "train.seed=2")).toArray(String[]::new)).code());
    Said both = compare(dry, other);
    assertFalse(both.out().contains("seeds"), both.out());
    assertTrue(both.out().lines().anyMatch(line -> line.matches(".*/dry \\(dry run: no result\\) +1 +1/1 .*")), both.out());
    assertTrue(compare(dry, other, "--json").json().at("/runs/1/dryRun").booleanValue());
    Said rows = compare(dry, run("c", List.of("train.epochs=3"), 50));
    assertTrue(rows.out().lines().findFirst().orElseThrow().matches("key .*/dry \\(dry run: no result\\) +\\S+/c *"), rows.out());
    new RunFolder(Path.of(other)).begins(false);
    assertFalse(compare(other, "--json").json().at("/runs/0/dryRun").booleanValue());
  }

  @Test
  void aSeedThatRanTwiceCountsOnce() throws IOException {
    String a = run("a", List.of("train.epochs=1", "train.seed=1"), 50), again = run("again", List.of("train.epochs=1", "train.seed=1"), 50), b = run("b", List.of("train.epochs=1", "train.seed=2"), 60);
    assertFalse(compare(a, again).out().contains("seeds"), compare(a, again).out());
    Said said = compare(a, again, b);
    assertTrue(said.out().contains(a + ", " + b + ": 2 seeds, test accuracy best 55.00 +- 7.07 %"), said.out());
  }

  @Test
  void runsOfOtherImagesAreNotSeedsOfOneRun() throws IOException {
    String a = run("a", List.of("train.epochs=1", "train.seed=1"), 50), b = run("b", List.of("train.epochs=1", "train.seed=2"), 60);
    Files.writeString(Path.of(a, "data.txt"), "/photos");
    Files.writeString(Path.of(b, "data.txt"), "/more");
    Said said = compare(a, b);
    assertFalse(said.out().contains("seeds"), said.out());
    assertTrue(said.out().lines().anyMatch(line -> line.matches("run +train\\.seed +--data +.*")) && said.out().contains("/photos"), said.out());
    Files.writeString(Path.of(b, "data.txt"), "/photos");
    assertTrue(compare(a, b).out().contains("2 seeds"), compare(a, b).out());
  }

  @Test
  void aRunOfOtherSettingsOrNotYetDoneIsShownAndNotSummedUp() throws IOException {
    Said said = compare(run("a", List.of("train.epochs=2", "train.seed=1"), 50, 61), run("b", List.of("train.epochs=2", "train.seed=2"), 40),
        run("c", List.of("train.epochs=2", "train.seed=3", "optimizer.learningRate=0.05"), 40, 65), run("d", List.of("train.epochs=2")));
    assertEquals(0, said.code(), said.err());
    assertFalse(said.out().contains("seeds"), said.out());
    assertTrue(said.out().contains("optimizer.learningRate"), said.out());
    assertTrue(said.out().lines().anyMatch(line -> line.matches(".*/b .* 1/2 +40\\.00 +1 +40\\.00 +88\\.10")), said.out());
    assertTrue(said.out().lines().anyMatch(line -> line.matches(".*/d .* 0/2 +88\\.10")), said.out());
  }

  @Test
  void manyDifferingKeysAreRowsOfTheirOwn() throws IOException {
    Said said = compare(run("a", List.of("train.epochs=1"), 50), run("b", List.of("train.epochs=2", "train.seed=7", "data.batch=64", "optimizer.momentum=0.8", "optimizer.weightDecay=0"), 40));
    assertTrue(said.out().lines().anyMatch(line -> line.matches("data\\.batch +128 +64")), said.out());
    assertTrue(said.out().lines().anyMatch(line -> line.matches(".*/b +1/2 +40\\.00 +1 +40\\.00 +88\\.10")), said.out());
  }

  /** As of an extension that is no longer there, among the runs that nobody named. */
  @Test
  void aRunWhoseRecipeCannotBeReadIsLeftOutByName() throws Exception {
    run("runs/a", List.of("train.epochs=1"), 50);
    Path foreign = Path.of(run("runs/b", List.of("train.epochs=1"), 60), "recipe.yaml");
    Files.writeString(foreign, Files.readString(foreign).replace("name: adabin", "name: mine"));
    Said some = inFolder();
    assertEquals(0, some.code(), some.err());
    assertTrue(some.out().contains("50.00") && !some.out().contains("60.00"), some.out());
    assertTrue(some.err().contains("onebit: runs/b is left out: runs/b/recipe.yaml, line ") && some.err().contains("method.name is the text \"mine\""), some.err());
    Files.copy(foreign, folder.resolve("runs/a/recipe.yaml"), StandardCopyOption.REPLACE_EXISTING);
    Said none = inFolder();
    assertEquals(1, none.code(), none.err());
    assertTrue(none.err().endsWith("onebit: none of the 2 runs in runs can be read\n"), none.err());
  }

  /** {@code onebit compare} there. */
  private Said inFolder() throws Exception {
    Path out = folder.resolve("out"), err = folder.resolve("err");
    int code = new ProcessBuilder(Ranks.java(Main.class.getName(), "compare")).directory(folder.toFile()).redirectOutput(out.toFile()).redirectError(err.toFile()).start().waitFor();
    return new Said(code, Files.readString(out), Files.readString(err));
  }

  @Test
  void aFolderWithoutRunIsNamed() {
    Said said = compare(folder.toString());
    assertEquals(1, said.code());
    assertTrue(said.err().contains(folder + " is no run folder: it has no recipe.yaml"), said.err());
  }
}
