package onebit.recipe;

import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/** The optimizer and its constants; keys of the other optimizers have no effect, which a run says ({@link Recipe#idle}). */
public record OptimizerRecipe(
    Kind name,
    @Range(min = 0, exclusiveMin = true, max = 100) double learningRate,
    @Default("0.9") @Range(min = 0, max = 1, exclusiveMax = true) double momentum,
    @Default("0.9") @Range(min = 0, max = 1, exclusiveMax = true) double beta1,
    @Default("0.999") @Range(min = 0, max = 1, exclusiveMax = true) double beta2,
    @Default("1e-8") @Range(min = 0, exclusiveMin = true, max = 1) double epsilon,
    @Default("0") @Range(min = 0, max = 1) double weightDecay,
    @Default("all") Decay decay,
    @Default("0") @Range(min = 0, max = 1e9) double clipNorm) {

  /** The update rule. */
  public enum Kind { SGD, ADAM, RADAM }

  /** Which parameters weight decay acts on: all, none, those whose name contains conv or fc (BiPer on ImageNet), weights of rank 4. */
  public enum Decay { ALL, NONE, CONV_AND_FC_NAMES, CONV_WEIGHTS }
}
