package onebit.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Image files without classes, as a network wants to see them: the shorter side becomes the network's, and the centre counts; for a network that finds boxes the whole image does.
 *
 * <pre>
 * Encoding  RGB, or for a network of one channel its brightness 0.299 R + 0.587 G + 0.114 B
 * </pre>
 */
public final class ImageFiles extends SquareDataset {
  private static final int RGB = 3;

  private final List<Path> files;
  private final int[] heights;
  private final int[] widths;
  private final ThreadLocal<Workspace> workspace = ThreadLocal.withInitial(Workspace::new);

  /** @throws IllegalArgumentException unless there is a file and the network takes one channel or three */
  public ImageFiles(List<Path> files, int side, int channels) {
    if (files.isEmpty()) throw new IllegalArgumentException("ImageFiles: no files; there must be one");
    if (channels != 1 && channels != RGB) throw new IllegalArgumentException("ImageFiles: the network takes " + channels + " channels; it must be 1 or 3");
    super("image files", files.size(), side, channels, 1);
    this.files = List.copyOf(files);
    heights = new int[files.size()];
    widths = new int[files.size()];
  }

  /**
   * The files that are named, and in the order of their names the JPEG and PNG files of folders that are; what leads to no image stays among them, and is refused as a bad
   * image when its turn comes.
   */
  public static List<Path> find(List<Path> named) throws IOException {
    List<Path> all = new ArrayList<>();
    for (Path path : named) {
      if (!Files.isDirectory(path) || !Files.isReadable(path)) {
        all.add(path);
        continue;
      }
      List<Path> images = ImageFolderDataset.sorted(path).stream().filter(ImageFolderDataset::isImage).map(path::resolve).toList();
      all.addAll(images.isEmpty() ? List.of(path) : images);
    }
    return all;
  }

  @Override public void decode(int index, Box.Choice choice, Picture into) throws IOException {
    Path file = files.get(index);
    if (!Files.exists(file)) throw new BadImageException("image " + file + " does not exist");
    if (!Files.isReadable(file)) throw new BadImageException(file + " may not be read by this user");
    if (Files.isDirectory(file)) throw new BadImageException(file + ": has no JPEG or PNG files; folders in it are not looked into");
    workspace.get().decoder.decode(file, choice, into);
    heights[index] = into.imageHeight();
    widths[index] = into.imageWidth();
  }

  @Override public void read(int index, byte[] into, int offset) throws IOException {
    Workspace w = workspace.get();
    decodeCentre(index, side, w);
    byte[] rgb = w.small.pixels();
    if (channels() == RGB) {
      System.arraycopy(rgb, 0, into, offset, imageBytes());
      return;
    }
    for (int i = 0; i < side * side; i++) {
      into[offset + i] = (byte) ((299 * (rgb[RGB * i] & 255) + 587 * (rgb[RGB * i + 1] & 255) + 114 * (rgb[RGB * i + 2] & 255) + 500) / 1000);
    }
  }

  /** Height in pixels of a file that was decoded. */
  public int imageHeight(int index) {
    return heights[index];
  }

  /** Width in pixels of a file that was decoded. */
  public int imageWidth(int index) {
    return widths[index];
  }

  @Override public String describe(int index) {
    return files.get(index).toString();
  }

  @Override public int label(int index) {
    return 0;
  }
}
