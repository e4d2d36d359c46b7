package onebit.data;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SortedMap;

/**
 * The archive that the shards of a split are made of, and what is kept of it beside them: a later call with another archive does not go on with them.
 *
 * <pre>
 * SPLIT.source := fingerprint "\n", where there are shards or are about to be
 * fingerprint  := 64 hex digits, SHA-256 of (name "\n" size " " time "\n")* in the order of names, over the files in the archive as its headers give them
 * Unseen          contents that changed under equal name, size and time; of the training archive the files are the classes' archives, whose images are not looked at.
 *                 The archive's own name and place, its order, and folders in the names do not count
 * Without it      shards, as an earlier Onebit made them, are taken for those of the archive that is given; this is said once, and its fingerprint kept
 * </pre>
 */
record ShardSource(Path out, String split, Path archive, String fingerprint) {
  /** That of an archive whose files are listed by name. */
  static ShardSource of(Path out, String split, Path archive, SortedMap<String, TarReader.Entry> files) {
    Hasher sum = Hashing.sha256().newHasher();
    files.forEach((name, file) -> sum.putString(name + "\n" + file.size() + " " + file.time() + "\n", StandardCharsets.UTF_8));
    return new ShardSource(out, split, archive, sum.hash().toString());
  }

  /** @throws IOException if there are shards, and they were made of another archive */
  void requireSame() throws IOException {
    String kept = kept();
    if (kept == null || kept.equals(fingerprint)) return;
    try (DirectoryStream<Path> shards = Files.newDirectoryStream(out, split + "-*.tar")) {
      if (!shards.iterator().hasNext()) return;
    }
    throw new IOException(out + ": its " + split + "-*.tar were made of another archive than " + archive + ", whose files have other names, sizes or times; give another --out, or "
        + "delete the " + split + "-*.tar there to make them anew");
  }

  /** Keeps the fingerprint, before any shard is made; {@code taken} says that shards of an earlier call are gone on with. */
  void keep(boolean taken, ImageNetArchives.Progress progress) throws IOException {
    String kept = kept();
    if (fingerprint.equals(kept)) return;
    if (kept == null && taken) progress.say(out + ": its " + split + "-*.tar do not say which archive they were made of; they are kept, and taken for those of " + archive);
    ShardIndex.replace(file(), ByteBuffer.wrap((fingerprint + "\n").getBytes(StandardCharsets.US_ASCII)));
  }

  private String kept() throws IOException {
    return Files.exists(file()) ? Files.readString(file(), StandardCharsets.ISO_8859_1).strip() : null;
  }

  private Path file() {
    return out.resolve(split + ".source");
  }
}
