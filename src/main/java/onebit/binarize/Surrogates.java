package onebit.binarize;

import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/** Level and slope of weights and activations in one epoch, with the schedule's values for the metrics, except names that these have already, such as loss. */
public record Surrogates(Binarizer weights, Binarizer activations, Map<String, Double> values) {
  /** The values come in the order of their names, so that metrics of all runs have the same columns. */
  public Surrogates {
    values = Collections.unmodifiableMap(new TreeMap<>(values));
  }
}
