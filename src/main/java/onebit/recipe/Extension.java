package onebit.recipe;

import java.util.Map;
import onebit.binarize.Method;
import onebit.data.OwnDataset;
import onebit.models.Network;

/**
 * What a jar of one's own adds to recipes: methods, networks and data sets, records all of them, by the names that {@code method.name}, {@code network.name} and
 * {@code data.own.name} give them.
 *
 * <p>A jar on the class path names its class in the file {@code META-INF/services/onebit.recipe.Extension}, as {@link java.util.ServiceLoader} reads it. What its keys mean, as
 * {@code onebit recipes --keys} prints it, may stand in a file {@code onebit/recipe-keys.properties} of the jar.
 */
public interface Extension {
  /** Methods by name. */
  default Map<String, Class<? extends Method>> methods() {
    return Map.of();
  }

  /** Networks by name. */
  default Map<String, Class<? extends Network>> networks() {
    return Map.of();
  }

  /** Data sets by name. */
  default Map<String, Class<? extends OwnDataset>> datasets() {
    return Map.of();
  }
}
