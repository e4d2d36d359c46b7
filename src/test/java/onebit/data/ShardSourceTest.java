package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import onebit.cli.Main;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Shards of one archive are gone on with for that archive only. */
class ShardSourceTest {
  private static final List<String> SPLITS = List.of("train", "val");

  private final List<String> said = new ArrayList<>();

  private void prepare(Path dir, Path train, Path validation, Path out) throws IOException {
    said.clear();
    ImageNetArchives.prepare(new ImageNetArchives.Plan(train, validation, dir.resolve("ILSVRC2012_devkit_t12.tar.gz"), out, 0, ImageNetArchives.Encoding.JPEG, 46,
        ImageNetArchivesTest.VALIDATION, 2), new ImageNetArchives.Progress() {
          @Override public void at(long bytes, long total) {}

          @Override public void say(String text) {
            said.add(text);
          }
        });
  }

  private void prepare(Path dir, Path out) throws IOException {
    prepare(dir, dir.resolve("train.tar"), dir.resolve("val.tar"), out);
  }

  /** The same call with another archive of one split. */
  private void prepareWith(Path dir, String split, Path archive, Path out) throws IOException {
    prepare(dir, split.equals("train") ? archive : dir.resolve("train.tar"), split.equals("val") ? archive : dir.resolve("val.tar"), out);
  }

  /** One file of an archive with its header. */
  private record Member(byte[] header, byte[] content) {}

  private static List<Member> members(Path archive) throws IOException {
    List<Member> all = new ArrayList<>();
    byte[] bytes = Files.readAllBytes(archive);
    for (int at = 0; bytes[at] != 0; ) {
      int size = Integer.parseInt(new String(bytes, at + 124, 11), 8);
      all.add(new Member(Arrays.copyOfRange(bytes, at, at + 512), Arrays.copyOfRange(bytes, at + 512, at + 512 + size)));
      at += 512 + (size + 511) / 512 * 512;
    }
    return all;
  }

  /** A copy of the archive whose last file is changed; it holds as many images of the same classes. */
  private static Path changed(Path archive, String name, UnaryOperator<Member> change) throws IOException {
    List<Member> all = members(archive);
    all.set(all.size() - 1, change.apply(all.getLast()));
    return written(archive.resolveSibling(name + "-" + archive.getFileName()), all);
  }

  private static Path written(Path archive, List<Member> members) throws IOException {
    TarFile tar = new TarFile();
    for (Member m : members) tar.raw(m.header()).raw(Arrays.copyOf(m.content(), (m.content().length + 511) / 512 * 512));
    return Files.write(archive, tar.end());
  }

  /** The file with one header field changed. */
  private static Member with(Member m, int at, String text, byte[] content) {
    byte[] header = m.header().clone();
    TarFile.put(header, at, text);
    return new Member(TarFile.checked(header), content);
  }

  private static Member longer(Member m) {
    byte[] content = Arrays.copyOf(m.content(), m.content().length + 512);
    return with(m, 124, String.format("%011o\0", content.length), content);
  }

  private static Member later(Member m) {
    return with(m, 136, "14000000000\0", m.content());
  }

  /** A folder as a killed run leaves it: without indexes, and one shard of each split alone. */
  private static Path unfinished(Path whole, Path out) throws IOException {
    Files.createDirectories(out);
    try (var files = Files.list(whole)) {
      for (Path file : files.toList()) {
        if (file.toString().matches(".*(\\.source|\\.lock|val-00000\\.tar.*|train-n02119789\\.tar.*)")) Files.copy(file, out.resolve(file.getFileName()));
      }
    }
    Files.writeString(out.resolve("train-n04067472.tar.part"), "begun");
    return out;
  }

  /** Names the folder, the archive and what to do; nothing is made, deleted or changed. */
  private void requireRefused(Path dir, String split, Path archive, Path out) throws IOException {
    Map<String, Long> before = ImageNetArchivesTest.sums(out);
    assertEquals(out + ": its " + split + "-*.tar were made of another archive than " + archive + ", whose files have other names, sizes or times; give another --out, or delete the "
        + split + "-*.tar there to make them anew", assertThrows(IOException.class, () -> prepareWith(dir, split, archive, out)).getMessage());
    assertEquals(List.of(), said);
    assertEquals(before, ImageNetArchivesTest.sums(out));
  }

  @Test void anotherArchiveOfTheSameNamesIsRefusedInWholeAndUnfinishedFolders(@TempDir Path dir) throws IOException {
    ImageNetArchivesTest.archives(dir);
    Path whole = dir.resolve("whole");
    prepare(dir, whole);
    Path part = unfinished(whole, dir.resolve("part"));
    for (String split : SPLITS) {
      Path archive = dir.resolve(split + ".tar");
      Path name = changed(archive, "name", m -> with(m, 0, split.equals("train") ? "n02119788.tar" : "ILSVRC2012_val_00000023.JPG\0", m.content()));
      for (Path other : List.of(changed(archive, "size", ShardSourceTest::longer), changed(archive, "time", ShardSourceTest::later), name)) {
        requireRefused(dir, split, other, whole);
        requireRefused(dir, split, other, part);
      }
    }
    prepare(dir, part);
    assertEquals(ImageNetArchivesTest.sums(whole), ImageNetArchivesTest.sums(part));
  }

  @Test void aRefusalIsOneSentenceAndExitCodeOne(@TempDir Path dir) throws Exception {
    ImageNetArchivesTest.archives(dir);
    Path out = dir.resolve("out");
    prepare(dir, out);
    Path other = changed(dir.resolve("val.tar"), "other", ShardSourceTest::longer);
    Path log = dir.resolve("log");
    Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
        Main.class.getName(), "data", "prepare", "imagenet", "--train", dir.resolve("train.tar").toString(), "--val", other.toString(), "--out", out.toString(), "--expect-train", "46",
        "--expect-val", Integer.toString(ImageNetArchivesTest.VALIDATION)).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    assertEquals(1, process.waitFor());
    List<String> lines = Files.readAllLines(log).stream().filter(l -> !l.startsWith("WARNING: Using incubator")).toList();
    assertEquals(1, lines.size(), lines.toString());
    assertTrue(lines.getFirst().contains(out + ": its val-*.tar were made of another archive than " + other), lines.getFirst());
  }

  /** What the archive is called, where it lies and in which order it holds its files says nothing about the shards. */
  @Test void aMovedArchiveAndAnotherOrderGoOn(@TempDir Path dir) throws IOException {
    ImageNetArchivesTest.archives(dir);
    Path whole = dir.resolve("whole"), moved = Files.createDirectories(dir.resolve("elsewhere"));
    prepare(dir, whole);
    Path part = unfinished(whole, dir.resolve("part"));
    Path train = Files.copy(dir.resolve("train.tar"), moved.resolve("a.tar")), validation = Files.copy(dir.resolve("val.tar"), moved.resolve("b.tar"));
    prepare(dir, train, validation, whole);
    assertEquals(List.of(), said);
    prepare(dir, train, written(validation, members(validation).reversed()), part);
    assertEquals(ImageNetArchivesTest.sums(whole), ImageNetArchivesTest.sums(part));
  }

  @Test void deletedShardsAreMadeOfTheNewArchive(@TempDir Path dir) throws IOException {
    ImageNetArchivesTest.archives(dir);
    for (String split : SPLITS) {
      Path out = dir.resolve("out-" + split), fresh = dir.resolve("fresh-" + split), other = changed(dir.resolve(split + ".tar"), "other", ShardSourceTest::later);
      prepare(dir, out);
      prepareWith(dir, split, other, fresh);
      assertNotEquals(ImageNetArchivesTest.sums(out).get(split + ".source"), ImageNetArchivesTest.sums(fresh).get(split + ".source"));
      try (var shards = Files.newDirectoryStream(out, split + "-*.tar")) {
        for (Path shard : shards) Files.delete(shard);
      }
      prepareWith(dir, split, other, out);
      assertEquals(ImageNetArchivesTest.sums(fresh), ImageNetArchivesTest.sums(out));
      requireRefused(dir, split, dir.resolve(split + ".tar"), out);
    }
  }

  /** Shards of an earlier Onebit say nothing of their archives. */
  @Test void aFolderWithoutFingerprintsGoesOnAndIsToldOnce(@TempDir Path dir) throws IOException {
    ImageNetArchivesTest.archives(dir);
    Path whole = dir.resolve("whole");
    prepare(dir, whole);
    assertEquals(1, said.size(), "of a new folder only the need is told: " + said);
    Path part = unfinished(whole, dir.resolve("part"));
    Map<String, Long> made = ImageNetArchivesTest.sums(whole);
    for (Path out : List.of(whole, part)) {
      for (String split : SPLITS) Files.delete(out.resolve(split + ".source"));
      prepare(dir, out);
      assertEquals(made, ImageNetArchivesTest.sums(out));
      List<String> lines = List.copyOf(said);
      for (String split : SPLITS) {
        String told = out + ": its " + split + "-*.tar do not say which archive they were made of; they are kept, and taken for those of " + dir.resolve(split + ".tar");
        assertEquals(1, lines.stream().filter(told::equals).count(), lines.toString());
        requireRefused(dir, split, changed(dir.resolve(split + ".tar"), "time", ShardSourceTest::later), out);
      }
      prepare(dir, out);
      assertEquals(List.of(), said);
    }
  }
}
