package onebit.data;

/** A random part of an image that overlaps one of its boxes, or the whole of it, as {@link CropSearch} finds it; boxes whose centre is outside are left out. */
public record OverlapCrop() implements Augmentation {
  @Override public boolean place(View view, CounterRandom random) {
    Boxes boxes = view.boxes();
    if (boxes == null) throw new IllegalArgumentException("OverlapCrop: the images have no boxes");
    Box part = CropSearch.of(boxes, view.height(), view.width(), random);
    if (part.height() == view.height() && part.width() == view.width()) return true;
    CropSearch.cut(boxes, part, view.height(), view.width());
    view.cut(part);
    return true;
  }

  @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
    bench.place(this, random);
  }
}
