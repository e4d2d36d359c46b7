package onebit.ops.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Renames a library that an ELF shared object needs, where the new name is as long as the old one.
 *
 * <pre>
 * Source   System V ABI, "Dynamic Linking"; Linux Standard Base, "Symbol Versioning" (Verneed, Vernaux)
 * </pre>
 */
final class ElfLabels {
  private static final int SECTION_HEADER_BYTES = 64;
  private static final int DYNAMIC_STRINGS = 3;      // sh_type SHT_STRTAB
  private static final int NEEDED_VERSIONS = 0x6ffffffe;

  private ElfLabels() {}

  /**
   * The object's bytes with {@code from} replaced by {@code to} in .dynstr, and the hash of that name in .gnu.version_r, so that
   * the loader asks {@code to} for symbols of version {@code to}.
   *
   * @throws IllegalArgumentException if the lengths differ, the bytes are no 64-bit little-endian ELF, or {@code from} is not needed
   */
  static byte[] relabel(byte[] object, String from, String to) {
    if (from.length() != to.length()) {
      throw new IllegalArgumentException("relabel: " + from + " and " + to + " have different lengths; they must be equal");
    }
    ByteBuffer elf = ByteBuffer.wrap(object.clone()).order(ByteOrder.LITTLE_ENDIAN);
    if (elf.limit() < SECTION_HEADER_BYTES || elf.getInt(0) != 0x464c457f || elf.get(4) != 2 || elf.get(5) != 1) {
      throw new IllegalArgumentException("relabel: the bytes are not a 64-bit little-endian ELF object");
    }
    int sections = Math.toIntExact(elf.getLong(40));
    int count = elf.getShort(60);
    int strings = -1;
    int versions = -1;
    for (int i = 0; i < count; i++) {
      int header = sections + i * SECTION_HEADER_BYTES;
      if (elf.getInt(header + 4) == NEEDED_VERSIONS) {
        versions = header;
        strings = sections + elf.getInt(header + 40) * SECTION_HEADER_BYTES;
      }
    }
    if (versions < 0 || elf.getInt(strings + 4) != DYNAMIC_STRINGS) {
      throw new IllegalArgumentException("relabel: the object needs no versioned library, so not " + from + " either");
    }
    int stringsAt = Math.toIntExact(elf.getLong(strings + 24));
    int stringsEnd = stringsAt + Math.toIntExact(elf.getLong(strings + 32));
    int replaced = replaceNames(elf, stringsAt, stringsEnd, from, to);
    if (replaced == 0) {
      throw new IllegalArgumentException("relabel: the object does not need " + from);
    }
    int at = Math.toIntExact(elf.getLong(versions + 24));
    replaceHashes(elf, at, hash(from), hash(to));
    return elf.array();
  }

  private static int replaceNames(ByteBuffer elf, int start, int end, String from, String to) {
    byte[] old = ("\0" + from + "\0").getBytes(StandardCharsets.US_ASCII);
    byte[] name = to.getBytes(StandardCharsets.US_ASCII);
    int replaced = 0;
    for (int i = start; i + old.length <= end; i++) {
      boolean same = true;
      for (int k = 0; k < old.length && same; k++) {
        same = elf.get(i + k) == old[k];
      }
      if (same) {
        elf.put(i + 1, name);
        replaced++;
      }
    }
    return replaced;
  }

  private static void replaceHashes(ByteBuffer elf, int firstNeed, int from, int to) {
    int need = firstNeed;
    while (true) {
      int entry = need + elf.getInt(need + 8);
      for (int i = Short.toUnsignedInt(elf.getShort(need + 2)); i > 0; i--) {
        if (elf.getInt(entry) == from) {
          elf.putInt(entry, to);
        }
        entry += elf.getInt(entry + 12);
      }
      int next = elf.getInt(need + 12);
      if (next == 0) {
        return;
      }
      need += next;
    }
  }

  /** The System V hash of a name. */
  static int hash(String name) {
    int h = 0;
    for (byte c : name.getBytes(StandardCharsets.US_ASCII)) {
      h = (h << 4) + c;
      int high = h & 0xf0000000;
      h = (h ^ (high >>> 24)) & ~high;
    }
    return h;
  }
}
