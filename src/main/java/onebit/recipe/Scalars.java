package onebit.recipe;

import com.google.common.base.CaseFormat;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** Single values: what a scalar means as a Java type, and the names of enum constants. */
final class Scalars {
  private static final Pattern INTEGER = Pattern.compile("-?(0|[1-9][0-9]{0,18})");
  private static final Pattern REAL = Pattern.compile("-?([0-9]{1,40}(\\.[0-9]{0,40})?|\\.[0-9]{1,40})([eE][-+]?[0-9]{1,4})?");

  private static final Set<Class<?>> PLAIN = Set.of(String.class, boolean.class, Boolean.class, int.class, Integer.class, long.class, Long.class, float.class, Float.class, double.class, Double.class);

  private Scalars() {}

  /** Whether a scalar can be of the type. */
  static boolean isOne(Class<?> type) {
    return PLAIN.contains(type) || type.isEnum();
  }

  /** The scalar as a value of the type, or null where it is none: another kind, too large, not finite, written in another base. */
  static Object parse(Class<?> type, YamlNode.Scalar scalar) {
    String text = scalar.text();
    if (type == String.class) return scalar.kind() == YamlNode.Kind.TEXT ? text : null;
    if (type == boolean.class || type == Boolean.class) return scalar.kind() == YamlNode.Kind.BOOLEAN ? Boolean.valueOf(text) : null;
    if (type.isEnum()) return constant(type, text);
    if (scalar.kind() != YamlNode.Kind.NUMBER) return null;
    if (type == int.class || type == Integer.class) {
      Long value = whole(text);
      return value == null || value != value.intValue() ? null : (Object) value.intValue();
    }
    if (type == long.class || type == Long.class) return whole(text);
    if (!REAL.matcher(text).matches()) return null;
    double value = Double.parseDouble(text);
    if (type == float.class || type == Float.class) return Float.isFinite((float) value) ? (Object) (float) value : null;
    if (type == double.class || type == Double.class) return Double.isFinite(value) ? (Object) value : null;
    throw new IllegalStateException("no YAML form for " + type.getName());
  }

  private static Long whole(String text) {
    if (!INTEGER.matcher(text).matches()) return null;
    try {
      return Long.valueOf(text);
    } catch (NumberFormatException tooLarge) {
      return null;
    }
  }

  private static Object constant(Class<?> type, String text) {
    for (Object constant : type.getEnumConstants()) {
      if (kebab((Enum<?>) constant).equals(text)) return constant;
    }
    return null;
  }

  static List<String> names(Class<?> type) {
    return Arrays.stream(type.getEnumConstants()).map(c -> kebab((Enum<?>) c)).toList();
  }

  static String kebab(Enum<?> constant) {
    return CaseFormat.UPPER_UNDERSCORE.to(CaseFormat.LOWER_HYPHEN, constant.name());
  }
}
