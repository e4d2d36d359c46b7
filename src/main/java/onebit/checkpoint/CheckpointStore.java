package onebit.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The checkpoints of a run: whatever stops a save, the checkpoint before it or the new one loads.
 *
 * <pre>
 * RUN/checkpoints/step-000123/   files and manifest, complete from the moment the name exists
 * RUN/checkpoints/*.tmp/         a save or a deletion that was stopped; ignored, and removed by the next save
 * RUN/last, RUN/best             relative symbolic links, replaced in one step
 * Order     files forced, manifest forced, folder forced, read back and verified, renamed, parent forced, last, older ones deleted
 * </pre>
 *
 * One writer at a time: hold the run's {@link RunLock}.
 */
public final class CheckpointStore {
  private static final Pattern NAME = Pattern.compile("step-(\\d{6,18})(-replaced)?");

  private record Candidate(Path folder, long step, boolean replaced) {
    private static final Comparator<Candidate> NEWEST_FIRST =
        Comparator.comparingLong(Candidate::step).reversed().thenComparing(Candidate::replaced);
  }

  private final Path folder;
  private final Path run;
  private final int keep;
  private final Consumer<String> hook;

  /**
   * The store in a run's folder {@code checkpoints}, which keeps the newest {@code keep} and the best; the links lie beside that folder.
   *
   * @throws IllegalArgumentException when keep is below 1
   */
  public CheckpointStore(Path folder, int keep) {
    this(folder, keep, step -> { });
  }

  /** The hook hears the name of each step of a save right after it; a test stops the save there. */
  CheckpointStore(Path folder, int keep, Consumer<String> hook) {
    if (keep < 1) throw new IllegalArgumentException("checkpoints to keep must be >= 1, got " + keep);
    this.folder = folder.toAbsolutePath().normalize();
    this.run = this.folder.getParent();
    this.keep = keep;
    this.hook = hook;
    if (run == null) throw new IllegalArgumentException("checkpoints cannot lie in " + folder + "; a folder inside a run folder is wanted");
  }

  /**
   * Saves the checkpoint durably, points {@code last} at it and deletes what is no longer kept, and all of a later step: a run
   * that saves at this step has left those behind. Saving a step again replaces it.
   *
   * @throws IOException when the disk refuses; the checkpoints before are untouched
   */
  public Path save(Checkpoint checkpoint) throws IOException {
    String name = name(checkpoint.step());
    Path complete = folder.resolve(name);
    Path temporary = folder.resolve(name + ".tmp");
    SequencedMap<String, List<ByteBuffer>> files = CheckpointFolder.encode(checkpoint);
    try {
      Files.createDirectories(folder);
      DurableFiles.forceFolder(run);
      clean();
      Files.createDirectory(temporary);
      hook.accept("folder created");
      for (String file : CheckpointFolder.FILES) {
        DurableFiles.write(temporary.resolve(file), files.get(file));
        hook.accept(file + " written");
      }
      DurableFiles.write(temporary.resolve(CheckpointFolder.MANIFEST), List.of(ByteBuffer.wrap(CheckpointFolder.manifest(checkpoint.step(), files))));
      hook.accept("manifest written");
      DurableFiles.forceFolder(temporary);
      hook.accept("folder forced");
      CheckpointFolder.verify(temporary, checkpoint.step());
      hook.accept("verified");
    } catch (IOException e) {
      discard(temporary, e);
      throw new CheckpointException("checkpoint " + complete + " was not written, the ones before it are untouched: " + e.getMessage(), e);
    }
    Path replaced = folder.resolve(name + "-replaced");
    if (Files.exists(complete, LinkOption.NOFOLLOW_LINKS)) {
      delete(replaced);
      Files.move(complete, replaced, StandardCopyOption.ATOMIC_MOVE);
      hook.accept("old one moved aside");
    }
    Files.move(temporary, complete, StandardCopyOption.ATOMIC_MOVE);
    hook.accept("renamed");
    DurableFiles.forceFolder(folder);
    hook.accept("parent forced");
    point("last", complete);
    hook.accept("last pointed");
    prune(checkpoint.step());
    hook.accept("older ones deleted");
    return complete;
  }

  /**
   * Points {@code best} at the checkpoint of a step, which is then kept until another is best.
   *
   * @throws CheckpointException when that checkpoint is not there or does not verify
   */
  public void markBest(long step) throws IOException {
    Path complete = folder.resolve(name(step));
    CheckpointFolder.verify(complete, step);
    point("best", complete);
    hook.accept("best pointed");
  }

  /** Gives a checkpoint that a stopped save had moved aside its name again, which the links and {@link #markBest} know it by; one that does not verify may have it. */
  private void putBack(Candidate aside) throws IOException {
    Path complete = folder.resolve(name(aside.step));
    delete(complete);
    Files.move(aside.folder, complete, StandardCopyOption.ATOMIC_MOVE);
    DurableFiles.forceFolder(folder);
  }

  /**
   * The newest checkpoint that verifies, or nothing when the run has none; each damaged one that is passed over is said in one sentence.
   *
   * @throws CheckpointException when there are checkpoints and none verifies
   */
  public Optional<Checkpoint> loadLatest(Consumer<String> say) throws IOException {
    List<Candidate> candidates = candidates();
    OptionalLong last = target("last");
    OptionalLong best = target("best");
    if (last.isPresent() && best.isPresent() && best.getAsLong() > last.getAsLong()) {
      List<Candidate> leftBehind = candidates.stream().filter(c -> c.step == best.getAsLong()).toList();
      candidates.removeAll(leftBehind);
      candidates.addAll(leftBehind);
    }
    String damage = null;
    for (Candidate candidate : candidates) {
      try {
        Checkpoint checkpoint = CheckpointFolder.read(candidate.folder, candidate.step);
        if (damage != null) say.accept("Newest checkpoint not usable (" + damage + "); going on from " + candidate.folder.getFileName() + ".");
        if (candidate.replaced) putBack(candidate);
        return Optional.of(checkpoint);
      } catch (IOException e) {
        damage = damage == null ? e.getMessage() : damage + "; " + e.getMessage();
      }
    }
    if (damage != null) throw new CheckpointException("no checkpoint in " + folder + " verifies: " + damage + "; give another --out to start anew");
    return Optional.empty();
  }

  /**
   * The checkpoint in one folder, or the one that a link such as {@code RUN/best} points at.
   *
   * @throws CheckpointException when it is not there or does not verify
   */
  public static Checkpoint load(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) throw new CheckpointException(folder + " is not a checkpoint folder");
    Path real = folder.toRealPath();
    Matcher matcher = NAME.matcher(String.valueOf(real.getFileName()));
    if (!matcher.matches()) throw new CheckpointException(real + " is not a checkpoint folder; those are named step-NNNNNN");
    try {
      return CheckpointFolder.read(real, Long.parseLong(matcher.group(1)));
    } catch (CheckpointException e) {
      throw new CheckpointException(real.getParent() + "/" + e.getMessage(), e);
    }
  }

  private static String name(long step) {
    return String.format(Locale.ROOT, "step-%06d", step);
  }

  private List<Candidate> candidates() throws IOException {
    List<Candidate> found = new ArrayList<>();
    if (!Files.isDirectory(folder)) return found;
    try (Stream<Path> paths = Files.list(folder)) {
      for (Path path : paths.toList()) {
        Matcher matcher = NAME.matcher(path.getFileName().toString());
        if (matcher.matches()) found.add(new Candidate(path, Long.parseLong(matcher.group(1)), matcher.group(2) != null));
      }
    }
    found.sort(Candidate.NEWEST_FIRST);
    return found;
  }

  private void point(String link, Path complete) throws IOException {
    DurableFiles.replaceLink(run.resolve(link), run.relativize(complete));
  }

  private OptionalLong target(String link) throws IOException {
    Path path = run.resolve(link);
    if (!Files.isSymbolicLink(path)) return OptionalLong.empty();
    Matcher matcher = NAME.matcher(String.valueOf(Files.readSymbolicLink(path).getFileName()));
    return matcher.matches() ? OptionalLong.of(Long.parseLong(matcher.group(1))) : OptionalLong.empty();
  }

  private void prune(long saved) throws IOException {
    OptionalLong best = target("best");
    int kept = 0;
    for (Candidate candidate : candidates()) {
      boolean current = candidate.step <= saved && !candidate.replaced && kept++ < keep;
      boolean isBest = best.isPresent() && best.getAsLong() == candidate.step && !candidate.replaced;
      if (!current && !isBest) delete(candidate.folder);
    }
  }

  /** Renames first: a deletion that is stopped leaves no checkpoint that looks damaged. */
  private void delete(Path old) throws IOException {
    if (!Files.exists(old, LinkOption.NOFOLLOW_LINKS)) return;
    Path doomed = old.resolveSibling(old.getFileName() + ".old.tmp");
    DurableFiles.deleteFolder(doomed);
    Files.move(old, doomed, StandardCopyOption.ATOMIC_MOVE);
    hook.accept("old one renamed");
    DurableFiles.deleteFolder(doomed);
  }

  private void clean() throws IOException {
    try (Stream<Path> paths = Files.list(folder)) {
      for (Path path : paths.filter(p -> p.getFileName().toString().endsWith(".tmp")).toList()) DurableFiles.deleteFolder(path);
    }
  }

  private static void discard(Path temporary, IOException cause) {
    try {
      DurableFiles.deleteFolder(temporary);
    } catch (IOException e) {
      cause.addSuppressed(e);
    }
  }
}
