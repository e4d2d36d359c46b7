package onebit.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.dataformat.yaml.YAMLMapper;

/** Where a data set's files are published, how long they are, and the digests by which they are known. */
public record DataSource(String name, List<RemoteFile> files) {
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?");
  private static final Map<String, String> ALGORITHMS = Map.of("md5", "MD5", "sha256", "SHA-256");

  /** A file at an address; where it is an archive, only its members are kept. */
  public record RemoteFile(String name, long bytes, String digest, String url, List<Member> members) {
    public RemoteFile {
      requireFile(name, bytes, digest);
      if (url == null) throw new IllegalArgumentException(name + ": has no url");
      members = members == null ? List.of() : List.copyOf(members);
    }
  }

  /** A file inside a tar.gz archive, under the same name below the output folder. */
  public record Member(String name, long bytes, String digest) {
    public Member {
      requireFile(name, bytes, digest);
    }
  }

  public DataSource {
    if (name == null || files == null || files.isEmpty()) throw new IllegalArgumentException("DataSource: a name and one file are needed");
    files = List.copyOf(files);
  }

  /**
   * The published source of a data set.
   *
   * @throws IllegalArgumentException if nothing is fetched under this name; the message says why
   */
  public static DataSource of(String name) {
    Datasets.Entry entry = Datasets.list().stream().filter(e -> e.name().equals(name)).findFirst().orElse(null);
    if (entry == null || !entry.fetched()) {
      String known = String.join(", ", Datasets.list().stream().filter(Datasets.Entry::fetched).map(Datasets.Entry::name).toList());
      String why = entry == null ? "is not known" : entry.needsDirectory() ? "is yours to lay out, see " + Datasets.page(name) : "is made by the program and needs no files";
      throw new IllegalArgumentException("data set " + name + " " + why + "; data prepare fetches " + known + " and makes shards of the archives of " + Datasets.IMAGENET);
    }
    try (InputStream in = DataSource.class.getResourceAsStream(name + ".yaml")) {
      if (in == null) throw new IllegalStateException("the source of " + name + " is missing from this program");
      return YAMLMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES).build().readValue(in, DataSource.class);
    } catch (IOException | JacksonException e) {
      throw new IllegalStateException("the source of " + name + " in this program cannot be read: " + e.getMessage(), e);
    }
  }

  private static void requireFile(String name, long bytes, String digest) {
    if (name == null || !NAME.matcher(name).matches()) {
      throw new IllegalArgumentException("DataSource: file name " + name + " must be a plain name with at most one folder");
    }
    if (bytes < 1) throw new IllegalArgumentException(name + ": bytes " + bytes + " must be >= 1");
    if (digest == null || !ALGORITHMS.containsKey(digest.split(":")[0])) {
      throw new IllegalArgumentException(name + ": digest " + digest + " must be md5:HEX or sha256:HEX");
    }
  }

  /** A digest that will be compared with one like {@code md5:0123...}. */
  static MessageDigest digestFor(String expected) {
    try {
      return MessageDigest.getInstance(ALGORITHMS.get(expected.split(":")[0]));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  static String written(String expected, MessageDigest digest) {
    return expected.split(":")[0] + ":" + HexFormat.of().formatHex(digest.digest());
  }

  /** Whether a file is there with this length and digest. */
  static boolean matches(Path file, long bytes, String expected) throws IOException {
    return Files.isRegularFile(file) && Files.size(file) == bytes && digest(file, expected).equals(expected);
  }

  /** The digest of a file, written like the expected one. */
  static String digest(Path file, String expected) throws IOException {
    MessageDigest digest = digestFor(expected);
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) digest.update(buffer, 0, n);
    }
    return written(expected, digest);
  }
}
