package onebit.data;

import com.google.common.hash.Hashing;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.RandomAccess;

/** Files of some folders, in the order in which they were added. Each takes the bytes of its name and 4 more, where a {@link Path} takes more than 100. */
final class FolderFiles extends AbstractList<Path> implements RandomAccess {
  private final List<Path> folders = new ArrayList<>();
  private int[] firstOf = new int[16];
  private byte[] names = new byte[1 << 10];
  private int[] ends = new int[1 << 6];
  private int size;

  /**
   * Adds files of one folder.
   *
   * @throws IOException if all names together have more than 2^31 bytes
   */
  void add(Path folder, List<String> files) throws IOException {
    if (folders.size() == firstOf.length) firstOf = Arrays.copyOf(firstOf, 2 * folders.size());
    firstOf[folders.size()] = size;
    folders.add(folder);
    for (String file : files) {
      byte[] name = file.getBytes(StandardCharsets.UTF_8);
      int from = start(size);
      if (from > Integer.MAX_VALUE - 16 - name.length) throw new IOException(folder + ": the names of all files are longer than 2^31 bytes");
      if (from + name.length > names.length) names = Arrays.copyOf(names, (int) Math.min(Integer.MAX_VALUE - 16, Math.max(2L * names.length, from + name.length)));
      if (size == ends.length) ends = Arrays.copyOf(ends, 2 * size);
      System.arraycopy(name, 0, names, from, name.length);
      ends[size++] = from + name.length;
    }
  }

  /** A number that stands for the names and their order, wherever the folders lie. */
  int fingerprint() {
    return Hashing.farmHashFingerprint64().hashBytes(names, 0, start(size)).asInt();
  }

  private int start(int index) {
    return index == 0 ? 0 : ends[index - 1];
  }

  @Override public Path get(int index) {
    int from = start(Objects.checkIndex(index, size)), found = Arrays.binarySearch(firstOf, 0, folders.size(), index);
    if (found < 0) found = -found - 2;
    while (found + 1 < folders.size() && firstOf[found + 1] == index) found++;
    return folders.get(found).resolve(new String(names, from, ends[index] - from, StandardCharsets.UTF_8));
  }

  @Override public int size() {
    return size;
  }
}
