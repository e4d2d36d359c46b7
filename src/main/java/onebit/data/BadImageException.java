package onebit.data;

import java.io.IOException;

/** An image whose bytes were read and are not a whole picture: the message names the file and the rule; reading it again will not help. */
public final class BadImageException extends IOException {
  private static final long serialVersionUID = 1;

  public BadImageException(String message) {
    super(message);
  }

  public BadImageException(String message, Throwable cause) {
    super(message, cause);
  }
}
