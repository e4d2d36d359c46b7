package onebit.recipe;

import java.util.LinkedHashMap;

/** Command line settings of the form {@code dotted.key=value}, written over a file's tree before it is bound. */
final class Overrides {
  /** How the place of a setting begins, in messages and where files and settings are told apart. */
  static final String SAID = "--set ";

  private Overrides() {}

  /** Sets one key; sections on the way that the file leaves out are made, wrong ones are refused later like a file's. */
  static void apply(YamlNode.Mapping root, String setting) {
    String where = SAID + YamlNode.clip(setting);
    int equals = setting.indexOf('=');
    if (equals <= 0) throw new IllegalArgumentException(where + ": a setting is key=value, like train.epochs=3");
    String[] keys = setting.substring(0, equals).strip().split("\\.", -1);
    YamlNode value = YamlReader.value(where, setting.substring(equals + 1).strip());
    YamlNode.Mapping section = root;
    for (int i = 0; i < keys.length; i++) {
      if (keys[i].isEmpty()) throw new IllegalArgumentException(where + ": the key has an empty part");
      if (i == keys.length - 1) {
        section.entries().put(keys[i], new YamlNode.Entry(where, value));
        return;
      }
      YamlNode.Entry next = section.entries().get(keys[i]);
      if (next == null) {
        next = new YamlNode.Entry(where, new YamlNode.Mapping(where, new LinkedHashMap<>()));
        section.entries().put(keys[i], next);
      }
      if (!(next.value() instanceof YamlNode.Mapping inner)) {
        throw new IllegalArgumentException(where + ": " + keys[i] + " is " + next.value().shown() + ", not a section; it has no keys to set");
      }
      section = inner;
    }
  }
}
