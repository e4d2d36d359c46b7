package onebit.recipe;

import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/** When a run writes checkpoints beside the one after every epoch (0 = not by this clock), and how many it keeps. */
public record CheckpointRecipe(
    @Default("0") @Range(min = 0) int everySteps,
    @Default("10") @Range(min = 0, max = 100_000) double everyMinutes,
    @Default("3") @Range(min = 1, max = 1000) int keep) {}
