package onebit.train;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import onebit.data.Box;
import onebit.data.Dataset;
import onebit.data.LoaderWatch;
import onebit.data.Picture;
import onebit.data.Split;
import onebit.report.Json;

/**
 * The images of a run that could not be decoded, one line each in {@code bad-images.jsonl}; more than one in a thousand of a set ends the run.
 *
 * <p>Each rank notes what it meets itself; {@link #learn} tells all of it to all, so that the limit counts the different images of all ranks.
 *
 * <pre>
 * line := {"split": train | test, "sample": index, "epoch": first epoch that met it, "shown": index of the replacement or -1 for black, "why": text}
 * </pre>
 */
final class BadImageLedger {
  static final String FILE = "bad-images.jsonl";
  private static final int ONE_IN = 1000;

  private final Path file;
  private final Consumer<String> warn;
  private final Map<Split, Set<Long>> known = new EnumMap<>(Split.class);
  private final Map<Split, Integer> sizes = new EnumMap<>(Split.class);
  private List<Long> untold = new ArrayList<>();
  private boolean told;

  private BadImageLedger(Path file, Consumer<String> warn) {
    this.file = file;
    this.warn = warn;
    for (Split split : Split.values()) known.put(split, new HashSet<>());
  }

  /** Removes the ledger of a run folder that no step was kept of: a run that begins anew may have other images. */
  static void remove(Path run) throws IOException {
    Files.deleteIfExists(run.resolve(FILE));
  }

  /** The ledger of a run folder, with what an earlier part of the run has met. */
  static BadImageLedger open(Path run, Consumer<String> warn) throws IOException {
    BadImageLedger ledger = new BadImageLedger(run.resolve(FILE), warn);
    if (!Files.exists(ledger.file)) return ledger;
    String text = Files.readString(ledger.file, StandardCharsets.ISO_8859_1);
    if (!text.isEmpty() && !text.endsWith("\n")) ledger.write("\n");
    for (String line : text.lines().toList()) {
      try {
        Map<String, Object> record = Json.flat(line);
        if (record.get("sample") instanceof Number sample) {
          ledger.known.get(Split.valueOf(String.valueOf(record.get("split")).toUpperCase(Locale.ROOT))).add(sample.longValue());
        }
      } catch (IllegalArgumentException torn) {
        // a line that a kill cut short: its image will be met again
      }
    }
    return ledger;
  }

  /** What the loader of a split tells its troubles to; images met before that have been mended since do not count any more. */
  LoaderWatch of(Split split, Dataset set) {
    sizes.put(split, set.size());
    known.get(split).removeIf(index -> isWhole(set, index));
    return new LoaderWatch() {
      @Override public void bad(Dataset dataset, int epoch, int index, int replacement, String why) throws IOException {
        note(split, epoch, index, replacement, why);
      }

      @Override public void notice(String sentence) {
        warn.accept(sentence);
      }
    };
  }

  private static boolean isWhole(Dataset set, long index) {
    if (index < 0 || index >= set.size()) return false;
    try {
      set.decode((int) index, Box.Choice.WHOLE, new Picture());
      return true;
    } catch (IOException stillBad) {
      return false;
    }
  }

  private synchronized void note(Split split, int epoch, int index, int replacement, String why) throws IOException {
    Set<Long> bad = known.get(split);
    if (bad.add((long) index)) {
      untold.add((long) index * Split.values().length + split.ordinal());
      Map<String, Object> record = new LinkedHashMap<>();
      record.put("split", split.name().toLowerCase(Locale.ROOT));
      record.put("sample", index);
      record.put("epoch", epoch + 1);
      record.put("shown", replacement);
      record.put("why", why);
      write(Json.object(record) + "\n");
      warn.accept("Bad image: " + why + (replacement == LoaderWatch.BLACK ? "; it is shown black and counted" : "; image " + replacement + " takes its place"));
    }
    requireFew(split, "", "the last is " + why);
  }

  private void requireFew(Split split, String where, String last) throws IOException {
    int bad = known.get(split).size(), all = sizes.get(split);
    if ((long) bad * ONE_IN <= all) return;
    throw new IOException(String.format(Locale.ROOT, "%d of the %,d %s images%s cannot be decoded, more than 1 in %d: the run stops; mend them or take them away; %s names them, %s",
        bad, all, split == Split.TRAIN ? "training" : "test", where, ONE_IN, file, last));
  }

  /** What this rank has met and not yet given away here. */
  synchronized long[] untold() {
    long[] now = untold.stream().mapToLong(Long::longValue).toArray();
    untold = new ArrayList<>();
    return now;
  }

  /**
   * Takes over what each rank gave from {@link #untold}, in rows filled up with -1.
   *
   * @throws IOException if all ranks together have met too many
   */
  synchronized void learn(long[][] ofRanks) throws IOException {
    for (long[] row : ofRanks) {
      for (long each : row) if (each >= 0) known.get(Split.values()[(int) (each % Split.values().length)]).add(each / Split.values().length);
    }
    for (Split split : sizes.keySet()) requireFew(split, ", counted over " + ofRanks.length + " processes,", "whichever process met them");
  }

  private void write(String line) {
    try {
      Files.writeString(file, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } catch (IOException e) {
      if (!told) warn.accept(FILE + " cannot be written (" + e.getMessage() + "); the run goes on without it");
      told = true;
    }
  }
}
