package onebit.recipe;

/** One line of the table of keys; {@code allowed} is empty where any value of the type will do, {@code otherwise} is the default as YAML. */
public record RecordKey(String key, String type, String allowed, String otherwise, Presence presence) {
  /** Whether a file must write the key. */
  public enum Presence { REQUIRED, OPTIONAL, DEFAULTED }
}
