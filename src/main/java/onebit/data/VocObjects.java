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
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.IntStream;

/**
 * The boxes of all photos of a VOC set, and what was done about those that break a rule.
 *
 * <pre>
 * Shapes  heights, widths photos; begins photos + 1: box begins[i] is the first one of photo i
 * Cost    21 bytes a box, 12 a photo and its name
 * </pre>
 */
final class VocObjects {
  private static final int CHUNK = 64, HEAD_BYTES = 1 << 14;

  private final List<VocDataset.Entry> entries = new ArrayList<>();
  private final Boxes all = new Boxes();
  private int[] heights, widths, begins;
  private final LongAdder seen = new LongAdder(), clipped = new LongAdder(), dropped = new LongAdder(), sizes = new LongAdder(), empty = new LongAdder();

  private VocObjects() {}

  /** Some photos, one after the other, as one thread reads them. */
  private static final class Part {
    final List<VocDataset.Entry> entries = new ArrayList<>();
    final List<Boxes> boxes = new ArrayList<>();
    IOException failure;
  }

  /**
   * Reads the annotations and the sizes of photos.
   *
   * @throws IOException if one of them breaks a rule that no set may break; the first one in order
   */
  static VocObjects read(List<VocDataset.Entry> entries, Split split) throws IOException {
    int chunks = (entries.size() + CHUNK - 1) / CHUNK;
    VocObjects objects = new VocObjects();
    List<Part> parts = IntStream.range(0, chunks).parallel()
        .mapToObj(chunk -> objects.part(entries.subList(chunk * CHUNK, Math.min(entries.size(), (chunk + 1) * CHUNK)), split)).toList();
    for (Part part : parts) if (part.failure != null) throw part.failure;
    objects.join(parts);
    if (objects.entries.isEmpty()) throw new IOException("voc: none of the " + entries.size() + " images has an object to learn from: all are difficult or empty");
    return objects;
  }

  private void join(List<Part> parts) {
    for (Part part : parts) entries.addAll(part.entries);
    heights = new int[entries.size()];
    widths = new int[entries.size()];
    begins = new int[entries.size() + 1];
    int photo = 0;
    for (Part part : parts) {
      for (Boxes boxes : part.boxes) {
        heights[photo] = boxes.imageHeight();
        widths[photo] = boxes.imageWidth();
        for (int i = 0; i < boxes.count(); i++) all.add(boxes, i);
        begins[++photo] = all.count();
      }
    }
  }

  private Part part(List<VocDataset.Entry> entries, Split split) {
    Part part = new Part();
    VocAnnotation annotation = new VocAnnotation();
    ByteBuffer head = ByteBuffer.allocate(HEAD_BYTES);
    try {
      for (VocDataset.Entry entry : entries) {
        annotation.read(entry.annotation());
        Boxes boxes = boxes(annotation, entry.photo(), head, split);
        if (split == Split.TRAIN && boxes.count() == 0) {
          empty.increment();
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

  private Boxes boxes(VocAnnotation annotation, Path photo, ByteBuffer head, Split split) throws IOException {
    int height = annotation.height, width = annotation.width;
    JpegHeader header = header(photo, head);
    if (header != null && (header.height() != height || header.width() != width)) {
      sizes.increment();
      height = header.height();
      width = header.width();
    }
    Boxes boxes = new Boxes().clear(height, width);
    for (int i = 0; i < annotation.count; i++) {
      if (split == Split.TRAIN && annotation.difficult[i]) continue;
      seen.increment();
      double left = (annotation.corners[4 * i] - 1) / width, top = (annotation.corners[4 * i + 1] - 1) / height;
      double right = (annotation.corners[4 * i + 2] - 1) / width, bottom = (annotation.corners[4 * i + 3] - 1) / height;
      float l = Boxes.inside(left), t = Boxes.inside(top), r = Boxes.inside(right), b = Boxes.inside(bottom);
      if (l >= r || t >= b) {
        dropped.increment();
        continue;
      }
      if (Math.min(left, top) < 0 || Math.max(right, bottom) > 1) clipped.increment();
      boxes.add(annotation.labels[i], annotation.difficult[i], l, t, r, b);
    }
    return boxes;
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
    for (int i = begins[index]; i < begins[index + 1]; i++) into.add(all, i);
  }

  /** What was found, in one sentence, or nothing. */
  String finding() {
    List<String> found = new ArrayList<>();
    if (clipped.sum() > 0) found.add(count(clipped.sum(), "box reaches out of the photo and is clipped", "boxes reach out of their photos and are clipped"));
    if (dropped.sum() > 0) found.add(count(dropped.sum(), "box is empty or outside and left out", "boxes are empty or outside and left out"));
    if (sizes.sum() > 0) found.add(count(sizes.sum(), "photo has", "photos have") + " another size than the annotation says, and the photo's counts");
    if (empty.sum() > 0) found.add(count(empty.sum(), "photo is", "photos are") + " left out of training, where all objects are difficult or none is");
    if (found.isEmpty()) return "";
    return "voc: of " + count(entries.size() + empty.sum(), "photo", "photos") + " and " + count(seen.sum(), "box, ", "boxes, ") + String.join("; ", found) + ".";
  }

  private static String count(long n, String one, String many) {
    return String.format(Locale.ROOT, "%,d %s", n, n == 1 ? one : many);
  }
}
