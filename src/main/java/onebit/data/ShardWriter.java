package onebit.data;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * One shard being written: a WebDataset tar with NAME.jpg, or NAME.ppm, and NAME.cls for every image, and beside it the index of its images.
 *
 * <p>Both are written under {@code .part} names, brought to the disk, and then named, the index last: a shard with its index is whole, anything
 * else is written anew. The same images give the same bytes.
 */
final class ShardWriter implements AutoCloseable {
  private static final int BLOCK = 512;
  /** What the index of one shard is called, before those of all shards are joined. */
  static final String PIECE = ".index";

  private final Path file;
  private final Path part;
  private final String made;
  private final List<String> classes;
  private final FileChannel channel;
  private final List<ShardIndex.Image> images = new ArrayList<>();
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 18);
  private long at;

  ShardWriter(Path file, String made, List<String> classes) throws IOException {
    this.file = file;
    this.part = part(file);
    this.made = made;
    this.classes = classes;
    Files.deleteIfExists(piece(file));   // the index of a shard that was deleted must not pass for that of this one
    channel = FileChannel.open(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING);
  }

  /** What a shard is called until it is whole. */
  static Path part(Path shard) {
    return shard.resolveSibling(shard.getFileName() + ".part");
  }

  /** Adds the bytes of an image's file and its class; {@code key} is the name without an ending and without dots. */
  void add(String key, byte[] image, int label) throws IOException {
    CRC32C crc = new CRC32C();
    crc.update(image);
    images.add(new ShardIndex.Image(at + BLOCK, image.length, label, (int) crc.getValue()));
    entry(key + (PpmHeader.isNetpbm(MemorySegment.ofArray(image), image.length) ? ".ppm" : ".jpg"), image);
    entry(key + ".cls", Integer.toString(label).getBytes(StandardCharsets.US_ASCII));
  }

  private void entry(String name, byte[] content) throws IOException {
    byte[] header = new byte[BLOCK];
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    if (utf8.length > 100) throw new IOException(file + ": the name " + name + " is longer than the 100 bytes of a tar header");
    System.arraycopy(utf8, 0, header, 0, utf8.length);
    octal(header, 100, 8, 0644);
    octal(header, 108, 8, 0);
    octal(header, 116, 8, 0);
    octal(header, 124, 12, content.length);
    octal(header, 136, 12, 0);
    header[156] = '0';
    System.arraycopy("ustar\00000".getBytes(StandardCharsets.US_ASCII), 0, header, 257, 8);
    java.util.Arrays.fill(header, 148, 156, (byte) ' ');
    int sum = 0;
    for (byte b : header) sum += b & 255;
    octal(header, 148, 7, sum);
    put(header, BLOCK);
    put(content, content.length);
    put(new byte[BLOCK], (BLOCK - content.length % BLOCK) % BLOCK);
  }

  private static void octal(byte[] header, int from, int length, long value) {
    String digits = Long.toOctalString(value);
    String text = "0".repeat(length - 1 - digits.length()) + digits;
    System.arraycopy(text.getBytes(StandardCharsets.US_ASCII), 0, header, from, length - 1);
    header[from + length - 1] = 0;
  }

  private void put(byte[] bytes, int length) throws IOException {
    for (int done = 0; done < length; ) {
      if (!buffer.hasRemaining()) flush();
      int n = Math.min(length - done, buffer.remaining());
      buffer.put(bytes, done, n);
      done += n;
    }
    at += length;
  }

  private void flush() throws IOException {
    buffer.flip();
    try {
      while (buffer.hasRemaining()) channel.write(buffer);
    } catch (IOException e) {
      throw unwritten(e);
    }
    buffer.clear();
  }

  private IOException unwritten(IOException e) {
    return new IOException(file + ": cannot be written: " + e.getMessage() + "; the shards that are whole stay, and the same command goes on with the others", e);
  }

  /** Ends the archive, gives both files their names, and returns the index. */
  ShardIndex finish() throws IOException {
    put(new byte[2 * BLOCK], 2 * BLOCK);
    flush();
    ShardIndex index = ShardIndex.of(made, file.getFileName().toString(), at, classes, images);
    try {
      channel.force(true);
      channel.close();
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      index.write(piece(file));
    } catch (IOException e) {
      Files.deleteIfExists(file);
      throw unwritten(e);
    }
    return index;
  }

  /** The index that lies beside a shard. */
  static Path piece(Path shard) {
    return shard.resolveSibling(shard.getFileName() + PIECE);
  }

  /** The index of a shard that is whole, or null where it has to be written. */
  static ShardIndex whole(Path file) throws IOException {
    if (!Files.isRegularFile(file) || !Files.isRegularFile(piece(file))) return null;
    ShardIndex index;
    try {
      index = ShardIndex.read(piece(file));
    } catch (IOException damaged) {
      return null;
    }
    return index.shards.size() == 1 && index.shards.getFirst().bytes() == Files.size(file) ? index : null;
  }

  @Override public void close() throws IOException {
    channel.close();
    Files.deleteIfExists(part);
  }
}
