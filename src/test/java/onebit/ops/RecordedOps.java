package onebit.ops;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.Stream;

/**
 * Writes down which op ran on which backend: what the table of tested ops in kernels/README.md is checked against.
 *
 * <p>Several JVMs of a build write into one folder, named by the property {@code onebit.test.ledger}; without it a JVM knows of itself only.
 */
final class RecordedOps {
  private static final Map<String, ConcurrentSkipListSet<String>> RAN = new ConcurrentSkipListMap<>();
  private static final Path LEDGER = System.getProperty("onebit.test.ledger") == null ? null : Path.of(System.getProperty("onebit.test.ledger"));

  private RecordedOps() {}

  /** Backends of each op that ran to its end at least once, by Family.op. */
  static Map<String, TreeSet<String>> ran() throws IOException {
    Map<String, TreeSet<String>> all = new TreeMap<>();
    RAN.forEach((op, backends) -> all.put(op, new TreeSet<>(backends)));
    if (LEDGER == null || !Files.isDirectory(LEDGER)) return all;
    try (Stream<Path> files = Files.list(LEDGER)) {
      for (Path file : files.toList()) {
        for (String line : Files.readAllLines(file)) {
          int tab = line.indexOf('\t');
          all.computeIfAbsent(line.substring(0, tab), op -> new TreeSet<>()).add(line.substring(tab + 1));
        }
      }
    }
    return all;
  }

  private static void note(String op, String backend) {
    if (!RAN.computeIfAbsent(op, o -> new ConcurrentSkipListSet<>()).add(backend) || LEDGER == null) return;
    synchronized (RAN) {
      try {
        Files.createDirectories(LEDGER);
        Files.writeString(LEDGER.resolve(Long.toString(ProcessHandle.current().pid())), op + "\t" + backend + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /** The same ops, written down under that name. */
  static <T> T of(Class<T> family, String backend, T ops) {
    return family.cast(proxy(ops, family, (self, method, arguments) -> {
      Object result = call(ops, method, arguments);
      if (method.getDeclaringClass() != Object.class) note(family.getSimpleName() + "." + method.getName(), backend);
      return result;
    }));
  }

  /** The same backend, whose op families are written down under its name. */
  static Backend of(Backend backend) {
    Map<Method, Object> families = new HashMap<>();
    return (Backend) proxy(backend, Backend.class, (self, method, arguments) -> {
      if (!isFamily(method)) return call(backend, method, arguments);
      Object known = families.get(method);
      if (known == null) {
        known = family(method.getReturnType(), backend.toString(), call(backend, method, arguments));
        families.put(method, known);
      }
      return known;
    });
  }

  /** Whether a method of Backend gives one of its op families. */
  static boolean isFamily(Method method) {
    return method.getParameterCount() == 0 && method.getReturnType().isInterface() && method.getReturnType().getSimpleName().endsWith("Ops");
  }

  private static <T> T family(Class<T> family, String name, Object ops) {
    return of(family, name, family.cast(ops));
  }

  /** What answers for a target, with all its public faces. */
  static Object proxy(Object target, Class<?> first, InvocationHandler handler) {
    LinkedHashSet<Class<?>> faces = new LinkedHashSet<>();
    faces.add(first);
    for (Class<?> face : target.getClass().getInterfaces()) if (Modifier.isPublic(face.getModifiers())) faces.add(face);
    return Proxy.newProxyInstance(RecordedOps.class.getClassLoader(), faces.toArray(Class[]::new), handler);
  }

  static Object call(Object target, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }
}
