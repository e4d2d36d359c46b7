package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs whose folder an earlier version wrote: one of each format, in src/test/resources/runs. */
class OldRunTest {
  @TempDir private Path folder;

  /** Format onebit-checkpoint-1 before there were several processes, one epoch of three: no keys of dist, no number of processes. */
  @Test
  void aRunOfFormatOneGoesOn() throws Exception {
    Path old = Path.of("src/test/resources/runs/format-1"), run = folder.resolve("run");
    try (Stream<Path> files = Files.walk(old)) {
      for (Path file : files.toList()) Files.copy(file, run.resolve(old.relativize(file).toString()));
    }
    Path recipe = Files.copy(run.resolve("recipe.yaml"), folder.resolve("old.yaml")), output = folder.resolve("out");
    Process process = ChildRun.start(output, "train", recipe.toString(), "--out", run.toString());
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "the run did not end");
    String text = Files.readString(output);
    assertEquals(0, process.exitValue(), text);
    assertTrue(text.contains("Going on from the checkpoint") && !text.contains("epoch 1/3  loss"), text);
    assertEquals(3, MetricsLog.read(run.resolve(MetricsLog.JSONL)).size());
  }
}
