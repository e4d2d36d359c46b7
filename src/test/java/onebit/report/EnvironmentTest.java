package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EnvironmentTest {
  private static final String HASH = "0123456789abcdef0123456789abcdef01234567";
  private static final String OTHER = "f".repeat(40);
  @TempDir Path home;

  private void put(String file, String text) throws IOException {
    Path path = home.resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
  }

  @Test
  void factsAreInReadingOrderAndNoneIsEmpty() {
    var facts = Environment.facts();
    assertEquals(List.of("onebit", "commit", "java", "os", "cpu", "cores", "memory", "heap"), List.copyOf(facts.keySet()));
    facts.forEach((name, value) -> assertFalse(value.isBlank() || value.contains("null"), name + " is " + value));
    assertFalse(facts.get("onebit").contains("$"), "the version is filtered in by the build");
  }

  @Test
  void theCommitOfABranchATagOrADetachedHeadIsRead() throws IOException {
    put(".git/HEAD", "ref: refs/heads/main\n");
    put(".git/packed-refs", "# pack-refs\n" + OTHER + " refs/heads/other-refs/heads/main\n" + HASH + " refs/heads/main\n");
    assertEquals(HASH, Environment.commit(home));
    put(".git/refs/heads/main", OTHER + "\n");
    assertEquals(OTHER, Environment.commit(home), "a loose ref is newer than a packed one");
    put(".git/HEAD", HASH + "\n");
    assertEquals(HASH, Environment.commit(home));
  }

  @Test
  void theCommitOfAWorkTreeIsReadThroughItsGitFile() throws IOException {
    put("tree/.git", "gitdir: ../clone/.git/worktrees/tree\n");
    put("clone/.git/worktrees/tree/HEAD", "ref: refs/heads/branch\n");
    put("clone/.git/worktrees/tree/commondir", "../..\n");
    put("clone/.git/refs/heads/branch", HASH + "\n");
    assertEquals(HASH, Environment.commit(home.resolve("tree")));
  }

  @Test
  void theCommitOfAPackageIsTheOneItWasMadeOf() throws IOException {
    put("check/COMMIT", HASH + "\n");
    assertEquals(HASH, Environment.commit(home));
    put("check/COMMIT", HASH + " with changes\n");
    assertEquals(HASH + " with changes", Environment.commit(home));
    put("check/COMMIT", "unknown\n");
    assertEquals("unknown", Environment.commit(home));
    put("check/COMMIT", "a word\n");
    assertEquals("unknown", Environment.commit(home));
    put("check/COMMIT", OTHER + "\n");
    put(".git/HEAD", HASH + "\n");
    assertEquals(HASH, Environment.commit(home), "a checkout counts for more");
  }

  @Test
  void withoutACheckoutOrWithADamagedOneTheCommitIsUnknown() throws IOException {
    assertEquals("unknown", Environment.commit(home));
    put(".git/HEAD", "ref: refs/heads/none\n");
    assertEquals("unknown", Environment.commit(home));
    put(".git/secret", "not a hash");
    put(".git/HEAD", "ref: ../../../../etc/hostname\n");
    assertEquals("unknown", Environment.commit(home));
    put(".git/HEAD", "ref: secret\n");
    assertEquals("unknown", Environment.commit(home));
  }

  @Test
  void theModelNameOfTheFirstCoreIsTheCpu() throws IOException {
    put("cpuinfo", "processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nprocessor\t: 1\nmodel name\t: Other\n");
    assertEquals("Some CPU: 3 GHz", Environment.cpu(home.resolve("cpuinfo")));
    assertEquals(System.getProperty("os.arch"), Environment.cpu(home.resolve("absent")));
  }
}
