package onebit.train;

import java.nio.file.Path;

/**
 * What a run is told beside its recipe.
 *
 * @param title    the recipe's name, for the report
 * @param data     folder of the data set; null for sets the program draws
 * @param run      the run folder
 * @param stopEpoch the epoch to stop before, at most the recipe's epochs; the schedule stays that of the recipe
 * @param steps    most steps of an epoch and most batches of an evaluation: small in a dry run
 */
public record TrainOptions(String title, Path data, Path run, int stopEpoch, int steps) {}
