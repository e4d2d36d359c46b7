package onebit.ops;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ConcurrentSkipListSet;

/** Writes down which op ran on which backend in this JVM: what the table of tested ops in kernels/README.md is checked against. */
final class RecordedOps {
  private static final Map<String, ConcurrentSkipListSet<String>> RAN = new ConcurrentSkipListMap<>();

  private RecordedOps() {}

  /** Backends of each op that ran to its end at least once, by Family.op. */
  static Map<String, TreeSet<String>> ran() {
    Map<String, TreeSet<String>> copy = new TreeMap<>();
    RAN.forEach((op, backends) -> copy.put(op, new TreeSet<>(backends)));
    return copy;
  }

  /** The same ops, written down under that name. */
  static <T> T of(Class<T> family, String backend, T ops) {
    return family.cast(proxy(ops, family, (self, method, arguments) -> {
      Object result = call(ops, method, arguments);
      if (method.getDeclaringClass() != Object.class) {
        RAN.computeIfAbsent(family.getSimpleName() + "." + method.getName(), op -> new ConcurrentSkipListSet<>()).add(backend);
      }
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

  private static Object proxy(Object target, Class<?> first, InvocationHandler handler) {
    LinkedHashSet<Class<?>> faces = new LinkedHashSet<>();
    faces.add(first);
    for (Class<?> face : target.getClass().getInterfaces()) if (Modifier.isPublic(face.getModifiers())) faces.add(face);
    return Proxy.newProxyInstance(RecordedOps.class.getClassLoader(), faces.toArray(Class[]::new), handler);
  }

  private static Object call(Object target, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }
}
