package onebit.export;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import onebit.ops.Backend;
import onebit.ops.BinarizeOps;
import onebit.ops.BitOps;
import onebit.ops.ConvOps;
import onebit.ops.DenseOps;
import onebit.ops.FusedOps;
import onebit.ops.LossOps;
import onebit.ops.NormOps;
import onebit.ops.OptimOps;
import onebit.ops.Ops;
import onebit.ops.PointOps;
import onebit.ops.PoolOps;
import onebit.ops.WeightOps;

/** Backends that leave all work to another one, tell a listener of each op when it is done, and gain nothing by fused passes: what is asked for shall be simple ops. */
final class TracingBackend {
  /** Told of an op by its name, with its arguments: the destination first. */
  interface Listener {
    void done(String op, Object[] arguments);
  }

  private TracingBackend() {}

  static Backend of(Backend inner, Listener listener) {
    Ops of = inner.ops(), ops = new Ops(family(BitOps.class, of.bits(), listener), family(ConvOps.class, of.conv(), listener), family(NormOps.class, of.norm(), listener),
        family(PointOps.class, of.point(), listener), family(PoolOps.class, of.pool(), listener), family(BinarizeOps.class, of.binarize(), listener),
        family(WeightOps.class, of.weights(), listener), family(LossOps.class, of.loss(), listener), family(OptimOps.class, of.optim(), listener),
        family(FusedOps.class, of.fused(), listener), family(DenseOps.class, of.dense(), listener));
    return proxy(Backend.class, (self, method, arguments) -> switch (method.getName()) {
      case "ops" -> ops;
      case "gainsByFusing" -> false;
      default -> method.getReturnType().getSimpleName().endsWith("Ops") ? InvocationHandler.invokeDefault(self, method, arguments) : invoke(inner, method, arguments);
    });
  }

  private static <T> T family(Class<T> type, T worker, Listener listener) {
    return proxy(type, (self, method, arguments) -> {
      Object result = invoke(worker, method, arguments);
      listener.done(method.getName(), arguments);
      return result;
    });
  }

  private static <T> T proxy(Class<T> type, InvocationHandler handler) {
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
  }

  private static Object invoke(Object worker, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(worker, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }
}
