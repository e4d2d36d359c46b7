package onebit.data;

/** A random part of an image that overlaps one of its boxes, or the whole of it, as {@link CropSearch} finds it; boxes whose centre is outside are left out. */
public record OverlapCrop() implements Augmentation {
  @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
    Picture x = bench.image();
    Boxes boxes = bench.boxes();
    if (boxes == null) throw new IllegalArgumentException("OverlapCrop: the images have no boxes");
    Box part = CropSearch.of(boxes, x.height(), x.width(), random);
    if (part.height() == x.height() && part.width() == x.width()) return;
    CropSearch.cut(boxes, part, x.height(), x.width());
    int c = x.channels(), line = part.width() * c;
    Picture y = bench.spare(part.height(), part.width(), c);
    for (int h = 0; h < part.height(); h++) System.arraycopy(x.pixels(), ((part.top() + h) * x.width() + part.left()) * c, y.pixels(), h * line, line);
    bench.swap();
  }
}
