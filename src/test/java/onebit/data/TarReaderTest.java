package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TarReaderTest {
  /** Names and contents, read from a stream and by position; both must agree, in the error too. */
  private static List<String> names(byte[] archive, Path dir) throws IOException {
    List<String> streamed = new ArrayList<>(), placed = new ArrayList<>();
    IOException one = null, two = null;
    try {
      walk(TarReader.of("a.tar", new ByteArrayInputStream(archive)), streamed);
    } catch (IOException e) {
      one = e;
    }
    Path file = Files.write(dir.resolve("a.tar"), archive);
    try (FileChannel channel = FileChannel.open(file)) {
      walk(TarReader.of("a.tar", channel, 0, archive.length), placed);
    } catch (IOException e) {
      two = e;
    }
    assertEquals(one == null, two == null, one + " / " + two);
    assertEquals(streamed, placed);
    if (one != null) throw one;
    return streamed;
  }

  private static void walk(TarReader tar, List<String> into) throws IOException {
    for (TarReader.Entry entry = tar.next(); entry != null; entry = tar.next()) {
      into.add(entry.name() + (entry.file() && entry.size() < 1000 ? "=" + new String(tar.contents(entry, 1000)) : ""));
    }
  }

  @Test void namesAreKeysAndNothingIsWritten(@TempDir Path dir) throws IOException {
    byte[] archive = new TarFile().add("../../evil", "one").add("/etc/passwd", "two").add("link", new byte[0], '2').add("hard", new byte[0], '1')
        .add("folder/", new byte[0], '5').add("a/b.txt", "x".repeat(513)).end();
    assertEquals(List.of("../../evil=one", "/etc/passwd=two", "link", "hard", "folder/", "a/b.txt=" + "x".repeat(513)), names(archive, dir));
    try (var files = Files.list(dir)) {
      assertEquals(1, files.count());
    }
  }

  @Test void longNamesAndSizesOfBothExtensionsAreRead(@TempDir Path dir) throws IOException {
    String name = "d/".repeat(90) + "photo.jpg";
    String record = " path=" + name + "\n", pax = (record.length() + 3) + record, size = "10 size=3\n";
    byte[] wide = TarFile.header("wide", 0, '0');
    Arrays.fill(wide, 124, 136, (byte) 0);
    wide[124] = (byte) 0x80;
    wide[135] = 4;
    TarFile.checked(wide);
    byte[] prefixed = TarFile.header("b.jpg", 1, '0');
    TarFile.put(prefixed, 345, "deep/folder");
    byte[] archive = new TarFile().add("././@LongLink", (name + "\0").getBytes(), 'L').add("cut", "gnu").add("pax", pax.getBytes(), 'x').add("cut", "pax")
        .add("pax", size.getBytes(), 'x').raw(TarFile.header("sized", 0, '0')).raw(Arrays.copyOf("abc".getBytes(), 512))
        .raw(wide).raw(Arrays.copyOf("wide".getBytes(), 512)).raw(TarFile.checked(prefixed)).raw(Arrays.copyOf("p".getBytes(), 512)).add("g", pax.getBytes(), 'g').add("last", "l").end();
    assertEquals(List.of(name + "=gnu", name + "=pax", "sized=abc", "wide=wide", "deep/folder/b.jpg=p", "last=l"), names(archive, dir));
  }

  @Test void damagedArchivesAreRefusedByNameAndWithoutMuchMemory(@TempDir Path dir) throws IOException {
    byte[] good = new TarFile().add("a", "contents").end(), sum = good.clone(), digits = TarFile.header("a", 1, '0'), negative = TarFile.header("a", 1, '0');
    sum[0] ^= 1;
    TarFile.put(digits, 124, "0000000009x");
    Arrays.fill(negative, 124, 136, (byte) 0xFF);
    byte[] endless = TarFile.header("a", 1, '0');
    Arrays.fill(endless, 125, 136, (byte) 0x7F);
    endless[124] = (byte) 0x80;
    Map<String, byte[]> cases = new TreeMap<>();
    cases.put("ends inside a header|empty", new byte[0]);
    cases.put("ends inside a header|cut header", Arrays.copyOf(good, 300));
    cases.put("cut short|cut contents", Arrays.copyOf(good, 515));
    cases.put("checksum|bad checksum", sum);
    cases.put("checksum|junk", "this is no archive ".repeat(60).getBytes());
    cases.put("not octal|digits", TarFile.checked(digits));
    cases.put("negative size|negative", TarFile.checked(negative));
    cases.put("more bytes than|endless", TarFile.checked(endless));
    cases.put("cut short|lied size", new TarFile().raw(TarFile.header("big", 1_900_000_000L, '0')).raw(new byte[512]).bytes());
    cases.put("at most 1048576|long name of 1.9 GB", new TarFile().raw(TarFile.header("L", 1_900_000_000L, 'L')).bytes());
    cases.put("at most 1048576|pax header of 1.9 GB", new TarFile().raw(TarFile.header("x", 1_900_000_000L, 'x')).bytes());
    cases.put("cut short|long name cut", new TarFile().raw(TarFile.header("L", 1000, 'L')).raw(new byte[100]).bytes());
    for (String pax : List.of("9999 path=a\n", "x path=a\n", "12 pathaaaaa\n", "0 =\n", "10 path=aa", "22 size=-1234567890123\n", "17 size=99999999\n")) {
      cases.put("pax|" + pax, new TarFile().add("pax", pax.getBytes(), 'x').add("a", "b").end());
    }
    for (Map.Entry<String, byte[]> one : cases.entrySet()) {
      String rule = one.getKey().substring(0, one.getKey().indexOf('|'));
      if (one.getKey().contains("99999999")) rule = "cut short";
      IOException e = assertThrows(IOException.class, () -> names(one.getValue(), dir), one.getKey());
      assertTrue(e.getMessage().startsWith("a.tar: ") && e.getMessage().contains(rule), one.getKey() + ": " + e.getMessage());
    }
  }

  /** Neither the zeros at the end nor a type are always there; a name without its entry is half an entry. */
  @Test void archivesOfOldProgramsAreRead(@TempDir Path dir) throws IOException {
    byte[] old = new TarFile().add("a", "one".getBytes(), '\0').add("b", "two".getBytes(), '7').bytes();
    assertEquals(List.of("a=one", "b=two"), names(old, dir));
    for (byte[] half : List.of(new TarFile().add("a", "x").add("L", "name\0".getBytes(), 'L').bytes(), new TarFile().add("a", "x").add("p", "10 path=a\n".getBytes(), 'x').bytes())) {
      assertEquals("a.tar: the archive ends inside a header", assertThrows(IOException.class, () -> names(half, dir)).getMessage());
    }
  }

  @Test void contentsHaveTheirPlaceAndAreReadOrSkipped(@TempDir Path dir) throws IOException {
    byte[] archive = new TarFile().add("a", "first").add("b", "x".repeat(700)).add("L", "c\0".getBytes(), 'L').add("cut", "third").end();
    Path file = Files.write(dir.resolve("a.tar"), archive);
    try (FileChannel channel = FileChannel.open(file)) {
      TarReader tar = TarReader.of("a.tar", channel, 0, archive.length);
      for (String name : List.of("a", "b", "c")) {
        TarReader.Entry entry = tar.next();
        assertEquals(name, entry.name());
        byte[] part = new byte[3];
        String begin = name.equals("a") ? "fir" : name.equals("b") ? "xxx" : "thi";
        if (name.equals("b")) {
          assertEquals(3, tar.read(part, 0, 3));
          assertEquals(begin, new String(part));
        }
        assertEquals(begin, new String(archive, (int) entry.at(), 3));
        assertFalse(entry.size() < 5);
      }
      assertNull(tar.next());
      TarReader part = TarReader.of("part", channel, 1024, 1536);
      assertEquals("b", part.next().name(), "a part of a file is an archive of its own");
      assertNull(part.next());
      TarReader cut = TarReader.of("part", channel, 1024, 1024);
      assertEquals("b", cut.next().name());
      assertTrue(assertThrows(IOException.class, cut::next).getMessage().startsWith("part: the archive is cut short"));
      assertThrows(IOException.class, () -> TarReader.of("part", channel, archive.length, 512).next(), "a file that has become shorter");
    }
    TarReader tar = TarReader.of("a.tar", new ByteArrayInputStream(archive));
    TarReader.Entry entry = tar.next();
    assertThrows(IOException.class, () -> tar.contents(entry, 4));
  }
}
