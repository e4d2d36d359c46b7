package onebit.data;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * The boxes of all photos of a VOC set, and what was done about those that break a rule.
 *
 * <pre>
 * Shapes  begins photos + 1; corners boxes,4: left, top, right, bottom; labels, difficult boxes
 * Units   corners in parts of the photo's width and height, 0..1
 * Cost    18 bytes a box, 12 a photo and its name
 * </pre>
 */
final class VocObjects {
  private static final int CHUNK = 64, HEAD_BYTES = 1 << 14;

  private final List<VocDataset.Entry> entries = new ArrayList<>();
  private int[] heights, widths, begins = new int[1];
  private float[] corners;
  private byte[] labels;
  private boolean[] difficult;
  private final Tally tally = new Tally();

  /** How often a rule was applied. */
  private static final class Tally {
    int boxes, clipped, dropped, sizes, empty;

    void add(Tally other) {
      boxes += other.boxes;
      clipped += other.clipped;
      dropped += other.dropped;
      sizes += other.sizes;
      empty += other.empty;
    }
  }

  private VocObjects() {}

  /** Some photos, one after the other, as one thread reads them. */
  private static final class Part {
    final List<VocDataset.Entry> entries = new ArrayList<>();
    final List<Boxes> boxes = new ArrayList<>();
    final Tally tally = new Tally();
    IOException failure;
  }

  /**
   * Reads the annotations and the sizes of photos.
   *
   * @throws IOException if one of them breaks a rule that no set may break; the first one in order
   */
  static VocObjects read(List<VocDataset.Entry> entries, Split split) throws IOException {
    int chunks = (entries.size() + CHUNK - 1) / CHUNK;
    List<Part> parts = IntStream.range(0, chunks).parallel()
        .mapToObj(chunk -> part(entries.subList(chunk * CHUNK, Math.min(entries.size(), (chunk + 1) * CHUNK)), split)).toList();
    for (Part part : parts) if (part.failure != null) throw part.failure;
    VocObjects all = new VocObjects();
    for (Part part : parts) {
      all.entries.addAll(part.entries);
      all.tally.add(part.tally);
    }
    all.join(parts);
    if (all.entries.isEmpty()) throw new IOException("voc: none of the " + entries.size() + " images has an object to learn from: all are difficult or empty");
    return all;
  }

  private void join(List<Part> parts) {
    int photos = entries.size(), count = parts.stream().flatMap(p -> p.boxes.stream()).mapToInt(Boxes::count).sum();
    heights = new int[photos];
    widths = new int[photos];
    begins = new int[photos + 1];
    corners = new float[4 * count];
    labels = new byte[count];
    difficult = new boolean[count];
    int photo = 0, to = 0;
    for (Part part : parts) {
      for (Boxes boxes : part.boxes) {
        heights[photo] = boxes.imageHeight();
        widths[photo] = boxes.imageWidth();
        for (int i = 0; i < boxes.count(); i++, to++) {
          corners[4 * to] = boxes.left(i);
          corners[4 * to + 1] = boxes.top(i);
          corners[4 * to + 2] = boxes.right(i);
          corners[4 * to + 3] = boxes.bottom(i);
          labels[to] = (byte) boxes.label(i);
          difficult[to] = boxes.difficult(i);
        }
        begins[++photo] = to;
      }
    }
  }

  private static Part part(List<VocDataset.Entry> entries, Split split) {
    Part part = new Part();
    VocAnnotation annotation = new VocAnnotation();
    ByteBuffer head = ByteBuffer.allocate(HEAD_BYTES);
    try {
      for (VocDataset.Entry entry : entries) {
        annotation.read(entry.annotation());
        Boxes boxes = boxes(annotation, entry.photo(), head, split, part.tally);
        if (split == Split.TRAIN && boxes.count() == 0) {
          part.tally.empty++;
          continue;
        }
        part.entries.add(entry);
        part.boxes.add(boxes);
      }
    } catch (IOException e) {
      part.failure = e;
    }
    return part;
  }

  private static Boxes boxes(VocAnnotation annotation, Path photo, ByteBuffer head, Split split, Tally tally) throws IOException {
    int height = annotation.height, width = annotation.width;
    JpegHeader header = header(photo, head);
    if (header != null && (header.height() != height || header.width() != width)) {
      tally.sizes++;
      height = header.height();
      width = header.width();
    }
    Boxes boxes = new Boxes().clear(height, width);
    for (int i = 0; i < annotation.count; i++) {
      if (split == Split.TRAIN && annotation.difficult[i]) continue;
      tally.boxes++;
      double left = (annotation.corners[4 * i] - 1) / width, top = (annotation.corners[4 * i + 1] - 1) / height;
      double right = (annotation.corners[4 * i + 2] - 1) / width, bottom = (annotation.corners[4 * i + 3] - 1) / height;
      float l = inside(left), t = inside(top), r = inside(right), b = inside(bottom);
      if (l >= r || t >= b) {
        tally.dropped++;
        continue;
      }
      if (Math.min(left, top) < 0 || Math.max(right, bottom) > 1) tally.clipped++;
      boxes.add(annotation.labels[i], annotation.difficult[i], l, t, r, b);
    }
    return boxes;
  }

  private static float inside(double part) {
    return (float) Math.clamp(part, 0.0, 1.0);
  }

  /** The header of a JPEG file, or null where it is none or damaged: then its reader will refuse it. */
  private static JpegHeader header(Path photo, ByteBuffer head) throws IOException {
    try (FileChannel channel = FileChannel.open(photo)) {
      for (ByteBuffer bytes = head.clear(); ; bytes = ByteBuffer.allocate((int) Math.min(channel.size(), ImageDecoder.MAX_BYTES))) {
        channel.position(0);
        while (bytes.hasRemaining() && channel.read(bytes) >= 0) { }
        MemorySegment data = MemorySegment.ofArray(bytes.array());
        try {
          return JpegHeader.isJpeg(data, bytes.position()) ? JpegHeader.read(photo.toString(), data, bytes.position()) : null;
        } catch (BadImageException e) {
          if (bytes != head || channel.size() <= HEAD_BYTES) return null;
        }
      }
    } catch (NoSuchFileException e) {
      throw new FileNotFoundException("voc: " + photo + " does not exist; every image of a list has its photo");
    }
  }

  int size() {
    return entries.size();
  }

  VocDataset.Entry entry(int index) {
    return entries.get(index);
  }

  void boxes(int index, Boxes into) {
    into.clear(heights[index], widths[index]);
    for (int i = begins[index]; i < begins[index + 1]; i++) {
      into.add(labels[i], difficult[i], corners[4 * i], corners[4 * i + 1], corners[4 * i + 2], corners[4 * i + 3]);
    }
  }

  /** What was found, in one sentence, or nothing. */
  String finding() {
    List<String> found = new ArrayList<>();
    if (tally.clipped > 0) found.add(count(tally.clipped, "box reaches", "boxes reach") + " out of the photo and " + (tally.clipped == 1 ? "is" : "are") + " clipped");
    if (tally.dropped > 0) found.add(count(tally.dropped, "box is", "boxes are") + " empty or outside and left out");
    if (tally.sizes > 0) found.add(count(tally.sizes, "photo has", "photos have") + " another size than the annotation says, and the photo's counts");
    if (tally.empty > 0) found.add(count(tally.empty, "photo is", "photos are") + " left out of training, where all objects are difficult or none is");
    if (found.isEmpty()) return "";
    return "voc: of " + count(entries.size() + tally.empty, "photo", "photos") + " and " + count(tally.boxes, "box, ", "boxes, ") + String.join("; ", found) + ".";
  }

  private static String count(int n, String one, String many) {
    return String.format(Locale.ROOT, "%,d %s", n, n == 1 ? one : many);
  }
}
