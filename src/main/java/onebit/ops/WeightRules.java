package onebit.ops;

import java.util.List;
import onebit.ops.WeightOps.Mix;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/** What the ops on the weights of many layers ask of their lists; every backend refuses with these words. */
public final class WeightRules {
  private WeightRules() {}

  private static void requireEach(String op, String name, List<?> list, List<?> layers) {
    if (list.size() != layers.size()) {
      throw new IllegalArgumentException(op + ": " + list.size() + " " + name + " for " + layers.size() + " layers; they must be equally many");
    }
  }

  public static void requireForward(String op, List<BitTensor> bits, List<Tensor> effective, List<Tensor> ws) {
    requireEach(op, "bits", bits, ws);
    requireEach(op, "effective", effective, ws);
    for (int i = 0; i < ws.size(); i++) {
      Shapes.requireBits(op, bits.get(i), ws.get(i));
      Shapes.requireEqual(op, "effective", effective.get(i), "w", ws.get(i));
    }
  }

  public static void requireBackward(String op, List<Tensor> gradients, List<Tensor> gradEs, List<Tensor> ws) {
    requireEach(op, "gradients", gradients, ws);
    requireEach(op, "gradE", gradEs, ws);
    for (int i = 0; i < ws.size(); i++) {
      Shapes.requireEqual(op, "the gradient", gradients.get(i), "w", ws.get(i));
      Shapes.requireEqual(op, "gradE", gradEs.get(i), "w", ws.get(i));
    }
  }

  /** A centre and a distance for each filter. */
  public static void requireFilterSets(String op, List<BinarySet> sets, List<Tensor> ws) {
    requireEach(op, "sets", sets, ws);
    for (int i = 0; i < ws.size(); i++) Shapes.requireFilterSet(op, sets.get(i), ws.get(i));
  }

  /** The sets' distances are scales: one for all filters of a layer, where those are given, or one for each. */
  public static void requireScales(String op, List<BinarySet> sets, List<Tensor> ws, boolean perFilter) {
    requireEach(op, "sets", sets, ws);
    for (int i = 0; i < ws.size(); i++) {
      if (perFilter) Shapes.requirePerFilter(op, "scale", sets.get(i).distance(), ws.get(i));
      else Shapes.requireScale(op, sets.get(i).distance(), ws.get(i));
    }
  }

  /** Gradients of scales and penalties, where there are any. */
  public static void requireSignGradients(String op, List<Tensor> gradScales, List<Tensor> penalties, List<Tensor> ws) {
    if (gradScales != null) requirePerFilter(op, "gradScale", gradScales, ws);
    if (penalties == null) return;
    requireEach(op, "penalties", penalties, ws);
    for (Tensor penalty : penalties) Shapes.requireCount(op, "penalty", penalty, 1);
  }

  public static void requirePerFilter(String op, String name, List<Tensor> values, List<Tensor> ws) {
    requireEach(op, name, values, ws);
    for (int i = 0; i < ws.size(); i++) Shapes.requirePerFilter(op, name, values.get(i), ws.get(i));
  }

  /** The mixes fit the weights, w or u. */
  public static void requireMixes(String op, List<Mix> mixes, List<Tensor> ws) {
    requireEach(op, "mixes", mixes, ws);
    for (int i = 0; i < ws.size(); i++) {
      Mix mix = mixes.get(i);
      Shapes.requireEqual(op, "u", mix.u(), "w", ws.get(i));
      Shapes.requireEqual(op, "rotated", mix.rotated(), "w", ws.get(i));
      Shapes.requireEqual(op, "mixed", mix.mixed(), "w", ws.get(i));
      Shapes.requirePerFilter(op, "deviation", mix.deviation(), ws.get(i));
      Shapes.requirePerFilter(op, "angle", mix.angle(), ws.get(i));
      Shapes.requirePerFilter(op, "scale", mix.scale(), ws.get(i));
    }
  }

  public static void requireRotations(String op, List<Tensor> r1s, List<Tensor> r2s, List<Tensor> ws) {
    requireEach(op, "R1", r1s, ws);
    requireEach(op, "R2", r2s, ws);
    for (int i = 0; i < ws.size(); i++) Shapes.requireRotation(op, r1s.get(i), r2s.get(i), ws.get(i));
  }
}
