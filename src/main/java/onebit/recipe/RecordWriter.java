package onebit.recipe;

import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Records as block-style YAML: component order, flow lists, absent Optionals left out, texts quoted unless plainly words. */
final class RecordWriter {
  private static final Pattern WORDS = Pattern.compile("[A-Za-z]([A-Za-z0-9 ._/()+-]*[A-Za-z0-9.)])?");
  private static final Set<String> RESERVED = Set.of("true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf");

  private final RecordBinder binder;

  RecordWriter(RecordBinder binder) {
    this.binder = binder;
  }

  String write(Record value) {
    StringBuilder out = new StringBuilder();
    block(value, value.getClass(), "", out);
    return out.toString();
  }

  Map<String, Object> tree(Record value, Class<?> declared) {
    Map<String, Object> members = new LinkedHashMap<>();
    if (declared.isInterface()) members.put("name", nameOf(value, declared));
    for (RecordComponent component : value.getClass().getRecordComponents()) {
      Object held = get(value, component);
      if (held instanceof Optional<?> optional && optional.isEmpty()) continue;
      members.put(component.getName(), held instanceof Optional<?> optional ? leaf(optional.get(), raw(component)) : leaf(held, component.getType()));
    }
    return members;
  }

  private Object leaf(Object held, Class<?> declared) {
    return switch (held) {
      case Record section -> tree(section, declared);
      case List<?> list -> list.stream().map(element -> leaf(element, element.getClass())).toList();
      case Enum<?> constant -> Scalars.kebab(constant);
      default -> held;
    };
  }

  private void block(Record value, Class<?> declared, String indent, StringBuilder out) {
    if (declared.isInterface()) out.append(indent).append("name: ").append(text(nameOf(value, declared))).append('\n');
    for (RecordComponent component : value.getClass().getRecordComponents()) {
      Object held = get(value, component);
      if (held instanceof Optional<?> optional) {
        if (optional.isEmpty()) continue;
        held = optional.get();
      }
      out.append(indent).append(component.getName()).append(':');
      Class<?> type = component.getType() == Optional.class ? raw(component) : component.getType();
      if (held instanceof Record section && (type.isInterface() || section.getClass().getRecordComponents().length > 0)) {
        int before = out.append('\n').length();
        block(section, type, indent + "  ", out);
        if (out.length() == before) out.insert(before - 1, " {}");
      } else {
        out.append(' ').append(flow(held)).append('\n');
      }
    }
  }

  private static Class<?> raw(RecordComponent component) {
    return Rules.value(component.getGenericType()) instanceof Class<?> plain ? plain : List.class;
  }

  private String flow(Object value) {
    return switch (value) {
      case List<?> list -> list.stream().map(this::flow).collect(Collectors.joining(", ", "[", "]"));
      case Enum<?> constant -> Scalars.kebab(constant);
      case String words -> text(words);
      case Record section -> Arrays.stream(section.getClass().getRecordComponents())
          .map(c -> Map.entry(c.getName(), get(section, c)))
          .filter(e -> !(e.getValue() instanceof Optional<?> o && o.isEmpty()))
          .map(e -> e.getKey() + ": " + flow(e.getValue() instanceof Optional<?> o ? o.get() : e.getValue()))
          .collect(Collectors.joining(", ", "{", "}"));
      default -> value.toString();
    };
  }

  private String nameOf(Record value, Class<?> declared) {
    return binder.kindsOf(declared).entrySet().stream().filter(e -> e.getValue() == value.getClass()).map(Map.Entry::getKey).findFirst()
        .orElseThrow(() -> new IllegalStateException(value.getClass().getName() + " is not registered as a " + declared.getName()));
  }

  static Object get(Record value, RecordComponent component) {
    try {
      var accessor = component.getAccessor();
      accessor.setAccessible(true);
      return accessor.invoke(value);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(value.getClass().getName() + " cannot be read", e);
    }
  }

  private static String text(String words) {
    if (WORDS.matcher(words).matches() && !RESERVED.contains(words.toLowerCase(Locale.ROOT))) return words;
    StringBuilder quoted = new StringBuilder("\"");
    for (int i = 0; i < words.length(); i++) {
      char c = words.charAt(i);
      if (c == '"' || c == '\\') quoted.append('\\').append(c);
      else if (c == '\n') quoted.append("\\n");
      else if (mustEscape(c)) quoted.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
      else quoted.append(c);
    }
    return quoted.append('"').toString();
  }

  private static boolean mustEscape(char c) {
    return c < 0x20 || c >= 0x7f && c <= 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff || c >= 0xfff0;
  }
}
