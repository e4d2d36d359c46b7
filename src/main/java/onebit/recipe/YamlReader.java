package onebit.recipe;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.regex.Pattern;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.api.lowlevel.Parse;
import org.snakeyaml.engine.v2.events.AliasEvent;
import org.snakeyaml.engine.v2.events.CollectionStartEvent;
import org.snakeyaml.engine.v2.events.DocumentEndEvent;
import org.snakeyaml.engine.v2.events.DocumentStartEvent;
import org.snakeyaml.engine.v2.events.Event;
import org.snakeyaml.engine.v2.events.MappingEndEvent;
import org.snakeyaml.engine.v2.events.MappingStartEvent;
import org.snakeyaml.engine.v2.events.NodeEvent;
import org.snakeyaml.engine.v2.events.ScalarEvent;
import org.snakeyaml.engine.v2.events.SequenceEndEvent;
import org.snakeyaml.engine.v2.events.SequenceStartEvent;
import org.snakeyaml.engine.v2.events.StreamEndEvent;
import org.snakeyaml.engine.v2.events.StreamStartEvent;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;

/**
 * The tree of one YAML document, with the line of every key and value; whatever makes YAML ambiguous is refused.
 *
 * <pre>
 * Encoding  a plain scalar is null (empty, ~, null), a boolean (true, false), a number (anything that starts like one or names
 *           a special one: .nan, 0x10, 1_000) or text; a quoted or block scalar is text
 * Units     a text holds at most 1 MiB characters and nests at most 32 deep
 * Differs   no anchors, aliases, merge keys, tags, second documents, duplicate keys, tabs or byte order marks
 * </pre>
 */
final class YamlReader {
  static final int MAX_CHARS = 1 << 20;
  static final int MAX_DEPTH = 32;

  private static final Pattern NUMBER = Pattern.compile("[-+]?(\\.?[0-9][0-9A-Za-z_.:+-]*|\\.(nan|NaN|NAN|inf|Inf|INF))");

  private final String name;
  private final boolean lines;
  private final Iterator<Event> events;

  private YamlReader(String name, boolean lines, String text) {
    this.name = name;
    this.lines = lines;
    // one buffer for the whole text: the parser runs out of bounds where a surrogate pair straddles two buffers
    LoadSettings settings = LoadSettings.builder().setCodePointLimit(2 * MAX_CHARS).setBufferSize(text.length() + 16).setUseMarks(true).build();
    this.events = new Parse(settings).parseString(text).iterator();
  }

  /** The keys of a whole file. @throws IllegalArgumentException naming the file and, where known, the line */
  static YamlNode.Mapping file(String name, String text) {
    YamlNode root = read(name, true, text);
    if (root instanceof YamlNode.Mapping mapping) return mapping;
    throw new IllegalArgumentException(name + ": holds " + (root == null ? "nothing" : root.shown()) + "; a recipe is keys and values");
  }

  /** The value written after the equals sign of an override or in a {@link onebit.recipe.keys.Default}; an empty text is a null. */
  static YamlNode value(String where, String text) {
    YamlNode root = read(where, false, text);
    return root == null ? new YamlNode.Scalar(where, YamlNode.Kind.NULL, "") : root;
  }

  private static YamlNode read(String name, boolean lines, String text) {
    requirePlain(name, lines, text);
    try {
      return new YamlReader(name, lines, text).document();
    } catch (MarkedYamlEngineException e) {
      int line = e.getProblemMark().map(mark -> mark.getLine() + 1).orElse(-1);
      throw new IllegalArgumentException(place(name, lines, line) + ": not YAML: " + oneLine(e.getProblem()), e);
    } catch (YamlEngineException e) {
      throw new IllegalArgumentException(name + ": not YAML: " + oneLine(e.getMessage()), e);
    } catch (NoSuchElementException e) {
      throw new IllegalArgumentException(name + ": not YAML: it ends too early", e);
    }
  }

  private static void requirePlain(String name, boolean lines, String text) {
    if (text.length() > MAX_CHARS) {
      throw new IllegalArgumentException(name + ": holds " + text.length() + " characters; at most " + MAX_CHARS + " are read");
    }
    if (text.startsWith("\uFEFF")) {
      throw new IllegalArgumentException(name + ": starts with a byte order mark; save it as UTF-8 without one");
    }
    int tab = text.indexOf('\t');
    if (tab >= 0) {
      int line = 1 + (int) text.substring(0, tab).chars().filter(c -> c == '\n').count();
      throw new IllegalArgumentException(place(name, lines, line) + ": holds a tab; use spaces");
    }
  }

  /** The root of the only document, null where there is none. */
  private YamlNode document() {
    YamlNode root = null;
    while (events.hasNext()) {
      Event event = events.next();
      if (event instanceof DocumentStartEvent && root != null) throw refusal(event, "a second document starts here; a recipe is one document");
      switch (event) {
        case StreamStartEvent _, StreamEndEvent _, DocumentStartEvent _, DocumentEndEvent _ -> { }
        default -> root = node(event, 0);
      }
    }
    return root;
  }

  private YamlNode node(Event event, int depth) {
    requireNoReference(event);
    if (depth > MAX_DEPTH) throw refusal(event, "nests more than " + MAX_DEPTH + " deep");
    return switch (event) {
      case ScalarEvent scalar -> scalar(scalar);
      case MappingStartEvent start -> mapping(start, depth);
      case SequenceStartEvent start -> sequence(start, depth);
      default -> throw refusal(event, "expected a value");
    };
  }

  private YamlNode.Scalar scalar(ScalarEvent event) {
    String text = event.getValue();
    YamlNode.Kind kind = !event.isPlain() ? YamlNode.Kind.TEXT : switch (text) {
      case "", "~", "null", "Null", "NULL" -> YamlNode.Kind.NULL;
      case "true", "false" -> YamlNode.Kind.BOOLEAN;
      default -> NUMBER.matcher(text).matches() ? YamlNode.Kind.NUMBER : YamlNode.Kind.TEXT;
    };
    return new YamlNode.Scalar(here(event), kind, text);
  }

  private YamlNode mapping(Event start, int depth) {
    Map<String, YamlNode.Entry> entries = new LinkedHashMap<>();
    for (Event event = events.next(); !(event instanceof MappingEndEvent); event = events.next()) {
      requireNoReference(event);
      if (!(event instanceof ScalarEvent key)) throw refusal(event, "expected a key");
      if (key.isPlain() && key.getValue().equals("<<")) throw refusal(key, "merge keys (<<) are not read; write the keys out");
      YamlNode value = node(events.next(), depth + 1);
      YamlNode.Entry before = entries.putIfAbsent(key.getValue(), new YamlNode.Entry(here(key), value));
      if (before != null) throw refusal(key, "key " + YamlNode.clip(key.getValue()) + " is written twice (first at " + before.where() + ")");
    }
    return new YamlNode.Mapping(here(start), entries);
  }

  private YamlNode sequence(Event start, int depth) {
    List<YamlNode> items = new ArrayList<>();
    for (Event event = events.next(); !(event instanceof SequenceEndEvent); event = events.next()) items.add(node(event, depth + 1));
    return new YamlNode.Sequence(here(start), items);
  }

  private void requireNoReference(Event event) {
    if (event instanceof AliasEvent) throw refusal(event, "aliases (*) are not read; write the value out");
    if (event instanceof NodeEvent node && node.getAnchor().isPresent()) throw refusal(event, "anchors (&) are not read; write the value out");
    Optional<String> tag = switch (event) {
      case ScalarEvent scalar -> scalar.getTag();
      case CollectionStartEvent start -> start.getTag();
      default -> Optional.empty();
    };
    if (tag.isPresent()) throw refusal(event, "tags (!) are not read; leave the tag out");
  }

  private IllegalArgumentException refusal(Event event, String rule) {
    return new IllegalArgumentException(here(event) + ": " + rule);
  }

  private String here(Event event) {
    return place(name, lines, event.getStartMark().map(mark -> mark.getLine() + 1).orElse(-1));
  }

  private static String place(String name, boolean lines, int line) {
    return lines && line > 0 ? name + ", line " + line : name;
  }

  private static String oneLine(String message) {
    return message == null ? "unreadable" : YamlNode.clip(message.strip().replaceAll("\\s+", " "));
  }
}
