package onebit.data;

import java.io.IOException;
import java.nio.file.Path;

/** A data set that a jar of one's own adds to recipes: a record, whose components are the keys of {@code data.own}. */
public interface OwnDataset {
  /**
   * Opens one split of it.
   *
   * @param folder what {@code --data} names; null where it names nothing
   * @param height of an image in pixels, as the network sees it: what {@link Dataset#read} gives, where no step of the recipe crops or resizes
   * @param width of an image in pixels
   * @throws IllegalArgumentException if there can be no such images; the message is shown to the user
   * @throws IOException if files are missing or damaged; the message names them
   */
  Dataset open(Path folder, Split split, int height, int width) throws IOException;

  /** Whether its images have boxes with a class each, for a detector, instead of one class. */
  default boolean hasBoxes() {
    return false;
  }
}
