package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.TimeUnit;

/** CIFAR-10's original files for tests. */
public final class RestoredCifar10 {
  private RestoredCifar10() {}

  /** The six batches in target/cifar10, restored once from ../shared. */
  public static Path folder() throws IOException, InterruptedException {
    Path dir = Files.createDirectories(Path.of("target/cifar10"));
    try (FileChannel other = FileChannel.open(dir.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE); FileLock held = other.lock()) {
      if (!Files.exists(dir.resolve("test_batch.bin")) || !Files.exists(dir.resolve("data_batch_5.bin"))) restore(dir);
    }
    return dir;
  }

  private static void restore(Path dir) throws IOException, InterruptedException {
    Path source = Path.of("../shared/data/UnpackCifar10.java");
    assumeTrue(Files.exists(source), "needs the compact CIFAR-10 of ../shared/data");
    assumeTrue(hasXz(), "needs the command xz to restore CIFAR-10");
    Process java = new ProcessBuilder(System.getProperty("java.home") + "/bin/java", source.toString(), dir.toString())
        .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
    assertTrue(java.waitFor(120, TimeUnit.SECONDS), "UnpackCifar10 takes too long");
    assertEquals(0, java.exitValue());
  }

  private static boolean hasXz() throws InterruptedException {
    try {
      return new ProcessBuilder("xz", "--version").redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }
}
