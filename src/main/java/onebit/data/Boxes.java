package onebit.data;

import java.util.Arrays;

/**
 * The labelled boxes of one image, in buffers that grow and are used again.
 *
 * <pre>
 * Shapes    corners count,4: left, top, right, bottom; labels, difficult count
 * Units     corners in parts of the image's width and height, 0..1; labels in [0, classes), without a background
 * </pre>
 */
public final class Boxes {
  private float[] corners = new float[0];
  private int[] labels = new int[0];
  private boolean[] difficult = new boolean[0];
  private int count;
  private int imageHeight;
  private int imageWidth;

  /** Forgets all boxes; those to come are of an image of that many pixels on the disk. */
  public Boxes clear(int imageHeight, int imageWidth) {
    count = 0;
    this.imageHeight = imageHeight;
    this.imageWidth = imageWidth;
    return this;
  }

  /** Adds a box. */
  public void add(int label, boolean isDifficult, float left, float top, float right, float bottom) {
    if (count == labels.length) {
      int room = Math.max(8, 2 * count);
      corners = Arrays.copyOf(corners, 4 * room);
      labels = Arrays.copyOf(labels, room);
      difficult = Arrays.copyOf(difficult, room);
    }
    labels[count] = label;
    difficult[count] = isDifficult;
    corner(count++, left, top, right, bottom);
  }

  /** Adds a copy of a box of others. */
  public void add(Boxes others, int box) {
    add(others.labels[box], others.difficult[box], others.left(box), others.top(box), others.right(box), others.bottom(box));
  }

  /** Moves one box. */
  public void corner(int box, float left, float top, float right, float bottom) {
    corners[4 * box] = left;
    corners[4 * box + 1] = top;
    corners[4 * box + 2] = right;
    corners[4 * box + 3] = bottom;
  }

  /** A corner within the image. */
  static float inside(double corner) {
    return (float) Math.clamp(corner, 0.0, 1.0);
  }

  /** Puts a copy of a box in the place of another. */
  public void put(int place, int box) {
    labels[place] = labels[box];
    difficult[place] = difficult[box];
    corner(place, left(box), top(box), right(box), bottom(box));
  }

  /** Forgets the boxes from that one on. */
  public void truncate(int count) {
    if (count < 0 || count > this.count) throw new IllegalArgumentException("Boxes: count " + count + " must be in [0, " + this.count + "]");
    this.count = count;
  }

  /** Becomes a copy of other boxes. */
  public void copy(Boxes other) {
    clear(other.imageHeight, other.imageWidth);
    for (int i = 0; i < other.count; i++) add(other, i);
  }

  public int count() {
    return count;
  }

  public int label(int box) {
    return labels[box];
  }

  /** Whether a person called it hard to recognise: not learned from, and neither asked for nor counted as wrong in an evaluation. */
  public boolean difficult(int box) {
    return difficult[box];
  }

  public float left(int box) {
    return corners[4 * box];
  }

  public float top(int box) {
    return corners[4 * box + 1];
  }

  public float right(int box) {
    return corners[4 * box + 2];
  }

  public float bottom(int box) {
    return corners[4 * box + 3];
  }

  /** Height in pixels of the image as it was stored. */
  public int imageHeight() {
    return imageHeight;
  }

  /** Width in pixels of the image as it was stored. */
  public int imageWidth() {
    return imageWidth;
  }
}
