package onebit.data;

import java.io.IOException;
import java.util.List;

/** What SSD's steps do to an image, in plain loops over whole pictures, one step after the other: nothing is foreseen or left out. */
final class PlainSteps {
  private PlainSteps() {}

  /** The picture after all steps; the boxes move with it. */
  static Picture of(Dataset set, List<Augmentation> steps, long seed, int epoch, int index, Boxes boxes) throws IOException {
    Picture x = new Picture();
    set.decode(index, Box.Choice.WHOLE, x);
    set.boxes(index, boxes);
    for (int i = 0; i < steps.size(); i++) {
      CounterRandom random = new CounterRandom().reset(seed, epoch, index, CounterRandom.AUGMENT | (i + 1) << 8);
      switch (steps.get(i)) {
        case Photometric p -> colours(p, x, random);
        case Expand e -> x = expand(e, x, boxes, random);
        case OverlapCrop _ -> x = crop(x, boxes, random);
        case Augmentation.Flip f -> flip(f, x, boxes, random);
        case ResizeTo r -> x = resize(x, r.side());
        default -> throw new IllegalArgumentException(steps.get(i).toString());
      }
    }
    return x;
  }

  static Picture resize(Picture x, int side) {
    Picture y = new Picture();
    new Resize(false).apply(x, side, side, y);
    return y;
  }

  private static void colours(Photometric p, Picture x, CounterRandom random) {
    float shift = random.nextBoolean() ? (float) random.nextDouble(-p.brightness(), p.brightness()) : 0;
    boolean early = random.nextBoolean();
    float contrast = random.nextBoolean() ? (float) random.nextDouble(1 - p.contrast(), 1 + p.contrast()) : 1;
    float saturation = random.nextBoolean() ? (float) random.nextDouble(1 - p.saturation(), 1 + p.saturation()) : 1;
    float hue = random.nextBoolean() ? (float) random.nextDouble(-p.hue(), p.hue()) : 0;
    int order = random.nextBoolean() ? random.nextInt(6) : 0;
    if (saturation == 1 && hue == 0) levels(x, shift, contrast, order);
    else new ColourDistortion(shift, early ? contrast : 1, saturation, hue, early ? 1 : contrast, order).colours(x);
  }

  private static void levels(Picture x, float shift, float factor, int order) {
    int[] from = new int[][] {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}[order];
    for (int at = 0; at < x.bytes(); at += 3) {
      byte[] y = new byte[3];
      for (int c = 0; c < 3; c++) y[c] = (byte) (int) (Math.clamp(((x.pixels()[at + from[c]] & 255) + shift) * factor, 0f, 255f) + 0.5f);
      System.arraycopy(y, 0, x.pixels(), at, 3);
    }
  }

  private static Picture expand(Expand e, Picture x, Boxes boxes, CounterRandom random) {
    if (random.nextBoolean()) return x;
    double ratio = random.nextDouble(1, e.most());
    int height = (int) (x.height() * ratio), width = (int) (x.width() * ratio), top = random.nextInt(height - x.height() + 1), left = random.nextInt(width - x.width() + 1);
    Picture y = new Picture();
    y.resize(height, width, 3);
    for (int at = 0; at < y.bytes(); at += 3) for (int c = 0; c < 3; c++) y.pixels()[at + c] = (byte) (c == 0 ? e.red() : c == 1 ? e.green() : e.blue());
    for (int h = 0; h < x.height(); h++) System.arraycopy(x.pixels(), h * x.width() * 3, y.pixels(), ((top + h) * width + left) * 3, x.width() * 3);
    double w = (double) x.width() / width, h = (double) x.height() / height, l = (double) left / width, t = (double) top / height;
    for (int i = 0; i < boxes.count(); i++) {
      boxes.corner(i, (float) (l + w * boxes.left(i)), (float) (t + h * boxes.top(i)), (float) (l + w * boxes.right(i)), (float) (t + h * boxes.bottom(i)));
    }
    return y;
  }

  private static Picture crop(Picture x, Boxes boxes, CounterRandom random) {
    Box part = CropSearch.of(boxes, x.height(), x.width(), random);
    if (part.equals(Box.whole(x.height(), x.width()))) return x;
    CropSearch.cut(boxes, part, x.height(), x.width());
    return cut(x, part);
  }

  static Picture cut(Picture x, Box part) {
    Picture y = new Picture();
    y.resize(part.height(), part.width(), 3);
    for (int h = 0; h < part.height(); h++) System.arraycopy(x.pixels(), ((part.top() + h) * x.width() + part.left()) * 3, y.pixels(), h * part.width() * 3, part.width() * 3);
    return y;
  }

  private static void flip(Augmentation.Flip f, Picture x, Boxes boxes, CounterRandom random) {
    if (random.nextDouble() >= f.probability()) return;
    for (int i = 0; i < boxes.count(); i++) boxes.corner(i, 1 - boxes.right(i), boxes.top(i), 1 - boxes.left(i), boxes.bottom(i));
    byte[] from = java.util.Arrays.copyOf(x.pixels(), x.bytes());
    for (int h = 0; h < x.height(); h++) {
      for (int w = 0; w < x.width(); w++) System.arraycopy(from, (h * x.width() + w) * 3, x.pixels(), (h * x.width() + x.width() - 1 - w) * 3, 3);
    }
  }
}
