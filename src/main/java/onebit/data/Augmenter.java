package onebit.data;

import java.io.IOException;
import java.util.List;

/**
 * Images after a list of steps, each step's random numbers a function of (seed, epoch, sample, place in the list). What the steps will show of an image is
 * known before it is decoded, and no more of it is decoded.
 *
 * <p>An instance keeps buffers and belongs to one thread; two instances give the same bytes.
 */
public final class Augmenter {
  private final List<Augmentation> steps;
  private final boolean ownSize;
  private final long seed;
  private final CounterRandom random = new CounterRandom();
  private final Bench bench = new Bench();
  /** Of the image whose view is foreseen. */
  private final Boxes foreseen = new Boxes();

  /** The image being worked on, and room for the next one. */
  public static final class Bench {
    private Picture image = new Picture();
    private Picture spare = new Picture();
    private Boxes boxes;
    private final Resize resize = new Resize();

    Picture image() {
      return image;
    }

    /** The boxes of the image, or null where images have none. */
    Boxes boxes() {
      return boxes;
    }

    /** Gives the image its boxes. */
    void boxes(Boxes boxes) {
      this.boxes = boxes;
    }

    /** The other picture in a new shape; {@link #swap} makes it the image. */
    Picture spare(int height, int width, int channels) {
      spare.resize(height, width, channels);
      return spare;
    }

    /** The other picture as one that will be the same part of the same image. */
    Picture spareLike(Picture x) {
      spare(x.height(), x.width(), x.channels()).stand(x);
      return spare;
    }

    void swap() {
      Picture was = image;
      image = spare;
      spare = was;
    }

    /** Does a step that only moves the image and its boxes. */
    void place(Augmentation step, CounterRandom random) {
      View view = new View(image.imageHeight(), image.imageWidth(), boxes);
      step.place(view, random);
      image.show(view);
    }

    /** Makes an image with a ground a whole one. */
    void fill() {
      if (image.ground() == Picture.NO_GROUND) return;
      Picture y = spare(image.imageHeight(), image.imageWidth(), 3);
      for (int h = 0; h < y.height(); h++) image.row(h, 0, y.width(), y.pixels(), h * y.width() * 3);
      swap();
    }

    Resize resize() {
      return resize;
    }
  }

  public Augmenter(List<Augmentation> steps, long seed) {
    this.steps = List.copyOf(steps);
    this.ownSize = steps.stream().anyMatch(Augmentation::takesAnySize);
    this.seed = seed;
  }

  /** Height of the images made from a data set. */
  public static int height(List<Augmentation> steps, Dataset dataset) {
    int side = lastSide(steps);
    return side > 0 ? side : dataset.height();
  }

  /** Width of the images made from a data set. */
  public static int width(List<Augmentation> steps, Dataset dataset) {
    int side = lastSide(steps);
    return side > 0 ? side : dataset.width();
  }

  private static int lastSide(List<Augmentation> steps) {
    int side = 0;
    for (Augmentation step : steps) side = step.side() > 0 ? step.side() : side;
    return side;
  }

  /**
   * Refuses steps that would leave boxes where they are while they move the pixels, and steps that need boxes where there are none.
   *
   * @throws IllegalArgumentException if there is such a step
   */
  public static void requireSuited(List<Augmentation> steps, Dataset dataset) {
    for (Augmentation step : steps) {
      String name = step.getClass().getSimpleName();
      if (dataset.hasBoxes() && !step.keepsBoxes()) throw new IllegalArgumentException(name + ": does not move boxes, and the images of " + dataset.name() + " have some");
      if (!dataset.hasBoxes() && step instanceof OverlapCrop) throw new IllegalArgumentException(name + ": needs boxes, and the images of " + dataset.name() + " have none");
    }
  }

  /** Writes one image of an epoch at {@code into[offset]}; where a step crops to a fixed size, the file's own size goes in. */
  public void read(Dataset dataset, int index, int epoch, byte[] into, int offset) throws IOException {
    read(dataset, index, epoch, into, offset, null);
  }

  /**
   * The same with the image's boxes, which move with its pixels.
   *
   * @param boxes written with the boxes of the result; null if the data set has none
   * @throws IllegalStateException if steps leave an image without boxes that had some
   */
  public void read(Dataset dataset, int index, int epoch, byte[] into, int offset, Boxes boxes) throws IOException {
    bench.boxes(boxes);
    if (boxes != null) dataset.boxes(index, boxes);
    int before = boxes == null ? 0 : boxes.count();
    if (steps.isEmpty()) {
      dataset.read(index, into, offset);
      return;
    }
    if (ownSize) {
      dataset.decode(index, (height, width) -> seen(height, width, index, epoch, boxes), bench.image);
    } else {
      bench.image.resize(dataset.height(), dataset.width(), dataset.channels());
      dataset.read(index, bench.image.pixels(), 0);
    }
    for (int i = 0; i < steps.size(); i++) {
      if (!steps.get(i).knowsGround()) bench.fill();
      steps.get(i).apply(bench, random.reset(seed, epoch, index, stream(i)));
    }
    bench.fill();
    if (before > 0 && boxes.count() == 0) throw new IllegalStateException("no box is left of " + before + " after augmentation");
    System.arraycopy(bench.image.pixels(), 0, into, offset, bench.image.bytes());
  }

  /** The part of an image that the steps will show. */
  private Box seen(int height, int width, int index, int epoch, Boxes boxes) {
    if (boxes != null) foreseen.copy(boxes);
    View view = new View(height, width, boxes == null ? null : foreseen);
    for (int i = 0; i < steps.size() && steps.get(i).place(view, random.reset(seed, epoch, index, stream(i))); i++) { }
    return view.seen();
  }

  private static int stream(int step) {
    return CounterRandom.AUGMENT | (step + 1) << 8;
  }
}
