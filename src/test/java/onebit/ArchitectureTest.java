package onebit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import onebit.binarize.Methods;
import onebit.models.Networks;
import org.junit.jupiter.api.Test;

/** The shape of the house: who imports whom, how large files are, what names and tools are not used, and what must be present. */
class ArchitectureTest {
  private static final Path MAIN = Path.of("src/main/java/onebit"), TEST = Path.of("src/test/java/onebit"), KERNELS = Path.of("kernels");
  private static final int LONGEST_FILE = 500, BUDGET = 44_500;

  /** What each package may import; a package that is missing here has no place in the house yet. */
  private static final Map<String, Set<String>> MAY_IMPORT = new TreeMap<>(Map.ofEntries(
      Map.entry("tensor", Set.of()),
      Map.entry("ops", Set.of("tensor")),
      Map.entry("ops.cpu", Set.of("ops", "tensor")),
      Map.entry("ops.cuda", Set.of("ops", "tensor", "binarize")),
      Map.entry("binarize", Set.of("ops", "tensor", "recipe.keys")),
      Map.entry("layers", Set.of("binarize", "ops", "tensor")),
      Map.entry("checkpoint", Set.of("tensor")),
      Map.entry("models", Set.of("layers", "binarize", "ops", "tensor", "checkpoint", "recipe.keys")),
      Map.entry("optim", Set.of("ops", "tensor")),
      Map.entry("data", Set.of()),
      Map.entry("report", Set.of()),
      Map.entry("recipe.keys", Set.of()),
      Map.entry("recipe", Set.of("recipe.keys", "models", "binarize", "optim", "data")),
      Map.entry("dist", Set.of("ops", "tensor")),
      Map.entry("dist.nccl", Set.of("dist", "ops", "tensor")),
      Map.entry("detect", Set.of("data", "layers", "models", "binarize", "ops", "tensor")),
      Map.entry("export", Set.of("detect", "models", "layers", "binarize", "ops", "tensor")),
      Map.entry("train", Set.of("recipe", "recipe.keys", "models", "layers", "binarize", "ops", "tensor", "optim", "data", "checkpoint", "report", "dist", "detect")),
      Map.entry("cli", Set.of("train", "recipe", "recipe.keys", "models", "layers", "binarize", "ops", "ops.cpu", "ops.cuda", "tensor", "optim", "data", "checkpoint",
          "report", "dist", "dist.nccl", "detect", "export"))));
  /** The one type that is seen from below: ops are given the binarizer whose level and slope they apply. */
  private static final String SEEN_FROM_BELOW = "onebit.binarize.Binarizer";

  private static List<Path> files(Path folder, String ending) {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(f -> f.toString().endsWith(ending)).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String packageOf(Path file) {
    return MAIN.relativize(file.getParent()).toString().replace('/', '.');
  }

  @Test
  void importsFollowTheDirectionOfTheHouse() {
    Pattern imports = Pattern.compile("(?m)^import (?:static )?(onebit(?:\\.[a-z]\\w*)+)\\.([A-Z]\\w*)");
    Set<String> wrong = new TreeSet<>();
    for (Path file : files(MAIN, ".java")) {
      String from = packageOf(file);
      Set<String> allowed = MAY_IMPORT.get(from);
      if (allowed == null) {
        wrong.add(from + " is not a package of the house");
        continue;
      }
      Matcher matcher = imports.matcher(text(file));
      while (matcher.find()) {
        String to = matcher.group(1).substring("onebit.".length()), type = matcher.group(1) + "." + matcher.group(2);
        if (!to.equals(from) && !allowed.contains(to) && !(type.equals(SEEN_FROM_BELOW) && from.startsWith("ops"))) {
          wrong.add(from + " imports " + to + " in " + file);
        }
      }
      if (!from.equals("cli") && !from.startsWith("ops.") && Pattern.compile("onebit\\.ops\\.(cpu|cuda)").matcher(text(file)).find()) {
        wrong.add(file + " names a backend's package");
      }
    }
    assertEquals(Set.of(), wrong);
  }

  @Test
  void noFileIsLongerThanFiveHundredLinesAndAllTogetherKeepTheBudget() {
    List<String> wrong = new ArrayList<>();
    long total = 0;
    for (Path file : files(Path.of("src"), ".java")) {
      long lines = text(file).lines().count();
      if (lines > LONGEST_FILE) wrong.add(file + " has " + lines);
      if (file.startsWith(MAIN)) total += lines;
    }
    assertEquals(List.of(), wrong);
    assertTrue(total <= BUDGET, "main source has " + total + " lines; the budget is " + BUDGET);
  }

  @Test
  void namesSayWhatAThingIs() {
    Pattern vague = Pattern.compile("\\b(?:class|interface|record|enum) \\w*(?:Manager|Helper|Util|Utils|Common|Base|Impl)\\b");
    Set<String> wrong = new TreeSet<>();
    for (Path file : files(Path.of("src"), ".java")) {
      Matcher matcher = vague.matcher(text(file));
      while (matcher.find()) wrong.add(matcher.group() + " in " + file);
    }
    assertEquals(Set.of(), wrong);
  }

  @Test
  void onlyTheCommandLinePrintsAndNothingSerialisesObjects() {
    Set<String> wrong = new TreeSet<>();
    for (Path file : files(MAIN, ".java")) {
      String text = text(file);
      if (!packageOf(file).equals("cli") && (text.contains("System.out") || text.contains(".printStackTrace("))) wrong.add(file + " prints");
      if (Pattern.compile("\\b(Serializable|ObjectInputStream|ObjectOutputStream)\\b").matcher(text).find()) wrong.add(file + " serialises");
      if (Pattern.compile("\\b(TODO|FIXME|XXX)\\b").matcher(text).find()) wrong.add(file + " has something left to do");
    }
    assertEquals(Set.of(), wrong);
  }

  /** A comma for the decimal point or Arabic digits in a file's name would make a run that only its own computer can read. */
  @Test
  void whatIsWrittenDoesNotDependOnTheLanguageOfTheComputer() {
    Pattern local = Pattern.compile("(?:String\\.format|\\.printf)\\((?!\\s*(?:java\\.util\\.)?Locale\\.ROOT)|\\.formatted\\(|\\.to(?:Lower|Upper)Case\\(\\)");
    Set<String> wrong = new TreeSet<>();
    for (Path file : files(MAIN, ".java")) {
      if (local.matcher(text(file)).find()) wrong.add(file + " formats without Locale.ROOT");
    }
    assertEquals(Set.of(), wrong);
  }

  @Test
  void everyRegisteredMethodHasItsFileWithASourceAndItsFormulaTested() {
    String formulas = text(TEST.resolve("binarize/MethodGradientsTest.java"));
    for (Map.Entry<String, ?> method : Methods.byName().entrySet()) {
      Path file = MAIN.resolve("binarize").resolve(((Class<?>) method.getValue()).getSimpleName() + ".java");
      assertTrue(Files.exists(file), method.getKey() + " has no file " + file);
      assertTrue(Pattern.compile("(?m)^ \\* Source {2}").matcher(text(file)).find(), file + " names no source");
      assertTrue(formulas.contains("new " + ((Class<?>) method.getValue()).getSimpleName() + "("), "MethodGradientsTest does not test " + method.getKey());
    }
  }

  @Test
  void everyRecipeNamesARegisteredMethodAndNetwork() {
    Pattern name = Pattern.compile("(?m)^(method|network):\\s*\\n(?:\\s+#.*\\n)*\\s+name:\\s*(\\S+)");
    Set<String> wrong = new TreeSet<>();
    List<Path> recipes = files(Path.of("src/main/resources/recipes"), ".yaml");
    assertTrue(recipes.size() >= 40, recipes.size() + " recipes");
    for (Path recipe : recipes) {
      int found = 0;
      Matcher matcher = name.matcher(text(recipe));
      while (matcher.find()) {
        Set<String> known = matcher.group(1).equals("method") ? Methods.byName().keySet() : Networks.byName().keySet();
        if (!known.contains(matcher.group(2))) wrong.add(recipe + ": " + matcher.group(1) + " " + matcher.group(2));
        found++;
      }
      if (found != 2) wrong.add(recipe + " does not name one method and one network");
    }
    assertEquals(Set.of(), wrong);
  }

  @Test
  void everyKernelHasItsHeaderItsTwinAndItsTests() {
    assumeTrue(Files.isDirectory(KERNELS), "there are no kernels yet");
    List<String> fields = List.of("Shapes", "Launch", "Exactness", "Twin", "Tests", "Source", "Rungs");
    List<String> wrong = new ArrayList<>();
    for (Path kernel : files(KERNELS, ".cu")) {
      String text = text(kernel), header = text.lines().takeWhile(line -> line.startsWith("//")).reduce("", (a, b) -> a + b + "\n");
      if (!header.startsWith("// " + kernel.getFileName() + " -- ")) wrong.add(kernel + " does not begin with its name and its result");
      for (String field : fields) {
        if (!Pattern.compile("(?m)^// " + field + " +\\S").matcher(header).find()) wrong.add(kernel + " has no field " + field);
      }
      Matcher named = Pattern.compile("\\b((?:src|native-tests|kernels)/[\\w./-]+\\.\\w+)").matcher(header);
      while (named.find()) if (!Files.exists(Path.of(named.group(1)))) wrong.add(kernel + " names " + named.group(1) + ", which is not there");
      Matcher twin = Pattern.compile("(?m)^// Twin +(\\S+\\.java), (\\w+)").matcher(header);
      if (twin.find() && Files.exists(Path.of(twin.group(1))) && !text(Path.of(twin.group(1))).contains(" " + twin.group(2) + "(")) {
        wrong.add(kernel + " names " + twin.group(2) + ", which " + twin.group(1) + " has not");
      }
    }
    assertEquals(List.of(), wrong);
  }

  @Test
  void testsMirrorThePackagesOfMain() {
    Set<String> wrong = new TreeSet<>();
    for (Path file : files(TEST, "Test.java")) {
      Path folder = TEST.relativize(file.getParent());
      if (!folder.toString().isEmpty() && !Files.isDirectory(MAIN.resolve(folder))) wrong.add(file + " mirrors no package");
    }
    assertEquals(Set.of(), wrong);
  }
}
