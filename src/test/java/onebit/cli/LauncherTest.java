package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The script that starts Onebit, in a folder of its own with a JDK, a Maven and an nvcc that only say what they were asked. */
class LauncherTest {
  @TempDir Path folder;

  @BeforeEach
  void copy() throws IOException {
    Files.copy(Path.of("onebit"), folder.resolve("onebit"));
    Files.createDirectory(folder.resolve("kernels"));
    Files.copy(Path.of("kernels/build.sh"), folder.resolve("kernels/build.sh"));
    program("jdk/bin/java", "[ \"$1\" = -version ] && echo 'openjdk version \"25.0.1\"' || echo \"ran $@\"");
    program("tools/mvn", "mkdir -p target && touch target/onebit-1.jar && echo \"NVCC is ${NVCC:-unset}, ONEBIT_ARCHS '${ONEBIT_ARCHS:-}'\" >asked");
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '"', textBlock = """
      9.0\\n9.0         |                  | 90a    | sm_90a alone
      9.0\\n8.6         |                  | 86 90a | sm_86 90a alone
      9.0\\n12.0        |                  |        | all kinds of GPUs
      No devices found |                  |        | all kinds of GPUs
      9.0              | 80               | 80     | sm_80 alone
      """)
  void theFirstBuildCompilesForTheGpusThatAreThere(String capabilities, String asked, String archs, String said) throws Exception {
    program("tools/nvcc", "exit 1");
    program("tools/nvidia-smi", "printf '" + capabilities + "\\n'");
    Map<String, String> environment = new HashMap<>(Map.of("JAVA_HOME", folder.resolve("jdk").toString()));
    if (asked != null) environment.put("ONEBIT_ARCHS", asked);
    Said start = start(environment);
    assertTrue(start.err().contains("nvcc compiles the kernels for " + said + ", which takes minutes"), start.err());
    assertEquals("NVCC is unset, ONEBIT_ARCHS '" + (archs == null ? "" : archs) + "'\n", Files.readString(folder.resolve("asked")));
  }

  /** The build of the kernels with an nvcc that writes down what it was asked. */
  private Said compile(String archs) throws Exception {
    program("tools/nvcc", "echo \"$@\" >>" + folder.resolve("flags") + "\nwhile [ $# -gt 1 ]; do [ \"$1\" != -o ] || echo image >\"$2\"; shift; done");
    ProcessBuilder builder = new ProcessBuilder("bash", "kernels/build.sh", folder.resolve("out.fatbin").toString(), folder.resolve("work").toString());
    builder.environment().putAll(Map.of("NVCC", folder.resolve("tools/nvcc").toString(), "ONEBIT_ARCHS", archs));
    Process process = builder.redirectOutput(folder.resolve("out").toFile()).redirectError(folder.resolve("err").toFile()).start();
    return new Said(process.waitFor(), "", Files.readString(folder.resolve("err")));
  }

  @Test
  void kernelsAreCompiledForTheNamedGpusAlone() throws Exception {
    Said some = compile("90a");
    assertEquals(0, some.code(), some.err());
    assertTrue(some.err().contains("bytes of kernels for sm_90a\n"), some.err());
    String flags = Files.readString(folder.resolve("flags"));
    assertTrue(flags.contains("-gencode arch=compute_90a,code=sm_90a ") && !flags.contains("sm_80") && !flags.contains("code=compute_90"), flags);
    Said none = compile("90a,91");
    assertEquals(2, none.code(), none.err());
    assertEquals("kernels/build.sh: ONEBIT_ARCHS is '90a,91'; it must name some of 75 80 86 89 90a\n", none.err());
  }

  private void program(String name, String script) throws IOException {
    Files.createDirectories(folder.resolve(name).getParent());
    Files.writeString(folder.resolve(name), "#!/bin/bash\n" + script + "\n");
    Files.setPosixFilePermissions(folder.resolve(name), PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  /** What the launcher says with this environment and no other. */
  private Said start(Map<String, String> environment) throws Exception {
    return start("", environment);
  }

  private Said start(String before, Map<String, String> environment) throws Exception {
    Path out = folder.resolve("out"), err = folder.resolve("err");
    ProcessBuilder builder = new ProcessBuilder("bash", "-c", before + "exec bash \"$0\" doctor", folder.resolve("onebit").toString()).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().clear();
    builder.environment().putAll(environment);
    builder.environment().put("PATH", folder.resolve("tools") + ":/usr/bin:/bin");
    int code = builder.start().waitFor();
    return new Said(code, Files.readString(out), Files.readString(err));
  }

  /** Maven's writing into the jar that is there would take the classes away from a run under way. */
  @Test
  void aBuildLeavesTheFileAloneThatARunHasOpen() throws Exception {
    program("tools/mvn", "echo new >target/onebit-1.jar");
    Path jar = Files.createDirectories(folder.resolve("target")).resolve("onebit-1.jar"), open = folder.resolve("open");
    Files.writeString(jar, "old");
    Files.createLink(open, jar);
    Files.setLastModifiedTime(jar, FileTime.fromMillis(0));
    Files.createDirectories(folder.resolve("src/main"));
    Files.createFile(folder.resolve("pom.xml"));
    Said said = start(Map.of("JAVA_HOME", folder.resolve("jdk").toString()));
    assertEquals(0, said.code(), said.err());
    assertEquals("new\n", Files.readString(jar));
    assertEquals("old", Files.readString(open));
  }

  @Test
  void aJavaThatDoesNotStartIsNamed() throws Exception {
    Files.createFile(Files.createDirectories(folder.resolve("target")).resolve("onebit-1.jar"));
    program("jdk/bin/java", "echo '#' && echo '# There is insufficient memory.' && exit 1");
    Path script = folder.resolve("onebit");   // without the usual places, where this machine has its JDK 25
    Files.writeString(script, Files.readString(script).replace("/usr/lib/jvm/* /usr/java/* /opt/java/* /opt/*jdk*", "").replace("command -v java", "false"));
    Said said = start(Map.of("JAVA_HOME", folder.resolve("jdk").toString()));
    assertEquals(1, said.code(), said.out());
    assertTrue(said.err().contains("set JAVA_HOME to it (" + folder.resolve("jdk/bin/java") + " does not start: # There is insufficient memory.)"), said.err());
  }

  /** With too few open files the JVM starts, and finds neither its classes nor its run's files. */
  @Test
  void aLimitOfOpenFilesThatIsTooLowIsTold() throws Exception {
    Files.createFile(Files.createDirectories(folder.resolve("target")).resolve("onebit-1.jar"));
    Map<String, String> jdk = Map.of("JAVA_HOME", folder.resolve("jdk").toString());
    Said few = start("ulimit -n 32; ", jdk);
    assertEquals(1, few.code());
    assertEquals("onebit: a process may have only 32 files open here, and Onebit needs at least 64; start it where the limit is higher (ulimit -Hn shows it)\n", few.err());
    assertEquals(0, start("ulimit -n 64; ", jdk).code());
    assertEquals(0, start("ulimit -Sn 32; ", jdk).code(), "Java takes what it may");
  }

  @Test
  void jarsOfOnesOwnComeLastOnTheClassPath() throws Exception {
    Files.createFile(Files.createDirectories(folder.resolve("target")).resolve("onebit-1.jar"));
    String home = folder.resolve("jdk").toString(), own = folder + "/target/onebit-1.jar:" + folder + "/target/lib/*";
    assertTrue(start(Map.of("JAVA_HOME", home)).out().contains(" -cp " + own + " onebit.cli.Main doctor"));
    String more = start(Map.of("JAVA_HOME", home, "ONEBIT_CLASSPATH", "a b.jar:more/*")).out();
    assertTrue(more.contains(" -cp " + own + ":a b.jar:more/* onebit.cli.Main doctor"), more);
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
    assertEquals("NVCC is none, ONEBIT_ARCHS ''\n", Files.readString(folder.resolve("asked")));
  }
}
