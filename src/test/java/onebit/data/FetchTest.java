package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(30)
class FetchTest {
  @TempDir Path dir;
  private HttpServer server;
  private final List<String> requests = new ArrayList<>();
  private byte[] content = new byte[300_000];
  /** Bytes after which each request in turn is cut; past the end of the list nothing is cut. */
  private final List<Integer> cuts = new ArrayList<>();
  private boolean ranges = true;
  /** How far a range that the server says it sends is from the one that it was asked for. */
  private int shift;
  private int status = 200;

  @BeforeEach void serve() throws IOException {
    CounterRandom random = new CounterRandom().reset(1, 0, 0, 0);
    for (int i = 0; i < content.length; i++) content[i] = (byte) random.nextWord();
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::answer);
    server.start();
  }

  @AfterEach void stop() {
    server.stop(0);
  }

  private synchronized void answer(HttpExchange exchange) throws IOException {
    String range = exchange.getRequestHeaders().getFirst("Range");
    int request = requests.size();
    requests.add(range == null ? "whole" : range);
    try (exchange) {
      if (status != 200) {
        exchange.sendResponseHeaders(status, -1);
        return;
      }
      int from = 0;
      if (range != null && ranges) {
        from = Integer.parseInt(range.substring(6, range.length() - 1));
        if (from >= content.length) {
          exchange.sendResponseHeaders(416, -1);
          return;
        }
        exchange.getResponseHeaders().set("Content-Range", "bytes " + (from + shift) + "-" + (content.length - 1) + "/" + content.length);
      }
      exchange.sendResponseHeaders(from > 0 ? 206 : 200, content.length - from);
      int end = request < cuts.size() ? Math.min(content.length, from + cuts.get(request)) : content.length;
      exchange.getResponseBody().write(content, from, end - from);
      exchange.getResponseBody().flush();
    } catch (IOException e) {
      // the connection ends short of the promised length, which is what a cut is
    }
  }

  private DataSource source(byte[] published, DataSource.Member... members) throws Exception {
    String url = "http://" + server.getAddress().getAddress().getHostAddress() + ":" + server.getAddress().getPort() + "/file.bin";
    return new DataSource("test", List.of(new DataSource.RemoteFile("file.bin", published.length, digest("md5", published), url, List.of(members))));
  }

  private static String digest(String name, byte[] content) throws Exception {
    MessageDigest digest = MessageDigest.getInstance(name.equals("md5") ? "MD5" : "SHA-256");
    return name + ":" + HexFormat.of().formatHex(digest.digest(content));
  }

  private void fetch(DataSource source) throws IOException {
    new Fetch((file, bytes, total) -> {}, Duration.ofMillis(1)).prepare(source, dir);
  }

  private String refused(DataSource source) {
    return assertThrows(IOException.class, () -> fetch(source)).getMessage();
  }

  private List<String> left() throws IOException {
    try (var files = Files.list(dir)) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  @Test void aMissingNetworkIsSaidInWords() throws Exception {
    DataSource source = source(content);
    server.stop(0);
    String message = refused(source);
    assertTrue(message.contains("gave up after 4 attempts: no connection to the server; is there a network?") && message.contains("proxyHost"), message);
    assertEquals(List.of(), left());
  }

  @Test void aWholeDownloadIsCheckedNamedAndNotRepeated() throws Exception {
    List<Long> told = new ArrayList<>();
    new Fetch((file, bytes, total) -> told.add(bytes)).prepare(source(content), dir);
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
    assertEquals(content.length, told.getLast());
    assertEquals(List.of("file.bin"), left());
    fetch(source(content));
    assertEquals(List.of("whole"), requests);
  }

  @Test void aCutDownloadContinuesWhereItEnded() throws Exception {
    cuts.addAll(List.of(100_000, 50_000));
    fetch(source(content));
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
    assertEquals(3, requests.size());
    assertEquals("whole", requests.getFirst());
    long first = Long.parseLong(requests.get(1).replaceAll("\\D", ""));
    long second = Long.parseLong(requests.get(2).replaceAll("\\D", ""));
    assertTrue(first > 0 && first <= 100_000 && second > first && second <= first + 50_000, requests.toString());
  }

  @Test void aPartOfAnEarlierRunIsContinued() throws Exception {
    Files.write(dir.resolve("file.bin.part"), Arrays.copyOf(content, 123_456));
    fetch(source(content));
    assertEquals(List.of("bytes=123456-"), requests);
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
  }

  @Test void aPartThatIsTooLongIsFetchedAnew() throws Exception {
    Files.write(dir.resolve("file.bin.part"), Arrays.copyOf(content, content.length + 1));
    fetch(source(content));
    assertEquals(List.of("whole"), requests);
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
  }

  @Test void aServerThatHasLessThanThePartIsAskedForTheWholeFile() throws Exception {
    byte[] published = Arrays.copyOf(content, content.length + 1);
    Files.write(dir.resolve("file.bin.part"), content);
    assertTrue(refused(source(published)).contains("300000 of 300001 bytes"));
    assertEquals(List.of("bytes=300000-", "whole", "bytes=300000-", "whole"), requests);
  }

  @Test void aRangeThatWasNotAskedForIsNotTaken() throws Exception {
    shift = 1;
    Files.write(dir.resolve("file.bin.part"), Arrays.copyOf(content, 1000));
    fetch(source(content));
    assertEquals(List.of("bytes=1000-", "whole"), requests);
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
  }

  @Test void anInterruptedDownloadKeepsItsPart() throws Exception {
    DataSource source = source(content);
    Fetch fetch = new Fetch((file, bytes, total) -> Thread.currentThread().interrupt(), Duration.ofMillis(1));
    assertThrows(InterruptedIOException.class, () -> fetch.prepare(source, dir));
    assertTrue(Thread.interrupted(), "whoever called is told too");
    assertEquals(List.of("file.bin.part"), left());
    int have = (int) Files.size(dir.resolve("file.bin.part"));
    fetch(source);
    assertEquals(have == content.length ? List.of("whole") : List.of("whole", "bytes=" + have + "-"), requests);
  }

  @Test void aCompletePartIsTakenWithoutARequest() throws Exception {
    Files.write(dir.resolve("file.bin.part"), content);
    fetch(source(content));
    assertEquals(List.of(), requests);
    assertEquals(List.of("file.bin"), left());
  }

  @Test void aServerWithoutRangesStartsAgain() throws Exception {
    ranges = false;
    Files.write(dir.resolve("file.bin.part"), new byte[1000]);
    fetch(source(content));
    assertEquals(List.of("bytes=1000-"), requests);
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
  }

  @Test void aPartThatIsNotTheBeginningOfTheFileIsDroppedAndFetchedAnew() throws Exception {
    Files.write(dir.resolve("file.bin.part"), new byte[1000]);
    fetch(source(content));
    assertEquals(List.of("bytes=1000-", "whole"), requests);
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
  }

  @Test void wrongContentIsRefusedAndRemoved() throws Exception {
    byte[] published = content.clone();
    published[777] ^= 1;
    String message = refused(source(published));
    assertTrue(message.contains("not the published one") && message.contains(digest("md5", content)) && message.contains(digest("md5", published)), message);
    assertEquals(List.of(), left());
    assertEquals(1, requests.size());
  }

  @Test void aWrongFileUnderTheRightNameIsReplaced() throws Exception {
    Files.write(dir.resolve("file.bin"), new byte[content.length]);
    fetch(source(content));
    assertArrayEquals(content, Files.readAllBytes(dir.resolve("file.bin")));
  }

  @Test void tooMuchContentIsRefusedAndRemoved() throws Exception {
    String message = refused(source(Arrays.copyOf(content, 1000)));
    assertTrue(message.contains("more than the published 1000 bytes"), message);
    assertEquals(List.of(), left());
  }

  @Test void shortContentIsKeptToBeContinued() throws Exception {
    byte[] whole = content;
    content = Arrays.copyOf(whole, 200_000);
    ranges = false;
    String message = refused(source(whole));
    assertTrue(message.contains("200000 of 300000 bytes") && message.contains("run the command again"), message);
    assertEquals(List.of("file.bin.part"), left());
    content = whole;
    ranges = true;
    requests.clear();
    fetch(source(whole));
    assertEquals(List.of("bytes=200000-"), requests);
    assertEquals(List.of("file.bin"), left());
  }

  @Test void aMissingFileIsToldAtOnceAndTroubleOfTheServerAfterSomeAttempts() throws Exception {
    status = 404;
    String message = refused(source(content));
    assertTrue(message.contains("/file.bin") && message.contains("404"), message);
    assertEquals(1, requests.size());
    status = 503;
    message = refused(source(content));
    assertTrue(message.contains("503") && message.contains("attempts"), message);
    assertEquals(5, requests.size());
    assertEquals(List.of(), left().stream().filter(f -> !f.endsWith(".part")).toList());
  }

  @Test void aServerThatIsNotThereIsNamed() throws Exception {
    DataSource source = source(content);
    server.stop(0);
    assertTrue(refused(source).contains(source.files().getFirst().url()));
  }

  @Test void twoDownloadsOfOneFileDoNotMix() throws Exception {
    try (FileChannel other = FileChannel.open(dir.resolve("file.bin.part"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      other.lock();
      assertTrue(refused(source(content)).contains("another download"));
    }
  }

  @Test void theMembersOfAnArchiveAreTakenOutAndNothingElse() throws Exception {
    byte[] one = Arrays.copyOf(content, 5000);
    byte[] two = Arrays.copyOf(content, 512);
    content = gzip(tar("../../evil", two, '0'), tar("box/", new byte[0], '5'), tar("box/one.bin", one, '0'), tar("box/link", new byte[0], '2'),
        tar("box/two.bin", two, '0'), new byte[1024]);
    fetch(source(content, new DataSource.Member("box/one.bin", 5000, digest("sha256", one)), new DataSource.Member("box/two.bin", 512, digest("sha256", two))));
    assertEquals(List.of("box"), left());
    assertArrayEquals(one, Files.readAllBytes(dir.resolve("box/one.bin")));
    assertArrayEquals(two, Files.readAllBytes(dir.resolve("box/two.bin")));
    try (var files = Files.list(dir.resolve("box"))) {
      assertEquals(2, files.count());
    }
    assertFalse(Files.exists(dir.resolve("../../evil")));
    fetch(source(content, new DataSource.Member("box/one.bin", 5000, digest("sha256", one)), new DataSource.Member("box/two.bin", 512, digest("sha256", two))));
    assertEquals(List.of("whole"), requests, "what is there is not fetched again");
  }

  @Test void wrongArchivesAreRefused() throws Exception {
    byte[] one = Arrays.copyOf(content, 5000);
    DataSource.Member member = new DataSource.Member("box/one.bin", 5000, digest("sha256", one));
    byte[] other = one.clone();
    other[9] ^= 1;
    byte[] badSum = tar("box/one.bin", one, '0');
    badSum[1] ^= 1;
    Object[][] cases = {
      {gzip(new byte[1024]), "has no box/one.bin"}, {gzip(tar("box/one.bin", other, '0')), "not the published one"},
      {gzip(tar("box/one.bin", new byte[7], '0')), "has 7 bytes"}, {gzip(badSum), "checksum"},
      {gzip(TarFile.header("box/other.bin", 1L << 32, '0')), "holds more than 4294967296 bytes"}, {gzip(Arrays.copyOf(tar("box/one.bin", one, '0'), 3000)), "cut short"}, {gzip(tar("box/one.bin", one, '2'), new byte[1024]), "has no box/one.bin"},
      {one, "archive"}};
    for (Object[] c : cases) {
      content = (byte[]) c[0];
      Files.deleteIfExists(dir.resolve("file.bin"));
      String message = refused(source(content, member));
      assertTrue(message.contains((String) c[1]), message);
      assertFalse(Files.exists(dir.resolve("box/one.bin")));
      assertFalse(Files.exists(dir.resolve("box/one.bin.part")));
    }
  }

  @Test void namesThatLeaveTheFolderAreRefused() {
    for (String name : new String[] {"../x", "/x", "a/b/c", ".x", ""}) {
      assertThrows(IllegalArgumentException.class, () -> new DataSource.Member(name, 1, "md5:0"), name);
    }
  }

  private static byte[] tar(String name, byte[] content, char type) {
    byte[] entry = new byte[512 + (content.length + 511) / 512 * 512];
    put(entry, 0, name);
    put(entry, 100, "0000644\0");
    put(entry, 124, String.format("%011o ", content.length));
    put(entry, 148, "        ");
    entry[156] = (byte) type;
    put(entry, 257, "ustar  \0");
    int sum = 0;
    for (int i = 0; i < 512; i++) sum += entry[i] & 255;
    put(entry, 148, String.format("%06o\0 ", sum));
    System.arraycopy(content, 0, entry, 512, content.length);
    return entry;
  }

  private static void put(byte[] entry, int at, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(bytes, 0, entry, at, bytes.length);
  }

  private static byte[] gzip(byte[]... parts) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (GZIPOutputStream zip = new GZIPOutputStream(out)) {
      for (byte[] part : parts) zip.write(part);
    }
    return out.toByteArray();
  }
}
