package onebit.data;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Images in WebDataset tar shards, each read by its position: with the index that {@code data prepare} wrote, or, for shards made elsewhere, with
 * one made here from the headers.
 *
 * <p>In shards made elsewhere the files of a sample share their name up to the first dot: {@code jpg}, {@code jpeg}, {@code png} or {@code ppm} is the
 * image, {@code cls} its class as digits, or {@code json} an object with a whole number {@code label} or {@code cls}; the rest is skipped. With an index,
 * the bytes of every image are checked against their checksum each time they are read.
 *
 * <pre>
 * Cost   20 bytes of memory an image, and one open file a shard
 * </pre>
 */
public final class ShardDataset extends SquareDataset {
  private static final int MOST_LABEL_BYTES = 1 << 16;

  private final Path folder;
  private final ShardIndex index;
  private final boolean checksums;
  private final String stored;
  private final AtomicReferenceArray<FileChannel> files;
  private final AtomicReferenceArray<MemorySegment> mapped;
  private final ThreadLocal<CheckedWorkspace> workspace = ThreadLocal.withInitial(CheckedWorkspace::new);

  /** One that also checks the bytes. */
  private static final class CheckedWorkspace extends Workspace {
    final CRC32C crc = new CRC32C();
  }

  private ShardDataset(String name, Path folder, ShardIndex index, boolean checksums, int classes, int side, String stored) {
    super(name, index.size(), side, 3, classes);
    this.folder = folder;
    this.index = index;
    this.checksums = checksums;
    this.stored = stored;
    files = new AtomicReferenceArray<>(index.shards.size());
    mapped = new AtomicReferenceArray<>(index.shards.size());
  }

  /** The shards of a split in a folder, or null where it has none: an index, {@code SPLIT*.tar}, or a folder SPLIT of tar files. */
  static ShardDataset find(Path dir, Split split, int side) throws IOException {
    for (String part : split == Split.TRAIN ? List.of("train") : List.of("val", "test")) {
      Path file = dir.resolve(part + ".index");
      if (Files.isRegularFile(file)) return indexed(dir, file, side);
      List<Path> tars = tars(dir, part);
      Path inside = dir.resolve(part);
      if (!tars.isEmpty()) return scanned(dir, tars, side);
      if (Files.isDirectory(inside) && !(tars = tars(inside, "")).isEmpty()) return scanned(inside, tars, side);
    }
    return null;
  }

  private static List<Path> tars(Path dir, String prefix) throws IOException {
    try (Stream<Path> entries = Files.list(dir)) {
      return entries.filter(p -> p.getFileName().toString().startsWith(prefix) && p.getFileName().toString().endsWith(".tar")).sorted().toList();
    }
  }

  private static ShardDataset indexed(Path dir, Path file, int side) throws IOException {
    ShardIndex index = ShardIndex.read(file);
    if (index.size() == 0) throw new IOException(file + ": the index has no images");
    for (ShardIndex.Shard shard : index.shards) {
      Path tar = dir.resolve(shard.name());
      long bytes = Files.isRegularFile(tar) ? Files.size(tar) : -1;
      if (bytes != shard.bytes()) {
        throw new IOException(tar + ": " + (bytes < 0 ? "is missing" : "has " + bytes + " bytes") + "; " + file.getFileName() + " says " + shard.bytes() + " bytes");
      }
    }
    return new ShardDataset(dir.getFileName().toString(), dir, index, true, index.classes.size(), side, index.made);
  }

  /** Makes the index of shards that have none, from their headers and labels. */
  static ShardDataset scanned(Path dir, List<Path> tars, int side) throws IOException {
    List<ShardIndex> parts = new ArrayList<>();
    Map<String, Integer> endings = new TreeMap<>();
    int most = -1;
    for (Path tar : tars) {
      ShardIndex part = scan(tar, endings);
      for (int label : part.label) most = Math.max(most, label);
      parts.add(part);
    }
    ShardIndex index = ShardIndex.joined(parts);
    if (index.size() == 0) throw new IOException(dir + ": its tar files have no images");
    return new ShardDataset(dir.getFileName().toString(), dir, index, false, most + 1, side,
        "made elsewhere: " + endings.entrySet().stream().map(e -> e.getValue() + " " + e.getKey()).collect(Collectors.joining(", ")));
  }

  /** The index of one file; counts its images by the ending of their names. */
  private static ShardIndex scan(Path tar, Map<String, Integer> endings) throws IOException {
    Map<String, TarReader.Entry> images = new java.util.LinkedHashMap<>();
    Map<String, Integer> labels = new HashMap<>();
    try (FileChannel file = FileChannel.open(tar)) {
      TarReader reader = TarReader.of(tar.toString(), file, 0, file.size());
      for (TarReader.Entry entry = reader.next(); entry != null; entry = reader.next()) {
        String base = entry.name().substring(entry.name().lastIndexOf('/') + 1);
        int dot = base.indexOf('.');
        if (!entry.file() || dot < 1) continue;
        String key = entry.name().substring(0, entry.name().length() - base.length() + dot), ending = base.substring(dot + 1).toLowerCase(Locale.ROOT);
        switch (ending) {
          case "jpg", "jpeg", "png", "ppm" -> {
            if (images.put(key, entry) != null) throw new IOException(tar + ": has two images named " + key);
            endings.merge(ending, 1, Integer::sum);
          }
          case "cls" -> labels.put(key, classOf(tar, entry, new String(reader.contents(entry, MOST_LABEL_BYTES), java.nio.charset.StandardCharsets.US_ASCII)));
          case "json" -> {
            Integer label = jsonLabel(tar, entry, reader.contents(entry, MOST_LABEL_BYTES));
            if (label != null) labels.putIfAbsent(key, label);
          }
          default -> { }
        }
      }
      List<ShardIndex.Image> all = new ArrayList<>();
      for (Map.Entry<String, TarReader.Entry> image : images.entrySet()) {
        Integer label = labels.get(image.getKey());
        if (label == null) throw new IOException(tar + ": " + image.getKey() + " has an image and no class (NAME.cls, or NAME.json with a number label)");
        TarReader.Entry entry = image.getValue();
        if (entry.size() > ImageDecoder.MAX_BYTES) throw new IOException(tar + ": " + entry.name() + " has " + entry.size() + " bytes, more than an image has");
        if (entry.size() > file.size() - entry.at()) throw new IOException(tar + ": is cut short inside " + entry.name());
        all.add(new ShardIndex.Image(entry.at(), (int) entry.size(), label, 0));
      }
      return ShardIndex.of("", tar.getFileName().toString(), file.size(), List.of(), all);
    }
  }

  private static int classOf(Path tar, TarReader.Entry entry, String text) throws IOException {
    String digits = text.strip();
    if (!digits.matches("[0-9]{1,6}")) {
      throw new IOException(tar + ": " + entry.name() + " holds '" + (digits.length() > 20 ? digits.substring(0, 20) + "..." : digits) + "'; it must be a class number");
    }
    return Integer.parseInt(digits);
  }

  private static Integer jsonLabel(Path tar, TarReader.Entry entry, byte[] content) throws IOException {
    try {
      JsonNode object = JsonMapper.shared().readTree(content);
      for (String key : List.of("label", "cls")) {
        JsonNode value = object.get(key);
        if (value != null && value.isIntegralNumber()) return classOf(tar, entry, value.asString());
      }
      return null;
    } catch (JacksonException e) {
      throw new IOException(tar + ": " + entry.name() + " is not JSON", e);
    }
  }

  /** The bytes of an image's file as they are in the shard, in the decoder's room. */
  private ByteBuffer fetch(CheckedWorkspace w, int image) throws IOException {
    int shard = index.shardOf(image), length = index.length[image];
    FileChannel file = channel(shard);
    ByteBuffer bytes = w.decoder.room(index.shards.get(shard).name(), length);
    for (long at = index.at[image]; bytes.hasRemaining(); ) {
      int n = file.read(bytes, at);
      if (n < 0) throw new EOFException(describe(image) + ": the shard ends inside the image");
      at += n;
    }
    if (checksums) {
      w.crc.reset();
      w.crc.update(bytes.duplicate().flip());
      if ((int) w.crc.getValue() != index.crc[image]) {
        throw new BadImageException(describe(image) + ": the image is damaged: its bytes are not those that were written (CRC-32C)");
      }
    }
    return bytes;
  }

  /** The bytes of an image's file. */
  public byte[] encoded(int image) throws IOException {
    ByteBuffer bytes = fetch(workspace.get(), image).flip();
    byte[] copy = new byte[bytes.remaining()];
    bytes.get(copy);
    return copy;
  }

  @Override public void decode(int image, Box.Choice choice, Picture into) throws IOException {
    CheckedWorkspace w = workspace.get();
    fetch(w, image);
    try {
      w.decoder.decode("", choice, into);
    } catch (BadImageException e) {
      throw new BadImageException(describe(image) + e.getMessage(), e);
    }
  }

  @Override public boolean readAhead(int from, int to) {
    for (int first = from, next; first < to; first = next) {
      int shard = index.shardOf(first);
      next = Math.min(to, index.endOf(shard));
      try {
        MemorySegment whole = mapped.get(shard);
        if (whole == null) mapped.set(shard, whole = channel(shard).map(FileChannel.MapMode.READ_ONLY, 0, index.shards.get(shard).bytes(), Arena.ofAuto()));
        ReadAhead.ask(whole, index.at[first], index.at[next - 1] + index.length[next - 1]);
      } catch (IOException e) {
        // whoever reads the image meets the error, and tells it
      }
    }
    return true;
  }

  private FileChannel channel(int shard) throws IOException {
    FileChannel open = files.get(shard);
    if (open != null && open.isOpen()) return open;
    FileChannel mine = FileChannel.open(folder.resolve(index.shards.get(shard).name()));
    if (files.compareAndSet(shard, open, mine)) return mine;
    mine.close();
    return files.get(shard);
  }

  @Override public void read(int image, byte[] into, int offset) throws IOException {
    readCentre(image, workspace.get(), into, offset);
  }

  /** The shard and the name in it, read from the archive. */
  @Override public String describe(int image) {
    Path shard = folder.resolve(index.shards.get(index.shardOf(image)).name());
    try (FileChannel file = FileChannel.open(shard)) {
      TarReader.Entry entry = TarReader.of(shard.toString(), file, index.at[image] - 512, 512 + (long) index.length[image]).next();
      if (entry != null) return shard + ":" + entry.name();
    } catch (IOException unreadable) {
      // the position says which image is meant
    }
    return shard + ":" + index.at[image];
  }

  /** Whether these are shards with the index of {@code data prepare}, which counted them. */
  public boolean prepared() {
    return checksums;
  }

  /** By the places, lengths, classes and, with an index, checksums of the images. */
  @Override public int fingerprint() {
    return 31 * (31 * (31 * Arrays.hashCode(index.at) + Arrays.hashCode(index.length)) + Arrays.hashCode(index.label)) + Arrays.hashCode(index.crc);
  }

  @Override public String stored() {
    return stored;
  }

  /** The name of each class, or an empty list where the shards have numbers only. */
  @Override public List<String> classNames() {
    return index.classes;
  }

  @Override public int label(int image) {
    return index.label[image];
  }
}
