package onebit.checkpoint;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.nio.ByteBuffer;

/** Any bytes give a value or a {@link CheckpointException}; nothing else, and within 512 MB. */
class ReaderFuzzTest {
  @FuzzTest(maxDuration = "5m")
  void safetensors(byte[] file) {
    try {
      for (NamedTensor tensor : Safetensors.read("fuzz", ByteBuffer.wrap(file)).tensors().values()) tensor.floats();
    } catch (CheckpointException e) {
      requireWords(e);
    }
  }

  @FuzzTest(maxDuration = "5m")
  void torchZip(byte[] file) {
    try {
      for (NamedTensor tensor : TorchCheckpoint.read("fuzz", ByteBuffer.wrap(file)).tensors()) tensor.floats();
    } catch (CheckpointException e) {
      requireWords(e);
    }
  }

  /** The pickle alone, so that no checksum stands before the machine; every storage has 24 bytes. */
  @FuzzTest(maxDuration = "5m")
  void torchPickle(byte[] pickle) {
    try {
      for (NamedTensor tensor : TorchCheckpoint.read("fuzz", ByteBuffer.wrap(pickle), key -> ByteBuffer.allocate(24), 1 << 20).tensors()) tensor.floats();
    } catch (CheckpointException e) {
      requireWords(e);
    }
  }

  private static void requireWords(CheckpointException refusal) {
    if (!refusal.getMessage().startsWith("fuzz") || refusal.getMessage().length() > 5000) throw new AssertionError(refusal.getMessage(), refusal);
  }
}
