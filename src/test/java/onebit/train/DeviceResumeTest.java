package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import onebit.ops.cuda.EmulatedDriver;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A run that changes its device between two epochs. */
class DeviceResumeTest {
  @TempDir private Path folder;

  private String train(Path run, String... more) throws Exception {
    return train(0, run, more);
  }

  private String train(int exitCode, Path run, String... more) throws Exception {
    Path output = folder.resolve(run.getFileName() + ".out");
    List<String> arguments = new ArrayList<>(List.of("train", ChildRun.smallRecipe(folder).toString(), "--out", run.toString()));
    arguments.addAll(List.of(more));
    Process process = ChildRun.start(output, arguments.toArray(String[]::new));
    assertTrue(process.waitFor(300, TimeUnit.SECONDS), "the run did not end");
    String text = Files.readString(output);
    assertEquals(exitCode, process.exitValue(), text);
    return text;
  }

  private static double loss(Path run, int epoch) throws Exception {
    return ((Number) MetricsLog.read(run.resolve(MetricsLog.JSONL)).get(epoch).get("loss")).doubleValue();
  }

  @Test
  void aCheckpointOfTheCpuGoesOnOnTheDeviceAndBack() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Path run = folder.resolve("moving"), still = folder.resolve("still");
    train(still);
    train(run, "--epochs", "1");
    String there = train(run, "--epochs", "2", "--device", "cuda-emulated", "--precision", "bf16");
    assertTrue(there.contains("Going on from the checkpoint") && there.contains("Device cuda-emulated"), there);
    assertTrue(there.contains("The run computed in fp32 so far and goes on in bf16."), there);
    assertTrue(there.matches("(?s).*The checkpoint was computed by [^\n]* with OpenBLAS's core [^\n]*, and an emulated device goes on: .*"), there);
    assertTrue(train(2, run).contains("precision bf16: --device cpu computes in float32 only; give --precision fp32"));
    assertTrue(train(run, "--precision", "fp32").contains("Going on from the checkpoint"));
    assertEquals(loss(still, 0), loss(run, 0), 0);
    // a flipped bit grows: after an epoch elsewhere only the curve is the same
    for (int epoch = 1; epoch < 3; epoch++) assertEquals(loss(still, epoch), loss(run, epoch), 0.1 * loss(still, epoch), "epoch " + (epoch + 1));
  }
}
