package onebit.ops;

import java.util.function.UnaryOperator;

/**
 * Runs work that asks the same of the backend every time; a device records it once and then repeats it in one call.
 *
 * <p>Recorded work reads nothing on the host, writes nothing from it and asks for no memory it did not ask for the first time.
 */
public interface Recorder {
  /** Records nothing: does the work every time. */
  Recorder DIRECT = new Recorder() {
    @Override
    public void run(Object key, Runnable work, Runnable replaying) {
      work.run();
    }

    @Override
    public void forget() {
      // nothing is recorded
    }
  };

  /** Does the work that goes by this key. */
  default void run(Object key, Runnable work) {
    run(key, work, () -> { });
  }

  /** The same; where it is a repetition in one call, {@code replaying} runs just before it. */
  void run(Object key, Runnable work, Runnable replaying);

  /** Throws away what is recorded: the work asks something else from now on, as if it had never run. */
  void forget();

  /**
   * Ranks whose work meets in collectives record and repeat alike from now on, for a collective is recorded by all of them or by none.
   *
   * @param anywhere whether something holds on one of the ranks; all ask it at the same places
   */
  default void alike(UnaryOperator<Boolean> anywhere) {}

  /** Other work has gone by since the last run, which may have moved memory; said by all ranks that record alike. */
  default void realign() {}
}
