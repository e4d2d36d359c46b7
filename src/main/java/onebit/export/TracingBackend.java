package onebit.export;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.List;
import onebit.ops.Backend;
import onebit.ops.BinarizeOps;
import onebit.ops.BitOps;
import onebit.ops.ConvOps;
import onebit.ops.DenseOps;
import onebit.ops.FusedOps;
import onebit.ops.Inlet;
import onebit.ops.LossOps;
import onebit.ops.NormOps;
import onebit.ops.OptimOps;
import onebit.ops.Ops;
import onebit.ops.PointOps;
import onebit.ops.PoolOps;
import onebit.ops.Readback;
import onebit.ops.Recorder;
import onebit.ops.WeightOps;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** A backend that leaves all work to another one, and tells a listener of each op when it is done. */
final class TracingBackend implements Backend {
  /** Told of an op by its name, with its arguments: the destination first. */
  interface Listener {
    void done(String op, Object[] arguments);
  }

  private final Backend inner;
  private final Listener listener;
  private final Ops ops;

  TracingBackend(Backend inner, Listener listener) {
    this.inner = inner;
    this.listener = listener;
    Ops of = inner.ops();
    ops = new Ops(family(BitOps.class, of.bits()), family(ConvOps.class, of.conv()), family(NormOps.class, of.norm()), family(PointOps.class, of.point()),
        family(PoolOps.class, of.pool()), family(BinarizeOps.class, of.binarize()), family(WeightOps.class, of.weights()), family(LossOps.class, of.loss()),
        family(OptimOps.class, of.optim()), family(FusedOps.class, of.fused()), family(DenseOps.class, of.dense()));
  }

  private <T> T family(Class<T> type, T worker) {
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
      Object result = invoke(worker, method, arguments);
      listener.done(method.getName(), arguments);
      return result;
    }));
  }

  private static Object invoke(Object worker, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(worker, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public List<String> describe() {
    return inner.describe();
  }

  @Override
  public Tensor create(Shape shape, ElementType type) {
    return inner.create(shape, type);
  }

  @Override
  public ElementType activations() {
    return inner.activations();
  }

  /** Never: what is asked for shall be simple ops. */
  @Override
  public boolean gainsByFusing() {
    return false;
  }

  @Override
  public BitTensor createBits(int rows, int bits) {
    return inner.createBits(rows, bits);
  }

  @Override
  public void write(Tensor to, float[] values) {
    inner.write(to, values);
  }

  @Override
  public void write(Tensor to, int[] values) {
    inner.write(to, values);
  }

  @Override
  public void write(Tensor to, byte[] values) {
    inner.write(to, values);
  }

  @Override
  public void write(BitTensor to, long[] words) {
    inner.write(to, words);
  }

  @Override
  public void read(float[] to, Tensor from) {
    inner.read(to, from);
  }

  @Override
  public long[] read(BitTensor from) {
    return inner.read(from);
  }

  @Override
  public void fill(Tensor to, float value) {
    inner.fill(to, value);
  }

  @Override
  public Readback readLater(Tensor from) {
    return inner.readLater(from);
  }

  @Override
  public Recorder recorder() {
    return inner.recorder();
  }

  @Override
  public void replay(boolean whether) {
    inner.replay(whether);
  }

  @Override
  public Inlet inlet(Shape shape) {
    return inner.inlet(shape);
  }

  @Override
  public void synchronize() {
    inner.synchronize();
  }

  @Override
  public Ops ops() {
    return ops;
  }

  @Override
  public void close() {
    inner.close();
  }
}
