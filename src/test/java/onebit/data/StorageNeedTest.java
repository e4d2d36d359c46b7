package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import onebit.cli.Main;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The room that shards take is known before the first is made, and a disk that fills up costs only the shard that it filled up in. */
class StorageNeedTest {
  private static final Pattern NEED = Pattern.compile("take about ([0-9.,]+) (KB|MB) in .*\\((\\d+) images of ");

  /** What a run says it needs, in bytes and images, and what its shards then hold. */
  private record Told(double bytes, int images, ImageNetArchives.Result result, List<Long> done) {}

  private static Told prepare(Path dir, String out, int shortSide, ImageNetArchives.Encoding encoding) throws IOException {
    List<String> said = new ArrayList<>();
    List<Long> done = new ArrayList<>();
    ImageNetArchives.Result result = ImageNetArchives.prepare(new ImageNetArchives.Plan(dir.resolve("train.tar"), dir.resolve("val.tar"),
        dir.resolve("ILSVRC2012_devkit_t12.tar.gz"), dir.resolve(out), shortSide, encoding, 46, ImageNetArchivesTest.VALIDATION, 1), new ImageNetArchives.Progress() {
          @Override public void at(long bytes, long total) {
            done.add(bytes);
          }

          @Override public void say(String text) {
            said.add(text);
          }
        });
    if (said.isEmpty()) return new Told(0, 0, result, done);
    assertEquals(1, said.size());
    Matcher found = NEED.matcher(said.getFirst());
    assertTrue(found.find(), said.getFirst());
    return new Told(Double.parseDouble(found.group(1).replace(",", "")) * (found.group(2).equals("MB") ? 1e6 : 1e3), Integer.parseInt(found.group(3)), result, done);
  }

  private static long size(Path folder) throws IOException {
    long all = 0;
    try (var files = Files.list(folder)) {
      for (Path file : files.toList()) all += Files.size(file);
    }
    return all;
  }

  @Test void theNeedIsWhatTheShardsTake(@TempDir Path dir) throws IOException {
    ImageNetArchivesTest.archives(dir);
    Told copied = prepare(dir, "copied", 0, ImageNetArchives.Encoding.JPEG);
    assertEquals(46 + ImageNetArchivesTest.VALIDATION, copied.images());
    assertEquals(size(dir.resolve("copied")), copied.bytes(), 0.02 * copied.bytes() + 20_000);
    Told pixels = prepare(dir, "ppm", 48, ImageNetArchives.Encoding.PPM);
    assertEquals(size(dir.resolve("ppm")), pixels.bytes(), 0.1 * pixels.bytes() + 20_000);
    Told small = prepare(dir, "small", 40, ImageNetArchives.Encoding.JPEG);
    assertEquals(size(dir.resolve("small")), small.bytes(), 0.1 * small.bytes() + 20_000);
    // what is there needs no room, and counts as done before the first image
    assertEquals(0, prepare(dir, "copied", 0, ImageNetArchives.Encoding.JPEG).images());
    long shard = Files.size(dir.resolve("copied/train-n02119789.tar"));
    Files.delete(dir.resolve("copied/train-n02119789.tar.index"));
    Told again = prepare(dir, "copied", 0, ImageNetArchives.Encoding.JPEG);
    assertEquals(11, again.images(), 5);
    assertEquals(shard, again.bytes(), 0.02 * shard + 20_000);
    assertTrue(again.done().getFirst() > copied.done().getLast() / 2, "first told: " + again.done().getFirst());
    assertEquals(copied.result(), again.result());
  }

  @Test void tooLittleRoomIsRefusedOrToldWithBothNumbers() throws IOException {
    Path out = Path.of("data/imagenet");
    StorageNeed exact = new StorageNeed(155_000_000_000L, 1_331_167, 0), estimate = new StorageNeed(68_000_000_000L, 1_331_167, 64);
    assertEquals("the shards to be made take about 155.0 GB in data/imagenet (1,331,167 images of 116.4 KB), and 400.0 GB are free there", exact.require(out, 400_000_000_000L, true));
    assertTrue(exact.require(out, 155_000_000_000L, true).startsWith("the shards"));
    String message = assertThrows(IOException.class, () -> exact.require(out, 154_999_999_999L, true)).getMessage();
    assertTrue(message.contains("155.0 GB in data/imagenet") && message.contains("make room") && message.contains("--no-room-check"), message);
    assertTrue(exact.require(out, 1_000_000_000L, false).startsWith("warning: "));
    assertThrows(IOException.class, () -> estimate.require(out, 61_100_000_000L, true));
    assertTrue(estimate.require(out, 61_300_000_000L, true).startsWith("warning: "));
    assertTrue(estimate.require(out, 74_700_000_000L, true).contains("by a trial of 64"));
    assertFalse(estimate.require(out, 74_900_000_000L, true).startsWith("warning: "));
    assertTrue(estimate.require(out, Long.MAX_VALUE, true).endsWith("and unknown bytes are free there"));
  }

  /** A limit on the size of a file stands for the full disk: shards that are larger cannot be written. */
  @Test void aDiskThatFillsUpKeepsTheWholeShards(@TempDir Path dir) throws Exception {
    ImageNetArchivesTest.archives(dir);
    prepare(dir, "wanted", 0, ImageNetArchives.Encoding.JPEG);
    Map<String, Long> wanted = ImageNetArchivesTest.sums(dir.resolve("wanted"));
    Path out = dir.resolve("out");
    // the largest shard does not fit, the first ones do
    long largest = Files.size(dir.resolve("wanted/val-00000.tar"));
    Process process = child(dir, out, (largest - 1) / 1024);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    String said = Files.readString(dir.resolve("child.log"));
    assertEquals(1, process.exitValue(), said);
    assertTrue(said.contains("val-00000.tar: cannot be written: File too large; the shards that are whole stay"), said);
    Map<String, Long> left = ImageNetArchivesTest.sums(out);
    assertTrue(left.size() >= 2 && wanted.entrySet().containsAll(left.entrySet()), "left: " + left.keySet());
    assertEquals(wanted.size() - 4, left.size(), "only the last shard and both indexes are missing: " + left.keySet());
    assertEquals(1, prepare(dir, "out", 0, ImageNetArchives.Encoding.JPEG).images() / ImageNetArchivesTest.VALIDATION);
    assertEquals(wanted, ImageNetArchivesTest.sums(out));
  }

  private static Process child(Path dir, Path out, long kilobytes) throws IOException {
    List<String> command = new ArrayList<>(List.of("bash", "-c", "ulimit -f " + kilobytes + "; exec \"$@\"", "bash", ProcessHandle.current().info().command().orElseThrow(),
        "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-Xmx512m", "-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of("data", "prepare", "imagenet", "--train", dir.resolve("train.tar").toString(), "--val", dir.resolve("val.tar").toString(), "--out", out.toString(),
        "--expect-train", "46", "--expect-val", Integer.toString(ImageNetArchivesTest.VALIDATION), "--threads", "1"));
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(dir.resolve("child.log").toFile()).start();
  }
}
