package onebit.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * The room that shards to be made take on the disk, known before the first of them is made.
 *
 * <pre>
 * Units  bytes of all of them with their tar headers and index entries, images in them; sampled counts the images that were stored on trial to know the mean, 0
 *        where files are copied and their bytes are known
 * </pre>
 */
record StorageNeed(long bytes, long images, int sampled) {
  /** What an image takes in a shard and its two indexes besides its own bytes: header, padding, and its class with header and padding. */
  static final int TAR_BYTES = 512 + 256 + 1024 + 40;
  /** How far a mean over some images may be off. */
  private static final double MARGIN = 0.1;

  /**
   * What is needed and what is there, in words.
   *
   * @param out   folder of the shards
   * @param free  bytes that may be written there
   * @param check refuse what does not fit
   * @throws IOException if it does not fit, by a tenth where the need is an estimate
   */
  String require(Path out, long free, boolean check) throws IOException {
    double margin = sampled == 0 ? 0 : MARGIN;
    String need = String.format(Locale.ROOT, "the shards to be made take about %s in %s (%,d images of %s%s), and %s are free there", size(bytes), out, images, size(bytes / Math.max(1, images)),
        sampled == 0 ? "" : " by a trial of " + sampled, size(free));
    if (bytes * (1 - margin) > free && check) {
      throw new IOException(need + "; make room, give --out on another disk, store smaller images (--short-side, --encoding jpeg), or give --no-room-check");
    }
    return bytes * (1 + margin) <= free ? need : "warning: " + need + ", which may not be enough; a full disk ends the run, which keeps its whole shards and goes on with the same command";
  }

  /** Bytes that may be written into a folder; Long.MAX_VALUE where its disk does not tell. */
  static long free(Path folder) throws IOException {
    var store = Files.getFileStore(folder);
    return store.getTotalSpace() <= 0 ? Long.MAX_VALUE : store.getUsableSpace();
  }

  private static String size(long bytes) {
    return bytes == Long.MAX_VALUE ? "unknown bytes"
        : bytes >= 1_000_000_000 ? String.format(Locale.ROOT, "%,.1f GB", bytes / 1e9) : bytes >= 1_000_000 ? String.format(Locale.ROOT, "%.1f MB", bytes / 1e6) : String.format(Locale.ROOT, "%.1f KB", bytes / 1e3);
  }
}
