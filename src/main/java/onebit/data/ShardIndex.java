package onebit.data;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;

/**
 * Where the images of one split lie in its tar shards, which class each has, and the checksum of its bytes.
 *
 * <pre>
 * file   := "onebit shards 1\n" made:text shards:i32 classes:i32 images:i32 shard{shards} class{classes} image{images} crc:i32
 * shard  := name:text bytes:i64 images:i32          the images of shard 0 come first
 * class  := name:text
 * image  := at:i64 length:i32 label:i32 crc:i32     its bytes are [at, at + length) of its shard
 * text   := length:u16 UTF-8
 * Units  numbers big endian; crc is CRC-32C, that of the file over all bytes before it; made says how the images were made
 * Cost   20 bytes an image, in the file and in memory
 * </pre>
 */
final class ShardIndex {
  private static final byte[] MAGIC = "onebit shards 1\n".getBytes(StandardCharsets.US_ASCII);
  private static final int IMAGE_BYTES = 20, MOST = 1 << 27;
  private static final Pattern PLAIN_NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}");

  /** One tar file and how many images it holds. */
  record Shard(String name, long bytes, int images) {}

  /** An image being added: where it is in its shard. */
  record Image(long at, int length, int label, int crc) {}

  final String made;
  final List<Shard> shards;
  final List<String> classes;
  final long[] at;
  final int[] length;
  final int[] label;
  final int[] crc;
  /** The first image of each shard, and one past the last. */
  private final int[] firstOf;

  private ShardIndex(String made, List<Shard> shards, List<String> classes, long[] at, int[] length, int[] label, int[] crc) {
    this.made = made;
    this.shards = List.copyOf(shards);
    this.classes = List.copyOf(classes);
    this.at = at;
    this.length = length;
    this.label = label;
    this.crc = crc;
    firstOf = new int[shards.size() + 1];
    for (int s = 0; s < shards.size(); s++) firstOf[s + 1] = firstOf[s] + shards.get(s).images();
  }

  /** The index of one shard. */
  static ShardIndex of(String made, String name, long bytes, List<String> classes, List<Image> images) {
    return new ShardIndex(made, List.of(new Shard(name, bytes, images.size())), classes, images.stream().mapToLong(Image::at).toArray(),
        images.stream().mapToInt(Image::length).toArray(), images.stream().mapToInt(Image::label).toArray(), images.stream().mapToInt(Image::crc).toArray());
  }

  /** The images of several indexes of the same classes, one after another. */
  static ShardIndex joined(List<ShardIndex> parts) {
    int images = parts.stream().mapToInt(ShardIndex::size).sum(), n = 0;
    List<Shard> shards = new ArrayList<>();
    long[] at = new long[images];
    int[] length = new int[images], label = new int[images], crc = new int[images];
    for (ShardIndex part : parts) {
      shards.addAll(part.shards);
      System.arraycopy(part.at, 0, at, n, part.size());
      System.arraycopy(part.length, 0, length, n, part.size());
      System.arraycopy(part.label, 0, label, n, part.size());
      System.arraycopy(part.crc, 0, crc, n, part.size());
      n += part.size();
    }
    return new ShardIndex(parts.getFirst().made, shards, parts.getFirst().classes, at, length, label, crc);
  }

  int size() {
    return at.length;
  }

  /** One past the last image of a shard. */
  int endOf(int shard) {
    return firstOf[shard + 1];
  }

  /** The shard that holds an image. */
  int shardOf(int image) {
    int found = Arrays.binarySearch(firstOf, image);
    if (found < 0) return -found - 2;
    while (firstOf[found + 1] == image) found++;
    return found;
  }

  /** Writes the file in one step: on the disk as a whole, or as it was before. */
  void write(Path file) throws IOException {
    ByteArrayOutputStream head = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(head);
    out.write(MAGIC);
    text(out, made);
    out.writeInt(shards.size());
    out.writeInt(classes.size());
    out.writeInt(size());
    for (Shard shard : shards) {
      text(out, shard.name());
      out.writeLong(shard.bytes());
      out.writeInt(shard.images());
    }
    for (String name : classes) text(out, name);
    ByteBuffer bytes = ByteBuffer.allocate(Math.addExact(head.size() + 4, Math.multiplyExact(size(), IMAGE_BYTES))).put(head.toByteArray());
    for (int i = 0; i < size(); i++) bytes.putLong(at[i]).putInt(length[i]).putInt(label[i]).putInt(crc[i]);
    CRC32C sum = new CRC32C();
    sum.update(bytes.array(), 0, bytes.position());
    bytes.putInt((int) sum.getValue()).flip();
    replace(file, bytes);
  }

  /** Replaces a file in one step: on the disk as a whole, or as it was before. */
  static void replace(Path file, ByteBuffer bytes) throws IOException {
    Path part = file.resolveSibling(file.getFileName() + ".part");
    try (FileChannel channel = FileChannel.open(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
      while (bytes.hasRemaining()) channel.write(bytes);
      channel.force(true);
    } catch (IOException e) {
      throw new IOException(file + ": cannot be written: " + e.getMessage(), e);
    }
    Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  private static void text(DataOutputStream out, String text) throws IOException {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    if (utf8.length > 0xFFFF) throw new IOException("a name of " + utf8.length + " bytes is too long for an index");
    out.writeShort(utf8.length);
    out.write(utf8);
  }

  /**
   * Reads a file.
   *
   * @throws IOException if it is cut short, changed, or says what cannot be; the message names it
   */
  static ShardIndex read(Path file) throws IOException {
    if (Files.size(file) > Integer.MAX_VALUE - 16) throw new IOException(file + ": has " + Files.size(file) + " bytes, more than an index can have");
    return parse(file.toString(), Files.readAllBytes(file));
  }

  /** Reads the bytes of a file; its name appears in messages only. */
  static ShardIndex parse(String file, byte[] content) throws IOException {
    if (content.length < MAGIC.length + 4 || !Arrays.equals(content, 0, MAGIC.length, MAGIC, 0, MAGIC.length)) {
      throw new IOException(file + ": is not an index of shards");
    }
    CRC32C sum = new CRC32C();
    sum.update(content, 0, content.length - 4);
    if (ByteBuffer.wrap(content).getInt(content.length - 4) != (int) sum.getValue()) {
      throw new IOException(file + ": the index is damaged or cut short (its checksum is wrong); make it anew with onebit data prepare imagenet");
    }
    return new Parse(file, ByteBuffer.wrap(content, MAGIC.length, content.length - 4 - MAGIC.length)).read();
  }

  /** Reads what lies between magic and checksum; whatever it says, nothing is allocated that the file has no bytes for. */
  private record Parse(String file, ByteBuffer in) {
    ShardIndex read() throws IOException {
      String made = text();
      int shards = count("shards", 14), classes = count("classes", 2), images = count("images", IMAGE_BYTES);
      List<Shard> all = new ArrayList<>();
      long total = 0;
      for (int s = 0; s < shards; s++) {
        String name = text();
        require(in.remaining() >= 12, "ends inside a shard");
        Shard shard = new Shard(name, in.getLong(), in.getInt());
        require(PLAIN_NAME.matcher(name).matches(), "names a shard that is no plain file name");
        require(shard.bytes() >= 0 && shard.images() >= 0, "has a shard of negative size");
        total += shard.images();
        all.add(shard);
      }
      List<String> names = new ArrayList<>();
      for (int c = 0; c < classes; c++) names.add(text());
      require(total == images, "counts " + images + " images, its shards " + total);
      require(in.remaining() == (long) images * IMAGE_BYTES, "has another length than its " + images + " images need");
      long[] at = new long[images];
      int[] length = new int[images], label = new int[images], crc = new int[images];
      int i = 0;
      for (Shard shard : all) {
        for (int end = i + shard.images(); i < end; i++) {
          at[i] = in.getLong();
          length[i] = in.getInt();
          label[i] = in.getInt();
          crc[i] = in.getInt();
          require(at[i] >= 512 && length[i] >= 0 && at[i] <= shard.bytes() - length[i], "puts image " + i + " outside its shard " + shard.name());
          require(label[i] >= 0 && label[i] < classes, "gives image " + i + " the class " + label[i] + " of " + classes);
        }
      }
      return new ShardIndex(made, all, names, at, length, label, crc);
    }

    private int count(String what, int leastBytes) throws IOException {
      require(in.remaining() >= 4, "ends inside its head");
      int n = in.getInt();
      require(n >= 0 && n <= MOST && (long) n * leastBytes <= in.remaining(), "cannot hold " + n + " " + what);
      return n;
    }

    private String text() throws IOException {
      require(in.remaining() >= 2, "ends inside a name");
      int n = in.getShort() & 0xFFFF;
      require(in.remaining() >= n, "ends inside a name");
      byte[] utf8 = new byte[n];
      in.get(utf8);
      return new String(utf8, StandardCharsets.UTF_8);
    }

    private void require(boolean good, String what) throws IOException {
      if (!good) throw new IOException(file + ": the index " + what);
    }
  }
}
