package onebit.cli;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;

/** The standard output, which remembers why it could not be written: a {@link PrintStream} tells nobody. */
final class StandardOutput extends FileOutputStream {
  private volatile IOException failed;

  private StandardOutput() {
    super(FileDescriptor.out);
  }

  /** Makes it the process's standard output. */
  static StandardOutput install() {
    StandardOutput output = new StandardOutput();
    System.setOut(new PrintStream(new BufferedOutputStream(output), true, System.out.charset()));
    return output;
  }

  @Override
  public void write(byte[] bytes, int from, int count) throws IOException {
    try {
      super.write(bytes, from, count);
    } catch (IOException e) {
      failed = e;
      throw e;
    }
  }

  /** Why it was not written, or null; that its reader has read enough and is gone is no reason. */
  String failure() {
    System.out.flush();
    return failed == null || String.valueOf(failed.getMessage()).contains("Broken pipe") ? null : failed.getMessage();
  }
}
