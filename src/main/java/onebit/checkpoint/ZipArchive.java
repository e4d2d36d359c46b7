package onebit.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * A zip archive in memory, read strictly: entry names are keys, never paths.
 *
 * <pre>
 * Limits    65,535 entries; all entries together 16 MiB + 20 times the archive; stored or deflated; one disk; no encryption
 * Refuses   names that appear twice, entries that overlap or leave the archive, sizes or checksums that are not true, an archive in an entry
 * </pre>
 */
final class ZipArchive {
  private static final int END = 0x06054b50;
  private static final int CENTRAL = 0x02014b50;
  private static final int LOCAL = 0x04034b50;
  private static final int END_BYTES = 22;
  private static final int CENTRAL_BYTES = 46;
  private static final int LOCAL_BYTES = 30;
  private static final long FREE_BYTES = 16L << 20;
  private static final int MAX_GROWTH = 20;

  private record Entry(String name, boolean deflated, int crc, int start, int packed, int size) {}

  private final String label;
  private final ByteBuffer file;
  private final Map<String, Entry> entries = new LinkedHashMap<>();

  ZipArchive(String label, ByteBuffer archive) throws CheckpointException {
    this.label = label;
    this.file = archive.slice().order(ByteOrder.LITTLE_ENDIAN);
    int end = findEnd();
    int count = u16(end + 10);
    long size = u32(end + 12);
    long start = u32(end + 16);
    if (u16(end + 4) != 0 || u16(end + 6) != 0 || u16(end + 8) != count) throw refused("the zip archive spans several disks");
    if (start + size > end) throw refused("the zip directory of " + size + " bytes at " + start + " does not fit before byte " + end);
    readDirectory((int) start, (int) (start + size), count);
  }

  Set<String> names() {
    return entries.keySet();
  }

  int size(String name) {
    return entries.get(name).size;
  }

  /**
   * The content of an entry, checked against its size and CRC-32; stored entries share the archive's bytes.
   *
   * @throws CheckpointException when there is no such entry or its content is not what the directory says
   */
  ByteBuffer read(String name) throws CheckpointException {
    Entry entry = entries.get(name);
    if (entry == null) throw refused("zip entry " + NamedTensor.excerpt(name) + " is missing");
    ByteBuffer packed = file.slice(entry.start, entry.packed);
    ByteBuffer content = entry.deflated ? inflate(entry, packed) : packed;
    CRC32 crc = new CRC32();
    crc.update(content.duplicate());
    if ((int) crc.getValue() != entry.crc) throw refused("zip entry " + name + " is damaged: its CRC-32 differs");
    if (entry.size >= 4 && content.order(ByteOrder.LITTLE_ENDIAN).getInt(0) == LOCAL) throw refused("zip entry " + name + " is itself a zip archive");
    return content;
  }

  private ByteBuffer inflate(Entry entry, ByteBuffer packed) throws CheckpointException {
    Inflater inflater = new Inflater(true);
    try {
      inflater.setInput(packed.duplicate());
      ByteBuffer out = ByteBuffer.allocate(entry.size);
      while (out.hasRemaining() && inflater.inflate(out) > 0) { }
      boolean more = !inflater.finished() && inflater.inflate(new byte[1]) > 0;
      if (out.hasRemaining() || more || !inflater.finished()) {
        throw refused("zip entry " + entry.name + " does not unpack to the " + entry.size + " bytes it declares");
      }
      return out.flip();
    } catch (DataFormatException e) {
      throw refused("zip entry " + entry.name + " is not valid deflate data");
    } finally {
      inflater.end();
    }
  }

  private int findEnd() throws CheckpointException {
    int last = file.limit() - END_BYTES;
    for (int at = last; at >= 0 && at >= last - 0xFFFF; at--) {
      if (file.getInt(at) == END && at + END_BYTES + u16(at + 20) == file.limit()) return at;
    }
    throw refused("no zip directory at the end: the file is cut short, or is none that torch.save of PyTorch 1.6 or later wrote");
  }

  private void readDirectory(int start, int end, int count) throws CheckpointException {
    int at = start;
    long total = 0;
    for (int i = 0; i < count; i++) {
      if (end - at < CENTRAL_BYTES || file.getInt(at) != CENTRAL) throw refused("zip directory entry " + i + " of " + count + " is damaged");
      int next = at + CENTRAL_BYTES + u16(at + 28) + u16(at + 30) + u16(at + 32);
      if (next > end) throw refused("zip directory entry " + i + " runs past the directory");
      Entry entry = readEntry(at, start);
      if (entries.putIfAbsent(entry.name, entry) != null) throw refused("zip entry " + entry.name + " appears twice");
      total += entry.size;
      at = next;
    }
    if (at != end) throw refused("the zip directory holds more than its " + count + " entries");
    long most = FREE_BYTES + (long) MAX_GROWTH * file.limit();
    if (total > most) throw refused("the zip entries unpack to " + total + " bytes; at most " + most + " are allowed for a file of this size");
    requireApart();
  }

  private Entry readEntry(int at, int directory) throws CheckpointException {
    String name = name(at + CENTRAL_BYTES, u16(at + 28));
    String what = "zip entry " + name;
    int method = u16(at + 10);
    long packed = u32(at + 20);
    long size = u32(at + 24);
    long local = u32(at + 42);
    if ((u16(at + 8) & 1) != 0) throw refused(what + " is encrypted");
    if (method != 0 && method != 8) throw refused(what + " uses compression method " + method + "; stored and deflated are known");
    if (method == 0 && packed != size) throw refused(what + " is stored with " + packed + " bytes and declares " + size);
    if (size > DurableFiles.MAX_FILE_BYTES) throw refused(what + " declares " + size + " bytes; at most " + DurableFiles.MAX_FILE_BYTES + " are allowed");
    if (local + LOCAL_BYTES > directory || file.getInt((int) local) != LOCAL) throw refused(what + " has no header at byte " + local);
    int nameBytes = u16((int) local + 26);
    long start = local + LOCAL_BYTES + nameBytes + u16((int) local + 28);
    if (start + packed > directory) throw refused(what + " of " + packed + " bytes at " + start + " runs into the zip directory at " + directory);
    if (!name(((int) local) + LOCAL_BYTES, nameBytes).equals(name) || u16((int) local + 8) != method) {
      throw refused(what + " has another name or method in its own header than in the directory");
    }
    return new Entry(name, method == 8, file.getInt(at + 16), (int) start, (int) packed, (int) size);
  }

  private void requireApart() throws CheckpointException {
    List<Entry> sorted = new ArrayList<>(entries.values());
    sorted.sort(Comparator.comparingInt(Entry::start));
    long end = 0;
    for (Entry entry : sorted) {
      long begin = (long) entry.start - LOCAL_BYTES - entry.name.getBytes(StandardCharsets.UTF_8).length;
      if (begin < end) throw refused("zip entry " + entry.name + " overlaps the one before it");
      end = (long) entry.start + entry.packed;
    }
  }

  private String name(int at, int bytes) throws CheckpointException {
    if (bytes < 1 || bytes > NamedTensor.MAX_NAME_BYTES) throw refused("a zip entry name has " + bytes + " bytes; 1 to 1024 are allowed");
    try {
      String name = StandardCharsets.UTF_8.newDecoder().decode(file.slice(at, bytes)).toString();
      if (name.chars().anyMatch(Character::isISOControl)) throw refused("zip entry " + NamedTensor.excerpt(name) + " has a control character in its name");
      return name;
    } catch (CharacterCodingException e) {
      throw refused("a zip entry name is not valid UTF-8");
    }
  }

  private int u16(int at) {
    return file.getShort(at) & 0xFFFF;
  }

  private long u32(int at) {
    return file.getInt(at) & 0xFFFFFFFFL;
  }

  private CheckpointException refused(String why) {
    return new CheckpointException(label + ": " + why);
  }
}
