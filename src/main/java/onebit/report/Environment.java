package onebit.report;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;

/** Facts of the machine and the program that belong beside a result; a fact that cannot be read is "unknown". */
public final class Environment {
  private static final String UNKNOWN = "unknown";
  private static final long MEBIBYTE = 1 << 20;

  private Environment() {}

  /** The facts by name, in reading order: onebit, commit, java, os, cpu, cores, memory, heap. */
  public static Map<String, String> facts() {
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("onebit", version());
    facts.put("commit", commit());
    facts.put("java", System.getProperty("java.vm.name") + " " + Runtime.version());
    facts.put("os", System.getProperty("os.name") + " " + System.getProperty("os.version") + " " + System.getProperty("os.arch"));
    facts.put("cpu", cpu(Path.of("/proc/cpuinfo")));
    facts.put("cores", Integer.toString(Runtime.getRuntime().availableProcessors()));
    long memory = memoryBytes();
    facts.put("memory", memory < 0 ? UNKNOWN : memory / MEBIBYTE + " MiB");
    facts.put("heap", Runtime.getRuntime().maxMemory() / MEBIBYTE + " MiB");
    return facts;
  }

  /** Version of Onebit as built, or "development". */
  public static String version() {
    Properties build = new Properties();
    try (InputStream in = Environment.class.getResourceAsStream("/onebit/build.properties")) {
      if (in != null) {
        build.load(in);
      }
    } catch (IOException | IllegalArgumentException unreadable) {
      return "development";
    }
    String version = build.getProperty("version", "");
    return version.isEmpty() || version.contains("${") ? "development" : version;
  }

  /** Commit of the checkout or package named by the system property {@code onebit.home}, or "unknown". */
  public static String commit() {
    String home = System.getProperty("onebit.home", "");
    return home.isEmpty() ? UNKNOWN : commit(Path.of(home));
  }

  /** Commit that is checked out in {@code home}: a clone, or a work tree whose {@code .git} is a file; of the self-contained package the one it was made of. */
  static String commit(Path home) {
    try {
      Path git = home.resolve(".git");
      if (!Files.exists(git)) {
        String[] made = line(home.resolve("check/COMMIT")).split(" ", 2);
        String hash = hash(made[0]);
        return made.length == 1 || hash.equals(UNKNOWN) ? hash : hash + " " + made[1];
      }
      if (Files.isRegularFile(git)) {
        String link = line(git);
        if (!link.startsWith("gitdir:")) {
          return UNKNOWN;
        }
        git = home.resolve(link.substring("gitdir:".length()).strip()).normalize();
      }
      String head = line(git.resolve("HEAD"));
      return head.startsWith("ref:") ? resolved(git, head.substring("ref:".length()).strip()) : hash(head);
    } catch (IOException | RuntimeException unreadable) {
      return UNKNOWN;
    }
  }

  private static String resolved(Path git, String ref) throws IOException {
    Path shared = Files.exists(git.resolve("commondir")) ? git.resolve(line(git.resolve("commondir"))).normalize() : git;
    for (Path folder : new Path[] {git, shared}) {
      Path loose = folder.resolve(ref).normalize();
      if (loose.startsWith(folder) && Files.isRegularFile(loose)) {
        return hash(line(loose));
      }
    }
    try (Stream<String> packed = Files.lines(shared.resolve("packed-refs"))) {
      return packed.filter(line -> line.endsWith(" " + ref)).findFirst().map(line -> hash(line.split(" ")[0])).orElse(UNKNOWN);
    }
  }

  private static String line(Path file) throws IOException {
    return Files.readString(file, StandardCharsets.UTF_8).strip();
  }

  private static String hash(String text) {
    return text.matches("[0-9a-f]{40}|[0-9a-f]{64}") ? text : UNKNOWN;
  }

  static String cpu(Path cpuinfo) {
    return field(cpuinfo, "model name", System.getProperty("os.arch", UNKNOWN));
  }

  /** Memory of the machine in bytes, or -1 where it cannot be read. */
  public static long memoryBytes() {
    String total = field(Path.of("/proc/meminfo"), "MemTotal", UNKNOWN);
    return total.matches("\\d{1,15} kB") ? Long.parseLong(total.replace(" kB", "")) * 1024 : -1;
  }

  private static String field(Path file, String name, String otherwise) {
    try (Stream<String> lines = Files.lines(file)) {
      return lines.filter(line -> line.startsWith(name) && line.indexOf(':') > 0)
          .map(line -> line.substring(line.indexOf(':') + 1).strip()).findFirst().orElse(otherwise);
    } catch (IOException | RuntimeException unreadable) {
      return otherwise;
    }
  }
}
