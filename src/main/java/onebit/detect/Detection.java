package onebit.detect;

/**
 * One thing found in an image.
 *
 * <pre>
 * Units  label in [0, classes), without a background; score: its probability; corners in parts of the image's width and height
 * </pre>
 */
public record Detection(int label, float score, float left, float top, float right, float bottom) {
  /** Intersection over union with another; 0 where neither has an area. */
  double overlap(Detection other) {
    float width = Math.min(right, other.right) - Math.max(left, other.left), height = Math.min(bottom, other.bottom) - Math.max(top, other.top);
    if (!(width > 0 && height > 0)) return 0;
    float inter = width * height;
    return inter / (area() - inter + other.area());
  }

  private float area() {
    return (right - left) * (bottom - top);
  }

  /** The same within the image. */
  Detection inside() {
    return new Detection(label, score, Math.clamp(left, 0f, 1f), Math.clamp(top, 0f, 1f), Math.clamp(right, 0f, 1f), Math.clamp(bottom, 0f, 1f));
  }
}
