package onebit.train;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.optim.Adam;
import onebit.optim.Optimizer;
import onebit.optim.Sgd;
import onebit.recipe.OptimizerRecipe;
import onebit.tensor.Parameter;

/** Makes the optimizer a recipe names, with its weight-decay groups. */
final class Optimizers {
  private Optimizers() {}

  static Optimizer of(OptimizerRecipe recipe, Backend backend, List<Parameter> parameters) {
    ToDoubleFunction<Parameter> decay = p -> decays(recipe.decay(), p) ? recipe.weightDecay() : 0;
    Optimizer optimizer = switch (recipe.name()) {
      case SGD -> new Sgd(backend, parameters, recipe.momentum(), decay);
      case ADAM -> new Adam(backend, parameters, recipe.beta1(), recipe.beta2(), recipe.epsilon(), false, decay);
      case RADAM -> new Adam(backend, parameters, recipe.beta1(), recipe.beta2(), recipe.epsilon(), true, decay);
    };
    optimizer.clipNorm(recipe.clipNorm());
    return optimizer;
  }

  private static boolean decays(OptimizerRecipe.Decay which, Parameter parameter) {
    return switch (which) {
      case ALL -> true;
      case NONE -> false;
      case CONV_AND_FC_NAMES -> parameter.name().contains("conv") || parameter.name().contains("fc");
      case CONV_WEIGHTS -> parameter.fileShape().length == 4 && parameter.name().endsWith(".weight");
    };
  }
}
