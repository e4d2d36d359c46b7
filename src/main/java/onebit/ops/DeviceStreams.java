package onebit.ops;

import java.nio.file.Path;
import java.util.List;
import onebit.tensor.Tensor;

/**
 * What a collective engine needs of a device backend: addresses, the stream of the backend's work, and a second one ordered against it.
 *
 * <pre>
 * Units   addresses and streams are the driver's handles as whole numbers
 * </pre>
 */
public interface DeviceStreams {
  /** The address of a tensor's first value on the device. */
  long address(Tensor tensor);

  /** The stream of every op of the backend. */
  long mainStream();

  /** A stream of the same device for work beside the ops. */
  long sideStream();

  /** What is asked of the side stream from now on begins after all that was asked of the main stream so far. */
  void sideAfterMain();

  /** What is asked of the main stream from now on begins after all that was asked of the side stream so far. */
  void mainAfterSide();

  /** Destroys the graphs of all recorded work, which is recorded anew where it runs again: an engine whose calls are in them can end. */
  void forgetRecorded();

  /** Makes the device current in the calling thread. */
  void enter();

  /** Folders where the device's libraries were looked for. */
  List<Path> libraryFolders();
}
