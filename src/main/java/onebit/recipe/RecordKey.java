package onebit.recipe;

/** One line of the table of keys: dotted key, type, allowed values (empty = any of the type), default as YAML (empty = required or optional, as {@code presence} says). */
public record RecordKey(String key, String type, String allowed, String otherwise, Presence presence) {
  /** Whether a file must write the key. */
  public enum Presence { REQUIRED, OPTIONAL, DEFAULTED }
}
