package onebit.recipe;

import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import onebit.recipe.keys.OneOf;
import onebit.recipe.keys.Range;

/** What a key may hold, in words. */
final class Rules {
  private Rules() {}

  /** The rule of a component as the end of "it must be ...". */
  static String of(RecordComponent component, RecordBinder binder) {
    Type type = value(component.getGenericType());
    boolean list = type instanceof ParameterizedType generic && generic.getRawType() == List.class;
    String each = each(list ? ((ParameterizedType) type).getActualTypeArguments()[0] : type, component, binder);
    return list ? "a list, each element " + each : each;
  }

  /** The type's name for the table of keys: int, number, text, true/false, list of ..., section. */
  static String typeName(Type declared) {
    Type type = value(declared);
    if (type instanceof ParameterizedType generic) return "list of " + typeName(generic.getActualTypeArguments()[0]);
    Class<?> plain = (Class<?>) type;
    if (plain == int.class || plain == long.class || plain == Integer.class || plain == Long.class) return "int";
    if (plain == boolean.class || plain == Boolean.class) return "true/false";
    if (plain == String.class) return "text";
    if (plain.isEnum()) return "name";
    return plain.isRecord() || plain.isInterface() ? "section" : "number";
  }

  /** The allowed values alone, empty where the type says it all. */
  static String allowed(RecordComponent component) {
    OneOf oneOf = component.getAnnotation(OneOf.class);
    if (oneOf != null) return RecordBinder.list(Arrays.asList(oneOf.value()));
    Type type = value(component.getGenericType());
    if (type instanceof ParameterizedType generic) type = generic.getActualTypeArguments()[0];
    if (type instanceof Class<?> plain && plain.isEnum()) return RecordBinder.list(Scalars.names(plain));
    return bounds(component.getAnnotation(Range.class));
  }

  static boolean inRange(Range range, Object value) {
    if (range == null || !(value instanceof Number number)) return true;
    double x = number.doubleValue();
    boolean above = range.exclusiveMin() ? x > range.min() : x >= range.min();
    boolean below = range.exclusiveMax() ? x < range.max() : x <= range.max();
    return above && below;
  }

  private static String each(Type type, RecordComponent component, RecordBinder binder) {
    Class<?> plain = (Class<?>) type;
    if (plain.isInterface()) return "a section whose key name is one of " + RecordBinder.list(binder.kindsOf(plain).keySet());
    String allowed = allowed(component);
    if (plain.isEnum() || component.isAnnotationPresent(OneOf.class)) return "one of " + allowed;
    String noun = switch (typeName(type)) {
      case "int" -> "a whole number (" + (plain == long.class || plain == Long.class ? "64" : "32") + " bits)";
      case "number" -> "a finite number";
      case "true/false" -> "true or false";
      case "text" -> "a text (quote it if it looks like a number)";
      default -> "a section of keys";
    };
    return allowed.isEmpty() ? noun : noun + " " + allowed;
  }

  /** What an Optional holds; any other type itself. */
  static Type value(Type type) {
    return type instanceof ParameterizedType generic && generic.getRawType() == Optional.class
        ? generic.getActualTypeArguments()[0] : type;
  }

  private static String bounds(Range range) {
    if (range == null) return "";
    String low = Double.isInfinite(range.min()) ? "" : (range.exclusiveMin() ? "> " : ">= ") + number(range.min());
    String high = Double.isInfinite(range.max()) ? "" : (range.exclusiveMax() ? "< " : "<= ") + number(range.max());
    return low.isEmpty() || high.isEmpty() ? low + high : low + " and " + high;
  }

  private static String number(double x) {
    return x == Math.rint(x) && Math.abs(x) < 1e15 ? Long.toString((long) x) : Double.toString(x);
  }
}
