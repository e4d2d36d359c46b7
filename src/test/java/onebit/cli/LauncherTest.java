package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script that starts Onebit, in a folder of its own with a JDK, a Maven and an nvcc that only say what they were asked. */
class LauncherTest {
  @TempDir Path folder;

  @BeforeEach
  void copy() throws IOException {
    Files.copy(Path.of("onebit"), folder.resolve("onebit"));
    program("jdk/bin/java", "[ \"$1\" = -version ] && echo 'openjdk version \"25.0.1\"' || echo \"ran $@\"");
    program("tools/mvn", "mkdir -p target && touch target/onebit-1.jar && echo \"NVCC is ${NVCC:-unset}\" >asked");
  }

  private void program(String name, String script) throws IOException {
    Files.createDirectories(folder.resolve(name).getParent());
    Files.writeString(folder.resolve(name), "#!/bin/bash\n" + script + "\n");
    Files.setPosixFilePermissions(folder.resolve(name), PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  /** What the launcher says with this environment and no other. */
  private Said start(Map<String, String> environment) throws Exception {
    Path out = folder.resolve("out"), err = folder.resolve("err");
    ProcessBuilder builder = new ProcessBuilder("bash", folder.resolve("onebit").toString(), "doctor").redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().clear();
    builder.environment().putAll(environment);
    builder.environment().put("PATH", folder.resolve("tools") + ":/usr/bin:/bin");
    int code = builder.start().waitFor();
    return new Said(code, Files.readString(out), Files.readString(err));
  }

  @Test
  void anAccountWithoutAHomeIsNoObstacle() throws Exception {
    Files.createDirectories(folder.resolve("target"));
    Files.createFile(folder.resolve("target/onebit-1.jar"));
    Said elsewhere = start(Map.of());   // whatever JDK is found or not in the usual places
    assertFalse(elsewhere.err().contains("unbound"), elsewhere.err());
    Said said = start(Map.of("JAVA_HOME", folder.resolve("jdk").toString()));
    assertEquals(0, said.code(), said.err());
    assertTrue(said.out().startsWith("ran ") && said.out().strip().endsWith("onebit.cli.Main doctor"), said.out());
  }

  @Test
  void aBuildThatCompilesKernelsSaysThatItTakesMinutesAndHowToDoWithout() throws Exception {
    program("tools/nvcc", "exit 1");
    Map<String, String> jdk = Map.of("JAVA_HOME", folder.resolve("jdk").toString());
    Said with = start(jdk);
    assertEquals(0, with.code(), with.err());
    assertTrue(with.err().contains("takes minutes; NVCC=none leaves them out"), with.err());
    Files.delete(folder.resolve("target/onebit-1.jar"));
    Said without = start(Map.of("JAVA_HOME", folder.resolve("jdk").toString(), "NVCC", "none"));
    assertFalse(without.err().contains("nvcc"), without.err());
    assertEquals("NVCC is none\n", Files.readString(folder.resolve("asked")));
  }
}
