package onebit.data;

import java.io.IOException;
import java.util.function.Consumer;

/** Told by the threads of a {@link Loader} what is wrong with images and disks while the epoch goes on. */
public interface LoaderWatch {
  /** In place of {@link #bad}'s replacement: the image is shown black. */
  int BLACK = -1;

  /** Refuses every bad image and says nothing. */
  LoaderWatch STRICT = strict(sentence -> { });

  /** Refuses every bad image, and passes notices on. */
  static LoaderWatch strict(Consumer<String> notices) {
    return new LoaderWatch() {
      @Override public void bad(Dataset dataset, int epoch, int index, int replacement, String why) throws BadImageException {
        throw new BadImageException(why);
      }

      @Override public void notice(String sentence) {
        notices.accept(sentence);
      }
    };
  }

  /**
   * An image cannot be decoded and another takes its place in this epoch, or {@link #BLACK}.
   *
   * @throws IOException if the epoch shall end
   */
  void bad(Dataset dataset, int epoch, int index, int replacement, String why) throws IOException;

  /** One sentence about a disk that is slow or had to be asked again, or about what was found in the files of a set. */
  void notice(String sentence);
}
