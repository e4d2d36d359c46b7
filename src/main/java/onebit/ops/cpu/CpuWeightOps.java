package onebit.ops.cpu;

import java.util.List;
import onebit.binarize.Binarizer;
import onebit.ops.BinarizeOps;
import onebit.ops.BitOps;
import onebit.ops.WeightOps;
import onebit.ops.WeightRules;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * The weights of many layers on the CPU: the ops of one layer, layer by layer, which is what an op for all is equal to.
 *
 * <pre>
 * Twin  src/main/java/onebit/ops/cuda/CudaWeightOps.java
 * </pre>
 */
final class CpuWeightOps implements WeightOps {
  private final BitOps bitOps;
  private final BinarizeOps binarize;

  CpuWeightOps(BitOps bitOps, BinarizeOps binarize) {
    this.bitOps = bitOps;
    this.binarize = binarize;
  }

  @Override
  public void centreDistanceAll(List<BitTensor> bits, List<BinarySet> sets, List<Tensor> effective, List<Tensor> ws) {
    WeightRules.requireForward("centreDistanceAll", bits, effective, ws);
    WeightRules.requireFilterSets("centreDistanceAll", sets, ws);
    for (int i = 0; i < ws.size(); i++) {
      binarize.centreDistance(bits.get(i), sets.get(i), ws.get(i));
      bitOps.unpack(effective.get(i), bits.get(i), sets.get(i));
    }
  }

  @Override
  public void centreDistanceAllBackward(List<Tensor> gradients, List<Tensor> gradEs, List<Tensor> ws, List<BinarySet> sets, Binarizer f) {
    WeightRules.requireBackward("centreDistanceAllBackward", gradients, gradEs, ws);
    WeightRules.requireFilterSets("centreDistanceAllBackward", sets, ws);
    for (int i = 0; i < ws.size(); i++) binarize.centreDistanceBackward(gradients.get(i), gradEs.get(i), ws.get(i), sets.get(i), f);
  }

  @Override
  public void signWeightsAll(List<BitTensor> bits, List<BinarySet> sets, List<Tensor> effective, List<Tensor> ws, Binarizer f, float meanFactor,
      boolean real) {
    WeightRules.requireForward("signWeightsAll", bits, effective, ws);
    WeightRules.requireScales("signWeightsAll", sets, ws, meanFactor != 0);
    for (int i = 0; i < ws.size(); i++) {
      Tensor to = effective.get(i), scale = sets.get(i).distance();
      if (meanFactor != 0) binarize.meanAbsolute(scale, ws.get(i), meanFactor);
      binarize.sign(bits.get(i), ws.get(i), f);
      if (real) {
        binarize.level(to, ws.get(i), f);
        float[] values = to.floats(), scales = scale.floats();
        for (int k = 0; k < values.length; k++) values[k] *= scales[scales.length > 1 ? k / to.shape().rowSize() : 0];
      } else {
        bitOps.unpack(to, bits.get(i), sets.get(i));
      }
    }
  }

  @Override
  public void signWeightsAllBackward(List<Tensor> gradients, List<Tensor> gradScales, List<Tensor> penalties, List<Tensor> gradEs, List<Tensor> ws,
      List<BinarySet> sets, Binarizer f, boolean throughMeanAbsolute, boolean real, float factor) {
    WeightRules.requireBackward("signWeightsAllBackward", gradients, gradEs, ws);
    WeightRules.requireScales("signWeightsAllBackward", sets, ws, throughMeanAbsolute);
    WeightRules.requireSignGradients("signWeightsAllBackward", gradScales, penalties, ws);
    for (int i = 0; i < ws.size(); i++) {
      Tensor w = ws.get(i), gradE = gradEs.get(i);
      if (gradScales != null) binarize.scaleBackward(gradScales.get(i), gradE, w, f, real);
      binarize.signWeightsBackward(gradients.get(i), gradE, w, sets.get(i).distance(), f, throughMeanAbsolute);
      if (penalties == null) continue;
      penalties.get(i).floats()[0] = 0;
      binarize.squaredLevelPenalty(penalties.get(i), gradients.get(i), w, f, factor);
    }
  }

  @Override
  public void rotateAll(List<BitTensor> bits, List<Mix> mixes, List<Tensor> effective, List<Tensor> ws, List<Tensor> r1s, List<Tensor> r2s, Binarizer f) {
    WeightRules.requireForward("rotateAll", bits, effective, ws);
    WeightRules.requireMixes("rotateAll", mixes, ws);
    WeightRules.requireRotations("rotateAll", r1s, r2s, ws);
    for (int i = 0; i < ws.size(); i++) {
      Mix mix = mixes.get(i);
      binarize.standardize(mix.u(), mix.deviation(), ws.get(i));
      binarize.rotateMix(mix.mixed(), mix.rotated(), mix.u(), r1s.get(i), r2s.get(i), mix.angle());
      binarize.sign(bits.get(i), mix.mixed(), f);
      binarize.level(effective.get(i), mix.mixed(), f);
      float[] values = effective.get(i).floats(), scales = mix.scale().floats();
      for (int k = 0; k < values.length; k++) {
        float scale = scales[k / ws.get(i).shape().rowSize()];
        values[k] = values[k] >= 0 ? 0 + scale : 0 - scale;
      }
    }
  }

  @Override
  public void rotateAllBackward(List<Tensor> gradients, List<Tensor> gradScales, List<Tensor> gradAngles, List<Tensor> gradEs, List<Mix> mixes,
      Binarizer f) {
    List<Tensor> us = mixes.stream().map(Mix::u).toList();
    WeightRules.requireBackward("rotateAllBackward", gradients, gradEs, us);
    WeightRules.requireMixes("rotateAllBackward", mixes, us);
    WeightRules.requirePerFilter("rotateAllBackward", "gradScale", gradScales, us);
    WeightRules.requirePerFilter("rotateAllBackward", "gradAngle", gradAngles, us);
    for (int i = 0; i < mixes.size(); i++) {
      Mix mix = mixes.get(i);
      Tensor q = gradients.get(i), gradE = gradEs.get(i);
      binarize.scaleBackward(gradScales.get(i), gradE, mix.mixed(), f, false);
      binarize.rotateMixBackward(q, gradAngles.get(i), gradE, mix.mixed(), mix.rotated(), mix.u(), mix.angle(), mix.scale(), f);
      binarize.standardizeBackward(q, q, mix.u(), mix.deviation());
    }
  }
}
