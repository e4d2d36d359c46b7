package onebit.recipe;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.OneOf;
import onebit.recipe.keys.Range;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RecordBinderTest {
  enum Colour { RED, DARK_BLUE }

  interface Shape {}

  record Circle(@Range(min = 0, exclusiveMin = true) double radius) implements Shape {}

  record Point() implements Shape {}

  record Inner(@Default("7") int depth, @Default("[1, 2]") @Range(min = 0, max = 9) List<Integer> sizes) {}

  record Toy(
      @Range(min = 1, max = 100) int epochs,
      @Range(min = 0, exclusiveMin = true, max = 1) double rate,
      @Default("false") boolean fast,
      @Default("dark-blue") Colour colour,
      @Default("plain") @OneOf({"plain", "fancy"}) String style,
      @Default("'a b: c #d'") String note,
      @Default("{}") Inner inner,
      Optional<Inner> spare,
      Optional<Double> limit,
      @Default("{name: point}") Shape shape,
      @Default("0") long seed,
      @Default("0.5") float half) {
    Toy {
      if (epochs == 13) throw new IllegalArgumentException("epochs is 13; it must not be");
    }
  }

  private static final RecordBinder BINDER =
      new RecordBinder(Map.of(Shape.class, Map.of("circle", Circle.class, "point", Point.class)));

  private static Toy bind(String yaml, String... overrides) {
    return BINDER.bind(Toy.class, "mine.yaml", yaml, List.of(overrides));
  }

  private static String refused(String yaml, String... overrides) {
    return assertThrows(IllegalArgumentException.class, () -> bind(yaml, overrides)).getMessage();
  }

  private static final String GOOD = "epochs: 3\nrate: 0.1\n";

  record Deep(List<Optional<Inner>> all, Optional<Shape> other) implements Shape {}

  record Inside(double[] levels) {}

  record Array(int first, Optional<Inside> inside) implements Shape {}

  record Table(Map<String, Integer> entries) implements Shape {}

  @Test
  void aRecordWithAComponentThatNoYamlStandsForIsRefusedWhenItIsRegistered() {
    new RecordBinder(Map.of(Shape.class, Map.of("deep", Deep.class, "circle", Circle.class)));
    for (Map.Entry<Class<?>, String> bad : Map.<Class<?>, String>of(Array.class, Inside.class.getName() + " has a component levels of type double[]",
        Table.class, Table.class.getName() + " has a component entries of type java.util.Map<java.lang.String, java.lang.Integer>").entrySet()) {
      assertEquals(bad.getValue() + "; a key is an int, long, float, double, boolean, String, enum or record, or a List or an Optional of one",
          assertThrows(IllegalArgumentException.class, () -> new RecordBinder(Map.of(Shape.class, Map.of("bad", bad.getKey())))).getMessage());
    }
  }

  @Test
  void defaultsFillWhatAFileLeavesOut() {
    Toy toy = bind(GOOD);
    assertEquals(new Toy(3, 0.1, false, Colour.DARK_BLUE, "plain", "a b: c #d", new Inner(7, List.of(1, 2)), Optional.empty(), Optional.empty(), new Point(), 0, 0.5f), toy);
  }

  @Test
  void everyKindOfValueIsRead() {
    Toy toy = bind("""
        # a comment
        epochs: 100
        rate: 1e-4
        fast: true
        colour: red
        style: "fancy"
        note: >-
          two
          lines
        inner: {depth: -2, sizes: []}
        spare:
          sizes:
            - 9
        limit: 2
        shape:
          radius: 2.5
          name: circle
        seed: 9223372036854775807
        half: 3
        """);
    assertEquals(new Toy(100, 1e-4, true, Colour.RED, "fancy", "two lines", new Inner(-2, List.of()),
        Optional.of(new Inner(7, List.of(9))), Optional.of(2.0), new Circle(2.5), Long.MAX_VALUE, 3f), toy);
  }

  @Test
  void writtenRecordsReadBackEqual() {
    for (Toy toy : List.of(bind(GOOD), bind(GOOD + "spare: {depth: 1}\nlimit: 1e-30\nshape: {name: circle, radius: 3}\nnote: \"true\"\n"),
        bind(GOOD + "note: \"a\\\"b\\\\c\\n\\u00e9\\u2028 '\"\n"), bind(GOOD + "note: \"\"\n"), bind(GOOD + "note: \"12\"\n"), bind(GOOD + "note: \"- x\"\n"))) {
      String yaml = BINDER.write(toy);
      assertEquals(toy, bind(yaml), yaml);
      assertEquals(yaml, BINDER.write(bind(yaml)));
    }
  }

  @Test
  void writtenRecordsHoldEveryKeyInComponentOrder() {
    assertEquals("""
        epochs: 3
        rate: 0.1
        fast: false
        colour: dark-blue
        style: plain
        note: "a b: c #d"
        inner:
          depth: 7
          sizes: [1, 2]
        shape:
          name: point
        seed: 0
        half: 0.5
        """, BINDER.write(bind(GOOD)));
  }

  @Test
  void unknownKeysAreRefusedWithTheNearestKey() {
    assertEquals("mine.yaml, line 3: unknown key inner.dept; did you mean inner.depth? Keys here: depth, sizes", refused(GOOD + "inner: {dept: 3}\n"));
    assertTrue(refused("epohcs: 3\nrate: 0.1\n").startsWith("mine.yaml, line 1: unknown key epohcs; did you mean epochs?"));
    assertTrue(refused(GOOD + "Rate: 0.2\n").contains("did you mean rate?"));
    assertTrue(refused(GOOD + "lr: 0.2\n").contains("unknown key lr. Keys here: "), "nothing is near enough to be meant");
    assertTrue(refused(GOOD + "depth: 3\n").contains("did you mean inner.depth?"), "the key where it really is");
    assertTrue(refused(GOOD + "shape: {name: point, radius: 3}\n").contains("unknown key shape.radius"), "keys belong to the named record");
  }

  @Test
  void allThatIsWrongIsToldAtOnceInTheOrderOfTheFile() {
    assertEquals("""
        --set rate: a setting is key=value, like train.epochs=3
        mine.yaml, line 1: epochs is missing; it must be a whole number (32 bits) >= 1 and <= 100
        mine.yaml, line 1: rate is 2; it must be a finite number > 0 and <= 1
        mine.yaml, line 3: inner.sizes[1] is 10; it must be a list, each element a whole number (32 bits) >= 0 and <= 9
        mine.yaml, line 3: inner.sizes[2] is -1; it must be a list, each element a whole number (32 bits) >= 0 and <= 9
        mine.yaml, line 4: unknown key inner.dept; did you mean inner.depth? Keys here: depth, sizes
        mine.yaml, line 5: shape.name is the text "cirle"; it must be one of circle, point; did you mean circle?
        mine.yaml, line 6: fast is the text "yes"; it must be true or false
        --set spare.depth=x: spare.depth is the text "x"; it must be a whole number (32 bits)""",
        refused("rate: 2\ninner:\n  sizes: [1, 10, -1]\n  dept: 3\nshape: {name: cirle, radius: none}\nfast: yes\n", "rate", "spare.depth=x"));
  }

  @Test
  void oneMistakeIsNotToldTwice() {
    assertEquals(1, refused("epohcs: 3\nrate: 0.1\n").lines().count(), "epochs is misspelt, not missing, too");
    assertEquals(1, refused("epochs: 13\nrate: 0.1\ninner: {depht: 1}\n").lines().count(), "what holds for the whole is looked at when its parts are right");
    assertEquals(2, refused("epohcs: 3\n").lines().count(), "rate is missing all the same");
  }

  @Test
  void ofAFileThatIsNoRecipeTheFirstMistakesAreTold() {
    StringBuilder file = new StringBuilder();
    for (int i = 0; i < 50_000; i++) file.append("key").append(i).append(": 1\n");
    assertTimeoutPreemptively(Duration.ofSeconds(10), () -> {
      List<String> lines = refused(file.toString()).lines().toList();
      assertEquals(21, lines.size());
      assertTrue(lines.get(2).startsWith("mine.yaml, line 1: unknown key key0"), lines.get(2));
      assertEquals("more is wrong than these 20; the rest is told when they are mended", lines.getLast());
    });
  }

  @Test
  void duplicateKeysAreRefused() {
    assertEquals("mine.yaml, line 3: key epochs is written twice (first at mine.yaml, line 1)", refused(GOOD + "epochs: 4\n"));
    assertTrue(refused(GOOD + "inner: {depth: 1, depth: 1}\n").contains("line 3: key depth is written twice"));
  }

  @Test
  void missingKeysAreRefusedWithTheirRule() {
    assertEquals("mine.yaml, line 1: epochs is missing; it must be a whole number (32 bits) >= 1 and <= 100", refused("rate: 0.1\n"));
    assertTrue(refused(GOOD + "shape: {radius: 1}\n").contains("shape.name is missing; it picks one of circle, point"));
    assertTrue(refused(GOOD + "shape: {name: circle}\n").contains("shape.radius is missing"));
  }

  @Test
  void numbersAreNeverConverted() {
    assertEquals("mine.yaml, line 1: epochs is 3.7; it must be a whole number (32 bits) >= 1 and <= 100", refused("epochs: 3.7\nrate: 0.1\n"));
    for (String odd : List.of("3.0", "3e0", "\"3\"", "three", "true", "~", "", "0x3", "0o3", "03", "1_0", "+3", "[3]", "{a: 3}", "3000000000", "99999999999999999999999")) {
      assertTrue(refused("epochs: " + odd + "\nrate: 0.1\n").contains("epochs is "), odd);
    }
    for (String odd : List.of(".nan", ".NaN", ".inf", "-.inf", "NaN", "Infinity", "1e999", "\"0.1\"", "0x1p-3", "1_0.0", "no", "null", "1:30")) {
      assertTrue(refused("epochs: 3\nrate: " + odd + "\n").contains("line 2: rate is "), odd);
    }
    assertTrue(refused(GOOD + "half: 1e39\n").contains("half is 1e39; it must be a finite number"));
  }

  @Test
  void valuesOutOfRangeAreRefused() {
    assertEquals("mine.yaml, line 2: rate is 0; it must be a finite number > 0 and <= 1", refused("epochs: 3\nrate: 0\n"));
    assertTrue(refused("epochs: 101\nrate: 0.1\n").contains("epochs is 101"));
    assertTrue(refused("epochs: 0\nrate: 0.1\n").contains("epochs is 0"));
    assertTrue(refused(GOOD + "inner: {sizes: [1, 10]}\n").contains("inner.sizes[1] is 10; it must be a list, each element a whole number (32 bits) >= 0 and <= 9"));
    assertEquals(1.0, bind("epochs: 1\nrate: 1\n").rate());
    assertEquals(0.05, bind("epochs: 1\nrate: .5e-1\n").rate(), "as YAML has it");
    assertTrue(refused("epochs: 1\nrate: .\n").contains("rate is "));
  }

  @Test
  void wrongTypesAreRefused() {
    assertTrue(refused(GOOD + "fast: yes\n").contains("fast is the text \"yes\"; it must be true or false"));
    assertTrue(refused(GOOD + "fast: True\n").contains("fast is"));
    assertTrue(refused(GOOD + "note: 12\n").contains("note is 12; it must be a text (quote it if it looks like a number)"));
    assertTrue(refused(GOOD + "note: false\n").contains("note is false"));
    assertTrue(refused(GOOD + "inner: 3\n").contains("inner is 3; it must be a section of keys"));
    assertTrue(refused(GOOD + "inner: {sizes: 3}\n").contains("inner.sizes is 3; it must be a list"));
    assertTrue(refused(GOOD + "inner:\n").contains("inner is without a value"));
    assertTrue(refused(GOOD + "shape: circle\n").contains("shape is the text \"circle\"; it must be a section"));
  }

  @Test
  void unknownNamesAreRefusedWithTheAllowedOnes() {
    assertEquals("mine.yaml, line 3: colour is the text \"dark_blue\"; it must be one of dark-blue, red; did you mean dark-blue?", refused(GOOD + "colour: dark_blue\n"));
    assertTrue(refused(GOOD + "style: fansy\n").contains("one of fancy, plain; did you mean fancy?"));
    assertTrue(refused(GOOD + "shape: {name: cirle}\n").contains("shape.name is the text \"cirle\"; it must be one of circle, point; did you mean circle?"));
  }

  @ParameterizedTest
  @ValueSource(strings = {
      "inner: &a {depth: 3}\n", "note: &a text\n", "note: *a\n", "inner: &a {depth: 3}\nspare: *a\n", "inner:\n  <<: {depth: 3}\n", "<<: *a\n",
      "note: !!str 3\n", "note: !x y\n", "note: !!javax.script.ScriptEngineManager [a]\n", "inner: !!map {depth: 3}\n", "&a note: x\n", "!!str note: x\n"})
  void anchorsAliasesMergeKeysAndTagsAreRefused(String yaml) {
    String message = refused(GOOD + yaml);
    assertTrue(message.matches("(?s)mine.yaml, line [34]: .*(anchors|aliases|merge keys|tags).* not read.*"), message);
  }

  @Test
  void secondDocumentsAreRefused() {
    assertTrue(refused(GOOD + "---\nepochs: 4\n").contains("a second document starts here"));
    assertTrue(refused(GOOD + "---\n").contains("a second document starts here"));
    assertEquals(3, bind("---\n" + GOOD + "...\n").epochs());
  }

  @Test
  void emptyAndScalarFilesAreRefused() {
    assertEquals("mine.yaml: holds nothing; a recipe is keys and values", refused(""));
    assertTrue(refused("# only a comment\n").contains("a recipe is keys and values"));
    assertTrue(refused("- a\n- b\n").contains("holds a list"));
    assertTrue(refused("just words\n").contains("a recipe is keys and values"));
  }

  @Test
  void byteOrderMarksAndTabsAreRefused() {
    assertEquals("mine.yaml: starts with a byte order mark; save it as UTF-8 without one", refused("\uFEFF" + GOOD));
    assertEquals("mine.yaml, line 4: holds a tab; use spaces", refused(GOOD + "inner:\n\tdepth: 3\n"));
  }

  @Test
  void brokenYamlIsRefusedWithItsLine() {
    assertTrue(refused(GOOD + "inner: {depth: 3\n").startsWith("mine.yaml, line "));
    assertTrue(refused(GOOD + "note: \"open\n").startsWith("mine.yaml, line "));
    assertTrue(refused(GOOD + "  bad: indent\n").startsWith("mine.yaml, line "));
    assertTrue(refused(GOOD + "note: a\u0000b\n").startsWith("mine.yaml"));
    assertTrue(refused(GOOD + "? [a]\n: b\n").startsWith("mine.yaml"));
  }

  @Test
  void hugeAndDeepTextsAreRefusedQuickly() {
    assertTimeoutPreemptively(Duration.ofSeconds(10), () -> assertAll(
        () -> assertTrue(refused(GOOD + "note: " + "x".repeat(1 << 20)).contains("at most 1048576 are read")),
        () -> assertTrue(refused(GOOD + "inner: " + "[".repeat(5000)).startsWith("mine.yaml")),
        () -> assertTrue(refused(GOOD + "inner: " + "{a: ".repeat(200_000)).startsWith("mine.yaml")),
        () -> assertTrue(refused(GOOD + "note: " + "9".repeat(1_000_000)).startsWith("mine.yaml")),
        () -> assertTrue(refused(GOOD + "x".repeat(1_000_000) + ": 1\n").length() < 500)));
    assertEquals(1_000_000, bind(GOOD + "note: \"" + "x".repeat(1_000_000) + "\"").note().length());
  }

  @Test
  void charactersOutsideTheBasicPlaneAreReadAtEveryOffset() {
    for (int before = 1000; before < 1050; before++) {
      String text = "x".repeat(before) + "\uD83D\uDE00";
      assertEquals(text, bind(GOOD + "note: " + text).note());
    }
    String half = refused(GOOD + "note: x\uD83D");
    assertTrue(half.startsWith("mine.yaml"), half);
  }

  @Test
  void refusalsOfTheRecordItselfNameTheFile() {
    assertEquals("mine.yaml, line 1: epochs is 13; it must not be", refused("epochs: 13\nrate: 0.1\n"));
  }

  @Test
  void overridesReplaceAnyKeyByItsDottedName() {
    Toy toy = bind(GOOD, "epochs=5", "inner.depth=-1", "inner.sizes=[3, 4]", "shape={name: circle, radius: 2}", "note=a=b", "shape.radius=4", "limit=null", "spare.depth=2");
    assertEquals(5, toy.epochs());
    assertEquals(new Inner(-1, List.of(3, 4)), toy.inner());
    assertEquals(new Circle(4), toy.shape());
    assertEquals("a=b", toy.note());
    assertEquals(Optional.empty(), toy.limit());
    assertEquals(2, toy.spare().orElseThrow().depth());
  }

  @Test
  void wrongOverridesAreRefusedLikeAFileButNameTheSetting() {
    assertEquals("--set inner.dpeth=3: unknown key inner.dpeth; did you mean inner.depth? Keys here: depth, sizes", refused(GOOD, "inner.dpeth=3"));
    assertTrue(refused(GOOD, "iner.depth=3").startsWith("--set iner.depth=3: unknown key iner; did you mean inner?"));
    assertTrue(refused(GOOD, "epochs=x").startsWith("--set epochs=x: epochs is the text \"x\""));
    assertTrue(refused(GOOD, "epochs=").contains("epochs is without a value"));
    assertTrue(refused(GOOD, "epochs").contains("a setting is key=value"));
    assertTrue(refused(GOOD, "inner..depth=1").contains("empty part"));
    assertTrue(refused(GOOD, "epochs.x=1").contains("epochs is 3, not a section"));
    assertTrue(refused(GOOD, "note=[a").startsWith("--set note=[a: not YAML"));
  }

  @Test
  void describeListsEveryKeyWithTypeRangeAndDefault() {
    List<RecordKey> keys = BINDER.describe(Toy.class);
    assertEquals(new RecordKey("epochs", "int", ">= 1 and <= 100", "", RecordKey.Presence.REQUIRED), keys.get(0));
    assertEquals(new RecordKey("colour", "name", "dark-blue, red", "dark-blue", RecordKey.Presence.DEFAULTED), keys.get(3));
    assertTrue(keys.contains(new RecordKey("inner.sizes", "list of int", ">= 0 and <= 9", "[1, 2]", RecordKey.Presence.DEFAULTED)));
    assertTrue(keys.contains(new RecordKey("shape.name", "name", "circle, point", "", RecordKey.Presence.DEFAULTED)));
    assertTrue(keys.contains(new RecordKey("shape[circle].radius", "number", "> 0", "", RecordKey.Presence.REQUIRED)));
    assertTrue(keys.contains(new RecordKey("limit", "number", "", "", RecordKey.Presence.OPTIONAL)));
  }

  @Test
  void editDistanceCountsInsertionsDeletionsAndReplacements() {
    assertEquals(3, Nearest.edits("kitten", "sitting"));
    assertEquals(0, Nearest.edits("same", "same"));
    assertEquals(4, Nearest.edits("", "four"));
  }
}
