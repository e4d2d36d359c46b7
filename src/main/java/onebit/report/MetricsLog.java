package onebit.report;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * The numbers of a run, one record per line in {@code metrics.jsonl} and one per row in {@code metrics.csv}.
 *
 * <p>The JSON lines are the truth; the CSV is drawn from them, and drawn anew when a record brings a new column. Each
 * record is on its way to the disk when {@link #append} returns. A disk that refuses is told once; records wait in
 * memory (the newest 10,000) and follow when it takes them.
 *
 * <pre>
 * Encoding  member "step" is a whole number; NaN and infinities are null, and "note" says which name had what
 * Keeps     a record once: opening at a step drops later records, and a record of the same step and names is not repeated
 * </pre>
 */
public final class MetricsLog implements AutoCloseable {
  /** File name of the JSON lines. */
  public static final String JSONL = "metrics.jsonl";
  /** File name of the table. */
  public static final String CSV = "metrics.csv";

  private static final String NOTE = "note";
  private static final int MOST_WAITING = 10_000;

  private final Path jsonl;
  private final Path csv;
  private final Consumer<String> trouble;
  private final AppendFile lines;
  private final AppendFile rows;
  private final LinkedHashSet<String> columns = new LinkedHashSet<>();
  private final ArrayDeque<Map<String, Object>> waiting = new ArrayDeque<>();
  private final Set<Set<String>> namesAtLastStep = new HashSet<>();
  private long lastStep = Long.MIN_VALUE;
  private boolean csvBehind;

  private MetricsLog(Path folder, Consumer<String> trouble) {
    this.trouble = Objects.requireNonNull(trouble, "trouble");
    this.jsonl = folder.resolve(JSONL);
    this.csv = folder.resolve(CSV);
    this.lines = new AppendFile(jsonl, trouble);
    this.rows = new AppendFile(csv, trouble);
  }

  /**
   * The log of a run that starts or goes on after {@code resumedStep} steps (0 for a fresh run).
   *
   * <p>Records with a greater step are dropped, so are a torn last line and lines that are no record.
   *
   * @param trouble takes one sentence when something had to be dropped or cannot be written
   * @throws IOException the folder or the old records cannot be read or rewritten
   */
  public static MetricsLog open(Path folder, long resumedStep, Consumer<String> trouble) throws IOException {
    Files.createDirectories(folder);
    MetricsLog log = new MetricsLog(folder, trouble);
    log.keepUntil(resumedStep);
    return log;
  }

  private void keepUntil(long resumedStep) throws IOException {
    if (Files.exists(jsonl)) {
      long[] broken = {0};
      WholeFile.replace(jsonl, out -> broken[0] = eachRecord(jsonl, record -> {
        if (stepOf(record) <= resumedStep) {
          remember(record);
          out.write(Json.object(record));
          out.write('\n');
        }
      }));
      if (broken[0] > 0) {
        trouble.accept(JSONL + ": " + broken[0] + " line(s) were not whole records and were dropped");
      }
      drawCsv();
    } else {
      Files.deleteIfExists(csv);
    }
  }

  /**
   * Adds one record: names to numbers or text, among them {@code step}.
   *
   * @throws IllegalArgumentException step is missing or not whole, or a value is neither number nor text
   */
  public synchronized void append(Map<String, ?> record) {
    Map<String, Object> writable = writable(record);
    long step = stepOf(writable);
    if (step == lastStep && namesAtLastStep.contains(names(writable))) {
      return;
    }
    boolean newColumns = remember(writable);
    if (waiting.size() == MOST_WAITING) waiting.removeFirst();
    waiting.addLast(writable);
    csvBehind |= newColumns;
    writeWaiting();
  }

  private void writeWaiting() {
    while (!waiting.isEmpty() && lines.append(utf8(Json.object(waiting.getFirst()) + '\n'))) {
      Map<String, Object> written = waiting.removeFirst();
      csvBehind = csvBehind || !rows.append(utf8(row(columns, written)));
    }
    if (csvBehind) {
      redraw();
    }
  }

  private void redraw() {
    rows.close();
    try {
      drawCsv();
      csvBehind = false;
    } catch (IOException | UncheckedIOException failure) {
      rows.tell(failure);
    }
  }

  private void drawCsv() throws IOException {
    WholeFile.replace(csv, out -> {
      if (!columns.isEmpty()) {
        out.write(line(columns));
        eachRecord(jsonl, record -> out.write(row(columns, record)));
      }
    });
  }

  /**
   * All records of a {@code metrics.jsonl}, in order; lines that are no record are left out. No file, no records.
   *
   * @throws IOException the file cannot be read
   */
  public static List<Map<String, Object>> read(Path jsonl) throws IOException {
    List<Map<String, Object>> records = new ArrayList<>();
    if (Files.exists(jsonl)) {
      eachRecord(jsonl, records::add);
    }
    return records;
  }

  /** Tries once more to write what the disk refused. */
  @Override
  public synchronized void close() {
    if (!waiting.isEmpty() || csvBehind) writeWaiting();
    lines.close();
    rows.close();
  }

  private interface RecordSink {
    void accept(Map<String, Object> record) throws IOException;
  }

  /** Hands over each whole record and returns how many lines were none. */
  private static long eachRecord(Path jsonl, RecordSink sink) throws IOException {
    long broken = 0;
    if (Files.isDirectory(jsonl)) throw new IOException(jsonl + " is a folder; it must be a file of records");
    try (BufferedReader in = Files.newBufferedReader(jsonl, StandardCharsets.ISO_8859_1)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        Map<String, Object> record = record(line);
        if (record == null) {
          broken++;
        } else {
          sink.accept(record);
        }
      }
    }
    return broken;
  }

  private static Map<String, Object> record(String latin) {
    try {
      ByteBuffer bytes = ByteBuffer.wrap(latin.getBytes(StandardCharsets.ISO_8859_1));
      Map<String, Object> record = Json.flat(StandardCharsets.UTF_8.newDecoder().decode(bytes).toString());
      stepOf(record);
      return record;
    } catch (IllegalArgumentException | CharacterCodingException torn) {
      return null;
    }
  }

  private boolean remember(Map<String, Object> record) {
    long step = stepOf(record);
    if (step != lastStep) {
      lastStep = step;
      namesAtLastStep.clear();
    }
    namesAtLastStep.add(names(record));
    return columns.addAll(record.keySet());
  }

  private static Set<String> names(Map<String, Object> record) {
    Set<String> names = new HashSet<>(record.keySet());
    names.remove(NOTE);
    return names;
  }

  private static Map<String, Object> writable(Map<String, ?> record) {
    Map<String, Object> writable = new LinkedHashMap<>();
    List<String> notes = new ArrayList<>();
    record.forEach((name, value) -> {
      if (value instanceof Number number && !Double.isFinite(number.doubleValue())) {
        writable.put(name, null);
        notes.add(name + " is " + number);
      } else if (value instanceof Number || value instanceof String) {
        writable.put(name, value);
      } else {
        throw new IllegalArgumentException("MetricsLog: '" + name + "' is " + value + "; it must be a number or text");
      }
    });
    if (!notes.isEmpty()) {
      Object own = writable.remove(NOTE);
      writable.put(NOTE, (own == null ? "" : own + "; ") + String.join("; ", notes));
    }
    return writable;
  }

  private static long stepOf(Map<String, Object> record) {
    Object step = record.get("step");
    if (step instanceof Long || step instanceof Integer) {
      return ((Number) step).longValue();
    }
    throw new IllegalArgumentException("MetricsLog: 'step' is " + step + "; it must be a whole number");
  }

  private static ByteBuffer utf8(String text) {
    return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
  }

  private static String row(Collection<String> columns, Map<String, Object> record) {
    List<String> cells = new ArrayList<>(columns.size());
    for (String column : columns) {
      Object value = record.get(column);
      cells.add(value == null ? "" : value.toString());
    }
    return line(cells);
  }

  /** One CSV line after RFC 4180. */
  private static String line(Collection<String> cells) {
    return cells.stream().map(MetricsLog::quoted).collect(Collectors.joining(",", "", "\n"));
  }

  private static String quoted(String cell) {
    boolean quote = cell.chars().anyMatch(c -> c == ',' || c == '"' || c == '\n' || c == '\r');
    return quote ? '"' + cell.replace("\"", "\"\"") + '"' : cell;
  }
}
