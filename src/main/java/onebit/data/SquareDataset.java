package onebit.data;

import java.io.IOException;

/** A data set whose images become side x side. */
abstract class SquareDataset implements Dataset {
  private final String name;
  private final int size;
  private final int channels;
  private final int classes;
  final int side;

  SquareDataset(String name, int size, int side, int channels, int classes) {
    this.name = name;
    this.size = size;
    this.side = side;
    this.channels = channels;
    this.classes = classes;
  }

  @Override public final String name() {
    return name;
  }

  @Override public final int size() {
    return size;
  }

  @Override public final int height() {
    return side;
  }

  @Override public final int width() {
    return side;
  }

  @Override public final int channels() {
    return channels;
  }

  @Override public final int classes() {
    return classes;
  }

  /** Decodes an image into {@code w.small}: its shorter side becomes {@code shortSide}, of which the centre of side x side counts. */
  final void decodeCentre(int index, int shortSide, Workspace w) throws IOException {
    decode(index, (height, width) -> Augmentation.centreSource(height, width, shortSide, side), w.whole);
    Augmentation.centre(w.whole, shortSide, side, w.resize, w.small);
  }

  /** Writes one image as networks of ImageNet are judged on: the shorter side is to {@code side} as 256 to 224, the centre counts. */
  final void readCentre(int index, Workspace w, byte[] into, int offset) throws IOException {
    decodeCentre(index, (side * 256 + 112) / 224, w);
    System.arraycopy(w.small.pixels(), 0, into, offset, imageBytes());
  }
}
