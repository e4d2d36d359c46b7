package onebit.train;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import onebit.detect.MeanAveragePrecision;

/** What a network is worth on a test set. */
public sealed interface Score {
  /** The name under which an epoch's metrics hold {@link #percent}, of networks that detect or that classify. */
  static String metric(boolean detects) {
    return detects ? "testMap" : "testTop1";
  }

  /** What the best epoch is chosen by, in percent; NaN if there is none. */
  double percent();

  /** How long it took. */
  double seconds();

  /** Images that were judged. */
  long images();

  /** The score by names, as eval tells it. */
  Map<String, Object> members();

  /** The score by names, as an epoch's metrics tell it. */
  Map<String, Object> metrics();

  /** The score in one line. */
  String words();

  /** Right answers among the images. */
  record Accuracy(long correct, long correct5, long images, double seconds) implements Score {
    @Override
    public double percent() {
      return 100.0 * correct / Math.max(1, images);
    }

    /** Images whose class is among the five likeliest, in percent. */
    public double top5() {
      return 100.0 * correct5 / Math.max(1, images);
    }

    @Override
    public Map<String, Object> members() {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("correct", correct);
      all.put("total", images);
      all.put("top1", percent());
      all.put("top5", top5());
      all.put("seconds", seconds);
      return all;
    }

    @Override
    public Map<String, Object> metrics() {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put(Score.metric(false), percent());
      all.put("testTop5", top5());
      return all;
    }

    @Override
    public String words() {
      return String.format(Locale.ROOT, "%,d of %,d correct: top-1 %.2f %%, top-5 %.2f %%", correct, images, percent(), top5());
    }
  }

  /**
   * Mean average precision of boxes: by the 11 points of VOC2007, which counts, and as an area.
   *
   * @param classes names of the classes; none where they are numbers
   */
  record Precision(MeanAveragePrecision.Result points, MeanAveragePrecision.Result area, List<String> classes, double seconds) implements Score {
    @Override
    public double percent() {
      return 100 * points.mean();
    }

    @Override
    public long images() {
      return points.images();
    }

    /** The name of a class, or its number. */
    public String className(int label) {
      return InputPipeline.className(classes, label);
    }

    @Override
    public Map<String, Object> members() {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("map", percent());
      all.put("mapOfArea", 100 * area.mean());
      Map<String, Object> average = new LinkedHashMap<>();
      for (int label = 0; label < points.average().length; label++) average.put(className(label), 100 * points.average()[label]);
      all.put("average", average);
      all.put("total", images());
      all.put("boxes", points.boxes());
      all.put("detections", points.detections());
      all.put("seconds", seconds);
      return all;
    }

    @Override
    public Map<String, Object> metrics() {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put(Score.metric(true), percent());
      all.put("testMapOfArea", 100 * area.mean());
      return all;
    }

    @Override
    public String words() {
      if (points.boxes() == 0) return String.format(Locale.ROOT, "no mean average precision: none of %,d images has a box that is not difficult", images());
      return String.format(Locale.ROOT, "mean average precision %.2f %% (11 points; as an area %.2f %%) of %,d images with %,d boxes", percent(), 100 * area.mean(), images(),
          points.boxes());
    }
  }
}
