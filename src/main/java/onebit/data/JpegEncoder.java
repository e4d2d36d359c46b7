package onebit.data;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.ImageOutputStream;

/** RGB levels as the bytes of a JPEG file, colour at half resolution: by libturbojpeg where it is installed, else by the JDK. */
final class JpegEncoder {
  private JpegEncoder() {}

  /** Units: quality 1 to 100, libjpeg's. */
  static byte[] encode(Picture image, int quality) throws IOException {
    return TurboJpeg.available() ? TurboJpeg.encode(image, quality) : byJdk(image, quality);
  }

  private static byte[] byJdk(Picture image, int quality) throws IOException {
    BufferedImage rgb = new BufferedImage(image.width(), image.height(), BufferedImage.TYPE_INT_RGB);
    byte[] p = image.pixels();
    for (int i = 0; i < image.height() * image.width(); i++) {
      rgb.setRGB(i % image.width(), i / image.width(), (p[3 * i] & 255) << 16 | (p[3 * i + 1] & 255) << 8 | p[3 * i + 2] & 255);
    }
    ImageWriter writer = ImageIO.getImageWritersByFormatName("jpeg").next();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ImageOutputStream stream = ImageIO.createImageOutputStream(out)) {
      ImageWriteParam parameters = writer.getDefaultWriteParam();
      parameters.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
      parameters.setCompressionQuality(quality / 100f);
      writer.setOutput(stream);
      writer.write(null, new IIOImage(rgb, null, null), parameters);
    } finally {
      writer.dispose();
    }
    return out.toByteArray();
  }
}
