package onebit.binarize;

import java.util.Map;

/** Level and slope of weights and activations in one epoch, with the schedule's values for the metrics. */
public record Surrogates(Binarizer weights, Binarizer activations, Map<String, Double> values) {}
