package onebit.recipe;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.OneOf;
import onebit.recipe.keys.Range;

/**
 * Records from YAML, strictly: component names are the keys, component types and annotations the rules.
 *
 * <pre>
 * Encoding  int, long, float, double, boolean, String, enum (kebab-case), List, Optional (absent or null = empty),
 *           record (a section), interface (a section whose key `name` picks one of its registered records)
 * Differs   nothing is converted: 3.0 is no int, "3" no number, yes no boolean, NaN and Inf no value
 * Throws    IllegalArgumentException for all refusals at once, in the order of the file, a line each that names file, line, dotted key, value and rule. What is no
 *           YAML ends the reading, and a rule over several keys is looked at when all keys of their section are right
 * </pre>
 */
public final class RecordBinder {
  static final String NAME = "name";
  private static final String IF_NAMED = ", if ONEBIT_CLASSPATH names its jar (onebit doctor shows which were found)", FROM_EXTENSION = "one that an extension adds" + IF_NAMED;

  private final Map<Class<?>, Map<String, Class<? extends Record>>> kinds;

  /** A binder that resolves each interface through the records registered for it by name. @throws IllegalArgumentException if one is no record, or has a component called name or of a type that has no YAML form */
  public RecordBinder(Map<Class<?>, ? extends Map<String, ? extends Class<?>>> kinds) {
    Map<Class<?>, Map<String, Class<? extends Record>>> checked = new HashMap<>();
    kinds.forEach((type, names) -> {
      Map<String, Class<? extends Record>> records = new HashMap<>();
      names.forEach((name, kind) -> {
        if (!kind.isRecord() || !type.isAssignableFrom(kind)) throw new IllegalArgumentException(kind.getName() + " is no record of " + type.getName());
        if (hasKey(kind.asSubclass(Record.class), NAME)) throw new IllegalArgumentException(kind.getName() + " has a component called name, the key that picks the record; call it otherwise");
        requireReadable(kind, kinds.keySet());
        records.put(name, kind.asSubclass(Record.class));
      });
      checked.put(type, Map.copyOf(records));
    });
    this.kinds = Map.copyOf(checked);
  }

  private static void requireReadable(Class<?> record, Set<Class<?>> sections) {
    for (RecordComponent component : record.getRecordComponents()) {
      Type type = component.getGenericType();
      while (type instanceof ParameterizedType generic && Set.of(Optional.class, List.class).contains(generic.getRawType())) type = generic.getActualTypeArguments()[0];
      if (type instanceof Class<?> plain && plain.isRecord()) requireReadable(plain, sections);
      else if (!(type instanceof Class<?> plain && (Scalars.isOne(plain) || sections.contains(plain)))) {
        throw new IllegalArgumentException(record.getName() + " has a component " + component.getName() + " of type " + component.getGenericType().getTypeName()
            + "; a key is an int, long, float, double, boolean, String, enum or record, or a List or an Optional of one");
      }
    }
  }

  /** The record written in a YAML text, after overrides of the form {@code dotted.key=value}. */
  public <R extends Record> R bind(Class<R> type, String file, String yaml, List<String> overrides) {
    YamlNode.Mapping root = YamlReader.file(file, yaml);
    Refusals wrong = new Refusals();
    for (String override : overrides) wrong.tried(() -> Overrides.apply(root, override));
    Record bound = wrong.tried(() -> section(type, root, "", type));
    wrong.throwAny();
    return type.cast(bound);
  }

  /** The YAML text of a record, every key written out in component order; {@link #bind} reads an equal record from it. */
  public String write(Record value) {
    return new RecordWriter(this).write(value);
  }

  /** A record as maps, lists, numbers and texts, under the keys that {@link #write} gives them. */
  public Map<String, Object> tree(Record value) {
    return new RecordWriter(this).tree(value, value.getClass());
  }

  /** Every dotted key of a record type with its type, rule and default, in component order. */
  public List<RecordKey> describe(Class<? extends Record> type) {
    return new RecordKeys(this).of(type);
  }

  Map<String, Class<? extends Record>> kindsOf(Class<?> type) {
    Map<String, Class<? extends Record>> names = kinds.get(type);
    if (names == null) throw new IllegalStateException("no records are registered for " + type.getName());
    return names;
  }

  private Record section(Class<?> type, YamlNode node, String key, Class<? extends Record> root) {
    if (!(node instanceof YamlNode.Mapping mapping)) throw refusal(node, key, "a section of keys");
    if (!type.isInterface()) return record(type.asSubclass(Record.class), mapping, key, false, root);
    Map<String, Class<? extends Record>> names = kindsOf(type);
    YamlNode.Entry name = mapping.entries().get(NAME);
    if (name == null) throw new IllegalArgumentException(mapping.where() + ": " + dotted(key, NAME) + " is missing; it picks " + (names.isEmpty() ? FROM_EXTENSION : "one of " + list(names.keySet())));
    if (!(name.value() instanceof YamlNode.Scalar scalar) || !names.containsKey(scalar.text())) {
      String choice = choice(name.value(), names.keySet());
      throw refusal(name.value(), dotted(key, NAME), names.isEmpty() ? FROM_EXTENSION : choice + (choice.endsWith("?") ? "" : "; an extension adds others" + IF_NAMED));
    }
    return record(names.get(scalar.text()), name.where().startsWith(Overrides.SAID) ? without(mapping, names, names.get(scalar.text())) : mapping, key, true, root);
  }

  /** A section whose kind is set over that of the file: what the file says to keys that other kinds have and this one has not is left out. */
  private static YamlNode.Mapping without(YamlNode.Mapping mapping, Map<String, Class<? extends Record>> names, Class<? extends Record> kind) {
    Map<String, YamlNode.Entry> kept = new LinkedHashMap<>(mapping.entries());
    kept.entrySet().removeIf(e -> !e.getKey().equals(NAME) && !e.getValue().where().startsWith(Overrides.SAID) && !hasKey(kind, e.getKey())
        && names.values().stream().anyMatch(other -> hasKey(other, e.getKey())));
    return new YamlNode.Mapping(mapping.where(), kept);
  }

  private static boolean hasKey(Class<? extends Record> kind, String key) {
    return Arrays.stream(kind.getRecordComponents()).anyMatch(c -> c.getName().equals(key));
  }

  private Record record(Class<? extends Record> type, YamlNode.Mapping mapping, String key, boolean named, Class<? extends Record> root) {
    RecordComponent[] components = type.getRecordComponents();
    List<String> known = new ArrayList<>();
    if (named) known.add(NAME);
    for (RecordComponent component : components) known.add(component.getName());
    Object[] values = new Object[components.length];
    Refusals wrong = new Refusals();
    Set<String> misspelt = misspelt(mapping, known);
    for (int i = 0; i < components.length; i++) {
      RecordComponent component = components[i];
      if (mapping.entries().containsKey(component.getName()) || misspelt.contains(component.getName())) continue;
      values[i] = wrong.tried(() -> component(type, component, mapping, dotted(key, component.getName()), root));
    }
    for (Map.Entry<String, YamlNode.Entry> entry : mapping.entries().entrySet()) {
      if (wrong.isFull()) break;
      int at = known.indexOf(entry.getKey()), i = at - known.size() + components.length;   // -1 is the name that picks the record
      if (at < 0) wrong.add(unknown(entry.getValue(), key, entry.getKey(), known, root));
      else if (i >= 0) values[i] = wrong.tried(() -> component(type, components[i], mapping, dotted(key, entry.getKey()), root));
    }
    wrong.throwAny();
    return construct(type, components, values, mapping, key);
  }

  /** The keys that unknown ones of a section are close to: that such a key is missing is no second mistake. */
  private static Set<String> misspelt(YamlNode.Mapping mapping, List<String> known) {
    Set<String> meant = new HashSet<>();
    for (String key : mapping.entries().keySet().stream().filter(k -> !known.contains(k)).limit(Refusals.MOST).toList()) {
      String nearest = Nearest.to(key, known);
      if (nearest != null && Nearest.close(key, nearest)) meant.add(nearest);
    }
    return meant;
  }

  private Object component(Class<?> owner, RecordComponent component, YamlNode.Mapping mapping, String key, Class<? extends Record> root) {
    YamlNode.Entry entry = mapping.entries().get(component.getName());
    Default otherwise = component.getAnnotation(Default.class);
    boolean optional = component.getType() == Optional.class;
    if (optional && otherwise != null) throw new IllegalStateException(owner.getName() + ": " + component.getName() + " is Optional and has a default");
    if (entry != null) return value(component.getGenericType(), component, entry.value(), key, root);
    if (optional) return Optional.empty();
    if (otherwise != null) return value(component.getGenericType(), component, YamlReader.value("default of " + key, otherwise.value()), key, root);
    throw new IllegalArgumentException(mapping.where() + ": " + key + " is missing; it must be " + Rules.of(component, this));
  }

  private Object value(Type type, RecordComponent rules, YamlNode node, String key, Class<? extends Record> root) {
    if (type instanceof ParameterizedType generic && generic.getRawType() == Optional.class) {
      boolean empty = node instanceof YamlNode.Scalar scalar && scalar.kind() == YamlNode.Kind.NULL;
      return empty ? Optional.empty() : Optional.of(value(generic.getActualTypeArguments()[0], rules, node, key, root));
    }
    if (type instanceof ParameterizedType generic && generic.getRawType() == List.class) {
      if (!(node instanceof YamlNode.Sequence sequence)) throw refusal(node, key, Rules.of(rules, this));
      List<Object> items = new ArrayList<>();
      Refusals wrong = new Refusals();
      for (YamlNode item : sequence.items()) {
        if (wrong.isFull()) break;
        items.add(wrong.tried(() -> value(generic.getActualTypeArguments()[0], rules, item, key + "[" + items.size() + "]", root)));
      }
      wrong.throwAny();
      return List.copyOf(items);
    }
    Class<?> plain = (Class<?>) type;
    if (plain.isRecord() || kinds.containsKey(plain)) return section(plain, node, key, root);
    if (!(node instanceof YamlNode.Scalar scalar)) throw refusal(node, key, Rules.of(rules, this));
    Object value = Scalars.parse(plain, scalar);
    if (value == null && plain.isEnum()) throw refusal(node, key, choice(node, Scalars.names(plain)));
    OneOf allowed = rules.getAnnotation(OneOf.class);
    if (allowed != null && !Arrays.asList(allowed.value()).contains(scalar.text())) {
      throw refusal(node, key, choice(node, Arrays.asList(allowed.value())));
    }
    if (value == null || !Rules.inRange(rules.getAnnotation(Range.class), value)) throw refusal(node, key, Rules.of(rules, this));
    return value;
  }

  private static Record construct(Class<? extends Record> type, RecordComponent[] components, Object[] values, YamlNode where, String key) {
    Class<?>[] types = Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
    try {
      Constructor<? extends Record> constructor = type.getDeclaredConstructor(types);
      constructor.setAccessible(true);
      return constructor.newInstance(values);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof IllegalArgumentException refused) {
        throw new IllegalArgumentException(where.where() + ": " + (key.isEmpty() ? "" : key + ": ") + refused.getMessage(), refused);
      }
      throw new IllegalStateException(type.getName() + " cannot be made", e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(type.getName() + " cannot be made", e);
    }
  }

  /** The refusal of a key nobody knows: the nearest sibling, or the same key where it really is. */
  private IllegalArgumentException unknown(YamlNode.Entry entry, String section, String key, List<String> siblings, Class<? extends Record> root) {
    String nearest = Nearest.to(key, siblings);
    if (nearest == null || Nearest.edits(key, nearest) > 2) {
      String elsewhere = describe(root).stream().map(k -> k.key().replaceAll("\\[.*?]", "")).filter(k -> k.contains(".") && Nearest.same(key, k.substring(k.lastIndexOf('.') + 1))).findFirst().orElse(null);
      if (elsewhere != null) nearest = elsewhere;
    }
    String shown = YamlNode.clip(dotted(section, key));
    List<String> kindsWithIt = describe(root).stream().map(RecordKey::key).filter(k -> k.startsWith(section + "[") && k.endsWith("]." + key))
        .map(k -> k.substring(section.length() + 1, k.length() - key.length() - 2)).toList();
    String hint = !kindsWithIt.isEmpty() ? "; it is a key where " + dotted(section, NAME) + " is " + list(kindsWithIt) + "." : nearest == null ? "; this section has no keys"
        : nearest.contains(".") ? "; did you mean " + nearest + "?" : Nearest.close(key, nearest) ? "; did you mean " + dotted(section, nearest) + "?" : ".";
    return new IllegalArgumentException(entry.where() + ": unknown key " + shown + hint
        + (siblings.isEmpty() ? "" : " Keys here: " + list(siblings)));
  }

  private static IllegalArgumentException refusal(YamlNode node, String key, String rule) {
    return new IllegalArgumentException(node.where() + ": " + (key.isEmpty() ? "the recipe" : key) + " is " + node.shown() + "; it must be " + rule);
  }

  private static String choice(YamlNode node, Collection<String> allowed) {
    String word = node instanceof YamlNode.Scalar scalar ? YamlNode.clip(scalar.text()) : null, nearest = word == null ? null : Nearest.to(word, allowed);
    return "one of " + list(allowed) + (nearest != null && Nearest.close(word, nearest) ? "; did you mean " + nearest + "?" : "");
  }

  static String dotted(String section, String key) {
    return section.isEmpty() ? key : section + "." + key;
  }

  static String list(Collection<String> words) {
    return words.stream().sorted().collect(Collectors.joining(", "));
  }
}
