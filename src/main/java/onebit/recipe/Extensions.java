package onebit.recipe;

import com.google.common.hash.Hashing;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.TreeMap;
import java.util.TreeSet;
import onebit.binarize.Method;
import onebit.binarize.Methods;
import onebit.data.OwnDataset;
import onebit.models.Network;
import onebit.models.Networks;

/** The methods and networks that come with the program, and what the {@link Extension}s on the class path add. */
final class Extensions {
  private Extensions() {}

  static String words(Extension e) {
    return e.getClass().getName() + " of " + origin(e.getClass()) + words(", methods ", e.methods()) + words(", networks ", e.networks()) + words(", data sets ", e.datasets());
  }

  private static String words(String before, Map<String, ?> names) {
    return names.isEmpty() ? "" : before + String.join(" ", new TreeSet<>(names.keySet()));
  }

  private static String origin(Class<?> type) {
    CodeSource source = type.getProtectionDomain().getCodeSource();
    return source == null ? "the class path" : Path.of(URI.create(source.getLocation().toString())).toString();
  }

  /** Name and SHA-256 of each jar that holds extensions, in the order of their names; of folders of classes, which change while one works on them, nothing. */
  static List<String> jars(List<Extension> extensions) throws IOException {
    TreeSet<String> all = new TreeSet<>();
    for (Extension extension : extensions) {
      Path jar = Path.of(origin(extension.getClass()));
      if (Files.isRegularFile(jar)) all.add(jar.getFileName() + " " + Hashing.sha256().hashBytes(Files.readAllBytes(jar)));
    }
    return List.copyOf(all);
  }

  /** @throws IllegalArgumentException if a jar names a class that is not there, is no extension, is damaged or of a newer Java, or cannot be made */
  static List<Extension> found() {
    List<Extension> found = new ArrayList<>();
    try {
      ServiceLoader.load(Extension.class).forEach(found::add);
    } catch (ServiceConfigurationError | LinkageError broken) {
      throw new IllegalArgumentException("an extension on the class path cannot be loaded: " + (broken instanceof LinkageError ? broken.toString() : broken.getMessage())
          + (broken.getCause() == null ? "" : " (" + broken.getCause() + ")"), broken);
    }
    return found;
  }

  /** @throws IllegalArgumentException if a name is taken or no word for a recipe, or what it stands for is no record of its kind */
  static RecordBinder binder(List<Extension> extensions) {
    Map<String, Class<? extends Method>> methods = new TreeMap<>(Methods.byName());
    Map<String, Class<? extends Network>> networks = new TreeMap<>(Networks.byName());
    Map<String, Class<? extends OwnDataset>> datasets = new TreeMap<>();
    for (Extension extension : extensions) {
      extension.methods().forEach((name, type) -> add(methods, "method", name, type));
      extension.networks().forEach((name, type) -> add(networks, "network", name, type));
      extension.datasets().forEach((name, type) -> add(datasets, "data set", name, type));
    }
    return new RecordBinder(Map.of(Method.class, methods, Network.class, networks, OwnDataset.class, datasets));
  }

  private static <T> void add(Map<String, Class<? extends T>> all, String kind, String name, Class<? extends T> type) {
    if (!name.matches("[a-z0-9][a-z0-9-]*")) throw new IllegalArgumentException(type.getName() + ": the " + kind + " name '" + name + "' must be of small letters, digits and hyphens");
    Class<? extends T> other = all.putIfAbsent(name, type);
    if (other != null) throw new IllegalArgumentException(type.getName() + ": the " + kind + " name " + name + " is taken by " + other.getName());
  }
}
