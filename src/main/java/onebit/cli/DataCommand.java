package onebit.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import onebit.data.Datasets;
import onebit.data.Fetch;
import onebit.data.ImageNetArchives;
import onebit.report.Screen;
import onebit.report.SummaryTable;
import onebit.report.WorkLine;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code onebit data}. */
@Command(
    name = "data",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    description = "Lists data sets, downloads those that are free to download, and prepares ImageNet.",
    subcommands = {DataCommand.Listing.class, DataCommand.Prepare.class})
final class DataCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "which: list or prepare");
  }

  /** {@code onebit data list}. */
  @Command(name = "list", mixinStandardHelpOptions = true, description = "Lists the data sets a recipe may name.")
  static final class Listing implements Callable<Integer> {
    @Mixin private JsonOption json;

    @Override
    public Integer call() {
      SummaryTable table = new SummaryTable("name", "what", "files");
      Map<String, Object> all = new LinkedHashMap<>();
      for (Datasets.Entry entry : Datasets.list()) {
        table.row(entry.name(), entry.description(),
            !entry.needsDirectory() ? "none: drawn by the program" : entry.fetched() || entry.name().equals(Datasets.IMAGENET) ? "onebit data prepare " + entry.name() : "bring your own, see " + Datasets.page(entry.name()));
        all.put(entry.name(), entry.description());
      }
      if (!json.print(all)) System.out.print(table);
      return 0;
    }
  }

  /** {@code onebit data prepare}. */
  @Command(name = "prepare", mixinStandardHelpOptions = true, sortOptions = false,
      description = {"Makes a data set ready for training.",
          "mnist, fashion-mnist, cifar10: downloads from the official addresses; continues a download that was cut, refuses a file with a wrong checksum.",
          "imagenet: turns the two official archives, which you download yourself, into tar shards with an index; goes on after a kill."},
      footer = {"", "Example: onebit data prepare imagenet --train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar --short-side 384"})
  static final class Prepare implements Callable<Integer> {
    private static final String DEVKIT = "ILSVRC2012_devkit_t12.tar.gz", ORIGINAL = "original", JPEG = "jpeg", PPM = "ppm";

    @Parameters(index = "0", paramLabel = "NAME", description = "A name from 'onebit data list'.")
    private String name;

    @Option(names = "--out", paramLabel = "DIR", description = "Where to put the files (default: data/NAME).")
    private Path out;

    @Option(names = "--train", paramLabel = "TAR", description = "imagenet: ILSVRC2012_img_train.tar.")
    private Path train;

    @Option(names = "--val", paramLabel = "TAR", description = "imagenet: ILSVRC2012_img_val.tar.")
    private Path validation;

    @Option(names = "--labels", paramLabel = "FILE", description = "imagenet: classes of the validation images: " + DEVKIT
        + ", or a text file with one WNID per line, or with image and class (default: " + DEVKIT + " beside --val).")
    private Path labels;

    @Option(names = "--short-side", paramLabel = "256|384|original", defaultValue = ORIGINAL,
        description = "imagenet: shorter side of the stored images in pixels, or the files' own bytes (default: ${DEFAULT-VALUE}).")
    private String shortSide;

    @Option(names = "--encoding", paramLabel = "jpeg|ppm", defaultValue = JPEG, description = {
        "imagenet: how images of --short-side are stored (default: ${DEFAULT-VALUE}). jpeg: quality 90; small, and decoded each time it is read.",
        "ppm: the pixels themselves, read several times faster: for training that waits for the CPU and has a fast disk or much memory. With --short-side 256 an "
            + "image takes about 263 KB, the whole set about 350 GB; as jpeg it takes about 31 KB and 41 GB."})
    private String encoding;

    @Option(names = "--expect-train", paramLabel = "N", description = "imagenet, for rehearsals: how many training images there are (default: 1281167).")
    private Integer expectTrain;

    @Option(names = "--expect-val", paramLabel = "N", description = "imagenet, for rehearsals: how many validation images there are (default: 50000).")
    private Integer expectValidation;

    @Option(names = "--no-room-check", description = "imagenet: start even if the disk has less room than the shards are expected to take.")
    private boolean noRoomCheck;

    @Option(names = "--threads", paramLabel = "N", description = "imagenet: shards made at once (default: one per core).")
    private Integer threads;

    @Mixin private JsonOption json;

    @Override
    public Integer call() throws IOException {
      Path folder = out == null ? Path.of("data", name) : out;
      Screen screen = json.screen();
      Map<String, Object> members = new LinkedHashMap<>();
      members.put("name", name);
      members.put("folder", folder.toString());
      String what = name.equals(Datasets.IMAGENET) ? imagenet(folder, screen, members) : fetched(folder, screen);
      screen.clearStatus();
      if (!json.print(members)) System.out.println(name + " is ready in " + folder + what);
      return 0;
    }

    private String fetched(Path folder, Screen screen) throws IOException {
      if (train != null || validation != null || labels != null || expectTrain != null || expectValidation != null || threads != null || noRoomCheck || !shortSide.equals(ORIGINAL)
          || !encoding.equals(JPEG)) {
        throw new IllegalArgumentException("--train, --val, --labels, --short-side, --encoding, --expect-train, --expect-val, --threads and --no-room-check are for imagenet, not for " + name);
      }
      WorkLine progress = new WorkLine(screen);
      Fetch.prepare(name, folder, (file, bytes, total) -> {
        Supplier<String> text = () -> String.format(Locale.ROOT, "%s  %.1f of %.1f MiB", file, bytes / 1048576.0, total / 1048576.0);
        if (bytes == total) screen.line(text.get());
        else progress.at(bytes, total, text);
      });
      return "";
    }

    private String imagenet(Path folder, Screen screen, Map<String, Object> members) throws IOException {
      if (train == null || validation == null) {
        throw new IllegalArgumentException("imagenet needs --train ILSVRC2012_img_train.tar and --val ILSVRC2012_img_val.tar, which are yours to get from image-net.org");
      }
      for (Path archive : List.of(train, validation)) if (!Files.isRegularFile(archive)) throw new IOException(archive + (Files.isDirectory(archive) ? " is a folder; a file is wanted here" : " does not exist"));
      int side = shortSide.equals(ORIGINAL) ? 0 : shortSide.matches("\\d{1,4}") ? Integer.parseInt(shortSide) : -1;
      if (side < 0) throw new IllegalArgumentException("--short-side is '" + shortSide + "'; it must be a number of pixels, such as 256 or 384, or " + ORIGINAL);
      if (!encoding.equals(JPEG) && !encoding.equals(PPM)) throw new IllegalArgumentException("--encoding is '" + encoding + "'; it must be " + JPEG + " or " + PPM);
      if (encoding.equals(PPM) && side == 0) throw new IllegalArgumentException("--encoding ppm needs --short-side N, such as 256: every pixel takes three bytes");
      Path list = labels != null ? labels : validation.toAbsolutePath().resolveSibling(DEVKIT);
      ImageNetArchives.Result result = ImageNetArchives.prepare(new ImageNetArchives.Plan(train, validation, list, folder, side,
          encoding.equals(PPM) ? ImageNetArchives.Encoding.PPM : ImageNetArchives.Encoding.JPEG,
          expectTrain == null ? ImageNetArchives.TRAIN_IMAGES : expectTrain, expectValidation == null ? ImageNetArchives.VALIDATION_IMAGES : expectValidation,
          threads == null ? Runtime.getRuntime().availableProcessors() : threads, !noRoomCheck), progress(screen));
      members.put("trainImages", result.train());
      members.put("validationImages", result.validation());
      members.put("classes", result.classes());
      members.put("bytes", result.bytes());
      members.put("notDecoded", result.kept());
      return String.format(Locale.ROOT, ": %,d training and %,d validation images of %,d classes, %,d MiB%s", result.train(), result.validation(), result.classes(),
          result.bytes() >> 20, result.kept() == 0 ? "" : "; " + result.kept() + " that could not be decoded were copied as they are");
    }

    private static ImageNetArchives.Progress progress(Screen screen) {
      WorkLine line = new WorkLine(screen);
      return new ImageNetArchives.Progress() {
        @Override
        public void at(long bytes, long total) {
          line.at(bytes, total, () -> String.format(Locale.ROOT, "imagenet  %.2f of %.2f GiB  %.1f %%", bytes / 1073741824.0, total / 1073741824.0, 100.0 * bytes / total));
        }

        @Override
        public void say(String text) {
          screen.line(text);
        }
      };
    }
  }
}
