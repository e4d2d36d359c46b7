package onebit.recipe;

import java.util.List;
import java.util.Map;

/** One value of a YAML text together with the place it was written at: {@code "mine.yaml, line 3"} or {@code "--set a.b=c"}. */
sealed interface YamlNode {
  String where();

  /** What a message says instead of the value. */
  String shown();

  /** Keys in the order they were written; the map may be changed by overrides. */
  record Mapping(String where, Map<String, Entry> entries) implements YamlNode {
    @Override public String shown() {
      return "a section";
    }
  }

  /** A key's own place and its value. */
  record Entry(String where, YamlNode value) {}

  record Sequence(String where, List<YamlNode> items) implements YamlNode {
    @Override public String shown() {
      return "a list";
    }
  }

  enum Kind { TEXT, NUMBER, BOOLEAN, NULL }

  /** A single value as it was written, without its quotes. */
  record Scalar(String where, Kind kind, String text) implements YamlNode {
    @Override public String shown() {
      return kind == Kind.NULL ? "without a value" : kind == Kind.TEXT ? "the text \"" + clip(text) + "\"" : clip(text);
    }
  }

  /** The text, cut to its first 80 characters. */
  static String clip(String text) {
    return text.length() <= 80 ? text : text.substring(0, 80) + "...";
  }
}
