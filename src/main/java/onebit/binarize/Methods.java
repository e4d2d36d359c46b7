package onebit.binarize;

import java.util.Map;

/** The methods a recipe may name in {@code method.name}. */
public final class Methods {
  private static final Map<String, Class<? extends Method>> BY_NAME = Map.of(
      "adabin", AdaBin.class,
      "bmxnet", BmxNet.class,
      "biper", BiPer.class,
      "rbnn", Rbnn.class,
      "bireal", BiReal.class);

  private Methods() {}

  public static Map<String, Class<? extends Method>> byName() {
    return BY_NAME;
  }
}
