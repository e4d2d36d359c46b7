package onebit.data;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import javax.xml.stream.Location;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamConstants;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamReader;

/**
 * What one annotation file of PASCAL VOC says: the image's size and its objects, in buffers that are used again for the next file.
 *
 * <p>An instance belongs to one thread. Document types and entities are refused, so a file can neither read another nor grow.
 *
 * <pre>
 * file    := annotation: size: width, height; object*: name, difficult?, bndbox: xmin, ymin, xmax, ymax; all else is skipped
 * Shapes  corners count,4: xmin, ymin, xmax, ymax; labels, difficult count
 * Units   corners in pixels as they are written: the first pixel is 1, the last one is inside; two files of VOC2012 have fractions
 * Bytes   each is taken as a character; what is read here is ASCII in every encoding these files have
 * Source  Everingham et al. 2010 (The PASCAL Visual Object Classes Challenge, IJCV 88), development kit
 * </pre>
 */
final class VocAnnotation {
  private static final long MOST_BYTES = 1 << 20;
  /** UTF-8's, as the bytes it has. */
  private static final String BYTE_ORDER_MARK = "\u00EF\u00BB\u00BF";
  private static final List<String> CORNERS = List.of("xmin", "ymin", "xmax", "ymax");

  private final XMLInputFactory factory = XMLInputFactory.newDefaultFactory();
  private final double[] box = new double[CORNERS.size()];
  private Path file;
  private XMLStreamReader reader;

  int width, height, count;
  double[] corners = new double[0];
  byte[] labels = new byte[0];
  boolean[] difficult = new boolean[0];

  VocAnnotation() {
    factory.setProperty(XMLInputFactory.SUPPORT_DTD, false);
    factory.setProperty(XMLInputFactory.IS_SUPPORTING_EXTERNAL_ENTITIES, false);
    factory.setProperty(XMLInputFactory.IS_NAMESPACE_AWARE, false);
  }

  /**
   * Reads a file.
   *
   * @throws FileNotFoundException if it is not there
   * @throws IOException if it is no XML, lacks something or has a class that VOC has not; the message names the file and the place
   */
  void read(Path from) throws IOException {
    file = from;
    width = height = count = 0;
    try {
      if (Files.size(from) > MOST_BYTES) throw new IOException(from + ": has " + Files.size(from) + " bytes; an annotation has at most " + MOST_BYTES);
      String text = Files.readString(from, StandardCharsets.ISO_8859_1);
      reader = factory.createXMLStreamReader(new StringReader(text.startsWith(BYTE_ORDER_MARK) ? text.substring(BYTE_ORDER_MARK.length()) : text));
      root();
    } catch (NoSuchFileException e) {
      throw new FileNotFoundException("voc: " + from + " does not exist; every image of a list has its annotation");
    } catch (XMLStreamException e) {
      String why = e.getMessage() == null ? e.toString() : e.getMessage();
      throw new IOException(from + ": " + place(e.getLocation()) + why.substring(why.lastIndexOf("Message: ") < 0 ? 0 : why.lastIndexOf("Message: ") + 9), e);
    }
    if (width < 1 || height < 1) throw new IOException(from + ": its size is " + width + "x" + height + "; it must have a size with a width and a height >= 1");
  }

  private void root() throws XMLStreamException, IOException {
    while (reader.next() != XMLStreamConstants.START_ELEMENT) {
      if (reader.getEventType() == XMLStreamConstants.DTD) throw refusal("has a document type; annotations have none");
    }
    if (!reader.getLocalName().equals("annotation")) throw refusal("begins with " + reader.getLocalName() + "; it must be an annotation");
    while (child()) {
      switch (reader.getLocalName()) {
        case "size" -> size();
        case "object" -> object();
        default -> skip();
      }
    }
    while (reader.hasNext()) reader.next();
  }

  private void size() throws XMLStreamException, IOException {
    while (child()) {
      switch (reader.getLocalName()) {
        case "width" -> width = pixels("width");
        case "height" -> height = pixels("height");
        default -> skip();
      }
    }
  }

  private int pixels(String name) throws XMLStreamException, IOException {
    double value = number(name);
    if (value != Math.rint(value) || value < 0 || value > 1 << 20) throw refusal(name + " " + value + " must be a whole number of pixels");
    return (int) value;
  }

  private void object() throws XMLStreamException, IOException {
    int label = -1;
    boolean isDifficult = false;
    Arrays.fill(box, Double.NaN);
    while (child()) {
      switch (reader.getLocalName()) {
        case "name" -> label = label(reader.getElementText().strip());
        case "difficult" -> isDifficult = number("difficult") != 0;
        case "bndbox" -> box();
        default -> skip();
      }
    }
    if (label < 0) throw refusal("an object has no name");
    for (int i = 0; i < box.length; i++) if (Double.isNaN(box[i])) throw refusal("an object of class " + VocDataset.CLASSES.get(label) + " has no " + CORNERS.get(i));
    if (count == labels.length) {
      int room = Math.max(16, 2 * count);
      corners = Arrays.copyOf(corners, 4 * room);
      labels = Arrays.copyOf(labels, room);
      difficult = Arrays.copyOf(difficult, room);
    }
    System.arraycopy(box, 0, corners, 4 * count, box.length);
    labels[count] = (byte) label;
    difficult[count++] = isDifficult;
  }

  private int label(String name) throws IOException {
    int label = VocDataset.CLASSES.indexOf(name);
    if (label < 0) throw refusal("class " + clip(name) + " is not known; known are " + String.join(", ", VocDataset.CLASSES));
    return label;
  }

  private void box() throws XMLStreamException, IOException {
    while (child()) {
      int corner = CORNERS.indexOf(reader.getLocalName());
      if (corner < 0) skip();
      else box[corner] = number(CORNERS.get(corner));
    }
  }

  private double number(String name) throws XMLStreamException, IOException {
    String text = reader.getElementText().strip();
    try {
      double value = Double.parseDouble(text);
      if (Double.isFinite(value)) return value;
    } catch (NumberFormatException e) {
      // refused like what is not finite
    }
    throw refusal(name + " is " + clip(text) + "; it must be a number");
  }

  private static String clip(String text) {
    return text.length() > 40 ? text.substring(0, 40) + "..." : text;
  }

  /** Whether the element that is open has another child; the reader is put behind its beginning, or behind the end of the element. */
  private boolean child() throws XMLStreamException {
    while (true) {
      switch (reader.next()) {
        case XMLStreamConstants.START_ELEMENT -> {
          return true;
        }
        case XMLStreamConstants.END_ELEMENT -> {
          return false;
        }
        default -> { }
      }
    }
  }

  private void skip() throws XMLStreamException {
    for (int open = 1; open > 0; ) {
      int event = reader.next();
      if (event == XMLStreamConstants.START_ELEMENT) open++;
      else if (event == XMLStreamConstants.END_ELEMENT) open--;
    }
  }

  private IOException refusal(String what) {
    return new IOException(file + ": " + place(reader.getLocation()) + what);
  }

  private static String place(Location at) {
    return at == null ? "" : "line " + at.getLineNumber() + ", column " + at.getColumnNumber() + ": ";
  }
}
