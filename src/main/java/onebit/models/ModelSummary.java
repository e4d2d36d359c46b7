package onebit.models;

import java.util.List;
import onebit.tensor.Shape;

/**
 * What a network costs: operations are real multiply-accumulates plus a 64th of the binary ones.
 *
 * <p>Latent weights count as binary also where a training stage convolves them as real values (BiPer's first stage, AdaBin's real weights):
 * the numbers are those of the finished network.
 *
 * <pre>
 * Units  MACs of one image, classifier included; mebibytes with 4 bytes a real parameter and 1 bit a binary one
 * </pre>
 */
public record ModelSummary(long parameters, long binaryParameters, long realMacs, long binaryMacs, List<Row> layers) {
  /** One layer; name is its prefix in the state dictionary, empty if it has no parameters; output at batch 1. */
  public record Row(String name, String kind, Shape output, long parameters, long binaryParameters, long realMacs, long binaryMacs) {}

  /** The sums of the rows. */
  static ModelSummary of(List<Row> layers) {
    long parameters = 0, binaryParameters = 0, realMacs = 0, binaryMacs = 0;
    for (Row row : layers) {
      parameters += row.parameters();
      binaryParameters += row.binaryParameters();
      realMacs += row.realMacs();
      binaryMacs += row.binaryMacs();
    }
    return new ModelSummary(parameters, binaryParameters, realMacs, binaryMacs, List.copyOf(layers));
  }

  public double ops() {
    return realMacs + binaryMacs / 64.0;
  }

  public double mebibytes() {
    return ((parameters - binaryParameters) * 4.0 + binaryParameters / 8.0) / (1 << 20);
  }
}
