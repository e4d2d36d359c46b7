package onebit.recipe;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The recipes that come with the program, by name, and those in a user's files, by path. */
public final class Recipes {
  /** The recipe of a run that names none. */
  public static final String DEFAULT = "default";
  static final int MAX_BYTES = 1 << 20;

  private static final String FOLDER = "/recipes/";
  private static final String SUFFIX = ".yaml";

  private final List<Extension> extensions;
  private final RecordBinder binder;

  /**
   * Recipes of what comes with the program and of what the {@link Extension}s on the class path add.
   *
   * @throws IllegalArgumentException if an extension cannot be loaded, or a name of it is taken
   */
  public Recipes() {
    extensions = Extensions.found();
    binder = Extensions.binder(extensions);
  }

  /** A line for each extension on the class path: its class, its jar, and the names that it adds; none without extensions. */
  public List<String> extensions() {
    return extensions.stream().map(Extensions::words).toList();
  }

  /** Name and SHA-256 of each jar that holds extensions; none without, or where they are in folders of classes. */
  public List<String> extensionJars() throws IOException {
    return Extensions.jars(extensions);
  }

  /** The names of all recipes that come with the program, sorted. */
  public static List<String> names() {
    URL first = Recipes.class.getResource(FOLDER + DEFAULT + SUFFIX);
    if (first == null) throw new IllegalStateException("the program comes without its recipes");
    try {
      if (first.openConnection() instanceof JarURLConnection jar) {
        jar.setUseCaches(false);
        try (var file = jar.getJarFile()) {
          return names(file.stream().map(e -> "/" + e.getName()).filter(n -> n.startsWith(FOLDER)).map(n -> n.substring(FOLDER.length())));
        }
      }
      try (Stream<Path> files = Files.list(Path.of(URI.create(first.toString())).getParent())) {
        return names(files.map(f -> f.getFileName().toString()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException("the program's own recipes cannot be listed", e);
    }
  }

  private static List<String> names(Stream<String> files) {
    return files.filter(f -> f.endsWith(SUFFIX)).map(f -> f.substring(0, f.length() - SUFFIX.length())).sorted().toList();
  }

  /**
   * The recipe of a name or a file (anything with a slash or ending in .yaml or .yml), after overrides {@code dotted.key=value}.
   *
   * @throws IllegalArgumentException if there is no such recipe or file, or what it says is refused
   */
  public Recipe load(String nameOrPath, List<String> overrides) {
    boolean path = nameOrPath.contains("/") || nameOrPath.endsWith(SUFFIX) || nameOrPath.endsWith(".yml");
    String text = path ? file(nameOrPath) : resource(nameOrPath);
    return binder.bind(Recipe.class, path ? nameOrPath : "recipe " + nameOrPath, text, overrides);
  }

  /** A constant as recipes write it: fashion-mnist for FASHION_MNIST. */
  public static String word(Enum<?> constant) {
    return Scalars.kebab(constant);
  }

  /** The merged recipe as YAML, as written into a run folder. */
  public String write(Recipe recipe) {
    return binder.write(recipe);
  }

  /** The merged recipe as maps, lists, numbers and texts. */
  public Map<String, Object> tree(Recipe recipe) {
    return binder.tree(recipe);
  }

  /** Every key a recipe may hold. */
  public List<RecordKey> keys() {
    return binder.describe(Recipe.class);
  }

  /** The name a few edits away, else those that hold the word, else where all of them are listed. */
  private static String meant(String word, List<String> names) {
    String nearest = Nearest.to(word, names);
    if (Nearest.close(word, nearest)) return "did you mean " + nearest + "?";
    List<String> holding = names.stream().filter(n -> n.contains(word.toLowerCase(java.util.Locale.ROOT))).toList();
    return holding.isEmpty() || word.isBlank() ? "`onebit recipes` lists them" : "with " + word + " in the name: " + String.join(", ", holding);
  }

  private static String resource(String name) {
    List<String> names = names();
    if (!names.contains(name)) {
      throw new IllegalArgumentException("there is no recipe " + YamlNode.clip(name) + "; " + meant(YamlNode.clip(name), names));
    }
    try (InputStream in = Recipes.class.getResourceAsStream(FOLDER + name + SUFFIX)) {
      return decode("recipe " + name, in);
    } catch (IOException e) {
      throw new UncheckedIOException("recipe " + name + " cannot be read", e);
    }
  }

  private static String file(String name) {
    Path path = Path.of(name);
    if (!Files.isRegularFile(path)) throw new IllegalArgumentException("there is no recipe file " + YamlNode.clip(name));
    try (InputStream in = Files.newInputStream(path)) {
      return decode(name, in);
    } catch (IOException e) {
      throw new UncheckedIOException("recipe file " + name + " cannot be read", e);
    }
  }

  static String decode(String name, byte[] bytes) {
    try {
      return decode(name, new ByteArrayInputStream(bytes));
    } catch (IOException e) {
      throw new UncheckedIOException(name, e);
    }
  }

  private static String decode(String name, InputStream in) throws IOException {
    byte[] bytes = in.readNBytes(MAX_BYTES + 1);
    if (bytes.length > MAX_BYTES) throw new IllegalArgumentException(name + ": is larger than 1 MiB; a recipe is not");
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(name + ": is not UTF-8 text", e);
    }
  }
}
