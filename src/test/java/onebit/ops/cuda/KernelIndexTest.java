package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** kernels/README.md against the kernel files, and the kernel files against the launches in Java. */
class KernelIndexTest {
  private static final Path KERNELS = Path.of("kernels");

  private static List<Path> files(Path folder, String suffix) throws Exception {
    try (var all = Files.list(folder)) {
      return all.filter(f -> f.toString().endsWith(suffix)).sorted().toList();
    }
  }

  /** Entry points of one kernel file: those written out, once or for both element types, and those made by a macro of their own. */
  static TreeSet<String> entries(String text) {
    TreeSet<String> names = new TreeSet<>();
    Matcher both = Pattern.compile("ONEBIT_KERNEL\\(\\d+(?:, [^)]+)?\\) ENTRY\\(([a-z]\\w*)\\)\\(").matcher(text);
    while (both.find()) names.addAll(List.of(both.group(1), both.group(1) + "_bf16"));
    Matcher written = Pattern.compile("ONEBIT_KERNEL\\(\\d+(?:, [^)]+)?\\) ([a-z]\\w*)\\(").matcher(text);
    while (written.find()) names.add(written.group(1));
    Matcher made = Pattern.compile("(?m)^[A-Z0-9_]+\\(([a-z]\\w*), \\w+(?:, \\w+)*\\)$").matcher(text);
    while (made.find()) names.add(made.group(1));
    return names;
  }

  @Test
  void theIndexListsEveryFileWithItsEntries() throws Exception {
    String index = Files.readString(KERNELS.resolve("README.md"));
    List<String> wrong = new ArrayList<>();
    for (Path file : files(KERNELS, ".cu")) {
      String line = index.lines().filter(l -> l.startsWith("| `" + file.getFileName() + "` |")).findFirst().orElse("");
      if (line.isEmpty()) wrong.add(file + " is not in the index");
      for (String entry : entries(Files.readString(file))) {
        if (!line.contains("`" + entry.replaceFirst("_bf16$", "") + "`")) wrong.add(file + ": " + entry + " is not in its line");
      }
    }
    assertEquals(List.of(), wrong);
  }

  /** Tensor cores of sm_89 add such products up in 13 bits of mantissa, which the emulated device does not show: kernels/mma.cuh. */
  @Test
  void noKernelLeavesProductsOfFloat8ToTensorCores() throws Exception {
    for (Path file : files(KERNELS, "")) assertFalse(Files.readString(file).matches("(?s).*mma\\.sync[^\"]*\\.e[45]m[23].*"), file + " multiplies float8 as it is; widen it to float16 first");
  }

  @Test
  void everyEntryIsLaunchedFromJavaAndEveryLaunchHasAnEntry() throws Exception {
    TreeSet<String> made = new TreeSet<>(), launched = new TreeSet<>();
    for (Path file : files(KERNELS, ".cu")) made.addAll(entries(Files.readString(file)));
    for (Path file : files(Path.of("src/main/java/onebit/ops/cuda"), ".java")) {
      String text = Files.readString(file);
      Matcher call = Pattern.compile("kernel\\(\"(\\w+)\"(, \\w+)?\\)").matcher(text);
      while (call.find()) {
        launched.add(call.group(1));
        if (call.group(2) != null) launched.add(call.group(1) + "_bf16");
      }
      Matcher rounded = Pattern.compile("rounded\\(\"(\\w+)\"\\)").matcher(text);
      while (rounded.find()) launched.add(rounded.group(1) + "_bf16");
      Matcher product = Pattern.compile("kernel\\(product\\.entry\\(\"(\\w+)\", ").matcher(text);
      while (product.find()) {
        for (BitProduct each : BitProduct.values()) {
          for (int columns : new int[] {64, 128}) launched.add(each.entry(product.group(1), columns));
        }
      }
      Matcher pass = Pattern.compile("kernel\\(product\\.pass\\(\"(\\w+)\"\\), ").matcher(text);
      while (pass.find()) {
        for (BitProduct each : BitProduct.values()) launched.addAll(List.of(each.pass(pass.group(1)), each.pass(pass.group(1)) + "_bf16"));
      }
    }
    assertTrue(made.size() > 40, made.toString());
    assertEquals(made, launched);
  }

  /** What `kernels/build.sh --table` wrote: no entry that is gone, and none that spills registers. */
  @Test
  void theCompilersTableListsEntriesThatAreThereAndNoSpill() throws Exception {
    TreeSet<String> made = new TreeSet<>(), listed = new TreeSet<>(), spilling = new TreeSet<>();
    for (Path file : files(KERNELS, ".cu")) made.addAll(entries(Files.readString(file)));
    Matcher row = Pattern.compile("(?m)^\\| `(\\w+)` \\| \\d+ \\| \\d+ \\| (\\d+) \\| \\d+ \\| \\d+ \\| (\\d+) \\|$").matcher(Files.readString(KERNELS.resolve("README.md")));
    while (row.find()) {
      listed.add(row.group(1));
      if (!row.group(2).equals("0") || !row.group(3).equals("0")) spilling.add(row.group(1).replaceFirst("_bf16$", ""));
    }
    assertTrue(listed.size() > 40, listed.size() + " entries; kernels/build.sh --table kernels/README.md writes the table");
    listed.removeAll(made);
    assertEquals(new TreeSet<>(), listed, "kernels/build.sh --table kernels/README.md writes the table anew");
    assertEquals(new TreeSet<>(), spilling);
  }
}
