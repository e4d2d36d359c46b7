package onebit.ops.cpu;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import onebit.ops.LibraryFolder;

/** One shared library of the class path with the SHA-256 it must have, unpacked into a folder of that name before it is loaded. */
record UnpackedLibrary(String resource, String sha256) {
  /**
   * The path of the verified file.
   *
   * @throws IOException if the class path lacks the resource, its bytes are others, or the folder cannot be written
   */
  Path unpack() throws IOException {
    return LibraryFolder.named(sha256).install(resource.substring(resource.lastIndexOf('/') + 1), sha256, () -> {
      InputStream in = UnpackedLibrary.class.getClassLoader().getResourceAsStream(resource);
      if (in == null) throw new IOException("the class path has no " + resource);
      return in;
    });
  }
}
