package onebit.checkpoint;

import java.io.IOException;

/** A file or folder that cannot be trusted or used; the message is one sentence naming it, the value found and the rule. */
public final class CheckpointException extends IOException {
  private static final long serialVersionUID = 1L;

  public CheckpointException(String message) {
    super(message);
  }

  public CheckpointException(String message, Throwable cause) {
    super(message, cause);
  }
}
