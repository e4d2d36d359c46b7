package onebit.data;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tar shards with and without an index. */
class ShardTest {
  /** A picture that differs for every seed. */
  static byte[] jpeg(int seed) throws IOException {
    Picture x = new Picture();
    x.resize(40 + seed % 7, 50 + seed % 5, 3);
    for (int i = 0; i < x.bytes(); i++) x.pixels()[i] = (byte) (seed * 31 + i / 9);
    return JpegEncoder.encode(x, 85);
  }

  private static ShardIndex write(Path dir, String name, int from, int count) throws IOException {
    try (ShardWriter shard = new ShardWriter(dir.resolve(name), "original bytes", List.of("cat", "dog", "owl"))) {
      for (int i = from; i < from + count; i++) shard.add("image_" + i, jpeg(i), i % 3);
      return shard.finish();
    }
  }

  private static byte[] shown(Dataset dataset, int index) throws IOException {
    byte[] image = new byte[dataset.imageBytes()];
    dataset.read(index, image, 0);
    return image;
  }

  @Test void shardsGiveTheImagesThatWereWritten(@TempDir Path dir) throws IOException {
    ShardIndex.joined(List.of(write(dir, "train-0.tar", 0, 5), write(dir, "train-1.tar", 5, 4))).write(dir.resolve("train.index"));
    ShardDataset shards = ShardDataset.find(dir, Split.TRAIN, 32);
    assertEquals(9, shards.size());
    assertEquals(List.of("cat", "dog", "owl"), shards.classNames());
    Path folder = Files.createDirectories(dir.resolve("files/all"));
    for (int i = 0; i < 9; i++) Files.write(folder.resolve("image_" + i + ".jpg"), jpeg(i));
    ImageFolderDataset files = ImageFolderDataset.list("files", dir.resolve("files"), 32);
    for (int i = 0; i < 9; i++) {
      assertEquals(i % 3, shards.label(i));
      assertTrue(shards.describe(i).endsWith("image_" + i + ".jpg"), shards.describe(i));
      assertArrayEquals(shown(files, i), shown(shards, i));
    }
    ShardDataset scanned = ShardDataset.scanned(dir, List.of(dir.resolve("train-0.tar"), dir.resolve("train-1.tar")), 32);
    for (int i = 0; i < 9; i++) {
      assertEquals(i % 3, scanned.label(i));
      assertArrayEquals(shown(shards, i), shown(scanned, i), "the same shards without their index");
    }
  }

  /** Asks across the border of two shards, whose pages were dropped before; a file system without a disk, which drops none, cannot show it. */
  @Test void imagesThatAreReadSoonAreBroughtIntoThePageCache(@TempDir Path dir) throws Throwable {
    List<ShardIndex> parts = new ArrayList<>();
    for (int s = 0; s < 2; s++) {
      try (ShardWriter shard = new ShardWriter(dir.resolve("train-" + s + ".tar"), "original bytes", List.of("cat"))) {
        for (int i = 0; i < 4; i++) shard.add("image_" + i, new byte[300_000], 0);
        parts.add(shard.finish());
      }
    }
    ShardIndex index = ShardIndex.joined(parts);
    index.write(dir.resolve("train.index"));
    ShardDataset shards = ShardDataset.find(dir, Split.TRAIN, 32);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment[] files = new MemorySegment[2];
      for (int s = 0; s < 2; s++) {
        drop(dir.resolve("train-" + s + ".tar"));
        try (FileChannel file = FileChannel.open(dir.resolve("train-" + s + ".tar"))) {
          files[s] = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size(), arena);
        }
        assumeFalse(image(files[s], index, 4 * s + 2 - s).isLoaded(), "the file system keeps what it was asked to drop");
      }
      assertTrue(shards.readAhead(2, 6));
      for (int i = 2; i < 6; i++) {
        for (long until = System.nanoTime() + 20_000_000_000L; !image(files[i / 4], index, i).isLoaded(); Thread.sleep(5)) {
          assertTrue(System.nanoTime() < until, "image " + i + " is not in the page cache");
        }
      }
    }
    assertFalse(new GeneratedDataset("drawn", 4, 8, 8, 3, 2, 1).readAhead(0, 1));
  }

  private static MemorySegment image(MemorySegment file, ShardIndex index, int image) {
    return file.asSlice(index.at[image], index.length[image]);
  }

  /** Writes a file back and drops its pages, by posix_fadvise with POSIX_FADV_DONTNEED. */
  private static void drop(Path file) throws Throwable {
    try (FileChannel open = FileChannel.open(file, StandardOpenOption.WRITE)) {
      open.force(true);
    }
    Linker linker = Linker.nativeLinker();
    FunctionDescriptor advise = FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT);
    try (Arena arena = Arena.ofConfined()) {
      int fd = (int) linker.downcallHandle(linker.defaultLookup().findOrThrow("open"), FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT), Linker.Option.firstVariadicArg(2))
          .invokeExact(arena.allocateFrom(file.toString()), 0);
      assertEquals(0, (int) linker.downcallHandle(linker.defaultLookup().findOrThrow("posix_fadvise"), advise).invokeExact(fd, 0L, 0L, 4));
      assertEquals(0, (int) linker.downcallHandle(linker.defaultLookup().findOrThrow("close"), FunctionDescriptor.of(JAVA_INT, JAVA_INT)).invokeExact(fd));
    }
  }

  @Test void theFingerprintTellsWhatIsLearnedFrom(@TempDir Path dir) throws IOException {
    Files.write(dir.resolve("train-0.tar"), new byte[9000]);
    Set<Integer> all = new HashSet<>();
    for (int[] x : new int[][] {{512, 100, 0, 7}, {1024, 100, 0, 7}, {512, 101, 0, 7}, {512, 100, 1, 7}, {512, 100, 0, 8}, {512, 100, 0, 7}}) {
      List<ShardIndex.Image> images = List.of(new ShardIndex.Image(x[0], x[1], x[2], x[3]), new ShardIndex.Image(2048, 100, 2, 9));
      ShardIndex.of("original bytes", "train-0.tar", 9000, List.of("cat", "dog", "owl"), images).write(dir.resolve("train.index"));
      all.add(ShardDataset.find(dir, Split.TRAIN, 32).fingerprint());
    }
    assertEquals(5, all.size());
  }

  @Test void aChangedByteOfAnImageIsNoticedEachTimeItIsRead(@TempDir Path dir) throws IOException {
    ShardIndex index = write(dir, "train-0.tar", 0, 6);
    index.write(dir.resolve("train.index"));
    Path tar = dir.resolve("train-0.tar");
    byte[] content = Files.readAllBytes(tar);
    Random random = new Random(5);
    for (int i = 0; i < 60; i++) {
      int image = random.nextInt(6);
      byte[] changed = content.clone();
      changed[(int) index.at[image] + random.nextInt(index.length[image])] ^= (byte) (1 << random.nextInt(8));
      Files.write(tar, changed);
      ShardDataset shards = ShardDataset.find(dir, Split.TRAIN, 32);
      String message = assertThrows(BadImageException.class, () -> shown(shards, image)).getMessage();
      assertTrue(message.contains("train-0.tar:image_" + image + ".jpg") && message.contains("CRC"), message);
      shown(shards, (image + 1) % 6);
    }
    Files.write(tar, Arrays.copyOf(content, content.length - 512));
    String message = assertThrows(IOException.class, () -> ShardDataset.find(dir, Split.TRAIN, 32)).getMessage();
    assertTrue(message.contains("train-0.tar") && message.contains("bytes"), message);
    Files.delete(tar);
    assertTrue(assertThrows(IOException.class, () -> ShardDataset.find(dir, Split.TRAIN, 32)).getMessage().contains("is missing"));
  }

  /** A kill between the two names of a shard, its own and its index's, leaves no index of an earlier shard that was as long. */
  @Test void aShardThatIsBegunHasNoIndex(@TempDir Path dir) throws IOException {
    Path tar = dir.resolve("train-0.tar");
    write(dir, "train-0.tar", 0, 3);
    Files.delete(tar);
    assertTrue(Files.exists(ShardWriter.piece(tar)));
    try (ShardWriter begun = new ShardWriter(tar, "original bytes", List.of("cat", "dog", "owl"))) {
      assertFalse(Files.exists(ShardWriter.piece(tar)));
      begun.add("image_0", jpeg(0), 1);
    }
  }

  @Test void onlyAShardWithItsIndexAndItsLengthIsWhole(@TempDir Path dir) throws IOException {
    Path tar = dir.resolve("train-0.tar"), piece = ShardWriter.piece(tar);
    write(dir, "train-0.tar", 0, 3);
    assertEquals(3, ShardWriter.whole(tar).size());
    byte[] archive = Files.readAllBytes(tar), index = Files.readAllBytes(piece);
    Files.write(tar, Arrays.copyOf(archive, archive.length - 1));
    assertNull(ShardWriter.whole(tar));
    Files.write(tar, archive);
    Files.write(piece, Arrays.copyOf(index, index.length - 1));
    assertNull(ShardWriter.whole(tar));
    Files.delete(piece);
    assertNull(ShardWriter.whole(tar));
  }

  @Test void everyChangedByteOfAnIndexIsNoticed(@TempDir Path dir) throws IOException {
    write(dir, "train-0.tar", 0, 3).write(dir.resolve("train.index"));
    byte[] content = Files.readAllBytes(dir.resolve("train.index"));
    ShardIndex.parse("train.index", content);
    for (int i = 0; i < content.length; i++) {
      byte[] changed = content.clone();
      changed[i] ^= (byte) (1 << i % 8);
      int at = i;
      assertTrue(assertThrows(IOException.class, () -> ShardIndex.parse("train.index", changed), "byte " + i).getMessage().startsWith("train.index: "));
      assertThrows(IOException.class, () -> ShardIndex.parse("train.index", Arrays.copyOf(content, at)), "cut at " + i);
    }
  }

  /** An index whose checksum is right may still say what cannot be. */
  @Test void indexesThatCannotBeAreRefused(@TempDir Path dir) throws IOException {
    write(dir, "train-0.tar", 0, 3).write(dir.resolve("train.index"));
    byte[] content = Files.readAllBytes(dir.resolve("train.index"));
    int head = 16 + 2 + "original bytes".length(), name = head + 12, image = content.length - 4 - 3 * 20;
    int shard = name + 2 + "train-0.tar".length();
    int[][] changes = {{shard + 8, 2}, {shard + 8, 4}, {shard + 8, -1}, {head, -1}, {head, 1_000_000_000}, {head + 4, 0}, {head + 8, 4}, {head + 8, -1}, {image, 1 << 30}, {image + 4, 0}, {image + 8, -5}, {image + 8, 1 << 30}, {image + 12, 3},
        {image + 12, -1}};
    for (int[] change : changes) refused(content, change[0], change[1]);
    byte[] path = content.clone();
    path[name + 2] = '/';
    assertTrue(assertThrows(IOException.class, () -> ShardIndex.parse("i", checked(path))).getMessage().contains("plain file name"));
    byte[] other = content.clone();
    other["onebit shards ".length()] = '2';
    assertEquals("i: is not an index of shards", assertThrows(IOException.class, () -> ShardIndex.parse("i", checked(other))).getMessage());
    for (int length = 20; length < content.length; length++) {
      byte[] cut = checked(Arrays.copyOf(content, length));
      assertTrue(assertThrows(IOException.class, () -> ShardIndex.parse("i", cut), "cut to " + length).getMessage().startsWith("i: the index "));
    }
    byte[] longer = Arrays.copyOf(content, content.length + 20);
    assertThrows(IOException.class, () -> ShardIndex.parse("i", checked(longer)));
  }

  @Test void shardsThatTakeImagesFromOneAnotherAreRefused(@TempDir Path dir) throws IOException {
    ShardIndex.joined(List.of(write(dir, "train-0.tar", 0, 2), write(dir, "train-1.tar", 2, 2))).write(dir.resolve("train.index"));
    byte[] content = Files.readAllBytes(dir.resolve("train.index"));
    int first = 16 + 2 + "original bytes".length() + 12 + 2 + "train-0.tar".length() + 8;
    ByteBuffer.wrap(content).putInt(first, -1).putInt(first + 4 + 2 + "train-1.tar".length() + 8, 5);
    assertEquals("i: the index has a shard of negative size", assertThrows(IOException.class, () -> ShardIndex.parse("i", checked(content))).getMessage());
  }

  @Test void shardsWithoutImagesHoldNone(@TempDir Path dir) throws IOException {
    ShardIndex none = write(dir, "train-1.tar", 0, 0), index = ShardIndex.joined(List.of(none, none, write(dir, "train-0.tar", 0, 2), none, none, write(dir, "train-2.tar", 2, 1), none));
    assertArrayEquals(new int[] {2, 2, 5}, IntStream.range(0, 3).map(index::shardOf).toArray());
    none.write(dir.resolve("train.index"));
    assertTrue(assertThrows(IOException.class, () -> ShardDataset.find(dir, Split.TRAIN, 32)).getMessage().endsWith("train.index: the index has no images"));
  }

  /** A thread that is interrupted while it reads closes the file for all others, which open it anew; else each shard is open once. */
  @Test void aShardIsOpenOnceAndAgainAfterAnInterrupt(@TempDir Path dir) throws IOException {
    write(dir, "train-0.tar", 0, 3).write(dir.resolve("train.index"));
    ShardDataset shards = ShardDataset.find(dir, Split.TRAIN, 32);
    for (int i = 0; i < 6; i++) shown(shards, i % 3);
    assertEquals(1, open(dir.resolve("train-0.tar")));
    Thread.currentThread().interrupt();
    assertThrows(ClosedByInterruptException.class, () -> shown(shards, 0));
    assertTrue(Thread.interrupted());
    shown(shards, 0);
    assertEquals(1, open(dir.resolve("train-0.tar")));
    Files.write(dir.resolve("train-0.tar"), new byte[600]);
    assertTrue(assertThrows(EOFException.class, () -> shown(shards, 2)).getMessage().endsWith("the shard ends inside the image"));
  }

  /** How often this process has a file open. */
  private static long open(Path file) throws IOException {
    try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
      return all.filter(fd -> {
        try {
          return Files.readSymbolicLink(fd).equals(file.toRealPath());
        } catch (IOException gone) {
          return false;
        }
      }).count();
    }
  }

  private static void refused(byte[] content, int at, int value) {
    byte[] changed = content.clone();
    ByteBuffer.wrap(changed).putInt(at, value);
    assertTrue(assertThrows(IOException.class, () -> ShardIndex.parse("i", checked(changed)), at + " = " + value).getMessage().startsWith("i: the index "));
  }

  private static byte[] checked(byte[] content) {
    CRC32C crc = new CRC32C();
    crc.update(content, 0, content.length - 4);
    ByteBuffer.wrap(content).putInt(content.length - 4, (int) crc.getValue());
    return content;
  }

  @Test void shardsMadeElsewhereAreReadOrRefusedByName(@TempDir Path dir) throws IOException {
    Path tar = dir.resolve("train-000.tar");
    Files.write(tar, new TarFile().add("a/x.jpg", jpeg(1)).add("a/x.cls", "7\n").add("b/x.jpeg", jpeg(2)).add("b/x.json", "{\"label\": 3, \"note\": [1]}").add("b/x.txt", "caption")
        .add("c.seg.png", new byte[3]).add("y.json", "{\"cls\": 0}").add("y.jpg", jpeg(3)).add("/z.cls", "1").add("/z.jpg", jpeg(4)).add("p.ppm", "P6 # by hand\n2 1 255\nRGBrgb").add("p.cls", "2").end());
    ShardDataset shards = ShardDataset.find(dir, Split.TRAIN, 32);
    assertEquals(5, shards.size());
    assertEquals(8, shards.classes());
    assertEquals("made elsewhere: 1 jpeg, 3 jpg, 1 ppm", shards.stored());
    assertArrayEquals(new int[] {7, 3, 0, 1, 2}, IntStream.range(0, 5).map(shards::label).toArray());
    shown(shards, 3);
    Picture levels = new Picture();
    shards.decode(4, Box.Choice.WHOLE, levels);
    assertEquals("1x2 RGBrgb", levels.height() + "x" + levels.width() + " " + new String(levels.pixels(), 0, 6, StandardCharsets.US_ASCII));
    assertNull(ShardDataset.find(dir, Split.TEST, 32));
    Files.move(tar, Files.createDirectories(dir.resolve("val")).resolve("0.tar"));
    assertEquals(5, ShardDataset.find(dir, Split.TEST, 32).size());
    Object[][] wrong = {{new TarFile().add("x.jpg", jpeg(1)).end(), "no class"}, {new TarFile().add("x.jpg", jpeg(1)).add("x.cls", "cat").end(), "class number"},
        {new TarFile().add("x.jpg", jpeg(1)).add("x.cls", "-1").end(), "class number"}, {new TarFile().add("x.jpg", jpeg(1)).add("x.json", "{").end(), "not JSON"},
        {new TarFile().add("x.jpg", jpeg(1)).add("x.json", "{\"label\": 1.5, \"text\": \"cls\"}").end(), "no class"},
        {new TarFile().add("x.jpg", jpeg(1)).add("x.jpeg", jpeg(1)).add("x.cls", "1").end(), "two images"}, {new TarFile().end(), "no images"},
        {new TarFile().raw(TarFile.header("x.jpg", 100_000_000, '0')).bytes(), "cut short"}, {new byte[700], "no images"}, {"junk".repeat(300).getBytes(), "checksum"}};
    for (Object[] one : wrong) {
      Files.write(tar, (byte[]) one[0]);
      String message = assertThrows(IOException.class, () -> ShardDataset.find(dir, Split.TRAIN, 32), one[1].toString()).getMessage();
      assertTrue(message.startsWith(dir.toString()) && message.contains(one[1].toString()), message);
    }
  }

  @Test void anIndexOfImageNetsSizeIsReadInSecondsAndLittleMemory(@TempDir Path dir) throws IOException {
    List<ShardIndex> parts = new ArrayList<>();
    List<String> classes = new ArrayList<>();
    for (int c = 0; c < 1000; c++) classes.add(String.format("n%08d", c));
    for (int c = 0; c < 1000; c++) {
      List<ShardIndex.Image> images = new ArrayList<>();
      for (int i = 0; i < 1281; i++) images.add(new ShardIndex.Image(512 + i * 120_000L, 110_000, c, i));
      parts.add(ShardIndex.of("original bytes", "train-" + classes.get(c) + ".tar", 1281 * 120_000L + 1024, classes, images));
    }
    Path file = dir.resolve("train.index");
    ShardIndex.joined(parts).write(file);
    parts.clear();
    long begin = System.nanoTime();
    ShardIndex index = ShardIndex.read(file);
    int[] order = new Sampler(1, index.size(), 256, true, true, 0, 1).order(0);
    double seconds = (System.nanoTime() - begin) / 1e9;
    assertEquals(1_281_000, index.size());
    assertEquals(1_281_000, order.length);
    assertEquals(999, index.shardOf(index.size() - 1));
    assertEquals(1, index.shardOf(1281));
    assertTrue(seconds < 10, seconds + " s");
    assertTrue(Files.size(file) < 30_000_000, Files.size(file) + " bytes, and about as many in memory");
  }
}
