package onebit.ops;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import onebit.ops.cuda.EmulatedDevice;
import onebit.ops.cuda.EmulatedDriver;
import onebit.tensor.Tensor;

/** The emulated device, each of whose ops is written down with the bytes that its launches declare and the calls of libraries it makes. */
public final class DeclaredOps {
  /** One op of one family of the device: what it was given, bytes that its launches declared, how many these were, and calls of libraries. */
  public record Call(String op, List<Object> arguments, long bytes, long launches, long libraryCalls) {
    /** Bytes of the filters' bits that its launches multiply: they read them from copies laid out for that, which are no tensors and are not declared. */
    public long filterBytes() {
      long bytes = 0;
      for (Object each : arguments) {
        FusedOps.Unit unit = each instanceof FusedOps.Unit it ? it : null;
        FusedOps.Product product = unit != null ? unit.product() : each instanceof FusedOps.Product it ? it : null;
        if (product == null) continue;
        long once = 4L * product.w().rows() * ((product.w().bits() + 31) / 32);
        bytes += unit != null && unit.y() == null ? once * launches : once;
      }
      return bytes;
    }

    /** The most channels that a tensor or unit among the arguments has. */
    public int channels() {
      int most = 0;
      for (Object each : arguments) {
        Tensor tensor = each instanceof Tensor it ? it : each instanceof FusedOps.Unit unit ? unit.norm().mean() : null;
        if (tensor != null) most = Math.max(most, tensor.shape().channels());
      }
      return most;
    }
  }

  private final List<Call> calls = new ArrayList<>();
  private final Backend backend;

  public DeclaredOps(Backend device) {
    Map<Method, Object> families = new HashMap<>();
    backend = (Backend) RecordedOps.proxy(device, Backend.class, (self, method, arguments) -> {
      if (!RecordedOps.isFamily(method)) return RecordedOps.call(device, method, arguments);
      return families.computeIfAbsent(method, m -> family(m.getReturnType(), ask(device, m)));
    });
  }

  /** What a model is built on and runs on. */
  public Backend backend() {
    return backend;
  }

  /** All ops so far, in their order. */
  public List<Call> calls() {
    return calls;
  }

  /** Forgets the ops so far: they belonged to no step. */
  public void forgetCalls() {
    calls.clear();
  }

  private Object family(Class<?> type, Object ops) {
    return RecordedOps.proxy(ops, type, (self, method, arguments) -> {
      if (method.getDeclaringClass() == Object.class) return RecordedOps.call(ops, method, arguments);
      long bytes = EmulatedDevice.declaredBytes(), launches = EmulatedDriver.counter("launches"), library = EmulatedDriver.counter("library_calls");
      Object result = RecordedOps.call(ops, method, arguments);
      calls.add(new Call(method.getName(), Arrays.asList(arguments), EmulatedDevice.declaredBytes() - bytes, EmulatedDriver.counter("launches") - launches,
          EmulatedDriver.counter("library_calls") - library));
      return result;
    });
  }

  private static Object ask(Object target, Method method) {
    try {
      return method.invoke(target);
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }
}
