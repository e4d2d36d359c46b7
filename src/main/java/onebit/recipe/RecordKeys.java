package onebit.recipe;

import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import onebit.recipe.keys.Default;

/** The table of keys of a record type; a key of several registered records is listed once for each, as {@code method[adabin].form}. */
final class RecordKeys {
  private final RecordBinder binder;

  RecordKeys(RecordBinder binder) {
    this.binder = binder;
  }

  List<RecordKey> of(Class<? extends Record> type) {
    List<RecordKey> keys = new ArrayList<>();
    add(type, "", keys);
    return keys;
  }

  private void add(Class<? extends Record> type, String section, List<RecordKey> keys) {
    for (RecordComponent component : type.getRecordComponents()) {
      String key = RecordBinder.dotted(section, component.getName());
      Default otherwise = component.getAnnotation(Default.class);
      RecordKey.Presence presence = component.getType() == Optional.class ? RecordKey.Presence.OPTIONAL
          : otherwise == null ? RecordKey.Presence.REQUIRED : RecordKey.Presence.DEFAULTED;
      Type value = Rules.value(component.getGenericType());
      if (value instanceof Class<?> plain && plain.isRecord()) {
        add(plain.asSubclass(Record.class), key, keys);
      } else if (value instanceof Class<?> plain && plain.isInterface()) {
        Map<String, Class<? extends Record>> kinds = new TreeMap<>(binder.kindsOf(plain));
        keys.add(new RecordKey(key + "." + RecordBinder.NAME, "name", RecordBinder.list(kinds.keySet()), "", presence));
        kinds.forEach((name, kind) -> add(kind, key + "[" + name + "]", keys));
      } else {
        keys.add(new RecordKey(key, Rules.typeName(value), Rules.allowed(component), otherwise == null ? "" : otherwise.value(), presence));
      }
    }
  }
}
