package onebit.data;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The two official archives of ILSVRC 2012 made into WebDataset shards with an index, without unpacking them to files.
 *
 * <p>One training shard per class, validation shards of 1,000 images in the order of their names. Shards are made in parallel; each is whole or
 * absent, so a run that was killed goes on where it was, and the result has the same bytes; with other archives than its shards were made of, as
 * {@link ShardSource} tells them apart, it is refused. The indexes {@code train.index} and {@code val.index} are written last, when the counts are right.
 *
 * <pre>
 * train.tar := CLASS.tar*              CLASS.tar := CLASS_NUMBER.JPEG*          val.tar := ILSVRC2012_val_NUMBER.JPEG*
 * Encoding  of an image whose shorter side becomes at most as asked, by {@link Resize}: JPEG of quality 90, colour at half resolution, or, where
 *           that is not fewer bytes, the image as it is; or PPM, its pixels, unless they are more than an image's file may have. An image that
 *           cannot be decoded is copied as it is
 * </pre>
 */
public final class ImageNetArchives {
  /** Images of the whole set. */
  public static final int TRAIN_IMAGES = 1_281_167, VALIDATION_IMAGES = 50_000;

  private static final int QUALITY = 90, VALIDATION_SHARD = 1000;
  /** Images that are stored on trial, to know how much room all of them take. */
  private static final int SAMPLES = 64;
  /** Levels of the largest PPM file that {@link ImageDecoder} takes. */
  private static final int MOST_LEVELS = ImageDecoder.MAX_BYTES - 64;

  /** How an image of another size than its file's is stored. */
  public enum Encoding { JPEG, PPM }

  /**
   * What to make of what.
   *
   * <pre>
   * Units  shortSide in pixels, 0 copies the files' bytes, whatever the encoding; trainImages and validationImages are the counts that are expected
   * </pre>
   *
   * @param checksRoom refuse before the first shard what the disk has no room for
   */
  public record Plan(Path train, Path validation, Path labels, Path out, int shortSide, Encoding encoding, int trainImages, int validationImages, int threads,
      boolean checksRoom) {
    /** A plan that is refused where the disk has too little room. */
    public Plan(Path train, Path validation, Path labels, Path out, int shortSide, Encoding encoding, int trainImages, int validationImages, int threads) {
      this(train, validation, labels, out, shortSide, encoding, trainImages, validationImages, threads, true);
    }

    public Plan {
      if (shortSide != 0 && (shortSide < 32 || shortSide > 4096)) throw new IllegalArgumentException("short side " + shortSide + " must be 0 or in [32, 4096]");
      if (trainImages < 1 || validationImages < 1) throw new IllegalArgumentException("expected counts must be >= 1");
      if (threads < 1) throw new IllegalArgumentException("threads must be >= 1, got " + threads);
    }
  }

  /** What was made; kept counts images that could not be decoded and were copied as they are. */
  public record Result(int train, int validation, int classes, long bytes, int kept) {}

  /** Told now and then how many bytes of the archives are done: first what an earlier run has done, before any image is stored. */
  public interface Progress {
    void at(long bytes, long total);

    /** Told before any shard is made: once how much room those that are missing take, and what is taken of an earlier Onebit. */
    default void say(String text) {}
  }

  /** A shard to be made: where its images are. */
  private record Piece(String shard, Path archive, long at, long size, List<TarReader.Entry> images, int label) {
    /** Bytes of the archive that it is made of. */
    long bytes() {
      return images == null ? size : images.stream().mapToLong(TarReader.Entry::size).sum();
    }
  }

  private final Plan plan;
  private final Progress progress;
  private final String made;
  private final AtomicLong done = new AtomicLong();
  private final AtomicInteger kept = new AtomicInteger();
  private long total;

  private ImageNetArchives(Plan plan, Progress progress) {
    this.plan = plan;
    this.progress = progress;
    String codec = TurboJpeg.available() ? "libjpeg-turbo" : "the JDK";
    made = plan.shortSide() == 0 ? "original bytes" : "short side " + plan.shortSide() + ", " + switch (plan.encoding()) {
      case JPEG -> "JPEG quality " + QUALITY + " 4:2:0 by " + codec;
      case PPM -> "PPM of pixels decoded by " + codec;
    };
  }

  /**
   * Makes the shards and their indexes.
   *
   * @throws IOException if an archive is damaged or holds something else, is another than that of the shards there, the counts are wrong, or the disk has no room;
   *     what is whole stays for the next run, and nothing is left half made
   */
  public static Result prepare(Plan plan, Progress progress) throws IOException {
    Files.createDirectories(plan.out());
    try (FileChannel lock = FileChannel.open(plan.out().resolve(".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      requireAlone(lock, plan.out());
      return new ImageNetArchives(plan, progress).prepare();
    }
  }

  private static void requireAlone(FileChannel channel, Path out) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      if (lock != null) return;
    } catch (OverlappingFileLockException e) {
      // told below
    }
    throw new IOException(out + ": is being written by another data prepare");
  }

  private Result prepare() throws IOException {
    total = Files.size(plan.train()) + Files.size(plan.validation());
    TreeMap<String, TarReader.Entry> classArchives = new TreeMap<>();
    for (TarReader.Entry entry : list(plan.train())) {
      String base = base(entry.name());
      if (!base.endsWith(".tar") || base.length() < 5) throw new IOException(plan.train() + ": holds " + entry.name() + "; the training archive holds one tar per class");
      if (classArchives.put(base.substring(0, base.length() - 4), entry) != null) throw new IOException(plan.train() + ": holds " + base + " twice");
    }
    List<String> classes = List.copyOf(classArchives.keySet());
    if (plan.trainImages() == TRAIN_IMAGES && classes.size() != 1000) {
      throw new IOException(plan.train() + ": holds " + classes.size() + " classes; ILSVRC 2012 has 1000");
    }
    List<Piece> train = new ArrayList<>(), validation = new ArrayList<>();
    for (int c = 0; c < classes.size(); c++) {
      TarReader.Entry tar = classArchives.get(classes.get(c));
      train.add(new Piece("train-" + classes.get(c) + ".tar", plan.train(), tar.at(), tar.size(), null, c));
    }
    TreeMap<String, TarReader.Entry> images = new TreeMap<>();
    for (TarReader.Entry entry : list(plan.validation())) {
      if (images.put(base(entry.name()), entry) != null) throw new IOException(plan.validation() + ": holds " + entry.name() + " twice");
    }
    requireCount(plan.validation(), images.size(), plan.validationImages());
    List<ShardSource> sources = List.of(ShardSource.of(plan.out(), "train", plan.train(), classArchives), ShardSource.of(plan.out(), "val", plan.validation(), images));
    for (ShardSource source : sources) source.requireSame();
    int[] labels = ValidationLabels.read(plan.labels(), classes, images.size());
    List<TarReader.Entry> sorted = List.copyOf(images.values());
    for (int from = 0; from < sorted.size(); from += VALIDATION_SHARD) {
      validation.add(new Piece(String.format(Locale.ROOT, "val-%05d.tar", from / VALIDATION_SHARD), plan.validation(), 0, 0,
          sorted.subList(from, Math.min(sorted.size(), from + VALIDATION_SHARD)), -1));
    }
    List<Piece> all = new ArrayList<>(train);
    all.addAll(validation);
    List<ShardIndex> made = makeAll(all, classes, labels, sources);
    ShardIndex trained = ShardIndex.joined(made.subList(0, train.size())), validated = ShardIndex.joined(made.subList(train.size(), made.size()));
    requireCount(plan.train(), trained.size(), plan.trainImages());
    trained.write(plan.out().resolve("train.index"));
    validated.write(plan.out().resolve("val.index"));
    long bytes = 0;
    for (ShardIndex index : List.of(trained, validated)) for (ShardIndex.Shard shard : index.shards) bytes += shard.bytes();
    return new Result(trained.size(), validated.size(), classes.size(), bytes, kept.get());
  }

  private static void requireCount(Path archive, int found, int expected) throws IOException {
    if (found != expected) {
      throw new IOException(String.format(Locale.ROOT, "%s: holds %,d images; %,d are expected%s", archive, found, expected,
          expected == TRAIN_IMAGES || expected == VALIDATION_IMAGES ? " of ILSVRC 2012 (is the download whole? datasets/imagenet/README.md has its MD5)" : ""));
    }
  }

  private static String base(String name) {
    return name.substring(name.lastIndexOf('/') + 1);
  }

  private static List<TarReader.Entry> list(Path archive) throws IOException {
    List<TarReader.Entry> all = new ArrayList<>();
    try (FileChannel file = FileChannel.open(archive)) {
      TarReader tar = TarReader.of(archive.toString(), file, 0, file.size());
      for (TarReader.Entry entry = tar.next(); entry != null; entry = tar.next()) {
        if (!entry.file()) continue;
        if (entry.size() > file.size() - entry.at()) throw new IOException(archive + ": the archive is cut short inside " + entry.name());
        all.add(entry);
      }
    }
    return all;
  }

  /** Makes the shards that are not there yet, several at a time; the first failure ends the rest, and no thread of these is at work any more when this returns. */
  private List<ShardIndex> makeAll(List<Piece> pieces, List<String> classes, int[] labels, List<ShardSource> sources) throws IOException {
    List<ShardIndex> there = new ArrayList<>(), made = new ArrayList<>();
    List<Piece> missing = new ArrayList<>();
    Set<Path> taken = new HashSet<>();
    for (Piece piece : pieces) {
      there.add(whole(piece, classes, labels));
      if (there.getLast() == null) {
        missing.add(piece);
      } else {
        taken.add(piece.archive());
        done.addAndGet(piece.bytes());
      }
    }
    if (!missing.isEmpty()) progress.say(need(pieces, missing, classes).require(plan.out(), free(missing), plan.checksRoom()));
    for (ShardSource source : sources) source.keep(taken.contains(source.archive()), progress);
    progress.at(done.get(), total);   // the clock begins here
    ExecutorService threads = Executors.newFixedThreadPool(plan.threads(), Thread.ofPlatform().daemon().name("onebit-prepare-", 0).factory());
    try {
      List<Future<ShardIndex>> futures = new ArrayList<>();
      for (Piece piece : missing) futures.add(threads.submit(() -> make(piece, classes, labels)));
      Iterator<Future<ShardIndex>> next = futures.iterator();
      for (ShardIndex index : there) made.add(index != null ? index : next.next().get());
      return made;
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException io) throw new IOException(io.getMessage(), io);
      throw new IllegalStateException(e.getCause().getMessage(), e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("data prepare was interrupted; run the command again to go on");
    } finally {
      threads.shutdownNow();
      threads.close();
    }
  }

  /** The index of a shard that an earlier run made as this one would; null where it is to be made. */
  private ShardIndex whole(Piece piece, List<String> classes, int[] labels) throws IOException {
    Path file = plan.out().resolve(piece.shard());
    ShardIndex there = ShardWriter.whole(file);
    if (there != null && (!there.made.equals(made) || !there.classes.equals(classes))) {
      throw new IOException(file + ": was made with " + there.made + " and " + there.classes.size() + " classes, now it would be " + made + " and "
          + classes.size() + "; give another --out or delete that one");
    }
    if (there != null && piece.images() != null && !Arrays.equals(there.label, labelsOf(piece, labels))) {
      throw new IOException(file + ": was made with other labels than those in " + plan.labels() + "; give another --out, or delete the val-*.tar there to make them anew");
    }
    return there;
  }

  /** What the missing shards take: training images are counted by their share of the archive's bytes, and stored images weigh what some of them weigh. */
  private StorageNeed need(List<Piece> all, List<Piece> missing, List<String> classes) throws IOException {
    long trainBytes = 0, missingTrain = 0, missingValidation = 0, validation = 0;
    for (Piece piece : all) if (piece.images() == null) trainBytes += piece.bytes();
    for (Piece piece : missing) {
      if (piece.images() == null) {
        missingTrain += piece.bytes();
      } else {
        missingValidation += piece.bytes();
        validation += piece.images().size();
      }
    }
    long train = Math.round((double) plan.trainImages() * missingTrain / Math.max(1, trainBytes)), images = train + validation;
    // the archive of a class has headers and padding of its own
    long copied = missingTrain + train * (StorageNeed.TAR_BYTES - 768) + missingValidation + validation * StorageNeed.TAR_BYTES;
    if (plan.shortSide() == 0) return new StorageNeed(copied, images, 0);
    Workspace work = new Workspace();
    int pieces = Math.min(missing.size(), SAMPLES), each = (SAMPLES + pieces - 1) / pieces, sampled = 0;
    long stored = 0;
    for (int i = 0; i < pieces; i++) {
      Piece piece = missing.get((int) ((long) i * missing.size() / pieces));
      for (byte[] image : first(piece, each, classes)) {
        byte[] small = smaller(work, piece.shard(), image);
        stored += small == null ? image.length : small.length;
        sampled++;
      }
    }
    return new StorageNeed(images * (stored / Math.max(1, sampled) + StorageNeed.TAR_BYTES), images, sampled);
  }

  /** The files of the first so many images of a shard to be made. */
  private static List<byte[]> first(Piece piece, int count, List<String> classes) throws IOException {
    List<byte[]> files = new ArrayList<>();
    try (FileChannel archive = FileChannel.open(piece.archive())) {
      if (piece.images() != null) {
        for (TarReader.Entry image : piece.images().subList(0, Math.min(count, piece.images().size()))) files.add(contents(piece.archive(), archive, image));
        return files;
      }
      TarReader tar = TarReader.of(piece.archive() + ":" + classes.get(piece.label()) + ".tar", archive, piece.at(), piece.size());
      for (TarReader.Entry entry = tar.next(); entry != null && files.size() < count; entry = tar.next()) {
        if (entry.file()) files.add(tar.contents(entry, ImageDecoder.MAX_BYTES));
      }
    }
    return files;
  }

  private static byte[] contents(Path path, FileChannel archive, TarReader.Entry image) throws IOException {
    TarReader tar = TarReader.of(path.toString(), archive, image.at() - 512, image.size() + 512);
    return tar.contents(tar.next(), ImageDecoder.MAX_BYTES);
  }

  /** Bytes that may be written, with those of shards that were begun and are begun anew. */
  private long free(List<Piece> missing) throws IOException {
    long free = StorageNeed.free(plan.out());
    for (Piece piece : missing) {
      Path begun = ShardWriter.part(plan.out().resolve(piece.shard()));
      if (free != Long.MAX_VALUE && Files.isRegularFile(begun)) free += Files.size(begun);
    }
    return free;
  }

  private ShardIndex make(Piece piece, List<String> classes, int[] labels) throws IOException {
    Path file = plan.out().resolve(piece.shard());
    Workspace work = new Workspace();
    try (FileChannel archive = FileChannel.open(piece.archive()); ShardWriter shard = new ShardWriter(file, made, classes)) {
      if (piece.images() == null) {
        String name = piece.archive() + ":" + classes.get(piece.label()) + ".tar";
        TarReader tar = TarReader.of(name, archive, piece.at(), piece.size());
        Set<String> keys = new HashSet<>();
        for (TarReader.Entry entry = tar.next(); entry != null; entry = tar.next()) {
          if (!entry.file()) continue;
          if (!keys.add(key(name, entry.name()))) throw new IOException(name + ": holds " + entry.name() + " twice");
          add(shard, work, name, entry.name(), tar.contents(entry, ImageDecoder.MAX_BYTES), piece.label());
        }
        if (keys.isEmpty()) throw new IOException(name + ": holds no images");
      } else {
        int[] of = labelsOf(piece, labels);
        for (int i = 0; i < of.length; i++) {
          TarReader.Entry image = piece.images().get(i);
          add(shard, work, piece.archive().toString(), image.name(), contents(piece.archive(), archive, image), of[i]);
        }
      }
      return shard.finish();
    }
  }

  /** The classes of a validation shard's images, by the number at the end of their names. */
  private static int[] labelsOf(Piece piece, int[] labels) throws IOException {
    int[] of = new int[piece.images().size()];
    for (int i = 0; i < of.length; i++) {
      String name = piece.images().get(i).name(), digits = base(name).replaceAll("\\.[A-Za-z]+$", "").replaceAll(".*[^0-9]", "");
      int number = digits.isEmpty() || digits.length() > 9 ? 0 : Integer.parseInt(digits);
      if (number < 1 || number > labels.length) throw new IOException(piece.archive() + ": " + name + " is not numbered 1 to " + labels.length);
      of[i] = labels[number - 1];
    }
    return of;
  }

  private static String key(String archive, String name) throws IOException {
    String base = base(name);
    int dot = base.lastIndexOf('.');
    String key = dot < 0 ? base : base.substring(0, dot), ending = dot < 0 ? "" : base.substring(dot + 1).toLowerCase(Locale.ROOT);
    if (!ending.equals("jpeg") && !ending.equals("jpg") && !ending.equals("png") || key.isEmpty() || key.indexOf('.') >= 0) {
      throw new IOException(archive + ": holds " + name + ", which is not named as an image");
    }
    return key;
  }

  private void add(ShardWriter shard, Workspace work, String archive, String name, byte[] image, int label) throws IOException {
    byte[] stored = plan.shortSide() == 0 ? image : smaller(work, name, image);
    if (stored == null) kept.incrementAndGet();
    shard.add(key(archive, name), stored == null ? image : stored, label);
    progress.at(done.addAndGet(image.length), total);
  }

  /** The file of the image with a shorter side of at most what is asked, or its own bytes where they are fewer than a JPEG's; null where it cannot be decoded. */
  private byte[] smaller(Workspace work, String name, byte[] image) throws IOException {
    Picture whole = work.whole;
    try {
      work.decoder.decode(name, image, whole);
    } catch (BadImageException e) {
      return null;
    }
    int shorter = Math.min(whole.height(), whole.width());
    Picture small = shorter <= plan.shortSide() ? whole : work.small;
    if (small != whole) {
      int h = whole.height() == shorter ? plan.shortSide() : Resize.longSide(whole.height(), shorter, plan.shortSide());
      int w = whole.width() == shorter ? plan.shortSide() : Resize.longSide(whole.width(), shorter, plan.shortSide());
      work.resize.apply(whole, h, w, small);
    }
    if (plan.encoding() == Encoding.PPM && small.bytes() <= MOST_LEVELS) return PpmHeader.file(small);
    byte[] coded = JpegEncoder.encode(small, QUALITY);
    return coded.length < image.length ? coded : image;
  }
}
