package onebit.data;

import java.io.IOException;
import java.util.List;

/**
 * A numbered list of labelled images, read by index from any number of threads at once.
 *
 * <pre>
 * Encoding  uint8, H,W,C, channels last, RGB where C is 3
 * </pre>
 */
public interface Dataset {
  String name();

  int size();

  int height();

  int width();

  int channels();

  int classes();

  /** What the classes are called, or nothing where they are numbers or the data set's name says it. */
  default List<String> classNames() {
    return List.of();
  }

  /** The class of one image, in [0, classes). */
  int label(int index);

  /** Whether images have boxes with a class each instead of one class. */
  default boolean hasBoxes() {
    return false;
  }

  /** Writes the boxes of one image, beginning with {@link Boxes#clear}; only where {@link #hasBoxes}. */
  default void boxes(int index, Boxes into) throws IOException {
    throw new UnsupportedOperationException(name() + " has no boxes");
  }

  /** Writes height x width x channels bytes of one image at {@code into[offset]}. */
  void read(int index, byte[] into, int offset) throws IOException;

  /** Writes one image in its own size, or at least the chosen box of it; for image folders that is the size of the file. */
  default void decode(int index, Box.Choice choice, Picture into) throws IOException {
    into.resize(height(), width(), channels());
    read(index, into.pixels(), 0);
  }

  /**
   * Has the disk bring images [from, to), which are read soon, and does not wait for it; called where they lie side by side in a file.
   *
   * @return whether they do; false, and nothing is asked, where each has a file of its own or is in memory
   */
  default boolean readAhead(int from, int to) {
    return false;
  }

  /** What one image is called in an error message. */
  default String describe(int index) {
    return name() + ": sample " + index;
  }

  /** How the images lie on the disk, in a few words, or nothing where the data set's name says it. */
  default String stored() {
    return "";
  }

  /** What of the files was not as it should be and which rule was applied, in one sentence, or nothing. */
  default String finding() {
    return "";
  }

  /** A number that is another one where other files lie there, as far as can be told without reading the images; 0 where nothing can. */
  default int fingerprint() {
    return 0;
  }

  /** Bytes of one image. */
  default int imageBytes() {
    return height() * width() * channels();
  }
}
