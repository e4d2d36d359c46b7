package onebit.cli;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.List;

/** Errors in the code that ONEBIT_CLASSPATH adds, which its author mends and Onebit's cannot. */
final class ExtensionError {
  /** Where calls in a wrong order or place are refused, by an IllegalStateException. */
  private static final List<String> REFUSING = List.of("onebit.ops.", "onebit.tensor.", "onebit.export.");

  private ExtensionError() {}

  /** Whether a failure is an extension's own refusal of what it was given, and not one of the JDK's that passed through it. */
  static boolean refuses(Throwable e) {
    StackTraceElement[] frames = e.getStackTrace();
    return frames.length == 0 || frames[0].getModuleName() == null || place(e) == null;
  }

  /** Such as "the extension own.jar, at mine.Net.layers(Net.java:12)", where the topmost line of the stack that is not the JDK's is an extension's, or is below what refused its call: ops and tensors; else null. */
  static String place(Throwable e) {
    for (StackTraceElement frame : e.getStackTrace()) {
      if (frame.getModuleName() != null) continue;   // whatever is on the class path has no module
      if (e instanceof IllegalStateException && REFUSING.stream().anyMatch(frame.getClassName()::startsWith)) continue;
      Path from = origin(frame.getClassName());
      return from == null ? null : "the extension " + from + ", at " + frame;
    }
    return null;
  }

  /** The jar or folder of ONEBIT_CLASSPATH that a class was loaded from; null where it is Onebit's or of a library that comes with it. */
  private static Path origin(String type) {
    try {
      CodeSource source = Class.forName(type, false, ClassLoader.getSystemClassLoader()).getProtectionDomain().getCodeSource();
      if (source == null) return null;
      Path from = Path.of(URI.create(source.getLocation().toString()));
      for (String entry : System.getenv().getOrDefault("ONEBIT_CLASSPATH", "").split(":")) {
        boolean all = entry.endsWith("*");
        Path named = Path.of(all ? entry.substring(0, entry.length() - 1) : entry);
        if (Files.exists(named) && Files.isSameFile(named, all ? from.getParent() : from)) return from;
      }
      return null;
    } catch (ClassNotFoundException | LinkageError | IOException | IllegalArgumentException unknown) {
      return null;
    }
  }
}
