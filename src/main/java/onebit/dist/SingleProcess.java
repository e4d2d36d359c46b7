package onebit.dist;

import java.util.List;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/** A run of one process: nothing is exchanged. */
public final class SingleProcess implements Communicator {
  private final Activity activity = new Activity();

  @Override
  public int rank() {
    return 0;
  }

  @Override
  public int size() {
    return 1;
  }

  @Override
  public String describe() {
    return "one process";
  }

  @Override
  public void startMean(String what, List<Tensor> tensors, ElementType travel) {
    // the mean of one is itself
  }

  @Override
  public void awaitMeans() {
    // nothing is under way
  }

  @Override
  public void allGather(Tensor all, Tensor own) {
    throw new IllegalStateException("allGather: a run of one process has nothing to gather");
  }

  @Override
  public void broadcast(List<Tensor> tensors) {
    // everybody has them
  }

  @Override
  public byte[] broadcast(byte[] ofRankZero) {
    return ofRankZero;
  }

  @Override
  public long[][] allGather(long[] own) {
    return new long[][] {own};
  }

  @Override
  public Activity activity() {
    return activity;
  }

  @Override
  public void close() {
    // there is nobody to leave
  }
}
