package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;

/**
 * The table of ops and the backends each was tested on, in kernels/README.md, against what the contract tests of this build ran; it runs behind
 * them all. {@code -Donebit.write.tables=true} writes the table anew.
 */
@Order(Integer.MAX_VALUE)
class TestedOpsTest {
  private static final Path README = Path.of("kernels/README.md");
  private static final String BEGIN = "<!-- the tested ops -->\n", END = "<!-- end of the tested ops -->\n";

  /** Every op of every family of a backend. */
  private static TreeSet<String> ops() {
    TreeSet<String> all = new TreeSet<>();
    for (Method family : Backend.class.getMethods()) {
      if (!RecordedOps.isFamily(family)) continue;
      for (Method op : family.getReturnType().getMethods()) {
        if (!Modifier.isStatic(op.getModifiers())) all.add(family.getReturnType().getSimpleName() + "." + op.getName());
      }
    }
    return all;
  }

  private static Map<String, TreeSet<String>> committed() throws Exception {
    String text = Files.readString(README);
    Map<String, TreeSet<String>> rows = new TreeMap<>();
    Matcher row = Pattern.compile("(?m)^\\| `(\\w+Ops\\.\\w+)` \\| ([^|]*) \\|$").matcher(text.substring(text.indexOf(BEGIN), text.indexOf(END)));
    while (row.find()) rows.put(row.group(1), new TreeSet<>(List.of(row.group(2).split(", "))));
    return rows;
  }

  @Test
  void theTableListsEveryOp() throws Exception {
    assumeTrue(!Boolean.getBoolean("onebit.write.tables"), "the table is being written");
    assumeTrue(Files.exists(README), "kernels/README.md is not here: a package has no source tree");
    assumeTrue(!committed().isEmpty(), "the table was not written yet");
    assertEquals(ops(), new TreeSet<>(committed().keySet()), "kernels/README.md lists other ops than the backends have; the head of TestedOpsTest says how to write it");
  }

  @Test
  void theTableSaysWhatTheContractTestsRan() throws Exception {
    Map<String, TreeSet<String>> ran = RecordedOps.ran();
    TreeSet<String> families = new TreeSet<>(), met = new TreeSet<>();
    for (String op : ops()) families.add(op.substring(0, op.indexOf('.')));
    for (String op : ran.keySet()) met.add(op.substring(0, op.indexOf('.')));
    if (System.getProperty("onebit.test.ledger") != null) assertEquals(families, met, "a build runs all contract tests, which write down what they met");
    assumeTrue(met.equals(families), "only the contract tests of " + met + " ran");
    if (Boolean.getBoolean("onebit.write.tables")) {
      StringBuilder table = new StringBuilder("| Op | Backends it was tested on |\n|---|---|\n");
      ran.forEach((op, backends) -> table.append("| `").append(op).append("` | ").append(String.join(", ", backends)).append(" |\n"));
      String text = Files.readString(README);
      Files.writeString(README, text.substring(0, text.indexOf(BEGIN) + BEGIN.length()) + table + text.substring(text.indexOf(END)));
      return;
    }
    assumeTrue(Files.exists(README), "kernels/README.md is not here: a package has no source tree");
    TreeSet<String> present = new TreeSet<>();
    ran.values().forEach(present::addAll);
    List<String> wrong = new ArrayList<>();
    for (Map.Entry<String, TreeSet<String>> row : committed().entrySet()) {
      TreeSet<String> claimed = new TreeSet<>(row.getValue()), found = ran.getOrDefault(row.getKey(), new TreeSet<>());
      claimed.retainAll(present);
      if (!found.containsAll(claimed)) wrong.add(row.getKey() + ": the table says " + claimed + ", tested on " + found);
    }
    assertEquals(List.of(), wrong);
    for (String op : ops()) assertTrue(ran.getOrDefault(op, new TreeSet<>()).stream().anyMatch(b -> b.startsWith("cuda")) || present.stream().noneMatch(b -> b.startsWith("cuda")),
        op + " was tested on no device");
  }
}
