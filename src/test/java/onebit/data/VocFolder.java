package onebit.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/** Small folders laid out as PASCAL VOC, for tests. */
public final class VocFolder {
  private final Path folder;

  /** A folder that holds JPEGImages, Annotations and ImageSets/Main. */
  public VocFolder(Path folder) throws IOException {
    this.folder = folder;
    for (String part : new String[] {"JPEGImages", "Annotations", "ImageSets/Main"}) Files.createDirectories(folder.resolve(part));
  }

  /** An object as annotations write it. */
  public static String object(String name, boolean difficult, Object xmin, Object ymin, Object xmax, Object ymax) {
    return String.format(Locale.ROOT, "<object><name>%s</name><pose>Left</pose><truncated>0</truncated><difficult>%d</difficult>"
        + "<bndbox><xmin>%s</xmin><ymin>%s</ymin><xmax>%s</xmax><ymax>%s</ymax></bndbox></object>%n", name, difficult ? 1 : 0, xmin, ymin, xmax, ymax);
  }

  public static String annotation(int width, int height, String objects) {
    return String.format(Locale.ROOT, "<annotation>%n<size><width>%d</width><height>%d</height><depth>3</depth></size>%n%s</annotation>%n", width, height, objects);
  }

  /** A photo of that size, which depends on its id, with the annotation that belongs to it, at the end of a list. */
  public VocFolder photo(String list, String id, int width, int height, String objects) throws IOException {
    Picture picture = new Picture();
    picture.resize(height, width, 3);
    int base = id.hashCode() & 63;
    for (int h = 0, at = 0; h < height; h++) {
      for (int w = 0; w < width; w++) {
        picture.pixels()[at++] = (byte) (base + 120 * h / height);
        picture.pixels()[at++] = (byte) (base + 120 * w / width);
        picture.pixels()[at++] = (byte) (190 - base);
      }
    }
    Files.write(jpeg(id), JpegEncoder.encode(picture, 95));
    Files.writeString(xml(id), annotation(width, height, objects));
    return list(list, id);
  }

  /** A line at the end of a list. */
  public VocFolder list(String list, String line) throws IOException {
    Files.writeString(folder.resolve("ImageSets/Main/" + list + ".txt"), line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    return this;
  }

  public Path jpeg(String id) {
    return folder.resolve("JPEGImages/" + id + ".jpg");
  }

  public Path xml(String id) {
    return folder.resolve("Annotations/" + id + ".xml");
  }
}
