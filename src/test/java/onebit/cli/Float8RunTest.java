package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import onebit.ops.cuda.EmulatedDriver;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** train.gradients float8 through the command line: told, measured, and refused where it cannot be. */
class Float8RunTest {
  @TempDir private Path folder;

  /** Exit code and all that was said. */
  private record Said(int code, String text) {}

  private static Said train(String recipe, String... more) {
    List<String> arguments = new ArrayList<>(List.of("train", recipe, "--set", "train.gradients=float8"));
    arguments.addAll(List.of(more));
    PrintStream out = System.out, err = System.err;
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    try {
      System.setOut(new PrintStream(said, true, StandardCharsets.UTF_8));
      System.setErr(System.out);
      return new Said(Main.execute(arguments.toArray(String[]::new)), said.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  @Test
  void aRunTellsWhatItRoundsAndHowFarThatIsOffAndStopsWhereItIsTooFar() throws Exception {
    Path out = folder.resolve("run");
    Said good = train("default", "--dev-run", "--steps", "2", "--out", out.toString());
    assertEquals(0, good.code, good.text);
    assertTrue(good.text.contains("Gradients at binary convolutions: float8 (e4m3)"), good.text);
    assertTrue(good.text.contains("Float8 gradients before epoch 1: the worst of"), good.text);
    assertTrue(Files.readString(out.resolve("metrics.jsonl")).contains("\"float8WorstError\":0.0"), Files.readString(out.resolve("metrics.jsonl")));
    assertTrue(Files.readString(out.resolve("recipe.yaml")).contains("gradients: float8"));
    Said far = train("default", "--dev-run", "--steps", "2", "--set", "train.float8Limit=0.001", "--out", folder.resolve("far").toString());
    assertEquals(1, far.code, far.text);
    assertTrue(far.text.contains("train.gradients float8: before epoch 1 grad") && far.text.contains("more than train.float8Limit 0.001"), far.text);
    assertFalse(far.text.contains("\tat "), far.text);
    Said again = train("default", "--dev-run", "--steps", "3", "--set", "train.gradients=bfloat16", "--out", folder.resolve("far").toString());
    assertEquals(0, again.code, again.text);
    assertFalse(again.text.contains("loat8"), again.text);
  }

  @Test
  void valuesThatAreNoBitsAreRefused() {
    Said said = train("biper-resnet20-cifar10-stage1", "--dev-run", "--out", folder.resolve("run").toString());
    assertEquals(2, said.code, said.text);
    assertTrue(said.text.contains("multiplies real values, and float8 gradients are products with bits"), said.text);
  }

  @Test
  void aDeviceThatKeepsFloat32IsRefused() {
    assumeTrue(EmulatedDriver.refusal() == null, EmulatedDriver.refusal());
    Said said = train("default", "--dev-run", "--device", "cuda-emulated", "--precision", "fp32", "--out", folder.resolve("run").toString());
    assertEquals(2, said.code, said.text);
    assertTrue(said.text.contains("train.gradients float8: gradients of a device are rounded from bfloat16"), said.text);
  }
}
